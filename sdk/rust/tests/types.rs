//! Tasks natively: functions of a module stay functions, whatever their types.

use umbel::{Context, Error, Json, Value, testing};

#[umbel::tasks(package = "test:types@0.1.0")]
mod tasks {
    use std::collections::BTreeMap;

    use super::{Context, Error, Json, Value};

    type Id = u64;

    #[derive(Clone, Debug, PartialEq, umbel::Type)]
    pub struct Order {
        pub id: Id,
        pub lines: Vec<Line>,
        pub r#type: Option<Kind>,
    }

    #[derive(Clone, Debug, PartialEq, umbel::Type)]
    pub struct Line(pub String, pub u32);

    #[derive(Clone, Debug, PartialEq, umbel::Type)]
    pub enum Kind {
        Gift,
        Sample,
    }

    #[derive(Clone, Debug, PartialEq, umbel::Type)]
    pub enum Shape {
        Circle(f64),
        Rectangle(f64, f64),
        Empty,
    }

    /// What every field is for, callers read here.
    pub fn count(order: Order) -> u32 {
        order.lines.iter().map(|Line(_, number)| number).sum()
    }

    pub fn area(shape: Shape) -> Result<f64, String> {
        match shape {
            Shape::Circle(radius) => Ok(radius * radius * 3.0),
            Shape::Rectangle(width, height) => Ok(width * height),
            Shape::Empty => Err("there is none".to_string()),
        }
    }

    pub fn borrow(text: &str, bytes: &[u8], order: &Order) -> (u64, u64, Id) {
        (text.len() as u64, bytes.len() as u64, order.id)
    }

    pub fn any(value: Value, map: Json<BTreeMap<String, u32>>) -> Value {
        umbel::json::json!([value, map.0.len()])
    }

    pub fn divide(ctx: &Context, dividend: i64, divisor: i64) -> umbel::Result<i64> {
        if ctx.retries == 0 {
            return Err(Error::retry("the first time is not enough"));
        }
        Ok(dividend.checked_div(divisor).ok_or("division by zero")?)
    }

    pub fn parse(text: &str) -> Result<u8, std::num::ParseIntError> {
        helper(text).parse()
    }

    pub async fn later(text: String) -> umbel::Result<String> {
        Ok(text)
    }

    fn helper(text: &str) -> &str {
        text.trim()
    }
}

#[test]
fn tasks_are_functions() {
    let order = tasks::Order {
        id: 7,
        lines: vec![tasks::Line("apple".into(), 2), tasks::Line("pear".into(), 3)],
        r#type: Some(tasks::Kind::Gift),
    };
    assert_eq!(tasks::borrow("abc", b"ab", &order), (3, 2, 7));
    assert_eq!(tasks::count(order), 5);
    assert_eq!(tasks::area(tasks::Shape::Rectangle(2.0, 3.0)), Ok(6.0));
    assert_eq!(tasks::any(Value::Null, Json::default()), umbel::json::json!([null, 0]));
    assert_eq!(tasks::parse(" 12 "), Ok(12));
}

#[test]
fn a_test_says_who_calls() {
    let worker = testing::worker();
    assert!(matches!(tasks::divide(&Context::current(), 6, 2), Err(Error::Retry(_))));
    worker.retries(1);
    assert_eq!(tasks::divide(&Context::current(), 6, 2), Ok(3));
    let error = tasks::divide(&Context::current(), 6, 0).unwrap_err();
    assert_eq!((error.kind(), error.message()), (Some("TaskError"), "division by zero"));
}

#[test]
fn each_test_begins_with_nothing() {
    let worker = testing::worker().retries(3);
    umbel::log::warning("once");
    umbel::progress::report(1, 2);
    assert_eq!(worker.log()[0].level, umbel::log::Level::Warning);
    assert_eq!(worker.progress()[0].meta, umbel::json::json!({"current": 1, "total": 2}));
    let worker = testing::worker();
    assert!(worker.log().is_empty() && worker.progress().is_empty());
    assert_eq!(Context::current().retries, 0);
}

#[test]
fn what_makes_no_sense_is_not_sent() {
    let worker = testing::worker();
    assert!(umbel::submit("mail.send", "no array").is_err());
    assert!(umbel::tasks::submit_with("mail.send", &(), &[1], &umbel::tasks::options()).is_err());
    assert!(worker.submitted().is_empty());
    let chain = umbel::canvas::chain([umbel::canvas::task("tasks.add", &(1, 2)).unwrap()]);
    umbel::tasks::apply(chain, &()).unwrap();
    assert_eq!(worker.submitted()[0].kwargs["subtask_type"], "chain");
}

#[test]
fn async_tasks_are_run_to_their_end() {
    assert_eq!(testing::block_on(tasks::later("done".into())), Ok("done".into()));
}
