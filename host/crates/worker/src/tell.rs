//! One enum of endings -> log line, event and counter, so that they never disagree.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::field::Empty;
use tracing::{Span, error, error_span, info, warn};
use umbel_protocol::event::{Bill, Event};
use umbel_protocol::message::{DecodeError, Message};
use umbel_task::name::PluginVersion;
use umbel_task::outcome::Cost;
use umbel_value::Value;

use crate::events::Events;
use crate::observe::{End, Run};

/// What logs that have fields of their own say of every line about this message. Not there at all
/// where they do not: whoever starts the log decides by this target.
pub(crate) fn span(message: &Message) -> Span {
    error_span!(
        target: "umbel::message",
        "message",
        task = message.task,
        id = message.id,
        plugin = Empty
    )
}

/// How one message ended here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    Succeeded {
        result: String,
    },
    Failed {
        exception: String,
        traceback: Option<String>,
    },
    Retry {
        after: Duration,
        cause: String,
        traceback: Option<String>,
    },
    Rejected {
        requeue: bool,
    },
    Ignored,
    Expired,
    Revoked {
        /// While it ran.
        terminated: bool,
    },
    /// Another task took its place.
    Replaced,
    /// It came again although its result was stored.
    Repeated {
        result: String,
    },
    Unregistered,
    /// Kept until a plugin brings its name.
    Parked,
    /// Back to the broker, not run or not to its end.
    Returned,
}

impl Ending {
    /// `shown`: somebody wants to see the result.
    pub(crate) fn succeeded(value: &Value, shown: bool) -> Self {
        Self::Succeeded { result: if shown { repr(value) } else { String::new() } }
    }

    /// The same without its particulars.
    pub(crate) fn end(&self) -> End {
        match self {
            Self::Succeeded { .. } => End::Succeeded,
            Self::Failed { .. } => End::Failed,
            Self::Retry { .. } => End::Retried,
            Self::Rejected { .. } => End::Rejected,
            Self::Ignored => End::Ignored,
            Self::Expired => End::Expired,
            Self::Revoked { .. } => End::Revoked,
            Self::Replaced => End::Replaced,
            Self::Repeated { .. } => End::Repeated,
            Self::Unregistered => End::Unregistered,
            Self::Parked => End::Parked,
            Self::Returned => End::Returned,
        }
    }

    pub(crate) fn repeated(value: &Value) -> Self {
        Self::Repeated { result: repr(value) }
    }
}

/// Counts what happens, and tells of it.
#[derive(Debug)]
pub(crate) struct Tally {
    events: Arc<Events>,
    finished: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    returned: AtomicU64,
    begun: AtomicU64,
    /// Runs that began, by task.
    begun_by_task: Mutex<BTreeMap<String, u64>>,
}

/// What a worker did in its life; its `Display` is the last line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages whose end was recorded, failures among them.
    pub finished: u64,
    pub failed: u64,
    /// Messages that could not be run by anyone here.
    pub refused: u64,
    /// Messages given back to the broker.
    pub returned: u64,
    /// Runs that did not end although they were told to.
    pub stuck: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { finished, failed, refused, returned, stuck } = self;
        write!(f, "{finished} finished ({failed} failed), {refused} refused, {returned} returned")?;
        if *stuck > 0 {
            write!(f, ", {stuck} left running")?;
        }
        Ok(())
    }
}

impl Tally {
    pub(crate) fn new(events: Arc<Events>) -> Self {
        Self {
            events,
            finished: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            begun_by_task: Mutex::default(),
        }
    }

    pub(crate) fn summary(&self, stuck: u64) -> Summary {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Summary {
            finished: read(&self.finished),
            failed: read(&self.failed),
            refused: read(&self.refused),
            returned: read(&self.returned),
            stuck,
        }
    }

    pub(crate) fn received(&self, message: &Message) {
        info!("Task {}[{}] received", message.shown_name(), message.id);
    }

    /// It is to run, now or later.
    pub(crate) fn accepted(&self, message: &Message) {
        self.events.task(&Event::Received(message));
    }

