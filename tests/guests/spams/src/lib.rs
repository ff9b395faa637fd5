//! Tries to drown the broker, or the worker on the way to it, in tasks of its own.

wit_bindgen::generate!({
    inline: "
        package guest:spams;
        interface tasks {
            flood: func(name: string, calls: u32) -> tuple<u32, string>;
            bulk: func(name: string, bytes: u32, calls: u32) -> tuple<u32, string>;
            crowd: func(name: string, members: u32) -> string;
            deep: func(levels: u32) -> string;
            insist: func(name: string);
        }
        world plugin {
            import umbel:task/tasks@0.1.0;
            export tasks;
        }
    ",
    path: "../../../wit",
    generate_all,
});

use umbel::task::tasks::{Options, SubmitError, apply, replace, submit};

struct Spams;
export!(Spams);

impl exports::guest::spams::tasks::Guest for Spams {
    fn flood(name: String, calls: u32) -> (u32, String) {
        until_refused(&name, "[1, 2]", calls)
    }

    fn bulk(name: String, bytes: u32, calls: u32) -> (u32, String) {
        until_refused(&name, &format!("[\"{}\"]", "x".repeat(bytes as usize)), calls)
    }

    fn crowd(name: String, members: u32) -> String {
        let member = format!("{{\"task\": \"{name}\", \"args\": [1, 2]}}");
        let members = vec![member; members as usize].join(", ");
        let group = format!(
            "{{\"task\": \"celery.group\", \"subtask_type\": \"group\", \"args\": [], \
             \"options\": {{}}, \"kwargs\": {{\"tasks\": [{members}]}}}}"
        );
        answer(apply(&group, ""))
    }

    fn deep(levels: u32) -> String {
        let levels = levels as usize;
        answer(replace(&format!("{}1{}", "{\"task\":".repeat(levels), "}".repeat(levels))))
    }

    fn insist(name: String) {
        loop {
            let _ = send(&name, "[]");
        }
    }
}

/// How many of so many calls were taken, and how the last one was answered.
fn until_refused(name: &str, args: &str, calls: u32) -> (u32, String) {
    for call in 0..calls {
        let sent = send(name, args);
        if sent.is_err() {
            return (call, answer(sent));
        }
    }
    (calls, answer(Ok::<(), _>(())))
}

/// To a queue that nobody looks into.
fn send(name: &str, args: &str) -> Result<String, SubmitError> {
    let options = Options {
        queue: Some("nowhere".to_string()),
        countdown_ms: None,
        expires_ms: None,
        priority: None,
        time_limit_ms: None,
        soft_time_limit_ms: None,
        ignore_result: None,
        headers: None,
    };
    submit(name, args, "", &options)
}

fn answer<T>(sent: Result<T, SubmitError>) -> String {
    match sent {
        Ok(_) => "taken",
        Err(SubmitError::Denied(_)) => "denied",
        Err(SubmitError::TooMany(_)) => "too many",
        Err(SubmitError::TooDeep(_)) => "too deep",
        Err(SubmitError::Invalid(_)) => "invalid",
    }
    .to_string()
}
