//! One enum of endings -> log line and counter, so that they never disagree.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::{error, info, warn};
use umbel_protocol::message::{DecodeError, Message};
use umbel_task::name::PluginVersion;
use umbel_task::outcome::Cost;
use umbel_value::Value;

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
    Repeated,
    Unregistered,
    /// Kept until a plugin brings its name.
    Parked,
    /// Back to the broker, not run or not to its end.
    Returned,
}

impl Ending {
    pub(crate) fn succeeded(value: &Value) -> Self {
        let shown = tracing::enabled!(tracing::Level::INFO);
        Self::Succeeded { result: if shown { repr(value) } else { String::new() } }
    }
}

/// Counts endings for the last line of a worker's life.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    finished: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    returned: AtomicU64,
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
        info!("Task {}[{}] received", name(message), message.id);
    }

    /// Tells how a message ended, and of its run, if there was one.
    pub(crate) fn ended(&self, message: &Message, ending: &Ending, ran: Option<Ran<'_>>) {
        let name = name(message);
        let id = &message.id;
        let bill = ran.as_ref().map_or(&"" as &dyn fmt::Display, |ran| ran);
        let runtime = ran.as_ref().map_or(0.0, |ran| ran.cost.wall.as_secs_f64());
        self.count(ending);
        match ending {
            Ending::Succeeded { result } => {
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
            Ending::Retry { after, cause } => {
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
            Ending::Repeated => {
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
        match why {
            DecodeError::Unknown(_) => {
                warn!(queue, "Received and discarded unknown message: {why}");
            }
            _ => error!(queue, "Discarded a message: {why}"),
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

fn name(message: &Message) -> &str {
    message.shadow.as_deref().filter(|shadow| !shadow.is_empty()).unwrap_or(&message.task)
}

/// Short Python-like text of a value, for people: one line, whatever is in it.
fn repr(value: &Value) -> String {
    one_line(&umbel_protocol::repr::repr(value), MAX_RESULT)
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
