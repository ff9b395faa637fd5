//! No canvas makes it panic, and none makes much out of little.

use proptest::prelude::*;
use umbel_protocol::canvas::{self, Plan, Step};
use umbel_protocol::message::{Message, Version};
use umbel_value::{Map, Value};

use crate::{apply, chain, chord, group, sending, task};

fn check(signature: &str, complaint: &str) {
    let error = apply(signature, None).unwrap_err();
    assert_eq!(error.to_string(), complaint);
}

#[test]
fn what_is_no_canvas_is_refused_with_words() {
    check("[1]", "a signature is list, not dict");
    check(r#"{"args": []}"#, "`task` of a signature is NoneType, not str");
    check(r#"{"task": "t", "subtask_type": "magic"}"#, "unknown subtask type `magic`");
    check(r#"{"task": "t", "args": 5}"#, "`args` of a signature is int, not list");
    let options = [
        (r#"{"countdown": "soon"}"#, "option `countdown` is str, not a number"),
        (r#"{"countdown": 1e300}"#, "option `countdown` is out of range"),
        (r#"{"eta": "tomorrow"}"#, "option `eta` is 'tomorrow', not an instant"),
        (r#"{"task_id": 5}"#, "option `task_id` is int, not str"),
        (r#"{"time_limit": -1}"#, "option `time_limit` is int, not seconds"),
        (r#"{"serializer": "pickle"}"#, "serializer `pickle` is not supported"),
        (r#"{"link": 5}"#, "option `link` is int, not a list of signatures"),
        (r#"{"headers": []}"#, "option `headers` is list, not dict"),
        (r#"{"stamped_headers": [1]}"#, "a name in option `stamped_headers` is int, not str"),
        (r#"{"retries": 1.5}"#, "option `retries` is float, not a small whole number"),
    ];
    for (options, complaint) in options {
        check(&format!(r#"{{"task": "t", "options": {options}}}"#), complaint);
    }
    check(&chord(&[], "null"), "a chord has no body");
    check(&group(&["7".to_owned()]), "a signature is int, not dict");
}

#[test]
fn a_canvas_has_an_end() {
    let many = vec![task("t", "[]"); canvas::MAX_MESSAGES + 1];
    check(&group(&many), "a group of more than 10000 tasks");
    check(&chain(&many), "a chain of more than 10000 tasks");
    let half = group(&many[..canvas::MAX_MESSAGES / 2 + 1]);
    let two =
        chord(&[chord(std::slice::from_ref(&half), &task("b", "[]")), half], &task("b", "[]"));
    check(&two, "more than 10000 messages at once");
    // Small text, but the body goes with each part.
    let long = format!(r#"["{}"]"#, "x".repeat(100_000));
    let heavy = chord(&many[..5000], &task("b", &long));
    check(&heavy, "the messages of one canvas hold more than 256 MiB");
    let deep = (0..100).fold(task("t", "[]"), |inner, _| chord(&[task("h", "[]")], &inner));
    check(&deep, "a canvas nested more than 64 levels deep");
    let pair = group(&[task("t", "[]"), task("t", "[]")]);
    check(&chain(&vec![pair; 1000]), "a canvas nested more than 64 levels deep");
}

#[test]
fn a_long_chain_is_no_deep_one() {
    let steps = vec![task("t", "[]"); canvas::MAX_MESSAGES];
    let plan = apply(&group(&[chain(&steps)]), None).unwrap();
    assert_eq!(plan.steps.len(), 1);
    let plan = apply(&chord(&[chain(&steps)], &task("b", "[]")), None).unwrap();
    assert_eq!(plan.steps.len(), 2);
}

/// Values that look like signatures more often than not.
fn signatures() -> impl Strategy<Value = Value> {
    let odd = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::Float),
        ".{0,4}".prop_map(Value::from),
        Just(Value::List(vec![])),
    ];
    let leaf = prop_oneof![
        4 => ("[a-c]", options(odd.clone().boxed())).prop_map(|(name, options)| {
            Value::from([("task", name.into()), ("options", options)])
        }),
        1 => odd,
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List);
        let kind = prop_oneof![
            Just("group"),
            Just("chain"),
            Just("chord"),
            Just("xmap"),
            Just("chunks"),
            Just(""),
        ];
        let shape = (kind, list.clone(), inner.clone(), options(inner.clone().boxed()), 0..4i64);
        prop_oneof![
            1 => list,
            6 => shape.prop_map(|(kind, list, one, options, n)| {
                let kwargs = Value::from([
                    ("tasks", list.clone()),
                    ("header", list.clone()),
                    ("body", one.clone()),
                    ("task", one),
                    ("it", list),
                    ("n", n.into()),
                ]);
                Value::from([
                    ("task", kind.into()),
                    ("subtask_type", kind.into()),
                    ("kwargs", kwargs),
                    ("options", options),
                ])
            }),
        ]
    })
}

fn options(values: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "task_id",
        "group_id",
        "group_index",
        "chord",
        "chain",
        "link",
        "link_error",
        "countdown",
        "eta",
        "expires",
        "root_id",
        "headers",
        "stamped_headers",
        "priority",
        "queue",
        "retries",
    ]);
    let entries = prop::collection::vec((key, values), 0..2);
    entries.prop_map(|entries| entries.into_iter().collect())
}

fn survives(plan: Plan) {
    for step in plan.steps {
        if let Step::Send { message, .. } = step {
            let mut taken = Message::decode(&message.encode()).unwrap();
            taken.embed.chain = taken.embed.chain.map(|chain| chain.value().unwrap().into());
            let mut message = *message;
            message.embed.chain = message.embed.chain.map(|chain| chain.value().unwrap().into());
            assert_eq!(format!("{taken:?}"), format!("{message:?}"));
        }
    }
}

proptest! {
    #[test]
    fn any_canvas_is_sent_or_refused(one in signatures(), two in signatures()) {
        let mut parent = Message::new("parent", vec![], Map::new());
        parent.version = Version::V2;
        parent.embed.callbacks = Some(one.clone());
        parent.embed.chain = Some(Value::List(vec![two.clone(), one.clone()]).into());
        parent.embed.chord = Some(two.clone());
        parent.group = Some("g".to_owned());
        let results = vec![Value::from(1)];
        let plans = sending(Some(&parent), &[], |sender| [
            canvas::apply(&one, &results, &Map::new(), sender),
            canvas::follow(&two, sender),
            canvas::errbacks("x", std::slice::from_ref(&one), sender),
            canvas::body(&one, results.clone(), sender),
            canvas::replace(&one, sender),
            canvas::add_to_chord(&one, sender),
        ]);
        plans.into_iter().flatten().for_each(survives);
        canvas::abandon(&parent);
        canvas::abandon_body(&one);
        canvas::names(&one);
    }
}
