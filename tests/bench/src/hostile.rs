//! `make hostile`: every hostile task and message beside 200 small tasks a second. A table on the
//! terminal, and the same as Markdown in `target/bench/hostile.md` and in `docs/security.md`.

use std::fs;

use umbel_harness::paths;
use umbel_harness::worker::{Umbel, Worker};
use umbel_protocol::record::{Exception, ResultRecord, State};
use umbel_system_tests::behaviours::{BEHAVIOURS, Behaviour, Ends as Wanted, TIME_LIMIT_MS, serve};
use umbel_system_tests::client::Client;
use umbel_system_tests::messages::{BadMessage, MESSAGES, Trace};
use umbel_system_tests::request::request;
use umbel_value::Value;
use uuid::Uuid;

use crate::limits::{Ends, await_end, ends, neighbours, send};
use crate::report::{median, quantile, write};
use crate::stage::{Broker, Stage};

/// How often each task is measured alone, and how often a second it disturbs its neighbours.
const ROUNDS: usize = 3;

/// Seconds for which neighbours are watched, alone and disturbed.
const SECONDS: u64 = 1;

/// Where the table stands in the documentation.
const BEGIN: &str = "<!-- written by `make hostile` -->\n";
const END: &str = "<!-- end -->";

/// One line of the table.
struct Row {
    line: String,
    tries: &'static str,
    ending: String,
    /// Milliseconds beyond the time limit, where that is how it ends.
    over: Option<f64>,
    /// Milliseconds from sending to the result.
    took: Option<f64>,
    /// The neighbours' 99th percentile in milliseconds, alone and disturbed.
    alone: f64,
    beside: f64,
    right: bool,
}

struct Scene {
    stage: Stage,
    client: Client,
    ends: Ends,
    umbel: Umbel,
}

/// True if everything ended as it should.
pub(crate) fn run() -> bool {
    let stage = Stage::set(Broker::Redis);
    let worker = Worker::on(&stage.broker_url()).results(&stage.results_url());
    let umbel = serve(worker).start();
    let client = Client::of(&stage.broker_url(), &stage.results_url());
    let scene = Scene { ends: ends(&stage), stage, client, umbel };
    // What stays is made before anything is compared.
    neighbours(&scene.stage, &scene.ends, 1, || {});
    let before = scene.umbel.process.usage();
    println!("{}", terminal(&HEAD.map(str::to_owned)));
    let mut rows = Vec::new();
    for row in BEHAVIOURS.iter().map(|one| of_task(&scene, one)) {
        println!("{}", terminal(&row.cells()));
        rows.push(row);
    }
    for row in MESSAGES.iter().map(|one| of_message(&scene, one)) {
        println!("{}", terminal(&row.cells()));
        rows.push(row);
    }
    let after = scene.umbel.process.usage();
    let note = summary(&rows, before.resident, after.resident, before.files, after.files);
    println!("\n{note}");
    publish(&markdown(&rows, &note));
    rows.iter().all(|row| row.right)
}

fn of_task(scene: &Scene, behaviour: &Behaviour) -> Row {
    let Ok(Value::List(args)) = Value::from_json(behaviour.args.as_bytes()) else {
        unreachable!("the table's arguments are arrays")
    };
    let message = || request(&behaviour.task(), args.clone());
    let mut took = Vec::new();
    let (mut ending, mut right) = (String::new(), true);
    for _ in 0..ROUNDS {
        let message = message();
        let sent = send(&scene.stage, &message);
        took.push(milliseconds(await_end(&scene.ends, &message.id).duration_since(sent)));
        let record = scene.client.wait(&message.id, umbel_harness::eventually::PATIENCE);
        right &= behaviour.complaint(&record).is_none();
        ending = shown(&record);
    }
    let (alone, beside) = beside(scene, || {
        send(&scene.stage, &message());
    });
    let longest = took.iter().copied().fold(0.0, f64::max);
    let over =
        (behaviour.ends == Wanted::AtItsTimeLimit).then(|| longest - f64::from(TIME_LIMIT_MS));
    let took = Some(median(&took));
    Row {
        line: behaviour.line.to_string(),
        tries: behaviour.tries,
        ending,
        over,
        took,
        alone,
        beside,
        right,
    }
}

