//! What a success sends, against recordings of Celery's workers.

use umbel_protocol::canvas::{self, Step};
use umbel_protocol::message::Message;
use umbel_value::Value;

use crate::recorded::{self, check};
use crate::{chain, group, json, sending, sent, steps, task};

fn follow(parent: &Message, value: &str, ids: &[&str]) -> canvas::Plan {
    let value = json(value);
    sending(Some(parent), ids, |sender| canvas::follow(&value, sender)).unwrap()
}

#[test]
fn a_chain_goes_on_with_its_next_step() {
    for name in ["amqp-run-chain", "redis-run-chain"] {
        let run = recorded::tasks(name);
        let [first, second, third] = &run[..] else { panic!("{name}") };
        check(&follow(first, "3", &[]), std::slice::from_ref(second));
        check(&follow(second, "9", &[]), std::slice::from_ref(third));
        assert_eq!(third.embed.chain, Some(Value::List(vec![]).into()));
        check(&follow(third, "null", &[]), &[]);
    }
}

#[test]
fn stamps_go_on_with_a_chain() {
    let run = recorded::tasks("amqp-run-stamped-chain");
    let plan = follow(&run[0], "3", &[]);
    check(&plan, &run[1..]);
    assert_eq!(plan.children, [canvas::result_tuple(&run[1].id)]);
}

#[test]
fn one_callback_is_a_task_of_its_own() {
    let run = recorded::tasks("amqp-run-link-one");
    check(&follow(&run[0], "5", &[&run[1].id]), &run[1..]);
}

