//! Hop 6, pure: all that follows from an outcome or a refusal.

use jiff::Timestamp;
use umbel_protocol::canvas::{self, Abandoned, Plan, Sender, Step, result_tuple};
use umbel_protocol::chord::ChordPart;
use umbel_protocol::message::{Message, Route};
use umbel_protocol::record::{Exception, ResultRecord, State};
use umbel_task::outcome::{Failure, Limit, Outcome};
use umbel_task::policy::{Acks, Handling, Interrupted};
use umbel_value::Value;

use crate::admit::Refusal;
use crate::exception;
use crate::parked;
use crate::record::{Recorder, unwatched};
use crate::retry;
use crate::tell::Ending;

/// What a judgement depends on beside message and outcome, gathered once.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) now: Timestamp,
    /// Where the message was published to.
    pub(crate) route: &'a Route,
    /// Drawn at random, 0 to 1.
    pub(crate) spread: f64,
    pub(crate) recorder: Recorder<'a>,
    /// Somebody revoked the task while it ran.
    pub(crate) terminated: bool,
    /// Somebody wants to see what tasks return.
    pub(crate) results_shown: bool,
}

/// All that follows; the fields are in the order they are carried out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// What is sent.
    pub(crate) steps: Vec<Step>,
    pub(crate) record: Option<ResultRecord>,
    /// Counted in once the record is stored.
    pub(crate) part: Option<Part>,
    /// Who fails with it: the later steps of its chain.
    pub(crate) lost: Vec<Lost>,
    pub(crate) errbacks: Option<Errbacks>,
    /// For the log and the counters.
    pub(crate) ending: Ending,
    pub(crate) last: Last,
}

/// What becomes of the message itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Last {
    Ack,
    /// As if it had never been delivered.
    Requeue,
    /// To the back of its queue, counted.
    Reject,
    /// To the dead letters.
    Bury {
        reason: String,
        /// Whatever the queue's own settings say.
        parked: bool,
    },
}

/// A finished part, and the body that waits for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) part: ChordPart,
    pub(crate) body: Value,
}

/// A task that will never run because another one failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lost {
    pub(crate) record: ResultRecord,
    pub(crate) part: Option<Part>,
    pub(crate) errbacks: Option<Errbacks>,
}

/// Who is to hear of a failure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Errbacks {
    pub(crate) signatures: Vec<Value>,
    /// Whose failure it is.
    pub(crate) failed: String,
    pub(crate) exception: Value,
    pub(crate) traceback: Option<String>,
}

/// What a run left behind beside its outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sent {
    /// Result tuples of the tasks it sent.
    pub(crate) children: Vec<Value>,
    /// The canvas that takes its place.
    pub(crate) replacement: Option<Value>,
}

/// What follows from a run.
pub(crate) fn verdict(
    message: &Message,
    handling: &Handling,
    outcome: Outcome,
    sent: Sent,
    facts: &Facts,
    sender: &mut Sender<'_>,
) -> Verdict {
    let judge = Judge { message, handling, facts };
    match outcome {
        Outcome::Done(value) => judge.success(value, sent, sender),
        Outcome::Failed(failure) => judge.failed(failure),
        Outcome::Retry { cause, after, max } => judge.again(cause, retry::Wish { after, max }),
        Outcome::Rejected { requeue: true } => {
            quiet(Last::Reject, Ending::Rejected { requeue: true })
        }
        Outcome::Rejected { requeue: false } => judge.rejected(),
        Outcome::Ignored => judge.ignored(sent, sender),
        Outcome::OverLimit(limit, traceback) => judge.over_limit(&limit, traceback),
        Outcome::Crashed { reason, traceback } => {
            judge.broken(exception::own("TaskTrap", reason), traceback)
        }
        Outcome::Denied { what, traceback } => {
            judge.broken(exception::builtin("PermissionError", what), traceback)
        }
        Outcome::Stopped => judge.stopped(),
    }
}

/// What follows when a message is refused before its run.
pub(crate) fn refusal(
    message: &Message,
    handling: &Handling,
    why: &Refusal,
    facts: &Facts,
) -> Verdict {
    let judge = Judge { message, handling, facts };
    match why {
        Refusal::Unregistered => {
            let exception = exception::celery("NotRegistered", message.task.clone());
            let mut verdict = judge.failure(exception, None);
            verdict.ending = Ending::Unregistered;
            verdict.last = Last::Bury { reason: parked::reason(&message.task), parked: false };
            verdict
        }
        Refusal::Expired => judge.revoked("expired", Ending::Expired),
        Refusal::Revoked => judge.revoked("revoked", Ending::Revoked { terminated: false }),
        Refusal::Deadly { deliveries } => {
            let text = format!("{deliveries} deliveries took their worker down");
            let mut verdict = judge.failure(exception::worker_lost(text.clone()), None);
            verdict.last = Last::Bury { reason: text, parked: true };
            verdict
        }
    }
}

