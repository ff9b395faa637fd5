//! A worker on a bench: broker, store and tasks in memory, and a diary of what happened.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use umbel_protocol::message::Message;
use umbel_protocol::record::Exception;
use umbel_task::outcome::{Failure, Kind, Limit, Outcome};
use umbel_task::policy::{Acks, Handling, Interrupted, Rate, Retry, Submit, TaskPolicy};
use umbel_task::runner::Submission;
use umbel_transport::broker::Broker;
use umbel_transport::results::ResultStore;
use umbel_value::Value;
use umbel_worker::{Observer, Shutdown, Summary, Worker, WorkerConfig, WorkerError};

use crate::fakes::{Diary, FakeBroker, FakeRunner, FakeStore};

pub(crate) struct Bench {
    pub(crate) diary: Diary,
    pub(crate) broker: FakeBroker,
    pub(crate) store: FakeStore,
    pub(crate) shutdown: Shutdown,
    pub(crate) worker: JoinHandle<Result<Summary, WorkerError>>,
    /// One permit lets one run of `slow` end.
    pub(crate) gate: Arc<Semaphore>,
    /// Whether there is a task `late` by now.
    pub(crate) late: Arc<AtomicBool>,
}

impl Bench {
    pub(crate) fn start(configure: impl FnOnce(&mut WorkerConfig)) -> Self {
        Self::watched(configure, None)
    }

    /// Somebody hears of every message.
    pub(crate) fn watched(
        configure: impl FnOnce(&mut WorkerConfig),
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        let diary = Diary::default();
        let gate = Arc::new(Semaphore::new(0));
        let late = TaskPolicy::default;
        let early = || handled(|handling| handling.acks = Acks::Early);
        let sender = || {
            handled(|handling| {
                let names = vec!["echo".to_owned(), "far.*".to_owned()];
                handling.submit = Submit { names, count: 2, depth: 3, ..Submit::default() };
            })
        };
        let runner = FakeRunner::default()
            .with("echo", &diary, late(), None, |call, _| Outcome::Done(Value::List(call.args)))
            .with("slow", &diary, late(), Some(Arc::clone(&gate)), |_, _| done())
            .with("slow-early", &diary, early(), Some(Arc::clone(&gate)), |_, _| done())
            .with("fail", &diary, late(), None, |_, _| {
                Outcome::Failed(Failure::own("TaskError", "bad"))
            })
            .with("retry", &diary, late(), None, |_, _| Outcome::Retry {
                cause: Some(Failure::builtin("ValueError", "later")),
                after: Some(Duration::from_secs(7)),
                max: Some(2),
            })
            .with("reject", &diary, late(), None, |_, _| Outcome::Rejected { requeue: false })
            .with("late", &diary, late(), None, |_, _| done())
            .with("ignore", &diary, late(), None, |_, _| Outcome::Ignored)
            .with("endless", &diary, late(), None, |_, _| {
                Outcome::OverLimit(Limit::Time(Duration::from_secs(1)), None)
            })
            .with("kind", &diary, late(), None, |call, _| {
                let kind = call.args[0].as_str().unwrap().to_owned();
                Outcome::Failed(Failure { kind: Kind::Guest(kind), args: vec![], traceback: None })
            })
            .with("send", &diary, sender(), None, |call, outbox| {
                let name = call.args[0].as_str().unwrap().to_owned();
                let sent = (0..2).map(|_| {
                    outbox.submit(Submission {
                        name: name.clone(),
                        args: vec![Value::Int(7)],
                        ..Submission::default()
                    })
                });
                match sent.collect::<Result<Vec<String>, _>>() {
                    Ok(ids) => Outcome::Done(ids.into_iter().map(Value::from).collect()),
                    Err(why) => Outcome::Failed(Failure::own("TaskError", why.to_string())),
                }
            })
            .with("replace", &diary, sender(), None, |call, outbox| {
                outbox.replace(call.args[0].clone()).unwrap();
                Outcome::Ignored
            })
            .with("apply", &diary, sender(), None, |call, outbox| {
                match outbox.apply(call.args[0].clone(), Vec::new()) {
                    Ok(tuple) => Outcome::Done(tuple),
                    Err(why) => Outcome::Failed(Failure::own("TaskError", why.to_string())),
                }
            })
            .with("grow", &diary, sender(), None, |call, outbox| {
                outbox.add_to_chord(call.args[0].clone()).unwrap();
                done()
            })
            .with("on_error", &diary, late(), None, |call, _| Outcome::Done(Value::List(call.args)))
            .with(
                "limited",
                &diary,
                handled(|handling| {
                    handling.rate_limit = Some(Rate { per_second: 1.0 });
                }),
                None,
                |_, _| done(),
            )
            .with(
                "alone",
                &diary,
                handled(|handling| handling.concurrency = Some(1)),
                Some(Arc::clone(&gate)),
                |_, _| done(),
            )
            .with(
                "tracked",
                &diary,
                handled(|handling| handling.track_started = true),
                Some(Arc::clone(&gate)),
                |_, _| done(),
            )
            .with(
                "kinds",
                &diary,
                handled(|handling| {
                    handling.retry =
                        Retry { kinds: vec!["TaskError".to_owned()], ..Retry::default() };
                }),
                None,
                |_, _| Outcome::Failed(Failure::own("TaskError", "bad")),
            )
            .with(
                "strict",
                &diary,
                handled(|handling| {
                    handling.ack_on_failure = false;
                    handling.ack_on_timeout = false;
                }),
                None,
                |call, _| match call.args[0].as_str() {
                    Some("slow") => Outcome::OverLimit(Limit::Time(Duration::from_secs(1)), None),
                    _ => Outcome::Failed(Failure::own("TaskError", "bad")),
                },
            )
            .with(
                "silent",
                &diary,
                handled(|handling| {
                    handling.ignore_result = true;
                    handling.store_errors = true;
                }),
                None,
                |call, _| match call.args[0].as_str() {
                    Some("fail") => Outcome::Failed(Failure::own("TaskError", "bad")),
                    _ => done(),
                },
            )
            .with(
                "again",
                &diary,
                handled(|handling| handling.interrupted = Interrupted::Retry),
                Some(Arc::clone(&gate)),
                |_, _| done(),
            )
            .with("progress", &diary, late(), None, |_, outbox| {
                for done in 0..1000 {
                    outbox.progress("PROGRESS".to_owned(), Value::Int(done)).unwrap();
                }
                done()
            });
        let (broker, store) = (FakeBroker::new(&diary), FakeStore::new(&diary));
        let shutdown = Shutdown::new();
        let here = Arc::clone(&runner.late);
        let mut config = WorkerConfig::default();
        configure(&mut config);
        let mut worker = Worker::new(
            config,
            Arc::new(broker.clone()) as Arc<dyn Broker>,
            Some(Arc::new(store.clone()) as Arc<dyn ResultStore>),
            Arc::new(runner),
        );
        if let Some(observer) = observer {
            worker = worker.with_observer(observer);
        }
        let worker = tokio::spawn(worker.run(shutdown.clone(), || {}));
        Self { diary, broker, store, shutdown, worker, gate, late: here }
    }

