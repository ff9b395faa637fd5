//! How exactly a time limit holds, and what 200 short tasks a second notice of endless loops.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use umbel_harness::paths;
use umbel_harness::worker::Worker;
use umbel_protocol::message::Message;
use umbel_protocol::names::result_key;
use umbel_system_tests::request::request;
use umbel_value::Value;

use crate::report::{Report, Target, median, quantile};
use crate::stage::{Broker, Stage};

/// How many sums a second, and for how many seconds.
const PACE: u64 = 200;
const SECONDS: u64 = 5;

/// Endless loops at once: more than a small machine has cores.
const LOOPS: usize = 4;

/// Milliseconds that a person takes for no pause at all.
const NOTICEABLE: f64 = 50.0;

pub(crate) fn run(report: &mut Report) {
    let stage = Stage::set(Broker::Redis);
    let _umbel = Worker::on(&stage.broker_url())
        .results(&stage.results_url())
        .plugin("tasks", paths::plugin("tasks"))
        .plugin("rogue", paths::plugin("rogue"))
        .config("[plugins.rogue]\nlimits = { time = \"1s\" }")
        .start();
    let ends = ends(&stage);

    report.section("A guest in an endless loop with a limit of 1 s");
    let walls: Vec<f64> = (0..5)
        .map(|_| {
            let message = request("rogue.spin", vec![]);
            let sent = send(&stage, &message);
            await_end(&ends, &message.id).duration_since(sent).as_secs_f64() * 1000.0
        })
        .collect();
    let most = walls.iter().copied().fold(0.0, f64::max);
    report.figure("sent to failed, median of 5", median(&walls), "ms", Some(Target::Below(1050.0)));
    report.figure("sent to failed, longest", most, "ms", None);

    report.section("200 tasks.add a second: from sent to result");
    let alone = neighbours(&stage, &ends, SECONDS, || {});
    // Each is over after its second.
    let loops = || {
        for _ in 0..LOOPS {
            send(&stage, &request("rogue.spin", vec![]));
        }
    };
    let beside = neighbours(&stage, &ends, SECONDS, loops);
    let wanted = [None, Some(Target::Below(NOTICEABLE))];
    let what = ["alone", "beside 4 endless loops"];
    for ((latencies, what), wanted) in [alone, beside].iter().zip(what).zip(wanted) {
        report.figure(&format!("{what}, median"), median(latencies), "ms", None);
        report.figure(&format!("{what}, 99 of 100"), quantile(latencies, 0.99), "ms", wanted);
        report.figure(&format!("{what}, longest"), quantile(latencies, 1.0), "ms", None);
    }
}

/// What each result key was published at.
pub(crate) type Ends = Receiver<(String, Instant)>;

/// Milliseconds from sending to the published result, for so many seconds; `disturb` is called at the
/// beginning of each.
pub(crate) fn neighbours(
    stage: &Stage,
    ends: &Ends,
    seconds: u64,
    mut disturb: impl FnMut(),
) -> Vec<f64> {
    let pause = Duration::from_millis(1000 / PACE);
    let mut sent: HashMap<String, Instant> = HashMap::new();
    let started = Instant::now();
    for number in 0..PACE * seconds {
        if number % PACE == 0 {
            disturb();
        }
        let sum = request("tasks.add", vec![Value::from(number), Value::from(1_u64)]);
        let at = send(stage, &sum);
        sent.insert(result_key(&sum.id), at);
        let due = started + pause * u32::try_from(number + 1).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let mut latencies = Vec::with_capacity(sent.len());
    while !sent.is_empty() {
        let (key, at) = ends.recv_timeout(Duration::from_secs(30)).expect("every sum has a result");
        if let Some(since) = sent.remove(&key) {
            latencies.push(at.duration_since(since).as_secs_f64() * 1000.0);
        }
    }
    latencies
}

pub(crate) fn send(stage: &Stage, message: &Message) -> Instant {
    let at = Instant::now();
    stage.push(message);
    at
}

pub(crate) fn await_end(ends: &Ends, id: &str) -> Instant {
    let wanted = result_key(id);
    loop {
        let (key, at) = ends.recv_timeout(Duration::from_secs(30)).expect("the task ends");
        if key == wanted {
            return at;
        }
    }
}

/// Every result key, and when it was published.
pub(crate) fn ends(stage: &Stage) -> Ends {
    let (tell, ends) = channel();
    let mut connection = stage.results();
    std::thread::spawn(move || {
        let mut subscriber = connection.as_pubsub();
        subscriber.psubscribe(result_key("*")).expect("Redis takes a subscription");
        while let Ok(message) = subscriber.get_message() {
            if tell.send((message.get_channel_name().to_owned(), Instant::now())).is_err() {
                return;
            }
        }
    });
    ends
}