/// What follows when a message comes again whose result is stored: the part that its first run may
/// not have counted in.
pub(crate) fn repeated(message: &Message, result: Value) -> Verdict {
    let part = part(message, State::Success, &result);
    Verdict { part, ..quiet(Last::Ack, Ending::repeated(&result)) }
}

/// What follows when what a verdict sends can never be sent, or its result never be written.
pub(crate) fn unsendable(
    message: &Message,
    handling: &Handling,
    why: Exception,
    facts: &Facts,
) -> Verdict {
    Judge { message, handling, facts }.failure(why, None)
}

/// The tasks that fail with another one's exception.
pub(crate) fn lost(
    abandoned: Vec<Abandoned>,
    exception: &Exception,
    original: &Exception,
    traceback: Option<&str>,
    now: Timestamp,
) -> Vec<Lost> {
    let one = |gone: Abandoned| {
        let Abandoned { id, part, errbacks, original: keep } = gone;
        let cause = if keep { original } else { exception }.to_value();
        let record = unwatched(&id, cause.clone(), traceback, part.as_ref(), now);
        let part = part.map(|(group, index, body)| {
            let result = cause.clone();
            let part = ChordPart { group, id: id.clone(), index, state: State::Failure, result };
            Part { part, body }
        });
        let errbacks = (!errbacks.is_empty()).then(|| Errbacks {
            signatures: errbacks,
            failed: id,
            exception: cause,
            traceback: traceback.map(str::to_owned),
        });
        Lost { record, part, errbacks }
    };
    abandoned.into_iter().map(one).collect()
}

/// A case before the judge.
struct Judge<'a> {
    message: &'a Message,
    handling: &'a Handling,
    facts: &'a Facts<'a>,
}