    pub(crate) fn send(&self, message: Message) {
        self.broker.deliver(message.encode());
    }

    /// Waits for the last of the lines and compares all.
    pub(crate) async fn saw(&self, expected: &[&str]) {
        self.diary.eventually(expected.last().expect("something happens")).await;
        assert_eq!(self.diary.lines(), expected);
    }

    pub(crate) async fn stop(self) -> Summary {
        self.shutdown.drain();
        self.worker.await.unwrap().unwrap()
    }
}

/// The default policy, changed.
fn handled(change: impl FnOnce(&mut Handling)) -> TaskPolicy {
    let mut policy = TaskPolicy::default();
    change(&mut policy.handling);
    policy
}

pub(crate) fn done() -> Outcome {
    Outcome::Done(Value::Null)
}

pub(crate) fn message(task: &str) -> Message {
    Message::new(task, vec![Value::Int(1)], Default::default())
}

/// A signature of a task with one argument, as clients write it.
pub(crate) fn signature(task: &str, id: &str) -> Value {
    Value::from([
        ("task", Value::from(task)),
        ("args", vec![Value::Int(2)].into()),
        ("kwargs", Value::Map(Default::default())),
        ("options", Value::from([("task_id", Value::from(id))])),
        ("subtask_type", Value::Null),
        ("immutable", false.into()),
    ])
}

pub(crate) fn exception(store: &FakeStore) -> (String, String) {
    let exception = Exception::from_value(&store.last().result).expect("an exception");
    (exception.module.unwrap_or_default(), exception.kind)
}

/// Sends one message and compares what happened to it, in order.
pub(crate) async fn check(message: Message, expected: &[&str]) -> FakeStore {
    let bench = Bench::start(|_| {});
    bench.send(message);
    bench.saw(expected).await;
    let store = bench.store.clone();
    bench.stop().await;
    store
}
