//! What one run has used so far of what the host gives: counted where it is used, by whoever gives
//! it, and billed at the end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use umbel_task::outcome::Cost;
use umbel_task::policy::Sandbox;

/// One run's counters and what each may come to. Shared by all that a run holds.
pub(crate) struct Meter {
    host_calls: Counter,
    random: Counter,
    progress: Counter,
    requests: Counter,
    request_bytes: Counter,
    sockets: Counter,
    /// The most sockets that were open at once.
    most_sockets: AtomicU64,
    submissions: AtomicU64,
    /// A limit was exceeded where nothing could be answered.
    over: AtomicBool,
}

/// A limit on what the host gives was exceeded; ends the run if a host call gives it back.
#[derive(Clone, Debug)]
pub(crate) struct Exceeded(pub(crate) String);

/// An open socket; dropping it gives its place back.
pub(crate) struct OpenSocket(Arc<Meter>);

struct Counter {
    used: AtomicU64,
    most: u64,
}

impl Meter {
    pub(crate) fn new(sandbox: &Sandbox) -> Self {
        Self {
            host_calls: Counter::new(sandbox.host_calls),
            random: Counter::new(sandbox.random),
            progress: Counter::new(sandbox.progress.into()),
            requests: Counter::new(sandbox.requests.into()),
            request_bytes: Counter::new(sandbox.request_bytes),
            sockets: Counter::new(sandbox.sockets.into()),
            most_sockets: AtomicU64::new(0),
            submissions: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// Counts a call of the host. One too many ends the run at its next tick or wait.
    pub(crate) fn host_call(&self) {
        if !self.host_calls.take(1) {
            self.over.store(true, Ordering::Relaxed);
        }
    }

    /// Says whether a limit was exceeded that nobody could be told of.
    pub(crate) fn check(&self) -> Result<(), Exceeded> {
        match self.over.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Exceeded(format!("more than {} calls of the host", self.host_calls.most))),
        }
    }

    /// Counts bytes of randomness before they are drawn.
    pub(crate) fn random(&self, bytes: u64) -> Result<(), Exceeded> {
        self.random.claim(bytes, "bytes of randomness")
    }

    /// Counts a progress update; false if it is one too many.
    pub(crate) fn progress(&self) -> bool {
        self.progress.take(1)
    }

    /// How many updates were too many.
    pub(crate) fn progress_dropped(&self) -> u64 {
        self.progress.used().saturating_sub(self.progress.most)
    }

    /// Counts a task or canvas that was sent.
    pub(crate) fn submission(&self) {
        self.submissions.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request before it is sent.
    pub(crate) fn request(&self) -> Result<(), Exceeded> {
        self.requests.claim(1, "requests")
    }

    /// Counts bytes of a request, its answer or a socket, before they are passed on.
    pub(crate) fn request_bytes(&self, bytes: u64) -> Result<(), Exceeded> {
        self.request_bytes.claim(bytes, "bytes over the network")
    }

    /// A place for one more open socket.
    pub(crate) fn socket(self: &Arc<Self>) -> Result<OpenSocket, Exceeded> {
        if !self.sockets.take(1) {
            self.sockets.give_back(1);
            return Err(Exceeded(format!("more than {} sockets at once", self.sockets.most)));
        }
        self.most_sockets.fetch_max(self.sockets.used(), Ordering::Relaxed);
        Ok(OpenSocket(self.clone()))
    }

    /// Writes what was used into the bill.
    pub(crate) fn bill(&self, cost: &mut Cost) {
        cost.host_calls = self.host_calls.used();
        cost.random = self.random.used();
        cost.progress = self.progress.used();
        cost.submissions = self.submissions.load(Ordering::Relaxed);
        cost.requests = self.requests.used();
        cost.request_bytes = self.request_bytes.used();
        cost.sockets = self.most_sockets.load(Ordering::Relaxed);
    }
}

impl Counter {
    fn new(most: u64) -> Self {
        Self { used: AtomicU64::new(0), most }
    }

    /// Counts so many more; false if that is beyond the limit.
    fn take(&self, amount: u64) -> bool {
        let before = self.used.fetch_add(amount, Ordering::Relaxed);
        before.checked_add(amount).is_some_and(|now| now <= self.most)
    }

    /// Counts so many more; what is beyond the limit is refused and not counted.
    fn claim(&self, amount: u64, what: &str) -> Result<(), Exceeded> {
        let within = |used: u64| used.checked_add(amount).filter(|now| *now <= self.most);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within) {
            Ok(_) => Ok(()),
            Err(_) => Err(Exceeded(format!("more than {} {what}", self.most))),
        }
    }

    fn give_back(&self, amount: u64) {
        self.used.fetch_sub(amount, Ordering::Relaxed);
    }

    fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.sockets.give_back(1);
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Exceeded {}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> Arc<Meter> {
        let sandbox = Sandbox {
            host_calls: 2,
            random: 100,
            progress: 1,
            requests: 2,
            request_bytes: 1000,
            sockets: 2,
            ..Sandbox::default()
        };
        Arc::new(Meter::new(&sandbox))
    }

    #[test]
    fn what_is_refused_is_not_counted() {
        let meter = meter();
        assert!(meter.random(100).is_ok() && meter.random(1).is_err());
        assert!(meter.request_bytes(999).is_ok() && meter.request_bytes(2).is_err());
        assert!(meter.request_bytes(1).is_ok() && meter.request_bytes(u64::MAX).is_err());
        assert!(meter.request().is_ok() && meter.request().is_ok() && meter.request().is_err());
        let mut cost = Cost::default();
        meter.bill(&mut cost);
        assert_eq!((cost.random, cost.requests, cost.request_bytes), (100, 2, 1000));
    }

    #[test]
    fn one_host_call_too_many_is_told_later() {
        let meter = meter();
        meter.host_call();
        meter.host_call();
        assert!(meter.check().is_ok());
        meter.host_call();
        assert_eq!(meter.check().map_err(|e| e.0), Err("more than 2 calls of the host".to_owned()));
    }

    #[test]
    fn updates_beyond_the_limit_are_counted_all_the_same() {
        let meter = meter();
        assert_eq!([meter.progress(), meter.progress(), meter.progress()], [true, false, false]);
        assert_eq!(meter.progress_dropped(), 2);
    }

    #[test]
    fn a_closed_socket_gives_its_place_back() {
        let meter = meter();
        let (one, two) = (meter.socket(), meter.socket());
        assert!(one.is_ok() && two.is_ok() && meter.socket().is_err());
        drop(one);
        assert!(meter.socket().is_ok());
        let mut cost = Cost::default();
        meter.bill(&mut cost);
        assert_eq!(cost.sockets, 2);
    }
}
