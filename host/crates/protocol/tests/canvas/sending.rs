//! What applying a canvas sends, against recordings of Celery's clients.

use umbel_protocol::canvas::{self, Step};
use umbel_protocol::message::{Message, Route};
use umbel_value::Value;

use crate::recorded::{self, check};
use crate::{apply, apply_with, chain, chord, group, json, sending, sent, steps, task};

/// Checks what is sent against a recording of a client, whose reply address we do not have.
fn check_client(signature: &str, ids: &[&str], name: &str) -> canvas::Plan {
    let mut expected = recorded::tasks(name);
    for message in &mut expected {
        message.reply_to = None;
        forget_reply_to(message);
    }
    let plan = apply_with(signature, ids, None).unwrap();
    let mut ours = plan.clone();
    for step in &mut ours.steps {
        if let Step::Send { message, .. } = step {
            forget_reply_to(message);
        }
    }
    check(&ours, &expected);
    plan
}

fn forget_reply_to(message: &mut Message) {
    let embed = &mut message.embed;
    let chain = embed.chain.take();
    embed.chain = chain.map(|chain| without_reply_to(chain.value().unwrap()).into());
    embed.chord = embed.chord.take().map(without_reply_to);
}

/// Also without nulls in options, which Celery's groups have and which mean nothing.
fn without_reply_to(value: Value) -> Value {
    match value {
        Value::List(items) => items.into_iter().map(without_reply_to).collect(),
        Value::Map(mut map) => {
            map.shift_remove("reply_to");
            for key in ["root_id", "parent_id"] {
                if map.get(key).is_some_and(Value::is_null) {
                    map.shift_remove(key);
                }
            }
            Value::Map(map.into_iter().map(|(key, value)| (key, without_reply_to(value))).collect())
        }
        other => other,
    }
}

/// The ids that a recording gave out: those of its messages.
fn ids(name: &str) -> Vec<String> {
    recorded::tasks(name).into_iter().map(|message| message.id).collect()
}

