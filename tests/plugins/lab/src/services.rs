//! Tasks that use what the worker offers, and error callbacks.

use umbel::json::{self, Value};
use umbel::{Error, progress, tasks};

use crate::exports::test::lab::services::Guest;
use crate::{Lab, request, time, witness};

impl Guest for Lab {
    fn context(_args: Vec<String>, _kwargs: String) -> String {
        request::json()
    }

    fn progress(state: String, meta: String, seconds: f64) -> String {
        let meta = json::raw(&meta).expect("the worker gives JSON");
        progress::update(&state, meta).expect("JSON is JSON");
        time::wait(seconds);
        "done".to_owned()
    }

    fn submit(name: String, args: String, keywords: String) -> Result<String, Error> {
        let (args, keywords) = (json::raw(&args)?, json::raw(&keywords)?);
        Ok(tasks::submit_with(&name, args, keywords, &tasks::options())?)
    }

    fn apply(signature: String, args: String) -> Result<String, Error> {
        Ok(tasks::apply(signature, json::raw(&args)?)?.to_string())
    }

    fn replace(signature: String) -> Result<String, Error> {
        tasks::replace(signature)?;
        Err(Error::Ignore)
    }

    fn enlarge(value: String, signature: String) -> Result<String, Error> {
        tasks::add_to_chord(signature)?;
        Ok(value)
    }

    fn on_error_old(failed: String) {
        witness(&failed, "\"old style\"");
    }

    fn on_error_new(request: String, exc: String, traceback: String) {
        let parse = |text: &str| json::from::<Value>(text).unwrap_or_default();
        let (request, exc, traceback) = (parse(&request), parse(&exc), parse(&traceback));
        let seen = Value::from(vec![
            Value::from("new style"),
            request["task"].clone(),
            exc["exc_type"].clone(),
            exc["exc_message"][0].clone(),
            Value::from(traceback.as_str().is_some_and(|text| !text.is_empty())),
        ]);
        witness(request["id"].as_str().unwrap_or_default(), &seen.to_string());
    }

    fn on_error_note(key: String) {
        witness(&key, "\"immutable\"");
    }
}
