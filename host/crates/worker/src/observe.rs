//! What becomes of messages, for whoever measures it (metrics, traces), and how the worker is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use umbel_protocol::message::Message;
use umbel_task::name::PluginVersion;
use umbel_task::outcome::Cost;
use umbel_task::runner::Runner;
use umbel_transport::presence::Presence;
use umbel_value::Map;

use crate::events::Events;
use crate::hold::Held;
use crate::queues::Queues;
use crate::slots::Slots;

/// Hears what becomes of messages. Called on the worker's IO thread: it must not wait. From its receipt
/// to its settlement a message stays where it is: its address tells it from others with its id.
pub trait Observer: Send + Sync {
    /// A task request was taken from a queue.
    fn received(&self, _message: &Message, _queue: &str) {}

    /// Something that is no task request was taken from a queue, and discarded.
    fn malformed(&self, _queue: &str) {}

    /// It begins to run.
    fn started(&self, _message: &Message) {}

    /// Something is about to be sent that its run sends or that follows from it; these are the
    /// headers it will have.
    fn sending(&self, _parent: &Message, _headers: &mut Map) {}

    /// It is settled: the broker was told what became of it.
    fn settled(&self, _story: &Story<'_>) {}
}

/// How a message ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    Succeeded,
    Failed,
    /// It is to be run again.
    Retried,
    Rejected,
    Ignored,
    Expired,
    Revoked,
    /// Another task took its place.
    Replaced,
    /// It came again although its result was stored.
    Repeated,
    /// Nobody here has its task.
    Unregistered,
    /// The same, and it is kept.
    Parked,
    /// With the broker until its time comes; it is received again then.
    Delayed,
    /// Back to the broker, not run or not to its end.
    Returned,
}

impl End {
    /// All of them, each at the place that `end as usize` names.
    pub const ALL: [End; 13] = [
        End::Succeeded,
        End::Failed,
        End::Retried,
        End::Rejected,
        End::Ignored,
        End::Expired,
        End::Revoked,
        End::Replaced,
        End::Repeated,
        End::Unregistered,
        End::Parked,
        End::Delayed,
        End::Returned,
    ];

    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            End::Succeeded => "succeeded",
            End::Failed => "failed",
            End::Retried => "retried",
            End::Rejected => "rejected",
            End::Ignored => "ignored",
            End::Expired => "expired",
            End::Revoked => "revoked",
            End::Replaced => "replaced",
            End::Repeated => "repeated",
            End::Unregistered => "unregistered",
            End::Parked => "parked",
            End::Delayed => "delayed",
            End::Returned => "returned",
        }
    }
}

/// One message from its receipt to its settlement.
#[derive(Clone, Copy, Debug)]
pub struct Story<'a> {
    pub message: &'a Message,
    /// Where it was taken from.
    pub queue: &'a str,
    pub end: End,
    pub times: Times,
    /// Of its run, if there was one.
    pub run: Option<Run<'a>>,
}

/// What one run was.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    pub cost: &'a Cost,
    pub version: &'a PluginVersion,
    /// Why it did not return, in one word of a fixed set (see `Outcome::fault`).
    pub fault: Option<&'static str>,
}

/// When the parts of a message's way ended. What did not happen is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When it was handed to the broker, if the message says so.
    pub published: Option<Timestamp>,
    /// When it was received, on the wall clock.
    pub at: Timestamp,
    /// The same on the clock that the others are read from.
    pub received: Instant,
    /// Its run began.
    pub started: Option<Instant>,
    /// Its run ended.
    pub ran: Option<Instant>,
    /// What follows from it is sent and its result is stored.
    pub recorded: Option<Instant>,
    /// The broker was told.
    pub settled: Option<Instant>,
}

impl Times {
    pub(crate) fn begin(at: Timestamp, published: Option<Timestamp>) -> Self {
        let received = Instant::now();
        Self { published, at, received, started: None, ran: None, recorded: None, settled: None }
    }

    /// How long it was with the broker, as far as the clocks of two machines agree.
    pub fn queued(&self) -> Option<Duration> {
        Some(Duration::try_from(self.at.duration_since(self.published?)).unwrap_or_default())
    }

    /// How long it waited for its run, by its own wish too.
    pub fn waited(&self) -> Option<Duration> {
        Some(self.started?.duration_since(self.received))
    }
}

/// How a worker is, asked from outside while it works.
#[derive(Clone)]
pub struct Watch {
    pub(crate) slots: Arc<Slots>,
    pub(crate) held: Arc<Held>,
    pub(crate) events: Arc<Events>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) presence: Arc<Presence>,
}

impl Watch {
    /// Tasks at once.
    pub fn slots(&self) -> usize {
        self.slots.size()
    }

    /// Slots in use.
    pub fn taken(&self) -> usize {
        self.slots.taken()
    }

    /// Messages that wait here for their time.
    pub fn held(&self) -> usize {
        self.held.count()
    }

    /// Whether a task of this name is here.
    pub fn knows(&self, task: &str) -> bool {
        self.runner.find(task).is_some()
    }

    /// Queues that are taken from, those that remote control added included.
    pub fn queues(&self) -> Vec<String> {
        self.queues.all().into_iter().map(|queue| queue.name).collect()
    }

    /// What the connections to the broker tell.
    pub fn broker(&self) -> &Presence {
        &self.presence
    }

    /// Events that nobody will hear of: the broker was too slow for them.
    pub fn events_dropped(&self) -> u64 {
        self.events.dropped()
    }
}
