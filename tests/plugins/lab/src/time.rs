//! Tasks that take their time.

use std::time::{Duration, Instant};

use umbel::context;

use crate::exports::test::lab::time::Guest;
use crate::{Lab, witness};

impl Guest for Lab {
    fn sleep(seconds: f64, key: Option<String>) -> f64 {
        match key {
            Some(key) => watched(seconds, &key),
            None => wait(seconds),
        }
        seconds
    }

    fn tidy(seconds: f64) -> String {
        context::take_soft_limit();
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        while Instant::now() < end {
            if context::soft_remaining_ms() == Some(0) {
                return "tidied up".to_owned();
            }
            wait(0.01);
        }
        "had the time".to_owned()
    }

    fn stubborn(seconds: f64) -> String {
        context::take_soft_limit();
        wait(seconds);
        "outlived its limits".to_owned()
    }

    fn late(seconds: f64, key: String) -> f64 {
        watched(seconds, &key);
        seconds
    }

    fn late_once(seconds: f64) -> String {
        if context::current().delivery.redelivered {
            return "came again".to_owned();
        }
        wait(seconds);
        "had the time".to_owned()
    }

    fn single(seconds: f64) -> f64 {
        wait(seconds);
        seconds
    }

    fn early(seconds: f64, key: String) -> f64 {
        watched(seconds, &key);
        seconds
    }
}

fn watched(seconds: f64, key: &str) {
    witness(key, "\"started\"");
    wait(seconds);
    witness(key, "\"ended\"");
}

pub(crate) fn wait(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}
