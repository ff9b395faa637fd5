//! The tasks that every Celery worker has (PROTOCOL 5.8). `group`, `chain` and `chord` are not among
//! them: whoever sends one takes it apart.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use umbel_protocol::names;
use umbel_protocol::record::{Exception, State};
use umbel_task::call::Call;
use umbel_task::name::{PluginVersion, TaskName};
use umbel_task::outcome::{Cost, Ended, Failure, Kind, Limit, Outcome};
use umbel_task::policy::{Handling, Retry, Submit, TaskPolicy};
use umbel_task::runner::{Outbox, Runner, Task};
use umbel_transport::results::ResultStore;
use umbel_value::{Map, Value};

/// A runner that also finds the built-in tasks; its own names come first.
pub(crate) struct WithBuiltins {
    inner: Arc<dyn Runner>,
    builtins: HashMap<&'static str, Arc<dyn Task>>,
}

impl WithBuiltins {
    pub(crate) fn new(inner: Arc<dyn Runner>, store: Option<Arc<dyn ResultStore>>) -> Self {
        let make = |name: &'static str, does: Does| {
            let task: Arc<dyn Task> = Arc::new(Builtin {
                does,
                inner: Arc::clone(&inner),
                store: store.clone(),
                policy: policy(does),
                version: PluginVersion { plugin: "celery".into(), digest: DIGEST.into() },
            });
            (name, task)
        };
        let builtins = HashMap::from([
            make(names::ACCUMULATE, Does::Accumulate),
            make(names::MAP, Does::Map),
            make(names::STARMAP, Does::Starmap),
            make(names::CHUNKS, Does::Chunks),
            make(names::BACKEND_CLEANUP, Does::Nothing),
            make(names::CHORD_UNLOCK, Does::Unlock),
        ]);
        Self { inner, builtins }
    }
}

impl Runner for WithBuiltins {
    fn find(&self, name: &str) -> Option<Arc<dyn Task>> {
        self.inner.find(name).or_else(|| self.builtins.get(name).cloned())
    }

    fn find_for(&self, name: &str, id: &str) -> Option<Arc<dyn Task>> {
        self.inner.find_for(name, id).or_else(|| self.builtins.get(name).cloned())
    }

    fn names(&self) -> Vec<TaskName> {
        self.inner.names()
    }
}

/// The built-in tasks.
pub(crate) const NAMES: [&str; 6] = [
    names::ACCUMULATE,
    names::BACKEND_CLEANUP,
    names::CHORD_UNLOCK,
    names::CHUNKS,
    names::MAP,
    names::STARMAP,
];

/// In place of a component's digest, which this is not.
const DIGEST: &str = "builtin";

/// Whether a task is one of ours, not a component's.
pub(crate) fn is_builtin(task: &dyn Task) -> bool {
    &*task.version().digest == DIGEST
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// Gives its arguments back, or one of them.
    Accumulate,
    /// Calls a task for each item.
    Map,
    /// Calls a task with each item's arguments.
    Starmap,
    /// Sends a task for each part of the items.
    Chunks,
    /// Results expire by themselves.
    Nothing,
    /// Sends a chord's body once its header is done, where nobody counts.
    Unlock,
}

struct Builtin {
    does: Does,
    inner: Arc<dyn Runner>,
    store: Option<Arc<dyn ResultStore>>,
    policy: TaskPolicy,
    version: PluginVersion,
}

fn policy(does: Does) -> TaskPolicy {
    let mut handling = Handling::default();
    if matches!(does, Does::Chunks | Does::Unlock) {
        // What they send is what their own message brought.
        handling.submit = Submit {
            names: vec!["*".to_owned()],
            count: u32::MAX,
            depth: u32::MAX,
            ..Submit::default()
        };
    }
    if does == Does::Unlock {
        // It asks again until the header is done.
        handling.retry = Retry { max: None, ..Retry::default() };
    }
    TaskPolicy { handling, ..TaskPolicy::default() }
}

#[async_trait]
impl Task for Builtin {
    fn policy(&self) -> &TaskPolicy {
        &self.policy
    }

    fn version(&self) -> &PluginVersion {
        &self.version
    }

    fn arity(&self) -> usize {
        1
    }

    async fn run(&self, call: Call, outbox: Arc<dyn Outbox>, stop: CancellationToken) -> Ended {
        match self.does {
            Does::Accumulate => free(accumulate(&call)),
            Does::Map | Does::Starmap => self.each(call, outbox, stop).await,
            Does::Chunks => free(chunks(&call, &*outbox)),
            Does::Nothing => free(Outcome::Done(Value::Null)),
            Does::Unlock => free(self.unlock(&call, &*outbox).await),
        }
    }
}

