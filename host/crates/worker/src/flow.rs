//! How many runs of a task may start in a time, and be at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use umbel_task::policy::{Handling, Rate};

/// Rates and rooms of all tasks, and what remote control changed of them.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    buckets: Mutex<HashMap<String, Bucket>>,
    rates: Mutex<HashMap<String, Option<Rate>>>,
    limits: Mutex<HashMap<String, TimeLimits>>,
    rooms: Mutex<HashMap<String, Room>>,
}

/// Time limits that remote control set; `None` is the task's own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct TimeLimits {
    pub(crate) soft: Option<Duration>,
    pub(crate) hard: Option<Duration>,
}

/// Celery's token bucket: one token, refilled at the rate.
#[derive(Debug)]
struct Bucket {
    next: Instant,
}

#[derive(Debug)]
struct Room {
    size: u32,
    places: Arc<Semaphore>,
}

/// What a run occupies while it lasts.
pub(crate) type Places = Vec<OwnedSemaphorePermit>;

impl Flow {
    /// How long a run of this task has to wait for its token. The token is its own from now on.
    pub(crate) fn reserve(&self, task: &str, own: Option<Rate>) -> Duration {
        let Some(rate) = self.rate(task, own) else { return Duration::ZERO };
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(task.to_owned()).or_insert(Bucket { next: now });
        let start = bucket.next.max(now);
        bucket.next = start + Duration::from_secs_f64(1.0 / rate.per_second);
        start - now
    }

    /// How long the next run of this task would wait; reserves nothing.
    pub(crate) fn wait(&self, task: &str, own: Option<Rate>) -> Duration {
        if self.rate(task, own).is_none() {
            return Duration::ZERO;
        }
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let next = buckets.get(task).map(|bucket| bucket.next);
        next.map_or(Duration::ZERO, |next| next.saturating_duration_since(Instant::now()))
    }

    /// The rate in force: what remote control said, else the policy's.
    pub(crate) fn rate(&self, task: &str, own: Option<Rate>) -> Option<Rate> {
        let rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.is_empty() { own } else { rates.get(task).copied().unwrap_or(own) }
    }

    /// `None` lifts the limit.
    pub(crate) fn set_rate(&self, task: &str, rate: Option<Rate>) {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.insert(task.to_owned(), rate);
        // Who waits has its token; the others go by the new rate from now on.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).remove(task);
    }

    pub(crate) fn time_limits(&self, task: &str) -> TimeLimits {
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits.get(task).copied().unwrap_or_default()
    }

    pub(crate) fn set_time_limits(&self, task: &str, set: TimeLimits) {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).insert(task.to_owned(), set);
    }

    /// The places a run of this task needs besides a slot: none for most tasks.
    pub(crate) fn rooms(
        &self,
        task: &str,
        plugin: &str,
        handling: &Handling,
    ) -> Vec<Arc<Semaphore>> {
        let task = handling.concurrency.map(|size| self.room(format!("task {task}"), size));
        let plugin =
            handling.plugin_concurrency.map(|size| self.room(format!("plugin {plugin}"), size));
        task.into_iter().chain(plugin).collect()
    }

    fn room(&self, name: String, size: u32) -> Arc<Semaphore> {
        let new = |size: u32| Room { size, places: Arc::new(Semaphore::new(size.max(1) as usize)) };
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.entry(name).or_insert_with(|| new(size));
        if room.size != size {
            // A reload changed the limit; runs of before keep their places in the old room.
            *room = new(size);
        }
        Arc::clone(&room.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn runs_of_a_limited_task_start_one_by_one_at_its_rate() {
        let flow = Flow::default();
        let rate = Some(Rate { per_second: 2.0 });
        let waits: Vec<u128> = (0..4).map(|_| flow.reserve("a", rate).as_millis()).collect();
        assert_eq!(waits, [0, 500, 1000, 1500]);
        assert_eq!(flow.reserve("b", rate), Duration::ZERO, "each task has its own");
        assert_eq!(flow.reserve("c", None), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(flow.reserve("a", rate), Duration::ZERO, "and no more than one token waits");
        assert_eq!(flow.reserve("a", rate).as_millis(), 500);
    }

    #[tokio::test(start_paused = true)]
    async fn remote_control_sets_and_lifts_a_rate() {
        let flow = Flow::default();
        flow.set_rate("a", Some(Rate { per_second: 1.0 }));
        assert_eq!(flow.reserve("a", None), Duration::ZERO);
        assert_eq!(flow.wait("a", None), Duration::from_secs(1));
        flow.set_rate("a", None);
        assert_eq!(flow.wait("a", Some(Rate { per_second: 1.0 })), Duration::ZERO);
    }

    #[test]
    fn tasks_of_a_plugin_share_its_room() {
        let flow = Flow::default();
        let handling = Handling { plugin_concurrency: Some(2), ..Handling::default() };
        let first = flow.rooms("p.a", "p", &handling);
        let second = flow.rooms("p.b", "p", &handling);
        assert!(Arc::ptr_eq(&first[0], &second[0]));
        assert!(flow.rooms("q.a", "q", &Handling::default()).is_empty());
    }
}
