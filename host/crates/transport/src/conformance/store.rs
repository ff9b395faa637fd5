//! What every result store does; each function is one sentence and panics when it does not hold.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use umbel_protocol::record::{ResultRecord, State};
use umbel_value::{Map, Value};

use super::{PATIENCE, QUIET, StoreFixture, eventually, fresh, soon};
use crate::results::{Reply, ResultStore};

pub async fn a_record_of_each_state_is_read_as_it_was_put(fixture: &dyn StoreFixture) {
    let bench = Bench::new(fixture).await;
    let states = [
        State::Pending,
        State::Started,
        State::Retry,
        State::Custom("PROGRESS".into()),
        State::Failure,
        State::Revoked,
        State::Success,
    ];
    for state in states {
        let record = record(&fresh("task"), state);
        bench.put(&record).await;
        bench.reads(&record).await;
    }
}

pub async fn an_unknown_id_has_no_record(fixture: &dyn StoreFixture) {
    let bench = Bench::new(fixture).await;
    let found = soon("get", bench.caller.get(&fresh("nobody"))).await.expect("the store reads");
    assert_eq!(found, None);
}

pub async fn a_success_is_never_replaced(fixture: &dyn StoreFixture) {
    if !fixture.keeps() {
        return;
    }
    let bench = Bench::new(fixture).await;
    let first = record(&fresh("task"), State::Success);
    bench.put(&first).await;
    for state in [State::Started, State::Failure, State::Retry, State::Revoked] {
        bench.put(&record(&first.id, state)).await;
        bench.reads(&first).await;
    }
    let mut second = first.clone();
    second.result = Value::Int(-1);
    bench.put(&second).await;
    bench.reads(&first).await;
}

pub async fn a_failure_is_replaced_by_a_later_success(fixture: &dyn StoreFixture) {
    let bench = Bench::new(fixture).await;
    let id = fresh("task");
    for state in [State::Started, State::Failure, State::Started, State::Success] {
        let record = record(&id, state);
        bench.put(&record).await;
        bench.reads(&record).await;
    }
}

pub async fn unknown_keys_survive(fixture: &dyn StoreFixture) {
    let bench = Bench::new(fixture).await;
    let mut record = record(&fresh("task"), State::Success);
    record.other = Map::from_iter([
        ("name".to_owned(), text("tasks.add")),
        ("worker".to_owned(), text("umbel@here")),
        ("x-of-a-newer-celery".to_owned(), Value::List(vec![Value::Null, Value::Int(7)])),
    ]);
    bench.put(&record).await;
    bench.reads(&record).await;
}

pub async fn text_in_any_script_survives(fixture: &dyn StoreFixture) {
    let bench = Bench::new(fixture).await;
    let mut record = record(&fresh("task"), State::Success);
    record.result = Value::Map(Map::from_iter([
        ("größe".to_owned(), text("数 \u{1F33F} \u{0} \" \\ \u{2028}")),
        ("big".to_owned(), Value::Big("170141183460469231731687303715884105728".into())),
        ("none".to_owned(), Value::Null),
    ]));
    bench.put(&record).await;
    bench.reads(&record).await;
}

pub async fn a_result_of_five_megabytes_survives(fixture: &dyn StoreFixture) {
    let bench = Bench::new(fixture).await;
    let mut record = record(&fresh("task"), State::Success);
    record.result = text(&"0123456789äbcdef".repeat(5_000_000 / 17));
    bench.put(&record).await;
    let found = soon("wait", bench.caller.wait(&record.id, PATIENCE)).await;
    let found = found.expect("the store reads").expect("there is a record");
    assert!(found == record, "the record changed on its way");
}

pub async fn a_waiter_is_told_when_the_task_is_ready(fixture: &dyn StoreFixture) {
    let bench = Bench::new(fixture).await;
    let ready = record(&fresh("task"), State::Success);
    let waiting = bench.caller.wait(&ready.id, PATIENCE);
    let putting = async {
        // Gives the waiter time to wait, then states that must not wake it for good.
        tokio::time::sleep(QUIET).await;
        bench.put(&record(&ready.id, State::Started)).await;
        bench.put(&record(&ready.id, State::Custom("PROGRESS".into()))).await;
        bench.put(&ready).await;
        Instant::now()
    };
    let told = async {
        let found = waiting.await.expect("the store reads");
        (found, Instant::now())
    };
    let ((found, told), put) = soon("the waiter", async { tokio::join!(told, putting) }).await;
    assert_eq!(found, Some(ready));
    let late = told.saturating_duration_since(put);
    assert!(late < Duration::from_secs(2), "told {late:?} after the record was stored");
}