    /// Its run begins.
    pub(crate) fn began(&self, message: &Message) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let mut by_task = self.begun_by_task.lock().unwrap_or_else(PoisonError::into_inner);
        match by_task.get_mut(&message.task) {
            Some(count) => *count += 1,
            None => drop(by_task.insert(message.task.clone(), 1)),
        }
        drop(by_task);
        self.events.task(&Event::Started(&message.id));
    }

    /// Runs that began.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// The same by task.
    pub(crate) fn begun_by_task(&self) -> BTreeMap<String, u64> {
        self.begun_by_task.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells how a message ended, and of its run, if there was one.
    pub(crate) fn ended(&self, message: &Message, ending: &Ending, ran: Option<&Ran<'_>>) {
        self.tell_monitors(message, ending, ran);
        let name = message.shown_name();
        let id = &message.id;
        let bill = ran.map_or(&"" as &dyn fmt::Display, |ran| ran);
        let runtime = ran.map_or(0.0, |ran| ran.cost.wall.as_secs_f64());
        self.count(ending);
        match ending {
            Ending::Succeeded { result } => {
                let result = one_line(result, MAX_RESULT);
                info!("Task {name}[{id}] succeeded in {runtime:.6}s: {result}{bill}");
            }
            Ending::Failed { exception, traceback } => {
                let traceback = traceback.as_deref().unwrap_or_default();
                let line = if traceback.is_empty() { "" } else { "\n" };
                let exception = one_line(exception, MAX_EXCEPTION);
                error!(
                    "Task {name}[{id}] raised after {runtime:.6}s: {exception}{bill}{line}{traceback}"
                );
            }
            Ending::Retry { after, cause, .. } => {
                let after = after.as_secs_f64();
                info!("Task {name}[{id}] retry: Retry in {after}s: {cause}{bill}");
            }
            Ending::Rejected { requeue } => {
                info!("Task {name}[{id}] rejected, requeue={requeue}{bill}");
            }
            Ending::Ignored => info!("Task {name}[{id}] ignored{bill}"),
            Ending::Expired => info!("Discarding revoked task: {name}[{id}], it expired"),
            Ending::Revoked { terminated: true } => {
                info!("Terminated revoked task: {name}[{id}]{bill}");
            }
            Ending::Revoked { terminated: false } => info!("Discarding revoked task: {name}[{id}]"),
            Ending::Replaced => info!("Task {name}[{id}] replaced itself{bill}"),
            Ending::Repeated { .. } => {
                info!("Task {name}[{id}] came again, but has succeeded: not run");
            }
            Ending::Unregistered => {
                error!(
                    "Received unregistered task of type '{name}' with id {id}: discarded, NotRegistered stored"
                );
            }
            Ending::Parked => {
                warn!("Task {name}[{id}] is parked until a plugin brings its name");
            }
            Ending::Returned => info!("Task {name}[{id}] returned to its queue"),
        }
    }

    /// Tells of a message that is no task request.
    pub(crate) fn malformed(&self, queue: &str, why: &DecodeError) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let (task, id) = match why {
            DecodeError::Invalid { task, id, .. } => (task.as_deref(), id.as_deref()),
            _ => (None, None),
        };
        let span = error_span!(target: "umbel::message", "message", task, id);
        let _about = span.enter();
        match why {
            DecodeError::Unknown(_) => {
                warn!(queue, "Received and discarded unknown message: {why}");
            }
            _ => error!(queue, "Discarded a message: {why}"),
        }
    }

    fn tell_monitors(&self, message: &Message, ending: &Ending, ran: Option<&Ran<'_>>) {
        if !self.events.of_tasks() {
            return;
        }
        let id = message.id.as_str();
        let bill = ran.map(Ran::bill);
        let failed = |exception: &str, traceback: Option<&str>, bill| {
            self.events.task(&Event::Failed { id, exception, traceback, bill });
        };
        let revoked = |terminated, expired, bill| {
            self.events.task(&Event::Revoked { id, terminated, expired, bill });
        };
        match ending {
            Ending::Succeeded { result } | Ending::Repeated { result } => {
                let runtime = bill.as_ref().map(|bill| bill.runtime);
                self.events.task(&Event::Succeeded { id, result, runtime, bill });
            }
            Ending::Failed { exception, traceback } => {
                failed(exception, traceback.as_deref(), bill);
            }
            Ending::Unregistered => {
                let name = umbel_protocol::repr::quoted(&message.task);
                failed(&format!("NotRegistered({name})"), None, None);
            }
            Ending::Retry { cause, traceback, .. } => {
                let traceback = traceback.as_deref();
                self.events.task(&Event::Retried { id, exception: cause, traceback, bill });
            }
            Ending::Rejected { requeue } => {
                if !requeue {
                    failed("reject requeue=False: the task rejected its message", None, bill);
                }
                self.events.task(&Event::Rejected { id, requeue: *requeue });
            }
            Ending::Expired => revoked(false, true, None),
            Ending::Revoked { terminated } => revoked(*terminated, false, bill),
            Ending::Returned if ran.is_some() => self.events.task(&Event::Cancelled(id)),
            // Celery's workers say nothing of these either.
            Ending::Ignored | Ending::Replaced | Ending::Parked | Ending::Returned => {}
        }
    }

    fn count(&self, ending: &Ending) {
        let counter = match ending {
            Ending::Failed { .. } => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                &self.finished
            }
            Ending::Unregistered | Ending::Parked => &self.refused,
            Ending::Returned | Ending::Rejected { requeue: true } => &self.returned,
            _ => &self.finished,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What ran and what it cost, behind the line of its end.
pub(crate) struct Ran<'a> {
    pub(crate) cost: &'a Cost,
    pub(crate) version: &'a PluginVersion,
    /// Why it did not return.
    pub(crate) fault: Option<&'static str>,
}

