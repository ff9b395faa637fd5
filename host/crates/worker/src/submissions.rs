//! Tasks that a running task sends: allowed by name, counted, published in order in the background.
//! The run's end waits for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;
use tracing::{Instrument, error};
use umbel_protocol::canvas::{self, CanvasError, Plan, Sender, Step};
use umbel_protocol::message::Message;
use umbel_task::policy::Submit;
use umbel_task::runner::{OutboxError, Submission};
use umbel_value::{Map, Value};

use crate::carry::{DEPTH, Halt, chords, insist, lend, take_step};
use crate::ids::Ids;
use crate::sanitize::{Queues, sanitized};
use crate::verdict::Sent;
use crate::worker::Worker;

/// What one run sends.
pub(crate) struct Submissions {
    worker: Arc<Worker>,
    message: Arc<Message>,
    policy: Submit,
    origin: Origin,
    repeated: bool,
    outgoing: Arc<Mutex<Outgoing>>,
}

/// Who made the signatures that a run sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Code that nobody vouches for.
    Guest,
    /// The run's own message, whose ids are to be kept: a built-in task passes them on.
    Message,
}

struct Outgoing {
    ids: Ids,
    sent: Sent,
    count: u32,
    waiting: VecDeque<Errand>,
    /// Publishes until nothing waits; at most one at a time, and none after one that failed.
    courier: Option<JoinHandle<Result<(), Halt>>>,
    running: bool,
    closed: bool,
}

/// One thing to be done for a run, in its order.
enum Errand {
    Step(Box<Step>),
    /// The chord of this group waits for one part more.
    Grow(String),
}

impl Submissions {
    /// `repeated`: an earlier run may have sent it all.
    pub(crate) fn new(
        worker: &Arc<Worker>,
        message: &Arc<Message>,
        policy: Submit,
        origin: Origin,
        repeated: bool,
    ) -> Self {
        let outgoing = Outgoing {
            ids: Ids::of(message, "run"),
            sent: Sent::default(),
            count: 0,
            waiting: VecDeque::new(),
            courier: None,
            running: false,
            closed: false,
        };
        Self {
            worker: Arc::clone(worker),
            message: Arc::clone(message),
            policy,
            origin,
            repeated,
            outgoing: Arc::new(Mutex::new(outgoing)),
        }
    }

    pub(crate) fn submit(&self, task: Submission) -> Result<String, OutboxError> {
        let tuple = self.apply(signature(task), &[])?;
        let id = tuple.as_list().and_then(|tuple| tuple.first()?.as_list()?.first()?.as_str());
        Ok(id.unwrap_or_default().to_owned())
    }

    pub(crate) fn apply(&self, signature: Value, args: &[Value]) -> Result<Value, OutboxError> {
        let signature = self.allowed(signature)?;
        self.send(None, |sender| canvas::apply(&signature, args, &Map::new(), sender))
    }

    pub(crate) fn add_to_chord(&self, signature: Value) -> Result<Value, OutboxError> {
        let signature = self.allowed(signature)?;
        let Some(group) = self.message.group.clone().filter(|_| self.message.embed.chord.is_some())
        else {
            return Err(OutboxError::Invalid("this task is not part of a chord".to_owned()));
        };
        self.send(Some(Errand::Grow(group)), |sender| canvas::add_to_chord(&signature, sender))
    }

    /// Takes effect when the run ends.
    pub(crate) fn replace(&self, signature: Value) -> Result<(), OutboxError> {
        let signature = self.allowed(signature)?;
        let mut outgoing = self.outgoing();
        outgoing.count(1, &self.policy)?;
        outgoing.sent.replacement = Some(signature);
        Ok(())
    }

    /// Waits until everything is sent.
    pub(crate) async fn close(&self) -> Result<Sent, Halt> {
        let courier = {
            let mut outgoing = self.outgoing();
            outgoing.closed = true;
            outgoing.courier.take()
        };
        if let Some(courier) = courier {
            match courier.await {
                Ok(sent) => sent?,
                Err(panic) => {
                    error!(id = %self.message.id, "sending tasks failed: {panic}");
                    return Err(Halt::Interrupted);
                }
            }
        }
        Ok(std::mem::take(&mut self.outgoing().sent))
    }

    /// The signature without what is not the task's to say, if every task it would send is one that
    /// this task may send, and not too deep.
    fn allowed(&self, signature: Value) -> Result<Value, OutboxError> {
        self.allow(&signature)?;
        if self.origin == Origin::Message {
            return Ok(signature);
        }
        let usual = |task: &str| self.worker.config.route(task).routing_key;
        sanitized(signature, &Queues { usual: &usual, policy: &self.policy })
    }