pub async fn a_ready_task_needs_no_waiting(fixture: &dyn StoreFixture) {
    let bench = Bench::new(fixture).await;
    for state in [State::Success, State::Failure, State::Revoked] {
        let record = record(&fresh("task"), state);
        bench.put(&record).await;
        bench.reads(&record).await;
        let wait = bench.caller.wait(&record.id, PATIENCE * 10);
        let found = soon("wait", wait).await.expect("the store reads");
        assert_eq!(found, Some(record));
    }
}

pub async fn a_waiter_gives_up_in_time_with_the_latest_record(fixture: &dyn StoreFixture) {
    let bench = Bench::new(fixture).await;
    let nobody = soon("wait", bench.caller.wait(&fresh("nobody"), QUIET)).await;
    assert_eq!(nobody.expect("the store reads"), None);

    let started = record(&fresh("task"), State::Started);
    bench.put(&started).await;
    bench.reads(&started).await;
    let begin = Instant::now();
    let found = soon("wait", bench.caller.wait(&started.id, QUIET)).await;
    assert_eq!(found.expect("the store reads"), Some(started));
    assert!(begin.elapsed() >= QUIET, "gave up early, after {:?}", begin.elapsed());
}

pub async fn several_waiters_are_told(fixture: &dyn StoreFixture) {
    let bench = Bench::new(fixture).await;
    let ready: Vec<_> = (0..20).map(|_| record(&fresh("task"), State::Success)).collect();
    // Two for each task.
    let waits =
        join_all(ready.iter().chain(&ready).map(|record| bench.caller.wait(&record.id, PATIENCE)));
    let puts = join_all(ready.iter().map(|record| bench.put(record)));
    let (found, _) = soon("the waiters", async { tokio::join!(waits, puts) }).await;
    for (found, wanted) in found.into_iter().zip(ready.iter().chain(&ready)) {
        assert_eq!(found.expect("the store reads").as_ref(), Some(wanted));
    }
}

pub async fn many_records_are_put_at_once(fixture: &dyn StoreFixture) {
    let bench = Bench::new(fixture).await;
    let records: Vec<_> = (0..300)
        .map(|number| ResultRecord {
            result: Value::Int(number),
            ..record(&fresh("task"), State::Success)
        })
        .collect();
    join_all(records.iter().map(|record| bench.put(record))).await;
    for record in &records {
        bench.reads(record).await;
    }
}

/// Whoever stores, and whoever asks.
struct Bench {
    worker: Arc<dyn ResultStore>,
    caller: Arc<dyn ResultStore>,
    reply_to: Option<String>,
}

impl Bench {
    async fn new(fixture: &dyn StoreFixture) -> Bench {
        let caller = fixture.store().await;
        let reply_to = soon("reply_to", caller.reply_to()).await.expect("the store can be reached");
        Bench { worker: fixture.store().await, caller, reply_to }
    }

    async fn put(&self, record: &ResultRecord) {
        let reply = Reply { reply_to: self.reply_to.clone(), correlation_id: record.id.clone() };
        soon("put", self.worker.put(record, &reply)).await.expect("the store stores");
    }

    /// The caller comes to read exactly this record.
    async fn reads(&self, wanted: &ResultRecord) {
        let what = format!("reading the record {} of {}", wanted.state.as_str(), wanted.id);
        eventually(&what, async || {
            let found = self.caller.get(&wanted.id).await.expect("the store reads");
            (found.as_ref() == Some(wanted)).then_some(())
        })
        .await;
    }
}

/// A record as Celery would write it in this state.
fn record(id: &str, state: State) -> ResultRecord {
    let failed = matches!(state, State::Failure | State::Retry | State::Revoked);
    let error = Map::from_iter([
        ("exc_type".to_owned(), text("ValueError")),
        ("exc_message".to_owned(), Value::List(vec![text("no ünit")])),
        ("exc_module".to_owned(), text("builtins")),
    ]);
    ResultRecord {
        id: id.to_owned(),
        result: if failed { Value::Map(error) } else { Value::Int(5) },
        traceback: failed.then(|| "Traceback (most recent call last):\n".to_owned()),
        children: Some(Vec::new()),
        date_done: state.is_ready().then(|| "2026-01-02T03:04:05.678901+00:00".to_owned()),
        group_id: None,
        parent_id: None,
        other: Map::new(),
        state,
    }
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}
