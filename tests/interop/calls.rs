//! What comes back from tasks that succeed.

use serde_json::json;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::worker;

use crate::scene::{Pair, Scene, Stage};

pub(crate) fn send_task_and_get_gives_the_sum(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    let sum = python.eval("app.send_task('tasks.add', (2, 3)).get(timeout=10)");
    assert_eq!(sum, json!(5));
}

pub(crate) fn keyword_arguments_go_by_parameter_name(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    assert_eq!(python.eval("call('tasks.add', x=40, y=2)"), json!(42));
    assert_eq!(python.eval("call('tasks.add', 40, y=2)"), json!(42));
    assert_eq!(python.eval("call('tasks.xsum', numbers=[1, 2, 3])"), json!(6));
}

pub(crate) fn unicode_comes_back_as_it_went(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    for text in [
        "'Grüße aus dem Süden'",
        "'漢字, ελληνικά, עברית, हिन्दी'",
        "'🌱\\u200d🔬 and \\u2028 and \\x00 and \\x7f'",
        "'\\U0010ffff'",
        "{'ключ': ['значение']}",
    ] {
        assert_eq!(python.eval(&format!("same('tasks.echo', {text})")), json!(true), "{text}");
    }
}

pub(crate) fn five_megabytes_go_there_and_back(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    python.exec("big = ''.join(chr(32 + i * 31 % 90) for i in range(5_000_000))");
    assert_eq!(python.eval("same('tasks.echo', big)"), json!(true));
}

pub(crate) fn big_integers_and_floats_come_back_as_they_went(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    for value in
        ["2**63", "-2**63 - 1", "2**70", "10**300", "0.1", "-0.0", "1e308", "float('inf')", "[]"]
    {
        assert_eq!(python.eval(&format!("same('tasks.echo', {value})")), json!(true), "{value}");
    }
    assert_eq!(python.eval("math.isnan(call('tasks.echo', float('nan')))"), json!(true));
    assert_eq!(
        python.eval("call('tasks.echo', [None, True, {'a': -2**64}])[2]['a'] == -2**64"),
        json!(true)
    );
}

pub(crate) fn python_types_come_back_as_they_went(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    for value in [
        "b'plain'",
        "bytes(range(256))",
        "datetime.datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc)",
        "datetime.datetime(2030, 1, 2, 3, 4, 5)",
        "datetime.date(2030, 1, 2)",
        "datetime.time(3, 4, 5, 678901)",
        "decimal.Decimal('1.10')",
        "uuid.UUID(int=5)",
        "{'nested': [b'\\xff', datetime.date(1999, 12, 31)]}",
    ] {
        assert_eq!(python.eval(&format!("same('tasks.echo', {value})")), json!(true), "{value}");
    }
}

pub(crate) fn a_group_gives_its_results_in_order(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    let sums = python.eval(
        "group(app.signature('tasks.add', (i, i)) for i in range(10)).apply_async().get(timeout=30)",
    );
    assert_eq!(sums, json!([0, 2, 4, 6, 8, 10, 12, 14, 16, 18]));
}

pub(crate) fn a_protocol_1_client_gets_its_result(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    python.exec("app.conf.task_protocol = 1");
    assert_eq!(python.eval("call('tasks.add', 2, y=3)"), json!(5));
}

pub(crate) fn compressed_bodies_are_read(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    let sum = "app.send_task('tasks.add', (2, 3), compression='gzip').get(timeout=30)";
    assert_eq!(python.eval(sum), json!(5));
}

pub(crate) fn a_countdown_delays_the_run(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    python.exec("before = time.monotonic()");
    let sum = "app.send_task('tasks.add', (2, 3), countdown=1.5).get(timeout=30)";
    assert_eq!(python.eval(sum), json!(5));
    assert_eq!(python.eval("time.monotonic() - before >= 1.4"), json!(true));
}