impl Judge<'_> {
    fn success(&self, value: Value, sent: Sent, sender: &mut Sender<'_>) -> Verdict {
        let plan = match canvas::follow(&value, sender) {
            Ok(plan) => plan,
            Err(error) => return self.failure(exception::canvas(&error), None),
        };
        let ending = Ending::succeeded(&value, self.facts.results_shown);
        let mut children = sent.children;
        children.extend(plan.children);
        let part = part(self.message, State::Success, &value);
        let record = self.facts.recorder.ready(self.message, State::Success, value, self.facts.now);
        let record = self.watched().then_some(ResultRecord { children: Some(children), ..record });
        Verdict { steps: plan.steps, record, part, ..quiet(Last::Ack, ending) }
    }

    fn ignored(&self, sent: Sent, sender: &mut Sender<'_>) -> Verdict {
        let Some(signature) = sent.replacement else { return quiet(Last::Ack, Ending::Ignored) };
        match canvas::replace(&signature, sender) {
            Ok(Plan { steps, .. }) => Verdict { steps, ..quiet(Last::Ack, Ending::Replaced) },
            Err(error) => self.failure(exception::canvas(&error), None),
        }
    }

    /// For good: whoever waits is told, as Celery does.
    fn rejected(&self) -> Verdict {
        let reason = "the task rejected its message".to_owned();
        let mut verdict = self.failure(exception::reject(&reason), None);
        verdict.ending = Ending::Rejected { requeue: false };
        verdict.last = Last::Bury { reason, parked: false };
        verdict
    }

    fn failed(&self, failure: Failure) -> Verdict {
        let cause = exception::of_failure(failure.clone());
        if self.retries(&cause.kind) {
            return self.again(Some(failure), retry::Wish::default());
        }
        self.failure(cause, failure.traceback)
    }

    fn over_limit(&self, limit: &Limit, traceback: Option<String>) -> Verdict {
        let mut verdict = self.broken(exception::over_limit(limit), traceback);
        let timed_out = matches!(limit, Limit::Time(_) | Limit::Cpu(_)) && verdict.record.is_some();
        if timed_out && !self.handling.ack_on_timeout {
            verdict.last = Last::Reject;
        }
        verdict
    }

    /// A failure that the task did not choose.
    fn broken(&self, cause: Exception, traceback: Option<String>) -> Verdict {
        if self.retries(&cause.kind) {
            return self.repeat(Some(cause), traceback, retry::Wish::default());
        }
        self.failure(cause, traceback)
    }

    fn failure(&self, exception: Exception, traceback: Option<String>) -> Verdict {
        let (message, now) = (self.message, self.facts.now);
        let ending =
            Ending::Failed { exception: exception.to_string(), traceback: traceback.clone() };
        let cause = exception.to_value();
        let part = part(message, State::Failure, &cause);
        let record = self.facts.recorder.ready(message, State::Failure, cause.clone(), now);
        let record = (self.watched() || self.handling.store_errors)
            .then_some(ResultRecord { traceback: traceback.clone(), ..record });
        let lost =
            lost(canvas::abandon(message), &exception, &exception, traceback.as_deref(), now);
        let errbacks = errbacks(message, cause, traceback);
        let last = if self.handling.ack_on_failure || self.handling.acks == Acks::Early {
            Last::Ack
        } else {
            Last::Bury { reason: format!("the task failed: {exception}"), parked: false }
        };
        Verdict { record, part, lost, errbacks, ..quiet(last, ending) }
    }

    fn again(&self, cause: Option<Failure>, wish: retry::Wish) -> Verdict {
        let traceback = cause.as_ref().and_then(|cause| cause.traceback.clone());
        self.repeat(cause.map(exception::of_failure), traceback, wish)
    }

    fn repeat(
        &self,
        cause: Option<Exception>,
        traceback: Option<String>,
        wish: retry::Wish,
    ) -> Verdict {
        let (message, facts) = (self.message, self.facts);
        let after = match retry::next(&self.handling.retry, message.retries, wish, facts.spread) {
            retry::Next::After(after) => after,
            retry::Next::Exhausted => {
                let cause = cause.unwrap_or_else(|| exception::retries_exceeded(message));
                return self.failure(cause, traceback);
            }
        };
        let text = cause.as_ref().map_or_else(String::new, Exception::to_string);
        let result = cause.map_or(Value::Null, |cause| cause.to_value());
        let eta = facts.now.checked_add(after).unwrap_or(Timestamp::MAX);
        let record = facts.recorder.passing(message, State::Retry, result);
        // Celery lists the next attempt among the children.
        let children = Some(vec![result_tuple(&message.id)]);
        let told = traceback.clone();
        let record = self.watched().then_some(ResultRecord { traceback, children, ..record });
        // Back to where the message came from (PROTOCOL 5.6).
        let again = Box::new(message.retry(Some(eta)));
        let steps = vec![Step::Send { route: facts.route.clone(), message: again }];
        Verdict {
            steps,
            record,
            ..quiet(Last::Ack, Ending::Retry { after, cause: text, traceback: told })
        }
    }

    /// Interrupted is not failed.
    fn stopped(&self) -> Verdict {
        if self.facts.terminated {
            return self.revoked("terminated", Ending::Revoked { terminated: true });
        }
        match (self.handling.acks, self.handling.interrupted) {
            (_, Interrupted::Retry) => {
                let cause = exception::worker_lost(INTERRUPTED.to_owned());
                self.repeat(Some(cause), None, retry::Wish::default())
            }
            (Acks::Late, Interrupted::Requeue) => quiet(Last::Requeue, Ending::Returned),
            // The exception is honest: acknowledged early, it never comes again.
            (Acks::Early, Interrupted::Requeue) => {
                self.failure(exception::worker_lost(INTERRUPTED.to_owned()), None)
            }
        }
    }

    fn revoked(&self, how: &str, ending: Ending) -> Verdict {
        let (message, facts) = (self.message, self.facts);
        let cause = exception::celery("TaskRevokedError", how.to_owned()).to_value();
        let part = part(message, State::Revoked, &cause);
        let record = facts.recorder.ready(message, State::Revoked, cause, facts.now);
        Verdict { record: self.watched().then_some(record), part, ..quiet(Last::Ack, ending) }
    }

    fn watched(&self) -> bool {
        watched(self.message, self.handling)
    }

    /// Whether the policy retries this kind of failure by itself.
    fn retries(&self, kind: &str) -> bool {
        self.handling.retry.kinds.iter().any(|listed| listed == kind || listed == "*")
    }
}

/// Whether somebody may look at this task's result.
pub(crate) fn watched(message: &Message, handling: &Handling) -> bool {
    !message.ignore_result.unwrap_or(handling.ignore_result)
}

fn quiet(last: Last, ending: Ending) -> Verdict {
    Verdict {
        steps: Vec::new(),
        record: None,
        part: None,
        lost: Vec::new(),
        errbacks: None,
        ending,
        last,
    }
}

/// A message that is part of a chord carries the body.
fn part(message: &Message, state: State, result: &Value) -> Option<Part> {
    let body = message.embed.chord.as_ref().filter(|body| body.is_truthy())?;
    let part = ChordPart {
        group: message.group.clone()?,
        id: message.id.clone(),
        index: message.group_index,
        state,
        result: result.clone(),
    };
    Some(Part { part, body: body.clone() })
}

fn errbacks(message: &Message, exception: Value, traceback: Option<String>) -> Option<Errbacks> {
    let signatures = match message.embed.errbacks.as_ref()? {
        Value::List(signatures) => signatures.clone(),
        Value::Null => return None,
        single => vec![single.clone()],
    };
    let failed = message.id.clone();
    (!signatures.is_empty()).then_some(Errbacks { signatures, failed, exception, traceback })
}

const INTERRUPTED: &str = "the worker stopped while the task ran";
