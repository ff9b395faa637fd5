//! Tasks that work with what they are given.

use umbel::json::{self, RawValue};

use crate::exports::test::lab::values::Guest;
use crate::{Lab, witness};

impl Guest for Lab {
    fn add(x: i64, y: i64) -> i64 {
        x + y
    }

    fn mul(x: i64, y: i64) -> i64 {
        x * y
    }

    fn xsum(numbers: Vec<i64>) -> i64 {
        numbers.into_iter().sum()
    }

    fn echo(value: String) -> String {
        value
    }

    fn join(left: String, right: String) -> String {
        left + &right
    }

    fn greet(name: String, greeting: Option<String>) -> String {
        format!("{}, {name}!", greeting.as_deref().unwrap_or("Hello"))
    }

    fn collect(args: Vec<String>, kwargs: String) -> String {
        let raw = |text| json::raw(text).expect("the worker gives JSON");
        let args: Vec<&RawValue> = args.iter().map(|text| raw(text)).collect();
        json::to(&(args, raw(&kwargs))).expect("JSON is JSON")
    }

    fn reverse(data: Vec<u8>) -> Vec<u8> {
        data.into_iter().rev().collect()
    }

    fn big(size: u32) -> String {
        "x".repeat(size as usize)
    }

    fn add_ignored(x: i64, y: i64) -> i64 {
        x + y
    }

    fn tempered(value: String) -> String {
        value
    }

    fn limited(value: String) -> String {
        value
    }

    fn note(value: String, key: String) -> String {
        witness(&key, &value);
        value
    }
}