impl Builtin {
    /// Calls a task of ours once for each item, in order; the first that does not return ends it all.
    async fn each(&self, call: Call, outbox: Arc<dyn Outbox>, stop: CancellationToken) -> Ended {
        let named = argument(&call, 0, "task").and_then(|task| task.get("task")?.as_str());
        let (Some(name), Some(Value::List(items))) = (named, argument(&call, 1, "it")) else {
            return free(wrong(&call, "takes a task and a list"));
        };
        let Some(task) = self.inner.find_for(name, &call.id) else {
            let kind = Kind::Guest("NotRegistered".to_owned());
            let args = vec![Value::from(name)];
            return free(Outcome::Failed(Failure { kind, args, traceback: None }));
        };
        let began = Instant::now();
        let most = call.time_limit.unwrap_or(task.policy().sandbox.time);
        let mut total = Cost::default();
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            let Some(left) = most.checked_sub(began.elapsed()).filter(|left| !left.is_zero())
            else {
                return Ended { outcome: Outcome::OverLimit(Limit::Time(most), None), cost: total };
            };
            let args = match (self.does, item) {
                (Does::Starmap, Value::List(args)) => args.clone(),
                (_, item) => vec![item.clone()],
            };
            let one = Call {
                name: name.to_owned(),
                args,
                kwargs: Map::new(),
                time_limit: Some(left),
                ..call.clone()
            };
            let ended = task.run(one, Arc::clone(&outbox), stop.child_token()).await;
            total = total.and(&ended.cost);
            match ended.outcome {
                Outcome::Done(value) => results.push(value),
                outcome => return Ended { outcome, cost: total },
            }
        }
        Ended { outcome: Outcome::Done(Value::List(results)), cost: total }
    }

    /// Looks whether all results are there (PROTOCOL 4.6).
    async fn unlock(&self, call: &Call, outbox: &dyn Outbox) -> Outcome {
        let (Some(body), Some(Value::List(header))) =
            (argument(call, 1, "callback"), call.kwargs.get("result").or_else(|| call.args.get(4)))
        else {
            return wrong(call, "takes a group's id, a body and the header's results");
        };
        let Some(store) = &self.store else {
            return failure("NotImplementedError", "there is no result backend to look into");
        };
        let mut values = Vec::with_capacity(header.len());
        for tuple in header {
            let own = tuple.as_list().and_then(|tuple| tuple.first()?.as_list()?.first()?.as_str());
            let Some(id) = own else { return wrong(call, "the header holds no result tuples") };
            match store.get(id).await {
                Ok(Some(record)) if record.state == State::Success => values.push(record.result),
                Ok(Some(record)) if record.state.is_ready() => {
                    let cause = Exception::from_value(&record.result);
                    let text = cause.map_or_else(String::new, |cause| cause.to_string());
                    let message = format!("Dependency {id} raised {text}");
                    return failure("ChordError", message);
                }
                Ok(_) => return later(call),
                Err(error) => {
                    tracing::warn!("a chord waits for its result backend: {error}");
                    return later(call);
                }
            }
        }
        match outbox.apply(body.clone(), vec![Value::List(values)]) {
            Ok(_) => Outcome::Done(Value::Null),
            Err(error) => failure("ValueError", error.to_string()),
        }
    }
}

fn later(call: &Call) -> Outcome {
    let interval = call.kwargs.get("interval").and_then(Value::as_f64).unwrap_or(1.0);
    let max = call.kwargs.get("max_retries").and_then(Value::as_u64);
    Outcome::Retry {
        cause: None,
        after: Duration::try_from_secs_f64(interval).ok(),
        max: max.and_then(|max| u32::try_from(max).ok()),
    }
}

fn accumulate(call: &Call) -> Outcome {
    let Some(index) = call.kwargs.get("index").and_then(Value::as_i64) else {
        return Outcome::Done(Value::List(call.args.clone()));
    };
    // As Python counts: from the end when negative.
    let length = i64::try_from(call.args.len()).unwrap_or(i64::MAX);
    let index = if index < 0 { index + length } else { index };
    match usize::try_from(index).ok().and_then(|index| call.args.get(index)) {
        Some(value) => Outcome::Done(value.clone()),
        None => failure("IndexError", "tuple index out of range"),
    }
}

fn chunks(call: &Call, outbox: &dyn Outbox) -> Outcome {
    let (Some(task), Some(it), Some(n)) =
        (argument(call, 0, "task"), argument(call, 1, "it"), argument(call, 2, "n"))
    else {
        return wrong(call, "takes a task, a list and a number");
    };
    let kwargs = Value::from([("task", task.clone()), ("it", it.clone()), ("n", n.clone())]);
    let signature = Value::from([
        ("task", Value::from(names::CHUNKS)),
        ("args", Vec::new().into()),
        ("kwargs", kwargs),
        ("options", Map::new().into()),
        ("subtask_type", "chunks".into()),
        ("immutable", false.into()),
    ]);
    match outbox.apply(signature, Vec::new()) {
        Ok(tuple) => Outcome::Done(tuple),
        Err(error) => failure("ValueError", error.to_string()),
    }
}

/// By position or by name.
fn argument<'c>(call: &'c Call, position: usize, name: &str) -> Option<&'c Value> {
    call.args.get(position).or_else(|| call.kwargs.get(name))
}

fn wrong(call: &Call, what: &str) -> Outcome {
    failure("TypeError", format!("{} {what}", call.name))
}

fn failure(kind: &'static str, message: impl Into<String>) -> Outcome {
    Outcome::Failed(Failure::builtin(kind, message))
}

fn free(outcome: Outcome) -> Ended {
    Ended { outcome, cost: Cost::default() }
}
