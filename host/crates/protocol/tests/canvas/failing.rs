//! What a failure takes with it, against recordings of Celery's workers.

use umbel_protocol::canvas::{self, Abandoned};
use umbel_protocol::message::Message;
use umbel_value::Value;

use crate::recorded::{self, check};
use crate::{apply, chain, chord, group, json, sending, sent, task};

fn ids(abandoned: &[Abandoned]) -> Vec<&str> {
    abandoned.iter().map(|lost| lost.id.as_str()).collect()
}

fn frozen(signature: &str, id: &str) -> String {
    let (before, after) = signature.rsplit_once(r#""options": {"#).unwrap();
    let comma = if after.starts_with('}') { "" } else { ", " };
    format!(r#"{before}"options": {{"task_id": "{id}"{comma}{after}"#)
}

#[test]
fn the_rest_of_a_chain_is_given_up() {
    for name in ["amqp-run-chain-fails", "redis-run-chain-fails"] {
        let run = recorded::tasks(name);
        let rest = run[0].embed.chain.as_ref().unwrap().value().unwrap();
        let id = |step: &Value| {
            step.get("options").unwrap().get("task_id").unwrap().as_str().unwrap().to_owned()
        };
        let lost = canvas::abandon(&run[0]);
        assert_eq!(ids(&lost), rest.as_list().unwrap().iter().map(id).collect::<Vec<_>>());
        assert!(
            lost.iter()
                .all(|lost| { lost.part.is_none() && lost.errbacks.is_empty() && !lost.original })
        );
    }
}

#[test]
fn a_step_that_is_part_of_a_chord_reports_there() {
    let run = recorded::tasks("redis-chord-group-body");
    let lost = canvas::abandon(&run[0]);
    assert_eq!(ids(&lost), ["1e1bc9d6-2acc-43fc-a8ed-774b8564f871"]);
    let (group, index, body) = lost[0].part.clone().unwrap();
    assert_eq!((group.as_str(), index), ("883146f6-de51-4824-8315-bcd00c3d1dee", Some(0)));
    assert_eq!(Some(body), run[1].embed.chord);
}

#[test]
fn every_member_of_a_lost_group_reports() {
    // Celery reports once for all of them, and the chord waits for ever.
    let run = recorded::tasks("redis-run-chord-nested");
    let lost = canvas::abandon(&run[0]);
    let gid = "d1f2f911-ba71-4070-90cc-e2121a3d1f9b";
    assert_eq!(ids(&lost), [&run[2].id, &run[3].id, gid]);
    let parts: Vec<_> = lost.iter().map(|lost| lost.part.as_ref().map(|part| part.1)).collect();
    assert_eq!(parts, [Some(Some(0)), Some(Some(1)), None]);
}

#[test]
fn a_chord_among_the_steps_loses_its_body() {
    let run = recorded::tasks("redis-chord-in-chain");
    let lost = canvas::abandon(&run[0]);
    let expected = [
        "0ec1c7ae-94cd-4552-a7a8-8523a83816e3",
        "59f33856-32bf-48a0-8fd2-43fc4bc9c87f",
        "253d3c83-e44b-43fa-873f-227407d0852f",
    ];
    assert_eq!(ids(&lost), expected);
}

#[test]
fn the_body_of_a_chord_fails_with_its_callbacks() {
    let run = recorded::tasks("redis-run-chord-fails");
    let chord = run[1].embed.chord.as_ref().unwrap();
    let lost = canvas::abandon_body(chord);
    let [body] = &lost[..] else { panic!("{lost:?}") };
    assert_eq!(run[2].parent_id.as_ref(), Some(&body.id));
    assert!(!body.original && body.part.is_none());
    let ids = [run[2].group.as_ref().unwrap().as_str(), &run[2].id];
    let plan =
        sending(Some(&run[1]), &ids, |sender| canvas::errbacks(&body.id, &body.errbacks, sender));
    check(&plan.unwrap(), &run[2..]);
}

#[test]
fn the_members_of_a_body_fail_as_the_part_did() {
    let run = recorded::tasks("redis-chord-group-body");
    let lost = canvas::abandon_body(run[1].embed.chord.as_ref().unwrap());
    let expected = [
        "7a949976-b16d-4335-9594-1648fffd11fc",
        "6c1946ea-347c-4661-8aa4-c280dfb5fd39",
        "60e95b3f-b61d-42be-8714-834cf33f612e",
    ];
    assert_eq!(ids(&lost), expected);
    assert!(lost.iter().all(|lost| lost.original));
}

#[test]
fn what_follows_a_body_and_the_chord_around_it_hear_of_it() {
    let body = r#"{"task": "b", "options": {"task_id": "b", "chord": {"task": "outer"},
        "group_id": "g", "group_index": 4, "chain": [{"task": "c", "options": {"task_id": "c"}}]}}"#;
    let lost = canvas::abandon_body(&json(body));
    assert_eq!(ids(&lost), ["b", "c"]);
    let part = ("g".to_owned(), Some(4), json(r#"{"task": "outer"}"#));
    assert_eq!((&lost[0].part, &lost[1].part), (&Some(part), &None));
}

#[test]
fn a_body_that_is_a_canvas_fails_to_its_end() {
    let inner = frozen(&chord(&[task("h", "[]")], &frozen(&task("b", "[]"), "b")), "g");
    let steps = chain(&[frozen(&task("a", "[]"), "a"), inner]);
    assert_eq!(ids(&canvas::abandon_body(&json(&steps))), ["a", "g", "b"]);
    let members = frozen(&group(&[steps]), "gg");
    assert_eq!(ids(&canvas::abandon_body(&json(&members))), ["a", "g", "b", "gg"]);
}

#[test]
fn a_body_that_is_a_chord_reports_to_the_chord_around_it() {
    let body = chord(&[task("h", "[]")], &task("b", "[]"));
    let inner = chord(&[task("a", "[]")], &body);
    let plan = apply(&chord(&[inner, task("c", "[]")], &task("outer", "[]")), None).unwrap();
    let (part, other) = (sent(&plan)[0], sent(&plan)[1]);
    let lost = canvas::abandon_body(part.embed.chord.as_ref().unwrap());
    let parts: Vec<_> = lost.iter().filter_map(|lost| lost.part.clone()).collect();
    let [(group, index, body)] = &parts[..] else { panic!("{lost:?}") };
    assert_eq!((Some(group), *index), (other.group.as_ref(), Some(0)));
    assert_eq!(body.get("task"), Some(&Value::from("outer")));
}

#[test]
fn error_callbacks_are_one_group() {
    for (name, own) in [("amqp-run-link-error", 0), ("amqp-run-link-error-unregistered", 0)] {
        let run = recorded::tasks(name);
        let errbacks = run[0].embed.errbacks.clone().unwrap();
        let old = &errbacks.as_list().unwrap()[own..=own];
        let ids = [run[1].group.as_ref().unwrap().as_str(), &run[1].id];
        let plan = sending(Some(&run[0]), &ids, |sender| canvas::errbacks(&run[0].id, old, sender));
        check(&plan.unwrap(), &run[1..2]);
    }
    let failed = Message::new("failed", vec![], Default::default());
    let errbacks = [json(r#"{"task": "e", "args": [1], "immutable": true}"#)];
    let plan = sending(Some(&failed), &[], |sender| canvas::errbacks("x", &errbacks, sender));
    let plan = plan.unwrap();
    assert_eq!(sent(&plan)[0].args, [Value::from(1)]);
}