pub(crate) fn the_task_sees_its_own_request(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    python.exec(
        "sent = app.send_task('tasks.whoami', headers={'tenant': 'blue'}, priority=3)\n\
         seen = sent.get(timeout=30)",
    );
    assert_eq!(
        python.eval("seen['id'] == sent.id == seen['correlation_id'] == seen['root_id']"),
        json!(true)
    );
    assert_eq!(
        python.eval("seen['task'], seen['args'], seen['kwargs']"),
        json!(["tasks.whoami", [], {}])
    );
    assert_eq!(python.eval("seen['headers']['tenant']"), json!("blue"));
    assert_eq!(python.eval("seen['delivery_info']['routing_key']"), json!("celery"));
    assert_eq!(python.eval("seen['delivery_info']['priority']"), json!(3));
    assert_eq!(python.eval("seen['delivery_info']['redelivered']"), json!(false));
}

pub(crate) fn priorities_are_taken_as_they_come(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    let sums = python.eval(
        "[r.get(timeout=30) for r in\n\
          [app.send_task('tasks.add', (p, 0), priority=p) for p in (0, 9, 5, 3, 255, 6)]]",
    );
    assert_eq!(sums, json!([0, 9, 5, 3, 255, 6]));
}

/// On Redis, 0 is the highest priority; one slot and one message at a time show the order.
pub(crate) fn lower_priorities_are_served_first(pair: Pair) {
    let stage = Stage::set(pair);
    let mut python = stage.peer();
    python.exec("sent = {p: app.send_task('tasks.add', (p, 0), priority=p) for p in (9, 6, 3, 0)}");
    let umbel = stage.worker().args(&["-c", "1", "--prefetch-multiplier", "1"]).start();
    python.exec("[r.get(timeout=30) for r in sent.values()]");
    let ids = python.eval("[sent[p].id for p in (0, 3, 6, 9)]");
    let places = eventually("every end is logged", PATIENCE, || {
        let log = umbel.process.log();
        let ids = ids.as_array().into_iter().flatten().filter_map(|id| id.as_str());
        let place = |id: &str| log.find(&format!("Task tasks.add[{id}] succeeded"));
        ids.map(place).collect::<Option<Vec<usize>>>().ok_or(log.clone())
    });
    assert!(places.is_sorted(), "finished in another order:\n{}", umbel.process.log());
}

pub(crate) fn the_log_reads_as_celerys(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    python.exec("sent = app.send_task('tasks.add', (2, 3)); sent.get(timeout=30)");
    let id = python.eval("sent.id");
    let id = id.as_str().expect("an id is text");
    let line = |end: &str| format!("Task tasks.add[{id}] {end}");
    let log = eventually("the end is logged", PATIENCE, || {
        let log = scene.worker().process.log();
        if log.contains(&line("succeeded in ")) { Ok(log) } else { Err(log) }
    });
    assert!(log.contains(&line("received")), "{log}");
    let end = log.lines().find(|text| text.contains(&line("succeeded in "))).unwrap_or_default();
    assert!(end.contains("s: 5"), "no result in `{end}`");
    assert!(end.contains("cpu=") && end.contains("mem="), "no cost in `{end}`");
    assert!(end.starts_with('[') && end.contains(": INFO/"), "not Celery's format: `{end}`");
}

pub(crate) fn the_command_line_and_python_share_a_queue(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    python.exec("sent = [app.send_task('tasks.add', (i, 100)) for i in range(20)]");
    let stage = &scene.stage;
    let called = worker::run(
        "call",
        &["tasks.add", "[2, 3]", "--wait", "-b", &stage.broker, "--result-backend", &stage.results],
    );
    let text = String::from_utf8_lossy(&called.stdout);
    assert!(called.status.success(), "{text}{}", String::from_utf8_lossy(&called.stderr));
    assert!(text.split_whitespace().any(|word| word == "5"), "no 5 in `{text}`");
    let sums = python.eval("[r.get(timeout=30) for r in sent] == list(range(100, 120))");
    assert_eq!(sums, json!(true));
}
