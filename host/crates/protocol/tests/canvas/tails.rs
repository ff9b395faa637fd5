//! The steps of a chain that are not the next one go on as the bytes they came in.

use umbel_protocol::body::Serializer;
use umbel_protocol::canvas;
use umbel_protocol::message::{Chain, DecodeError, Message, RawMessage};
use umbel_value::Value;

use crate::{sending, sent, task};

/// A message of a chain as it is on the wire.
fn with_chain(chain: &str) -> RawMessage {
    let mut raw = Message::new("first", vec![], Default::default()).encode();
    let embed = format!(r#"{{"callbacks": null, "chain" : {chain} , "chord": null}}"#);
    raw.body = format!("[[1], {{}}, {embed}]").into_bytes().into();
    raw
}

/// The bytes of the next step's message.
fn next_body(raw: &RawMessage) -> String {
    let parent = Message::decode(raw).unwrap();
    let value = Value::from(7);
    let plan = sending(Some(&parent), &["n"], |sender| canvas::follow(&value, sender)).unwrap();
    let [next] = sent(&plan)[..] else { panic!("one step follows") };
    String::from_utf8(next.encode().body.to_vec()).unwrap()
}

fn check(tail: &str) {
    let comma = if tail.is_empty() { "" } else { "," };
    let raw = with_chain(&format!("[{tail}{comma} {} ]", task("next", "[2]")));
    let body = next_body(&raw);
    assert!(body.contains(&format!(r#""chain":[{tail}],"#)), "{body}");
}

#[test]
fn the_tail_of_a_chain_goes_on_byte_for_byte() {
    check("");
    check(&task("last", "[]"));
    // Spaces, the order of keys, escapes and the spelling of numbers are the sender's own.
    check(r#"{"options" : {}, "task":"\u006cast", "args": [ 1.50, 1e3,"\/",-0 ]}"#);
    check(r#"{"task": "a"} , {"task": "b", "kwargs": {"deep": [[[[{}]]]]}}"#);
    // Nothing is known of what comes later, and nothing is asked.
    check(r#"17, {"subtask_type": "odd"}, null"#);
}

#[test]
fn a_chain_that_was_not_read_is_what_it_would_have_been() {
    let chain = format!("[{}, {}]", task("last", "[3]"), task("next", "[2]"));
    let unread = Message::decode(&with_chain(&chain)).unwrap();
    let mut read = unread.clone();
    let value = Value::from_json(chain.as_bytes()).unwrap();
    read.embed.chain = Some(value.clone().into());
    assert!(matches!(unread.embed.chain, Some(Chain::Unread(_))));
    assert_eq!(unread, read);
    assert_eq!(unread.embed.chain.as_ref().unwrap().value(), Ok(value));
    assert_eq!(canvas::abandon(&unread), canvas::abandon(&read));
    for serializer in Serializer::ALL {
        let mut again = unread.retry(None);
        again.content.serializer = serializer;
        assert_eq!(Message::decode(&again.encode()).unwrap().embed, read.embed, "{serializer:?}");
    }
}

#[test]
fn every_step_of_a_chain_follows_in_its_order() {
    let names = ["d", "c", "b"];
    let steps: Vec<String> = names.iter().map(|name| task(name, "[]")).collect();
    let mut message = Message::decode(&with_chain(&format!("[{}]", steps.join(", ")))).unwrap();
    for name in names.iter().rev() {
        let value = Value::from(1);
        let plan = sending(Some(&message), &[name], |sender| canvas::follow(&value, sender));
        let plan = plan.unwrap();
        message = sent(&plan)[0].clone();
        assert_eq!(message.task, *name);
        let taken = Message::decode(&message.encode()).unwrap();
        assert_eq!(message.embed, taken.embed, "as whoever takes it sees it");
    }
    assert_eq!(message.embed.chain, Some(Vec::new().into()));
}

#[test]
fn a_step_that_is_more_than_a_task_gets_the_rest_read() {
    let group = crate::group(&[task("a", "[]"), task("b", "[]")]);
    let raw = with_chain(&format!("[{}, {group}]", task("last", "[]")));
    let parent = Message::decode(&raw).unwrap();
    let value = Value::from(7);
    let plan =
        sending(Some(&parent), &["c", "g", "a", "b", "l"], |sender| canvas::follow(&value, sender));
    let plan = plan.unwrap();
    assert!(sent(&plan).iter().all(|member| member.embed.chord.is_some()), "{plan:?}");
}

#[test]
fn what_is_wrong_in_a_tail_is_found_when_it_comes() {
    for wrong in [
        r#"[{"task": "a", "args": [{"__type__": "odd", "__value__": "1"}]}]"#,
        r#"[{"task": "\ud800"}]"#,
        r#"[{"task": nul}]"#,
        "[1, ]",
        "[1",
    ] {
        let read = Message::decode(&with_chain(wrong));
        assert!(matches!(read, Err(DecodeError::Undecodable(_))), "{wrong}: {read:?}");
    }
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(Message::decode(&with_chain(&deep)), Err(DecodeError::Undecodable(_))));
}

#[test]
fn a_chain_of_ten_thousand_steps_is_one_step_and_a_tail() {
    let steps = vec![task("next", "[2]"); 10_000].join(", ");
    let raw = with_chain(&format!("[{steps}]"));
    let body = next_body(&raw);
    let tail = &steps[..steps.len() - task("next", "[2]").len() - 2];
    assert!(body.contains(tail), "the tail is not what it was");
}

#[test]
fn tags_in_a_tail_are_read_and_stay_what_they_are() {
    let tagged = r#"{"__type__": "datetime", "__value__": "2026-01-01T00:00:00+00:00"}"#;
    let last = task("last", &format!("[{tagged}]"));
    let body = next_body(&with_chain(&format!("[{last}, {}]", task("next", "[]"))));
    assert!(body.contains(r#"{"__type__":"datetime","__value__":"2026-01-01T00:00:00+00:00"}"#));
}