impl<'a> Ran<'a> {
    pub(crate) fn run(&self) -> Run<'a> {
        Run { cost: self.cost, version: self.version, fault: self.fault }
    }

    fn bill(&self) -> Bill {
        Bill {
            runtime: self.cost.wall.as_secs_f64(),
            // To the microsecond.
            cpu_ms: (self.cost.cpu.as_secs_f64() * 1e6).round() / 1e3,
            memory_bytes: self.cost.memory,
            fuel: self.cost.fuel,
            plugin: self.version.to_string(),
        }
    }
}

impl fmt::Display for Ran<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = self.cost.cpu.as_secs_f64() * 1e3;
        let memory = self.cost.memory as f64 / f64::from(1 << 20);
        write!(f, " cpu={cpu:.3}ms mem={memory:.1}MiB")?;
        if let Some(fuel) = self.cost.fuel {
            write!(f, " fuel={fuel}")?;
        }
        write!(f, " plugin={}", self.version)
    }
}

fn repr(value: &Value) -> String {
    umbel_protocol::repr::repr(value)
}

/// Characters of an exception that the log shows.
const MAX_EXCEPTION: usize = 1000;

/// Characters of a result that the log shows.
const MAX_RESULT: usize = 200;

/// Cuts text to `most` characters and writes its control characters as escapes: a guest must not be
/// able to forge a line.
fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    for (count, character) in text.chars().enumerate() {
        match character {
            _ if count == most => {
                line.push_str("...");
                break;
            }
            '\n' => line.push_str("\\n"),
            control if control.is_control() => line.extend(control.escape_unicode()),
            other => line.push(other),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_cannot_forge_a_log_line_or_steer_a_terminal() {
        assert_eq!(one_line("a\n[INFO] forged\x1b[2J", 99), "a\\n[INFO] forged\\u{1b}[2J");
    }

    #[test]
    fn a_long_result_is_cut_at_a_character() {
        assert_eq!(one_line("äöü", 2), "äö...");
        assert_eq!(one_line("äöü", 3), "äöü");
    }
}
