//! What events tell of workers and their tasks, kept small and ready to be shown. Pure: whoever
//! listens hands over each event and the time.

pub(crate) mod dump;
mod rates;

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use umbel_value::{Map, Value};

pub(crate) use self::rates::{Rates, Told};

/// Tasks that are followed; the oldest is forgotten for the next.
pub(crate) const MOST_TASKS: usize = 10_000;

/// Workers that are followed; of those that are gone, the one that is longest gone is forgotten.
const MOST_WORKERS: usize = 1_000;

/// Failures that are remembered.
const MOST_FAILURES: usize = 100;

/// Characters of a text of others that are kept.
const MOST_TEXT: usize = 300;

/// How long a worker that does not say how often it tells may be silent, in seconds.
const SILENCE: f64 = 60.0;

/// What is known by now.
#[derive(Clone, Debug)]
pub(crate) struct Monitor {
    pub(crate) workers: BTreeMap<String, Seen>,
    /// Tasks that have not ended, by when they were first heard of.
    tasks: BTreeMap<u64, Task>,
    numbers: HashMap<String, u64>,
    next: u64,
    /// The newest first.
    pub(crate) failures: VecDeque<Failure>,
    pub(crate) rates: Rates,
    /// Events so far.
    pub(crate) heard: u64,
}

/// A worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) active: Option<u64>,
    pub(crate) processed: Option<u64>,
    pub(crate) load: Option<f64>,
    pub(crate) software: String,
    /// Unless it tells again by then, it is gone.
    until: Timestamp,
    /// It said that it leaves.
    left: bool,
}

/// A task on its way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Task {
    pub(crate) id: String,
    /// Empty if nobody told.
    pub(crate) name: String,
    pub(crate) worker: String,
    /// It runs since then.
    pub(crate) since: Option<Timestamp>,
}

/// A task that failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) at: Timestamp,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) worker: String,
    pub(crate) exception: String,
}

impl Seen {
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        !self.left && now < self.until
    }
}

impl Monitor {
    pub(crate) fn new(now: Timestamp) -> Monitor {
        Monitor {
            workers: BTreeMap::new(),
            tasks: BTreeMap::new(),
            numbers: HashMap::new(),
            next: 0,
            failures: VecDeque::new(),
            rates: Rates::new(now),
            heard: 0,
        }
    }

    /// Takes up what one event tells.
    pub(crate) fn hear(&mut self, event: &Map, now: Timestamp) {
        self.heard += 1;
        let kind = text(event, "type");
        let worker = kept(text(event, "hostname"));
        if kind.starts_with("worker-") {
            self.worker(kind, worker, event, now);
        } else if let Some(told) = Told::of(kind) {
            self.rates.count(told, now);
            self.task(told, worker, event, now);
        }
    }

    /// Tasks that run, the one that runs longest first.
    pub(crate) fn running(&self) -> Vec<&Task> {
        let mut running: Vec<&Task> =
            self.tasks.values().filter(|task| task.since.is_some()).collect();
        running.sort_by_key(|task| task.since);
        running
    }

    /// Tasks that were received and have not begun.
    pub(crate) fn waiting(&self) -> usize {
        self.tasks.values().filter(|task| task.since.is_none()).count()
    }

    fn worker(&mut self, kind: &str, name: String, event: &Map, now: Timestamp) {
        if !["worker-online", "worker-heartbeat", "worker-offline"].contains(&kind) {
            return;
        }
        let seen = self.workers.entry(name.clone()).or_default();
        let every = event.get("freq").and_then(Value::as_f64).unwrap_or(SILENCE);
        // Celery's own patience.
        let patience = SignedDuration::from_secs_f64((every * 2.0).clamp(0.0, 1e6));
        seen.until = now.saturating_add(patience).unwrap_or(now);
        seen.left = kind == "worker-offline";
        let number = |key: &str| event.get(key).and_then(Value::as_u64);
        seen.active = number("active").or(seen.active);
        seen.processed = number("processed").or(seen.processed);
        let load = event.get("loadavg").and_then(|load| load.as_list()?.first()?.as_f64());
        seen.load = load.or(seen.load);
        let (software, version) = (text(event, "sw_ident"), text(event, "sw_ver"));
        if !software.is_empty() {
            seen.software = kept(&format!("{software} {version}"));
        }
        if seen.left {
            // Its tasks go back to the broker.
            self.forget(|task| task.worker == name);
        }
        self.make_room_for_workers();
    }

    fn task(&mut self, told: Told, worker: String, event: &Map, now: Timestamp) {
        let id = kept(text(event, "uuid"));
        let at = event.get("timestamp").and_then(Value::as_f64);
        let at = at.and_then(|at| {
            Timestamp::from_duration(SignedDuration::try_from_secs_f64(at).ok()?).ok()
        });
        let at = at.unwrap_or(now);
        match told {
            Told::Received | Told::Started => {
                let name = kept(text(event, "name"));
                let task = self.find_or_make(&id);
                if !name.is_empty() {
                    task.name = name;
                }
                task.worker = worker;
                task.since = (told == Told::Started).then_some(at);
            }
            _ => {
                let known = self.numbers.remove(&id).and_then(|number| self.tasks.remove(&number));
                if told == Told::Failed {
                    self.failures.truncate(MOST_FAILURES - 1);
                    let name = known.map(|task| task.name).unwrap_or_default();
                    let exception = kept(text(event, "exception"));
                    self.failures.push_front(Failure { at, id, name, worker, exception });
                }
            }
        }
    }

    fn find_or_make(&mut self, id: &str) -> &mut Task {
        let number = match self.numbers.get(id) {
            Some(number) => *number,
            None => {
                if self.tasks.len() >= MOST_TASKS
                    && let Some((_, oldest)) = self.tasks.pop_first()
                {
                    self.numbers.remove(&oldest.id);
                }
                let number = self.next;
                self.next += 1;
                self.numbers.insert(id.to_owned(), number);
                number
            }
        };
        let (id, name, worker) = (id.to_owned(), String::new(), String::new());
        self.tasks.entry(number).or_insert(Task { id, name, worker, since: None })
    }

    fn forget(&mut self, unwanted: impl Fn(&Task) -> bool) {
        let numbers = &mut self.numbers;
        self.tasks.retain(|_, task| {
            let goes = unwanted(task);
            if goes {
                numbers.remove(&task.id);
            }
            !goes
        });
    }

    fn make_room_for_workers(&mut self) {
        if self.workers.len() > MOST_WORKERS {
            let longest = self.workers.iter().min_by_key(|(_, seen)| seen.until);
            if let Some(name) = longest.map(|(name, _)| name.clone()) {
                self.workers.remove(&name);
            }
        }
    }
}

fn text<'a>(event: &'a Map, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// As much of it as is kept.
fn kept(text: &str) -> String {
    text.chars().take(MOST_TEXT).collect()
}

#[cfg(test)]
mod tests;
