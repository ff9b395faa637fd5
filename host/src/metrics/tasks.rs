//! What is counted of each task. Names come from messages, so only those that are registered here are
//! counted by themselves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use umbel_task::outcome::Outcome;
use umbel_worker::{End, Story};

use super::queues::Queue;

/// Plugins come and go; beyond so many names all further ones are counted together.
const MOST: usize = 4096;

/// What names that are not registered are counted under.
const UNREGISTERED: &str = "(unregistered)";

/// Seconds: a run.
const RUNTIME: [f64; 15] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Seconds: waiting.
const WAIT: [f64; 12] = [0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

/// Bytes, from 1 MiB to 1 GiB.
const MEMORY: [f64; 11] = [
    1_048_576.0,
    2_097_152.0,
    4_194_304.0,
    8_388_608.0,
    16_777_216.0,
    33_554_432.0,
    67_108_864.0,
    134_217_728.0,
    268_435_456.0,
    536_870_912.0,
    1_073_741_824.0,
];

#[derive(Debug)]
pub(super) struct Tasks {
    by_name: RwLock<HashMap<Box<str>, Arc<Task>>>,
    unregistered: Arc<Task>,
}

/// One task, or all that have no name here.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) name: Box<str>,
    /// It runs, or ran.
    runs: AtomicBool,
    /// By queue; few.
    received: RwLock<Vec<(Arc<Queue>, AtomicU64)>>,
    /// In the order of `End::ALL`.
    ended: [AtomicU64; End::ALL.len()],
    /// In the order of `Outcome::FAULTS`.
    faults: [AtomicU64; Outcome::FAULTS.len()],
    cpu_nanoseconds: AtomicU64,
    pub(super) fuel: AtomicU64,
    pub(super) output: AtomicU64,
    pub(super) host_calls: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) runtime: Histogram,
    pub(super) wait: Histogram,
    pub(super) queue: Histogram,
    pub(super) memory: Histogram,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { by_name: RwLock::default(), unregistered: Arc::new(Task::new(UNREGISTERED)) }
    }
}

impl Tasks {
    /// What is counted of this name. `knows` is asked about names that were never heard.
    pub(super) fn of(&self, name: &str, knows: impl Fn(&str) -> bool) -> Arc<Task> {
        let known = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(task) = known {
            return task;
        }
        if !knows(name) {
            return Arc::clone(&self.unregistered);
        }
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        if by_name.len() >= MOST {
            return Arc::clone(&self.unregistered);
        }
        Arc::clone(by_name.entry(name.into()).or_insert_with(|| Arc::new(Task::new(name))))
    }

    /// Every task of which there is something to tell, sorted.
    pub(super) fn all(&self) -> Vec<Arc<Task>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let unregistered = Some(&self.unregistered).filter(|it| it.is_known());
        let mut all: Vec<_> = by_name.values().chain(unregistered).cloned().collect();
        drop(by_name);
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

impl Task {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            runs: AtomicBool::new(name != UNREGISTERED),
            received: RwLock::default(),
            ended: Default::default(),
            faults: Default::default(),
            cpu_nanoseconds: AtomicU64::new(0),
            fuel: AtomicU64::new(0),
            output: AtomicU64::new(0),
            host_calls: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            runtime: Histogram::new(RUNTIME),
            wait: Histogram::new(WAIT),
            queue: Histogram::new(WAIT),
            memory: Histogram::new(MEMORY),
        }
    }

    pub(super) fn received(&self, queue: &Arc<Queue>) {
        let counted = |received: &[(Arc<Queue>, AtomicU64)]| {
            let found = received.iter().find(|(known, _)| Arc::ptr_eq(known, queue));
            found.map(|(_, count)| count.fetch_add(1, Ordering::Relaxed)).is_some()
        };
        if counted(&self.received.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut received = self.received.write().unwrap_or_else(PoisonError::into_inner);
        received.push((Arc::clone(queue), AtomicU64::new(1)));
    }

    pub(super) fn settled(&self, story: &Story<'_>) {
        self.ended[story.end as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(waited) = story.times.waited() {
            self.wait.observe(waited.as_secs_f64());
            if let Some(queued) = story.times.queued() {
                self.queue.observe(queued.as_secs_f64());
            }
        }
        let Some(run) = &story.run else { return };
        if let Some(at) = run.fault.and_then(|f| Outcome::FAULTS.iter().position(|it| *it == f)) {
            self.faults[at].fetch_add(1, Ordering::Relaxed);
        }
        let cost = run.cost;
        self.runs.store(true, Ordering::Relaxed);
        let cpu = u64::try_from(cost.cpu.as_nanos()).unwrap_or(u64::MAX);
        self.cpu_nanoseconds.fetch_add(cpu, Ordering::Relaxed);
        self.fuel.fetch_add(cost.fuel.unwrap_or(0), Ordering::Relaxed);
        self.output.fetch_add(cost.output, Ordering::Relaxed);
        self.host_calls.fetch_add(cost.host_calls, Ordering::Relaxed);
        self.requests.fetch_add(cost.requests, Ordering::Relaxed);
        self.runtime.observe(cost.wall.as_secs_f64());
        self.memory.observe(cost.memory as f64);
    }

    /// Messages by queue.
    pub(super) fn received_so_far(&self) -> Vec<(Arc<Queue>, u64)> {
        let received = self.received.read().unwrap_or_else(PoisonError::into_inner);
        let read = |(queue, count): &(Arc<Queue>, AtomicU64)| {
            (Arc::clone(queue), count.load(Ordering::Relaxed))
        };
        received.iter().map(read).collect()
    }

    /// Messages by end: those that came about, and those that every task is asked about.
    pub(super) fn ended_so_far(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let ended = End::ALL.into_iter().zip(&self.ended);
        let ended = ended.map(|(end, count)| (end, count.load(Ordering::Relaxed)));
        let always = [End::Succeeded, End::Failed, End::Retried];
        ended
            .filter(move |(end, count)| *count > 0 || always.contains(end))
            .map(|(end, count)| (end.name(), count))
    }

    /// Runs by fault, zeros included: an increase can only be seen from something.
    pub(super) fn faults_so_far(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let faults = Outcome::FAULTS.into_iter().zip(&self.faults);
        faults.map(|(fault, count)| (fault, count.load(Ordering::Relaxed)))
    }

    pub(super) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_nanoseconds.load(Ordering::Relaxed))
    }

    /// Whether there is anything to tell of runs.
    pub(super) fn runs(&self) -> bool {
        self.runs.load(Ordering::Relaxed)
    }

    fn is_known(&self) -> bool {
        let received = self.received.read().unwrap_or_else(PoisonError::into_inner);
        !received.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_registered_are_counted_together() {
        let tasks = Tasks::default();
        let name = |name: &str| tasks.of(name, |name| name.starts_with("tasks.")).name.to_string();
        for number in 0..10_000 {
            assert_eq!(name(&format!("made.up.{number}")), UNREGISTERED);
        }
        assert_eq!(name("tasks.add"), "tasks.add");
        assert_eq!(tasks.all().len(), 1, "nothing was received under another name");
        for number in 0..2 * MOST {
            name(&format!("tasks.{number}"));
        }
        assert_eq!(tasks.all().len(), MOST);
    }

    #[test]
    fn every_end_has_a_place_of_its_own() {
        for (at, end) in End::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, at, "{end:?}");
        }
    }
}