#[test]
fn several_callbacks_are_a_group() {
    let run = recorded::tasks("amqp-run-link");
    let group = run[1].group.clone().unwrap();
    let plan = follow(&run[0], "5", &[&group, &run[1].id, &run[2].id]);
    check(&plan, &run[1..]);
    let members = [&run[1].id, &run[2].id].map(|id| canvas::result_tuple(id));
    let tuple = json(&format!(r#"[["{group}", null], []]"#));
    let [Value::List(ours)] = &plan.children[..] else { panic!() };
    assert_eq!(ours[0], tuple.as_list().unwrap()[0]);
    assert_eq!(ours[1], members.into_iter().collect());
}

#[test]
fn a_group_among_callbacks_stays_a_group() {
    let mut parent = Message::new("done", vec![], Default::default());
    let links = [task("a", "[]"), group(&[task("b", "[]"), task("c", "[]")]), task("d", "[]")];
    parent.embed.callbacks = Some(json(&format!("[{}]", links.join(", "))));
    let plan = follow(&parent, "1", &[]);
    assert_eq!(steps(&plan), ["b(1,)", "c(1,)", "a(1,)", "d(1,)"]);
    let groups: Vec<_> = sent(&plan).iter().map(|sent| sent.group.clone().unwrap()).collect();
    assert_eq!((&groups[0], &groups[2]), (&groups[1], &groups[3]));
    assert_ne!(groups[0], groups[2]);
    assert_eq!(plan.children.len(), 2);
}

#[test]
fn protocol_1_goes_on_with_callbacks() {
    // Version 1 messages have no root and no chain: the next step is a callback of the callback.
    let run = recorded::tasks("redis-proto1-chain");
    let plan = follow(&run[0], "3", &[]);
    let [next] = &sent(&plan)[..] else { panic!() };
    assert_eq!((next.task.as_str(), next.argsrepr.as_deref()), ("lab.mul", Some("(3, 3)")));
    assert_eq!((&next.parent_id, &next.root_id), (&Some(run[0].id.clone()), &next.parent_id));
    assert_eq!(steps(&follow(next, "9", &[])), ["lab.mul(9, 4)"]);
}

#[test]
fn a_chord_as_the_next_step_is_sent_with_its_body_in_each_part() {
    let run = recorded::tasks("redis-chord-in-chain");
    let plan = follow(&run[0], "2", &[]);
    let gid = "59f33856-32bf-48a0-8fd2-43fc4bc9c87f";
    assert_eq!(steps(&plan), ["lab.add(2, 1)", &format!("size of {gid} is 2"), "lab.add(2, 2)"]);
    let ids = ["d8447a3a-2eb2-46b2-9415-66e8542c354a", "20372d7c-4f0c-4fde-a2b1-5447e833acbe"];
    for ((part, id), index) in sent(&plan).into_iter().zip(ids).zip(0..) {
        assert_eq!((part.id.as_str(), part.group.as_deref()), (id, Some(gid)));
        assert_eq!((part.group_index, &part.embed.chain), (Some(index), &None));
        assert_eq!(part.parent_id.as_ref(), Some(&run[0].id));
        let body = part.embed.chord.as_ref().unwrap();
        let option = |key: &str| body.get("options").unwrap().get(key).cloned().unwrap();
        assert_eq!(option("task_id"), Value::from("253d3c83-e44b-43fa-873f-227407d0852f"));
        assert_eq!(option("group_id"), Value::from(gid));
        // The rest of the chain waits for the body.
        let rest = run[0].embed.chain.as_ref().unwrap().value().unwrap();
        assert_eq!(option("chain"), Value::List(rest.as_list().unwrap()[..1].to_vec()));
    }
    let last = sent(&plan)[1].clone();
    let chord = last.embed.chord.clone().unwrap();
    let results = vec![Value::from(3), Value::from(4)];
    let plan = sending(Some(&last), &[], |sender| canvas::body(&chord, results, sender)).unwrap();
    assert_eq!(steps(&plan), ["lab.xsum([3, 4],)"]);
    assert_eq!(steps(&follow(sent(&plan)[0], "7", &[])), ["lab.mul(7, 2)"]);
}

#[test]
fn a_group_that_ends_a_part_of_a_chord_stays_in_that_chord() {
    let run = recorded::tasks("redis-run-chord-nested");
    let [first, second, inner @ .., body] = &run[..] else { panic!() };
    assert_eq!(
        (first.argsrepr.as_deref(), second.argsrepr.as_deref()),
        (Some("(1, 1)"), Some("(2, 2)"))
    );
    let plan = follow(first, "2", &[]);
    check(&plan, inner);
    // Celery notes a size for the inner group too, which nobody reads.
    assert!(!plan.steps.iter().any(|step| matches!(step, Step::Size { .. })));

    let chord = inner[1].embed.chord.clone().unwrap();
    let results = json("[[3, 4], 4]").as_list().unwrap().to_vec();
    let plan = sending(Some(&inner[1]), &[], |sender| canvas::body(&chord, results, sender));
    check(&plan.unwrap(), std::slice::from_ref(body));
}

#[test]
fn the_body_of_a_chord_follows_its_last_part() {
    let run = recorded::tasks("amqp-chord-body-message");
    let chord = run[0].embed.chord.clone().unwrap();
    let results = vec![Value::from(2), Value::from(4)];
    let plan = sending(Some(&run[0]), &[], |sender| canvas::body(&chord, results, sender));
    check(&plan.unwrap(), &run[2..]);
}

#[test]
fn the_body_of_a_chord_may_be_a_group() {
    let run = recorded::tasks("redis-chord-group-body");
    let chord = run[1].embed.chord.clone().unwrap();
    let results = vec![Value::from(4), Value::from(4)];
    let plan = sending(Some(&run[1]), &[], |sender| canvas::body(&chord, results, sender)).unwrap();
    assert_eq!(steps(&plan), ["lab.xsum([4, 4],)", "lab.xsum([4, 4],)"]);
    let ids: Vec<_> = sent(&plan).iter().map(|sent| sent.id.as_str()).collect();
    let frozen = ["7a949976-b16d-4335-9594-1648fffd11fc", "6c1946ea-347c-4661-8aa4-c280dfb5fd39"];
    assert_eq!(ids, frozen);
    assert!(sent(&plan).iter().all(|member| member.embed.chord.is_none()));
}

#[test]
fn the_tail_of_a_chain_is_passed_on_unread() {
    let mut parent = Message::new("first", vec![], Default::default());
    let next = task("next", "[]");
    parent.embed.chain = Some(json(&format!(r#"[17, {{"subtask_type": "odd"}}, {next}]"#)).into());
    let plan = follow(&parent, "1", &[]);
    assert_eq!(sent(&plan)[0].embed.chain, Some(json(r#"[17, {"subtask_type": "odd"}]"#).into()));
}

#[test]
fn a_chain_as_the_next_step_comes_before_the_rest() {
    let mut parent = Message::new("first", vec![], Default::default());
    let inner = chain(&[task("a", "[]"), task("b", "[]")]);
    parent.embed.chain = Some(json(&format!("[{}, {inner}]", task("last", "[]"))).into());
    let plan = follow(&parent, "1", &[]);
    assert_eq!(steps(&plan), ["a(1,)"]);
    let plan = follow(sent(&plan)[0], "2", &[]);
    assert_eq!(steps(&plan), ["b(2,)"]);
    assert_eq!(steps(&follow(sent(&plan)[0], "3", &[])), ["last(3,)"]);
}
