//! Unit tests of tasks, run natively by `cargo test`: a task is a plain function, and what it asks
//! of the worker goes to a double that belongs to the test's own thread.
//!
//! ```
//! #[umbel::tasks]
//! mod tasks {
//!     use umbel::{Context, Error, log, tasks::submit};
//!
//!     pub fn index(ctx: &Context, pages: Vec<String>) -> umbel::Result<u32> {
//!         for (done, page) in (0..).zip(&pages) {
//!             ctx.progress(done, pages.len() as u64);
//!             submit("search.add", &[page])?;
//!         }
//!         log::info("indexed");
//!         Ok(pages.len() as u32)
//!     }
//! }
//!
//! # fn main() {
//! use umbel::testing;
//!
//! let worker = testing::worker();
//! assert_eq!(tasks::index(&umbel::Context::current(), vec!["/".into()]), Ok(1));
//! assert_eq!(worker.submitted()[0].name, "search.add");
//! assert_eq!(worker.progress()[0].meta["total"], 1);
//! assert_eq!(worker.log()[0].message, "indexed");
//!
//! worker.refuse(umbel::SubmitError::Denied("search.add".into()));
//! let error = tasks::index(&umbel::Context::current(), vec!["/".into()]).unwrap_err();
//! assert_eq!(error.kind(), Some("PermissionError"));
//! # }
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context as Poll, Waker};
use std::time::Duration;

use crate::context::Request;
use crate::json::Value;
use crate::log::Level;
use crate::tasks::{Options, SubmitError};

pub(crate) mod double;

/// The worker's double of this thread. Every copy is the same one.
#[derive(Clone, Copy, Debug)]
pub struct Worker(());

/// A line that a task wrote into the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// How loud it is.
    pub level: Level,
    /// What it says.
    pub message: String,
    /// Its details; null if it has none.
    pub fields: Value,
}

/// A state that a task reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The state's name.
    pub state: String,
    /// Its details.
    pub meta: Value,
}

/// A task or a canvas that a task sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The task's name; of a canvas `apply`, `replace` or `add_to_chord`, as it was sent.
    pub name: String,
    /// Positional arguments, null if there are none.
    pub args: Value,
    /// Keyword arguments, null if there are none; of a canvas its signature.
    pub kwargs: Value,
    /// How it was sent.
    pub options: Options,
}

#[derive(Default)]
struct State {
    request: Option<Request>,
    soft_limit_taken: bool,
    progress: Vec<Progress>,
    log: Vec<Line>,
    submitted: Vec<Submission>,
    refusals: VecDeque<SubmitError>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// The double of this thread, with nothing in it: a test begins with it.
pub fn worker() -> Worker {
    STATE.take();
    Worker(())
}

/// Runs an `async` task to its end. It shall not wait for what only a worker has.
pub fn block_on<F: Future>(task: F) -> F::Output {
    let mut task = pin!(task);
    loop {
        let mut context = Poll::from_waker(Waker::noop());
        match task.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::yield_now(),
        }
    }
}

impl Worker {
    /// What [`Context::current`](crate::Context::current) tells from now on.
    pub fn request(self, request: Request) -> Worker {
        with(|state| state.request = Some(request));
        self
    }

    /// How often the task has been retried, as it is told from now on.
    pub fn retries(self, retries: u32) -> Worker {
        let request = double::context::current();
        self.request(Request { retries, ..request })
    }

    /// The next task that is sent, and is not refused yet, is refused for this reason.
    pub fn refuse(self, why: SubmitError) -> Worker {
        with(|state| state.refusals.push_back(why));
        self
    }

    /// What was reported, in order.
    pub fn progress(self) -> Vec<Progress> {
        with(|state| state.progress.clone())
    }

    /// What was logged, in order.
    pub fn log(self) -> Vec<Line> {
        with(|state| state.log.clone())
    }

    /// What was sent, in order; without what was refused.
    pub fn submitted(self) -> Vec<Submission> {
        with(|state| state.submitted.clone())
    }

    /// Whether the task has taken the soft time limit upon itself.
    pub fn soft_limit_taken(self) -> bool {
        with(|state| state.soft_limit_taken)
    }
}

fn with<T>(work: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(work)
}

/// The limit that a request names, or the worker's default.
fn limit(ms: Option<u64>) -> u64 {
    const DEFAULT: Duration = Duration::from_secs(300);
    ms.unwrap_or(DEFAULT.as_millis() as u64)
}
