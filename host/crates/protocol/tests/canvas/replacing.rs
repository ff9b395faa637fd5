//! A canvas in the place of a task, against recordings of Celery's workers.

use umbel_protocol::canvas::{self, CanvasError, Plan};
use umbel_protocol::message::Message;
use umbel_value::Value;

use crate::recorded::{self, check};
use crate::{chain, chord, group, json, sending, sent, steps, task};

fn replace(parent: &Message, signature: &str, ids: &[&str]) -> Result<Plan, CanvasError> {
    let signature = json(signature);
    sending(Some(parent), ids, |sender| canvas::replace(&signature, sender))
}

/// A task in the middle of a chain in a chord, with callbacks.
fn member() -> Message {
    let mut message = Message::new("replaced", vec![], Default::default());
    message.id = "me".to_owned();
    message.root_id = Some("root".to_owned());
    message.group = Some("g".to_owned());
    message.group_index = Some(3);
    message.reply_to = Some("client".to_owned());
    message.embed.chord = Some(json(r#"{"task": "sum"}"#));
    message.embed.callbacks = Some(json(r#"[{"task": "then"}]"#));
    message.embed.errbacks = Some(json(r#"[{"task": "failed"}]"#));
    message
}

fn takes_over(message: &Message) {
    let told = (message.group.as_deref(), message.group_index, message.root_id.as_deref());
    assert_eq!(told, (Some("g"), Some(3), Some("root")));
    assert_eq!(message.id, "me");
    assert_eq!(message.reply_to.as_deref(), Some("client"));
    assert_eq!(message.embed.chord, Some(json(r#"{"task": "sum"}"#)));
    assert_eq!(message.embed.callbacks, Some(json(r#"[{"task": "then"}]"#)));
    assert_eq!(message.embed.errbacks, Some(json(r#"[{"task": "failed"}]"#)));
    assert_eq!(message.replaced_task_nesting, 1);
}

#[test]
fn a_task_replaces_a_task() {
    for name in ["amqp-run-replace", "redis-run-replace"] {
        let run = recorded::tasks(name);
        let plan = replace(&run[0], &task("lab.add", "[5, 100]"), &[]).unwrap();
        check(&plan, &run[1..]);
    }
    let plan = replace(&member(), &task("new", "[]"), &[]).unwrap();
    takes_over(sent(&plan)[0]);
}

#[test]
fn a_group_replaces_a_task_as_a_chord() {
    for (name, args) in [("amqp-replace-group-messages", 3), ("redis-run-replace-group", 5)] {
        let run = recorded::tasks(name);
        let [replaced, one, two, body] = &run[..] else { panic!("{name}") };
        let members = [1, 2].map(|number| task("lab.add", &format!("[{args}, {number}]")));
        let ids = [one.group.as_ref().unwrap(), &one.id, &two.id].map(String::as_str);
        let plan = replace(replaced, &group(&members), &ids).unwrap();
        check(&plan, &run[1..3]);

        let finished = run.iter().find(|task| body.parent_id.as_ref() == Some(&task.id)).unwrap();
        let chord = finished.embed.chord.clone().unwrap();
        let results = body.args[0].as_list().unwrap().to_vec();
        let plan = sending(Some(finished), &[], |sender| canvas::body(&chord, results, sender));
        check(&plan.unwrap(), std::slice::from_ref(body));
    }
}

#[test]
fn the_last_step_of_a_chain_takes_the_place() {
    let steps = chain(&[task("a", "[1]"), task("b", "[2]")]);
    let plan = replace(&member(), &steps, &[]).unwrap();
    let first = sent(&plan)[0];
    assert_eq!((first.replaced_task_nesting, &first.group), (1, &None));
    assert_eq!(first.embed.errbacks, Some(json(r#"[{"task": "failed"}]"#)));
    let plan = sending(Some(first), &[], |sender| canvas::follow(&Value::Null, sender)).unwrap();
    takes_over(sent(&plan)[0]);
}

#[test]
fn the_rest_of_the_chain_follows_the_replacement() {
    let mut parent = Message::new("replaced", vec![], Default::default());
    parent.embed.chain = Some(json(r#"[{"task": "last", "options": {"task_id": "l"}}]"#).into());
    for (signature, expected) in [
        (task("a", "[]"), vec!["a()"]),
        (chain(&[task("a", "[]"), task("b", "[]")]), vec!["a()", "b(None,)"]),
    ] {
        let mut plan = replace(&parent, &signature, &[]).unwrap();
        for step in expected {
            assert_eq!(steps(&plan), [step]);
            let done = sent(&plan)[0].clone();
            plan =
                sending(Some(&done), &[], |sender| canvas::follow(&Value::Null, sender)).unwrap();
        }
        let last = sent(&plan)[0];
        assert_eq!((last.id.as_str(), last.replaced_task_nesting), ("l", 1));
    }
}

#[test]
fn a_chord_replaces_a_task_with_its_body() {
    let header = [task("a", "[]"), task("b", "[]")];
    let plan = replace(&member(), &chord(&header, &task("c", "[]")), &[]).unwrap();
    let part = sent(&plan)[0];
    assert_eq!((&part.embed.callbacks, part.group_index), (&None, Some(0)));
    let body = part.embed.chord.clone().unwrap();
    let plan = sending(Some(part), &[], |sender| canvas::body(&body, vec![], sender)).unwrap();
    takes_over(sent(&plan)[0]);
}

#[test]
fn a_group_at_the_end_of_a_replacement_is_one_result() {
    let members = group(&[task("a", "[]"), task("b", "[]")]);
    for signature in [
        chain(&[task("first", "[]"), members.clone()]),
        chord(&[task("h", "[]")], &members),
        chord(&[task("h", "[]")], &chain(&[task("x", "[]"), members.clone()])),
    ] {
        let text = format!("{:?}", replace(&member(), &signature, &[]).unwrap());
        assert!(text.contains("celery.accumulate"), "{signature}");
    }
}

#[test]
fn replacements_end_somewhere() {
    let mut looping = member();
    looping.replaced_task_nesting = 1000;
    let error = replace(&looping, &task("new", "[]"), &[]).unwrap_err();
    assert_eq!(error.to_string(), "a task replaced more than 1000 times");
    for nothing in [chain(&[]), chain(&[group(&[])])] {
        let error = replace(&member(), &nothing, &[]).unwrap_err();
        assert_eq!(error.to_string(), "a task cannot be replaced by an empty chain");
    }
    let taken = r#"{"task": "t", "options": {"chord": {"task": "b"}}}"#;
    let error = replace(&member(), taken, &[]).unwrap_err();
    assert_eq!(error.to_string(), "what replaces a task must not be part of a chord");
}

#[test]
fn a_part_is_added_to_the_chord() {
    let add = |parent: &Message, signature: &str| {
        let signature = json(signature);
        sending(Some(parent), &[], |sender| canvas::add_to_chord(&signature, sender))
    };
    for signature in [task("a", "[]"), group(&[task("a", "[]")]), chain(&[task("a", "[]")])] {
        let plan = add(&member(), &signature).unwrap();
        let [part] = &sent(&plan)[..] else { panic!("{signature}") };
        assert_eq!((part.group.as_deref(), part.group_index), (Some("g"), Some(3)));
        assert_eq!(part.embed.chord, member().embed.chord);
        assert_ne!(part.id, "me");
        assert_eq!(plan.children, [canvas::result_tuple(&part.id)]);
    }
    let error = add(&member(), &group(&[task("a", "[]"), task("b", "[]")])).unwrap_err();
    assert!(error.to_string().starts_with("what is added to a chord must have one result"));
    let alone = Message::new("alone", vec![], Default::default());
    let error = add(&alone, &task("a", "[]")).unwrap_err();
    assert_eq!(error.to_string(), "the task is not part of a chord");
}