fn immutable(signature: &str) -> String {
    signature.replacen('{', r#"{"immutable": true, "#, 1)
}

fn with_options(signature: &str, options: &str) -> String {
    let (before, after) = signature.rsplit_once(r#""options": {}"#).unwrap();
    format!(r#"{before}"options": {options}{after}"#)
}

#[test]
fn a_chain_is_sent_as_celery_sends_it() {
    let first = &ids("redis-chain")[0];
    let mul = "eeebd17d-5ef0-40b6-a2aa-0f3b7cfd22b8";
    let echo = "828b41f7-5fe0-4cbd-be25-7c075e712021";
    let steps = [
        task("lab.add", "[1, 2]"),
        task("lab.mul", "[3]"),
        immutable(&task("lab.echo", r#"["x"]"#)),
    ];
    let plan = check_client(&chain(&steps), &[first, mul, echo], "redis-chain");
    assert_eq!(plan.children, [canvas::result_tuple(first)]);
    let parents = format!(r#"[["{echo}", [["{mul}", [["{first}", null], null]], null]], null]"#);
    assert_eq!(plan.result, Some(json(&parents)));
    // Nested chains are one chain.
    let nested = chain(&[steps[0].clone(), chain(&[chain(&steps[1..2]), steps[2].clone()])]);
    check_client(&nested, &[first, mul, echo], "redis-chain");
}

#[test]
fn links_of_a_chain_are_those_of_its_steps() {
    let first = &ids("redis-chain-link-error")[0];
    let options =
        format!(r#"{{"link": {}, "link_error": [{}]}}"#, plain("lab.echo"), plain("lab.eb_old"));
    let chain = chain(&[task("lab.add", "[1, 2]"), task("lab.mul", "[3]")]);
    let second = "220dc28d-1c63-4fd5-865b-d4c1f0e55f52";
    check_client(&with_options(&chain, &options), &[first, second], "redis-chain-link-error");
}

fn plain(name: &str) -> String {
    format!(
        r#"{{"task": "{name}", "args": [], "kwargs": {{}}, "options": {{}},
            "subtask_type": null, "immutable": false}}"#
    )
}

#[test]
fn a_group_is_sent_as_celery_sends_it() {
    let members = recorded::tasks("redis-group");
    let gid = members[0].group.clone().unwrap();
    let [one, two] = [task("lab.add", "[1, 1]"), task("lab.add", "[2, 2]")];
    let ids = [gid.as_str(), &members[0].id, &members[1].id];
    let plan = check_client(&group(&[one.clone(), two.clone()]), &ids, "redis-group");
    assert_eq!(plan.children.len(), 1);
    check_client(&group(&[group(&[one]), group(&[group(&[two])])]), &ids, "redis-group");
}

#[test]
fn a_chord_is_sent_as_celery_sends_it() {
    let parts = recorded::tasks("redis-chord");
    let gid = parts[0].group.clone().unwrap();
    let body = parts[0].embed.chord.as_ref().unwrap().get("options").unwrap();
    let body = body.get("task_id").unwrap().as_str().unwrap().to_owned();
    let tasks = [task("lab.add", "[1, 1]"), task("lab.add", "[2, 2]")];
    let ids = [&gid, &body, &parts[0].id, &parts[1].id].map(String::as_str);
    let plan = check_client(&chord(&tasks, &task("lab.xsum", "[]")), &ids, "redis-chord");
    let size = Step::Size { group: gid.clone(), size: 2 };
    assert_eq!(plan.steps.iter().position(|step| *step == size), Some(1));
    let header = json(&format!(
        r#"[["{gid}", null], [[["{}", null], null], [["{}", null], null]]]"#,
        parts[0].id, parts[1].id
    ));
    assert_eq!(plan.children, std::slice::from_ref(&header));
    let whole = vec![vec![body.into(), header].into(), Value::Null];
    assert_eq!(plan.result, Some(whole.into()));
    let errback = format!(r#"{{"link_error": [{}]}}"#, plain("lab.eb_old"));
    let parts = recorded::tasks("redis-chord-errback-body");
    let body = "afd4210e-3eca-40a5-8cc3-b5507b63bf89";
    let ids = [parts[0].group.as_ref().unwrap(), body, &parts[0].id, &parts[1].id];
    let header = [task("lab.fail", "[]"), task("lab.add", "[2, 2]")];
    let on_body = chord(&header, &with_options(&task("lab.xsum", "[]"), &errback));
    check_client(&on_body, &ids, "redis-chord-errback-body");
    let on_chord = with_options(&chord(&header, &plain("lab.xsum")), &errback);
    check_client(&on_chord, &ids, "redis-chord-errback-body");
}

#[test]
fn a_chord_of_a_chain_with_a_group_as_its_body_is_sent_as_celery_sends_it() {
    let name = "redis-chord-group-body";
    let sum = task("lab.xsum", "[]");
    let header =
        [chain(&[task("lab.add", "[1, 1]"), task("lab.mul", "[2]")]), task("lab.add", "[2, 2]")];
    let ids = [
        "883146f6-de51-4824-8315-bcd00c3d1dee",
        "60e95b3f-b61d-42be-8714-834cf33f612e",
        "7a949976-b16d-4335-9594-1648fffd11fc",
        "6c1946ea-347c-4661-8aa4-c280dfb5fd39",
        &ids(name)[0],
        "1e1bc9d6-2acc-43fc-a8ed-774b8564f871",
        &ids(name)[1],
    ];
    check_client(&chord(&header, &group(&[sum.clone(), sum])), &ids, name);
}

#[test]
fn a_group_before_a_step_is_a_chord() {
    let name = "redis-chord-in-chain";
    let header = group(&[task("lab.add", "[1]"), task("lab.add", "[2]")]);
    let steps = [task("lab.add", "[1, 1]"), header, task("lab.xsum", "[]"), task("lab.mul", "[2]")];
    let ids = [
        &ids(name)[0],
        "59f33856-32bf-48a0-8fd2-43fc4bc9c87f",
        "d8447a3a-2eb2-46b2-9415-66e8542c354a",
        "20372d7c-4f0c-4fde-a2b1-5447e833acbe",
        "253d3c83-e44b-43fa-873f-227407d0852f",
        "0ec1c7ae-94cd-4552-a7a8-8523a83816e3",
    ];
    check_client(&chain(&steps), &ids, name);
}

#[test]
fn a_complex_header_is_kept() {
    let name = "redis-run-chord-nested";
    let run = recorded::tasks(name);
    let gid = "07772006-a52e-43e6-ba44-e78bb1f0f395";
    let inner = group(&[task("lab.add", "[1]"), task("lab.add", "[2]")]);
    let header = [chain(&[task("lab.add", "[1, 1]"), inner]), task("lab.add", "[2, 2]")];
    let ids = [
        gid,
        &run[4].id,
        &run[0].id,
        "d1f2f911-ba71-4070-90cc-e2121a3d1f9b",
        &run[2].id,
        &run[3].id,
        &run[1].id,
    ];
    let plan = apply_with(&chord(&header, &task("lab.echo", "[]")), &ids, None).unwrap();
    let size = recorded::written(name, &format!("celery-taskset-meta-{gid}.s"));
    assert_eq!(size, [Value::from("3")]);
    let kept = recorded::written(name, &format!("celery-taskset-meta-{gid}"));
    let kept = json(kept[0].as_str().unwrap()).get("result").unwrap().clone();
    let [keep, _, size, _] = &plan.steps[..] else { panic!("{:?}", steps(&plan)) };
    assert_eq!(*keep, Step::Keep { group: gid.to_owned(), tuple: kept });
    assert_eq!(*size, Step::Size { group: gid.to_owned(), size: 3 });
    let [first, second] = &sent(&plan)[..] else { panic!() };
    assert_eq!((&first.id, &second.id), (&run[0].id, &run[1].id));
    assert_eq!((&first.group, first.embed.chord.is_none()), (&None, true));
    assert_eq!((second.group.as_deref(), second.group_index), (Some(gid), Some(1)));
}

#[test]
fn maps_are_tasks_and_chunks_a_group_of_them() {
    let mapped = plain("lab.add");
    let map = |kind: &str, rest: &str| {
        format!(
            r#"{{"task": "celery.{kind}", "args": [], "options": {{}}, "immutable": true,
                "subtask_type": "{kind}", "kwargs": {{"task": {mapped}, {rest}}}}}"#
        )
    };
    let starmap =
        map("starmap", r#""it": [[1, 2], [3, 4]]"#).replace("\"starmap\"", "\"xstarmap\"");
    check_client(&starmap, &[&ids("redis-task-starmap")[0]], "redis-task-starmap");
    let xmap = map("map", r#""it": [[1, 2], [3, 4]]"#).replace("\"map\"", "\"xmap\"");
    let xmap = xmap.replace("lab.add", "lab.xsum");
    check_client(&xmap, &[&ids("redis-task-xmap")[0]], "redis-task-xmap");

    let chunks = map("chunks", r#""it": [[1, 1], [2, 2], [3, 3]], "n": 2"#);
    let parts = recorded::tasks("redis-task-chunks");
    let ids = [parts[0].group.as_ref().unwrap(), &parts[0].id, &parts[1].id];
    check_client(&chunks, &ids.map(String::as_str), "redis-task-chunks");
    assert_eq!(canvas::names(&json(&chunks)), ["lab.add"]);
}

#[test]
fn options_become_what_celery_makes_of_them() {
    let options = r#"{"task_id": "i", "countdown": 2.5, "expires": 60, "time_limit": 9,
        "soft_time_limit": 1.5, "priority": 7, "headers": {"own": [1], "id": "no", "x-death": 1},
        "shadow": "s", "ignore_result": true, "retries": 2, "reply_to": "me", "tenant": "acme",
        "stamped_headers": ["tenant"], "compression": "gzip", "serializer": "msgpack",
        "link": {"task": "l"}, "add_to_parent": false, "queue": "q", "replaced_task_nesting": 3}"#;
    let plan = apply(&with_options(&task("t", "[1]"), options), None).unwrap();
    let [Step::Send { route, message }] = &plan.steps[..] else { panic!() };
    assert_eq!(*route, Route::queue("q"));
    assert_eq!((message.id.as_str(), message.correlation_id.as_deref()), ("i", Some("i")));
    assert_eq!(message.eta.as_ref().unwrap().text, "2030-01-02T03:04:07.500000+00:00");
    assert_eq!(message.expires.as_ref().unwrap().text, "2030-01-02T03:05:05+00:00");
    assert_eq!((message.time_limit, message.soft_time_limit), (Some(9.0), Some(1.5)));
    assert_eq!((message.priority, message.retries), (Some(7), 2));
    assert_eq!(Value::Map(message.headers.clone()), json(r#"{"own": [1]}"#));
    assert_eq!(message.ignore_result, Some(true));
    assert_eq!(message.stamped_headers.as_deref(), Some(&["tenant".to_owned()][..]));
    assert_eq!(Value::Map(message.stamps.clone()), json(r#"{"tenant": "acme"}"#));
    assert_eq!((message.reply_to.as_deref(), message.shadow.as_deref()), (Some("me"), Some("s")));
    assert_eq!(message.embed.callbacks, Some(json(r#"[{"task": "l"}]"#)));
    assert_eq!(message.replaced_task_nesting, 3);
    let content = message.content;
    assert_eq!(content.serializer.as_str(), "msgpack");
    assert_eq!(content.compression.unwrap().content_type(), "application/x-gzip");

    let eta = r#"{"eta": {"__type__": "datetime", "__value__": "2030-02-03T04:05:06+01:00"},
        "exchange": "x", "routing_key": "k"}"#;
    let plan = apply(&with_options(&task("t", "[]"), eta), None).unwrap();
    let [Step::Send { route, message }] = &plan.steps[..] else { panic!() };
    assert_eq!((route.exchange.as_str(), route.routing_key.as_str()), ("x", "k"));
    assert_eq!(message.eta.as_ref().unwrap().text, "2030-02-03T04:05:06+01:00");
}

#[test]
fn the_parent_hands_down_its_root_and_its_client() {
    let run = recorded::tasks("amqp-run-spawn");
    let plan = apply_with(&task("lab.add", "[1, 1]"), &[&run[1].id], Some(&run[0])).unwrap();
    check(&plan, &run[1..]);
    assert_eq!(plan.children, [canvas::result_tuple(&run[1].id)]);
    assert_eq!(sent(&plan)[0].reply_to, run[0].reply_to);
}

#[test]
fn partial_arguments_come_first_unless_it_is_immutable() {
    let args = [Value::from(0)];
    let kwargs = json(r#"{"k": 2}"#).as_map().unwrap().clone();
    let group = group(&[task("a", "[1]"), immutable(&task("b", "[1]")), chain(&[task("c", "[]")])]);
    let plan = sending(None, &[], |sender| canvas::apply(&json(&group), &args, &kwargs, sender));
    let plan = plan.unwrap();
    assert_eq!(steps(&plan), ["a(0, 1)", "b(1,)", "c(0,)"]);
    let given = sent(&plan).into_iter().map(|message| message.kwargs.len());
    assert_eq!(given.collect::<Vec<_>>(), [1, 0, 1]);
}

#[test]
fn a_chord_without_a_header_is_its_body() {
    for header in [vec![], vec![group(&[])], vec![chain(&[])]] {
        let plan = apply(&chord(&header, &task("sum", "[]")), None).unwrap();
        assert_eq!(steps(&plan), ["sum([],)"]);
    }
    for nothing in [group(&[]), chain(&[]), chain(&[group(&[])])] {
        assert_eq!(apply(&nothing, None).unwrap(), canvas::Plan::default());
    }
}

#[test]
fn options_of_a_chord_go_where_they_belong() {
    let options =
        r#"{"countdown": 5, "link": {"task": "after"}, "link_error": {"task": "failed"}}"#;
    let chord = with_options(&chord(&[task("a", "[]")], &plain("sum")), options);
    let plan = apply(&chord, None).unwrap();
    let [part] = &sent(&plan)[..] else { panic!() };
    assert!(part.eta.is_some());
    assert_eq!((&part.embed.callbacks, &part.embed.errbacks), (&None, &None));
    let body = part.embed.chord.as_ref().unwrap().get("options").unwrap();
    assert_eq!(body.get("link"), Some(&json(r#"[{"task": "after"}]"#)));
    assert_eq!(body.get("link_error"), Some(&json(r#"[{"task": "failed"}]"#)));
    assert_eq!(body.get("countdown"), None);
}

#[test]
fn a_chord_in_a_chord_reports_with_its_body() {
    let inner = chord(&[task("a", "[]"), task("b", "[]")], &task("inner", "[]"));
    let plan = apply(&chord(&[inner, task("c", "[]")], &task("outer", "[]")), None).unwrap();
    let shown = steps(&plan);
    let sizes: Vec<_> = shown.iter().filter(|step| step.starts_with("size")).collect();
    assert_eq!(sizes.len(), 2);
    assert!(sizes.iter().all(|size| size.ends_with("is 2")), "{shown:?}");
    let part = sent(&plan)[0];
    let inner_body = part.embed.chord.as_ref().unwrap();
    let options = inner_body.get("options").unwrap();
    assert_eq!(inner_body.get("task"), Some(&Value::from("inner")));
    assert_eq!(options.get("chord").unwrap().get("task"), Some(&Value::from("outer")));
    assert_eq!(options.get("group_id").unwrap().as_str(), sent(&plan)[2].group.as_deref());
    let results = vec![Value::from(1), Value::from(2)];
    let plan =
        sending(Some(part), &[], |sender| canvas::body(inner_body, results, sender)).unwrap();
    let body = sent(&plan)[0];
    assert_eq!((body.group_index, body.embed.chord.is_some()), (Some(0), true));
}

#[test]
fn a_group_in_the_middle_of_a_body_waits_for_all_of_it() {
    // chord | group | task: what follows the group is the body of a chord of its own.
    let body = group(&[task("b", "[]"), task("c", "[]")]);
    let whole = chain(&[chord(&[task("a", "[]")], &body), task("last", "[]")]);
    let plan = apply(&whole, None).unwrap();
    let part = sent(&plan)[0];
    let next = part.embed.chord.clone().unwrap();
    let plan =
        sending(Some(part), &[], |sender| canvas::body(&next, vec![1.into()], sender)).unwrap();
    let shown = steps(&plan);
    assert_eq!((shown[0].as_str(), shown[2].as_str()), ("b([1],)", "c([1],)"));
    let part = sent(&plan)[0];
    let next = part.embed.chord.clone().unwrap();
    let results = vec![1.into(), 2.into()];
    let plan = sending(Some(part), &[], |sender| canvas::body(&next, results, sender)).unwrap();
    assert_eq!(steps(&plan), ["last([1, 2],)"]);
}

#[test]
fn a_body_of_one_is_that_one() {
    let members = group(&[task("b", "[]"), task("c", "[]")]);
    for body in
        [members.clone(), chain(std::slice::from_ref(&members)), chain(&[chain(&[members])])]
    {
        let plan = apply(&chord(&[task("a", "[]")], &body), None).unwrap();
        let body = sent(&plan)[0].embed.chord.as_ref().unwrap();
        assert_eq!(body.get("subtask_type"), Some(&Value::from("group")));
    }
}

#[test]
fn frozen_ids_are_kept_and_the_same_canvas_gets_the_same_ids() {
    let parent = Message::new("parent", vec![], Default::default());
    let canvas = chain(&[
        task("a", "[]"),
        group(&[task("b", "[]"), chain(&[task("c", "[]"), task("d", "[]")])]),
        with_options(&task("e", "[]"), r#"{"task_id": "kept"}"#),
    ]);
    let (one, two) = (apply(&canvas, Some(&parent)), apply(&canvas, Some(&parent)));
    assert_eq!(one, two);
    assert!(format!("{one:?}").contains("kept"));
}

#[test]
fn names_are_found_at_any_depth() {
    let linked = with_options(
        &task("a", "[]"),
        &format!(
            r#"{{"link": [{}], "link_error": {}}}"#,
            task("b", "[]"),
            chain(&[task("c", "[]")])
        ),
    );
    let canvas =
        chain(&[linked, chord(&[task("d", "[]")], &group(&[task("e", "[]"), task("a", "[]")]))]);
    assert_eq!(canvas::names(&json(&canvas)), ["a", "b", "c", "d", "e"]);
    let disguised =
        r#"{"task": "celery.map", "args": [], "kwargs": {"task": {"task": "x"}, "it": []}}"#;
    assert_eq!(canvas::names(&json(disguised)), ["celery.map", "x"]);
}
