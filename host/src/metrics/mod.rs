//! What monitoring is told of a worker: counts of what became of its messages, and whether it lives
//! and is ready. Hears of every message, so nothing here waits, and nothing grows with what messages say.

mod classic;
mod page;
mod process;
mod queues;
mod tasks;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use umbel_protocol::message::Message;
use umbel_worker::{Observer, Shutdown, Story, Watch};

use self::page::Page;
use self::queues::Queues;
use self::tasks::Tasks;
use crate::plugins::View;

/// How long the loop that serves the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What Prometheus can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The text of before.
    Prometheus,
    OpenMetrics,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Counts what it hears of, and tells how the worker is.
pub(crate) struct Monitor {
    tasks: Tasks,
    queues: Queues,
    plugins: View,
    /// The loop that serves the broker.
    io: Handle,
    /// A question to it that is not answered yet: never more than one.
    asked: Mutex<Option<JoinHandle<()>>>,
    /// There once it is connected.
    working: OnceLock<Working>,
    ready: AtomicBool,
}

struct Working {
    watch: Watch,
    shutdown: Shutdown,
}

impl Monitor {
    pub(crate) fn new(io: Handle, plugins: View) -> Arc<Monitor> {
        Arc::new(Monitor {
            tasks: Tasks::default(),
            queues: Queues::default(),
            plugins,
            io,
            asked: Mutex::default(),
            working: OnceLock::new(),
            ready: AtomicBool::new(false),
        })
    }

    /// The worker is there, and about to take messages.
    pub(crate) fn watch(&self, watch: Watch, shutdown: Shutdown) {
        // There is one worker to a process.
        let _ = self.working.set(Working { watch, shutdown });
    }

    /// It takes messages now.
    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Whether the loop that serves the broker turns. Cancel safe.
    pub(crate) async fn is_alive(&self) -> bool {
        let turn = async {
            let mut asked = self.asked.lock().await;
            let answer = asked.get_or_insert_with(|| self.io.spawn(async {}));
            // Cancelled: it ends, and so does the process.
            let _ = answer.await;
            *asked = None;
        };
        tokio::time::timeout(PATIENCE, turn).await.is_ok()
    }

    /// Why it takes no messages now; `None` if it does.
    pub(crate) fn unready(&self) -> Option<&'static str> {
        let Some(Working { watch, shutdown }) = self.working.get() else { return Some("starting") };
        if shutdown.is_draining() {
            Some("draining")
        } else if !watch.broker().is_connected() {
            Some("disconnected from the broker")
        } else if !self.ready.load(Ordering::Relaxed) {
            Some("starting")
        } else if watch.queues().is_empty() {
            Some("no queue is taken from")
        } else if self.plugins.loaded() == 0 {
            Some("no plugin is loaded")
        } else {
            None
        }
    }

    /// All metrics of this moment.
    pub(crate) fn page(&self, format: Format) -> String {
        let text = Page::of(self).write();
        match format {
            Format::OpenMetrics => text,
            Format::Prometheus => classic::text(&text),
        }
    }

    fn task(&self, name: &str) -> Arc<tasks::Task> {
        let knows = |name: &str| self.working.get().is_some_and(|it| it.watch.knows(name));
        self.tasks.of(name, knows)
    }

    fn queue(&self, name: &str) -> Arc<queues::Queue> {
        let taken = |name: &str| {
            let queues = self.working.get().map(|it| it.watch.queues()).unwrap_or_default();
            queues.iter().any(|queue| queue == name)
        };
        self.queues.of(name, taken)
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

impl Observer for Monitor {
    fn received(&self, message: &Message, queue: &str) {
        self.task(&message.task).received(&self.queue(queue));
    }

    fn malformed(&self, queue: &str) {
        self.queue(queue).malformed();
    }

    fn settled(&self, story: &Story<'_>) {
        self.task(&story.message.task).settled(story);
    }
}