fn of_message(scene: &Scene, bad: &BadMessage) -> Row {
    let push = || {
        let id = Uuid::new_v4().to_string();
        scene.stage.push_raw((bad.make)(&id));
        id
    };
    let id = push();
    let record = match bad.trace {
        Trace::Answered => Some(scene.client.wait(&id, umbel_harness::eventually::PATIENCE)),
        Trace::Refused | Trace::Waits => None,
    };
    let ending = match (&record, bad.trace) {
        (Some(record), _) => shown(record),
        (None, Trace::Waits) => "waits".to_owned(),
        (None, _) => "dead letter".to_owned(),
    };
    let (alone, beside) = beside(scene, || drop(push()));
    let right = bad.trace != Trace::Refused || scene.client.get(&id).is_none();
    let line = "message".to_owned();
    Row { line, tries: bad.tries, ending, over: None, took: None, alone, beside, right }
}

/// The neighbours' 99th percentile, alone and disturbed.
fn beside(scene: &Scene, mut disturb: impl FnMut()) -> (f64, f64) {
    let alone = neighbours(&scene.stage, &scene.ends, SECONDS, || {});
    let beside = neighbours(&scene.stage, &scene.ends, SECONDS, || {
        (0..ROUNDS).for_each(|_| disturb());
    });
    (quantile(&alone, 0.99), quantile(&beside, 0.99))
}

fn shown(record: &ResultRecord) -> String {
    match record.state {
        State::Failure => Exception::from_value(&record.result)
            .map_or_else(|| "a failure".to_owned(), |exception| format!("`{}`", exception.kind)),
        ref state => state.as_str().to_owned(),
    }
}

fn milliseconds(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

const HEAD: [&str; 7] =
    ["line", "it tries", "ending", "over the limit", "took", "neighbours' p99", "beside it"];

impl Row {
    fn cells(&self) -> [String; 7] {
        let ms = |value: f64| format!("{value:.1} ms");
        let wrong = if self.right { "" } else { " (WRONG)" };
        [
            self.line.clone(),
            self.tries.to_owned(),
            format!("{}{wrong}", self.ending),
            self.over.map(ms).unwrap_or_default(),
            self.took.map(ms).unwrap_or_default(),
            ms(self.alone),
            ms(self.beside),
        ]
    }
}

fn terminal(cells: &[String; 7]) -> String {
    let [line, tries, ending, over, took, alone, beside] = cells;
    format!("{line:>7}  {tries:<44} {ending:<24} {over:>14} {took:>10} {alone:>16} {beside:>10}")
}

fn summary(rows: &[Row], before: u64, after: u64, files: usize, now: usize) -> String {
    let over: Vec<f64> = rows.iter().filter_map(|row| row.over).collect();
    let change: Vec<f64> = rows.iter().map(|row| row.beside - row.alone).collect();
    let wrong = rows.iter().filter(|row| !row.right).count();
    format!(
        "{} behaviours, {wrong} with another ending than they should have. Beyond the limit, from \
         sending to the published result: {:.1} ms in the median, {:.1} ms at most. Neighbours' p99 \
         with it instead of without: {:+.1} ms in the median. Resident memory {} MiB before, {} MiB \
         after; {files} file descriptors before, {now} after.",
        rows.len(),
        median(&over),
        over.iter().copied().fold(0.0, f64::max),
        median(&change),
        before >> 20,
        after >> 20,
    )
}

fn markdown(rows: &[Row], note: &str) -> String {
    let mut text = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for row in rows {
        text += &format!("| {} |\n", row.cells().join(" | "));
    }
    format!("{text}\n{note}\n")
}

/// To `target/bench`, and between the marks in the documentation.
fn publish(text: &str) {
    println!("written: {}", write("hostile.md", text).display());
    let file = paths::workspace().join("docs/security.md");
    let Ok(docs) = fs::read_to_string(&file) else { return };
    let Some((front, rest)) = docs.split_once(BEGIN) else { return };
    let Some((_, back)) = rest.split_once(END) else { return };
    fs::write(&file, format!("{front}{BEGIN}{text}{END}{back}")).expect("the docs are writable");
    println!("written: {}", file.display());
}