    fn allow(&self, signature: &Value) -> Result<(), OutboxError> {
        if self.policy.names.is_empty() {
            let name = signature.get("task").and_then(Value::as_str).unwrap_or_default();
            return Err(OutboxError::Denied(name.to_owned()));
        }
        if let Some(name) = canvas::names(signature).into_iter().find(|n| !self.policy.allows(n)) {
            return Err(OutboxError::Denied(name));
        }
        if self.depth() >= self.policy.depth {
            return Err(OutboxError::TooDeep(self.policy.depth));
        }
        Ok(())
    }

    /// How many generations of tasks sent by tasks lie above this one.
    fn depth(&self) -> u32 {
        let depth = self.message.headers.get(DEPTH).and_then(Value::as_u64).unwrap_or(0);
        u32::try_from(depth).unwrap_or(u32::MAX)
    }

    fn send(
        &self,
        first: Option<Errand>,
        plan: impl FnOnce(&mut Sender<'_>) -> Result<Plan, CanvasError>,
    ) -> Result<Value, OutboxError> {
        let mut outgoing = self.outgoing();
        if outgoing.closed {
            return Err(OutboxError::Invalid("the run is over".to_owned()));
        }
        let ids = &mut outgoing.ids;
        let plan = lend(&self.worker, &self.message, &mut || ids.next(), plan);
        let plan = plan.map_err(|why| OutboxError::Invalid(why.to_string()))?;
        let Plan { steps, children, result } = plan;
        let messages = steps.iter().filter(|step| matches!(step, Step::Send { .. })).count();
        outgoing.count(u32::try_from(messages).unwrap_or(u32::MAX), &self.policy)?;
        let tuple = result.unwrap_or_default();
        outgoing.sent.children.extend(children);
        outgoing.waiting.extend(first);
        let depth = self.depth().saturating_add(1);
        outgoing.waiting.extend(steps.into_iter().map(|step| Errand::Step(marked(step, depth))));
        if !outgoing.running && !outgoing.waiting.is_empty() {
            outgoing.running = true;
            let errands = Arc::clone(&self.outgoing);
            let (worker, message) = (Arc::clone(&self.worker), Arc::clone(&self.message));
            let repeated = self.repeated;
            let courier = async move { run_errands(&worker, &message, &errands, repeated).await };
            outgoing.courier = Some(self.worker.io.spawn(courier.in_current_span()));
        }
        Ok(tuple)
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        locked(&self.outgoing)
    }
}

impl Outgoing {
    fn count(&mut self, messages: u32, policy: &Submit) -> Result<(), OutboxError> {
        let count = self.count.saturating_add(messages);
        if count > policy.count {
            return Err(OutboxError::TooMany(policy.count));
        }
        self.count = count;
        Ok(())
    }
}

fn locked(outgoing: &Mutex<Outgoing>) -> MutexGuard<'_, Outgoing> {
    // Nothing panics while it is held; if something did, the queue is still whole.
    outgoing.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run_errands(
    worker: &Worker,
    message: &Message,
    outgoing: &Mutex<Outgoing>,
    repeated: bool,
) -> Result<(), Halt> {
    loop {
        let errand = {
            let mut outgoing = locked(outgoing);
            match outgoing.waiting.pop_front() {
                Some(errand) => errand,
                None => {
                    outgoing.running = false;
                    return Ok(());
                }
            }
        };
        match errand {
            Errand::Step(step) => take_step(worker, message, &step, repeated).await?,
            Errand::Grow(group) => {
                let store = chords(worker)?;
                insist(worker, "the chord has not grown yet", || store.grow_chord(&group, 1))
                    .await?;
            }
        }
    }
}

fn marked(mut step: Step, depth: u32) -> Box<Step> {
    if let Step::Send { message, .. } = &mut step {
        message.headers.insert(DEPTH.to_owned(), depth.into());
    }
    Box::new(step)
}

/// As a client would write it (PROTOCOL 5.1).
fn signature(task: Submission) -> Value {
    let seconds = |time: Option<std::time::Duration>| Value::from(time.map(|t| t.as_secs_f64()));
    let options = [
        ("queue", Value::from(task.queue)),
        ("countdown", seconds(task.countdown)),
        ("expires", seconds(task.expires)),
        ("priority", task.priority.map(u32::from).into()),
        ("time_limit", seconds(task.time_limit)),
        ("soft_time_limit", seconds(task.soft_time_limit)),
        ("ignore_result", task.ignore_result.into()),
        ("headers", if task.headers.is_empty() { Value::Null } else { task.headers.into() }),
    ];
    let options: Map = options
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    Value::from([
        ("task", task.name.into()),
        ("args", task.args.into()),
        ("kwargs", task.kwargs.into()),
        ("options", options.into()),
        ("subtask_type", Value::Null),
        ("immutable", false.into()),
    ])
}
