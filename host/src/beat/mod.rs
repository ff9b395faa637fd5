//! `umbel beat` at work: sends what is due, alone among however many beats run.
//!
//! *What is never sent twice, and why.* A run is known by its entry and the moment it was due, which
//! follows from the last run that the [timetable](umbel_transport::timetable) has noted and from the
//! schedule; its task's id is made of these two (`Tick::id`). To send a run is to replace that note:
//! "the last run was at *a*" becomes "the last run was at *b*", if it still says *a*. On Redis one
//! script does that and adds the message to its queue, in a file one transaction does. So a leader
//! that is killed leaves a run that was noted and sent, or neither; its successor reads the note and
//! goes on from there. Two that believe to lead at once, because one of them was stopped for longer
//! than its lease or because a clock jumped, cannot both replace the same note.
//!
//! *On RabbitMQ* the note lies elsewhere than the message, so they cannot be one step. The order is:
//! ask whether we lead and the note is still as we know it, publish and wait for the broker's
//! confirmation, note. A leader that dies between the last two has sent a run that is not noted; its
//! successor computes the same run from the same note and sends it again, under the same id and
//! marked as repeated, and a worker looks for the id's result before it runs such a task. The other
//! order would lose runs, which nobody could find out.
//!
//! *What was missed* while nobody led is sent once, however many runs it were, as Celery does. An
//! entry that is new is noted as run now, so that its first run is a whole interval away, and that
//! its due moments are the same for every beat.
//!
//! *Leading* is a lease of some seconds, renewed three times within. It decides who does the work,
//! not what is right.

mod agenda;
mod changes;

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use umbel_protocol::names::client_origin;
use umbel_schedule::{Look, Tick};
use umbel_transport::broker::BrokerError;
use umbel_transport::timetable::{Change, Noted, Run, Timetable};
use umbel_worker::REPEATED;

use self::agenda::{due, next};
use self::changes::Changes;
use crate::plugins::Again;
use crate::settings::{BeatEntry, Settings, host_name};
use crate::wiring;

/// How often the configuration is looked at, and the clock, which may jump.
const LOOK: Duration = Duration::from_secs(1);

/// How long an entry rests that could not be sent, and everything while the server is away.
const REST: Duration = Duration::from_secs(5);

/// How long what is being sent when a signal comes may still take.
const GRACE: Duration = Duration::from_secs(10);

/// Where beat notes what it sent.
pub(crate) struct Table {
    pub(crate) timetable: Arc<dyn Timetable>,
    /// Sending and noting are two steps.
    pub(crate) apart: bool,
}

/// A running beat.
pub(crate) struct Beat {
    settings: Settings,
    changes: Changes,
    table: Table,
    /// Who we are among the beats.
    token: String,
    origin: String,
    /// `None`: somebody else leads.
    lead: Option<Lead>,
    /// When to ask for the lead again.
    renewal: Instant,
    runs: HashMap<String, Run>,
    /// Entries that could not be sent, and until when they rest.
    resting: HashMap<String, Instant>,
}

/// What concerns the time of one lead alone.
#[derive(Default)]
struct Lead {
    /// Entries whose next run may have been sent by somebody who could not note it.
    doubtful: HashSet<String>,
}

impl Beat {
    pub(crate) fn new(settings: &Settings, again: Again, table: Table) -> Beat {
        Beat {
            settings: settings.clone(),
            changes: Changes::new(settings, again),
            table,
            token: uuid::Uuid::new_v4().to_string(),
            origin: client_origin(std::process::id(), &host_name()),
            lead: None,
            renewal: Instant::now(),
            runs: HashMap::new(),
            resting: HashMap::new(),
        }
    }

    /// Sends what is due until it is told to stop; then lets another beat take over at once. An
    /// error is final: the server does not accept us any more.
    pub(crate) async fn run(
        mut self,
        stop: CancellationToken,
        reload: impl Fn() -> bool,
    ) -> Result<(), BrokerError> {
        let ended = loop {
            if let Some(settings) = self.changes.look(&self.settings, reload()) {
                self.settings = settings;
            }
            let done = {
                let mut round = pin!(self.round());
                tokio::select! {
                    done = &mut round => Some(done),
                    () = stop.cancelled() => tokio::time::timeout(GRACE, round).await.ok(),
                }
            };
            let wait = match done {
                Some(Ok(wait)) => wait,
                Some(Err(error @ BrokerError::Refused { .. })) => break Err(error),
                Some(Err(error)) => {
                    warn!("beat: {error}; trying again in {REST:?}");
                    self.lead = None;
                    REST
                }
                None => Duration::ZERO,
            };
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                () = tokio::time::sleep(wait.min(LOOK)) => {}
            }
        };
        if self.lead.is_some() {
            // Who does not hear of it waits for the lease to end.
            let _ = tokio::time::timeout(GRACE, self.table.timetable.resign(&self.token)).await;
        }
        ended
    }

    /// Does all that is to be done now; gives how long nothing will be.
    async fn round(&mut self) -> Result<Duration, BrokerError> {
        if !self.leads().await? {
            return Ok(self.renewal.saturating_duration_since(Instant::now()));
        }
        self.tidy().await?;
        let now = Timestamp::now();
        for (entry, run, look) in due(&self.settings, &self.runs, now) {
            let rests = self.resting.get(&entry.name).is_some_and(|until| *until > Instant::now());
            if rests || !self.leads().await? {
                continue;
            }
            let noted = match look {
                Look::Due { due, last } => self.send(&entry, run, due, last).await,
                Look::TooLate { last } => {
                    info!("beat: {} missed runs that are too old to be made up for", entry.name);
                    let after = Run { at: to_microsecond(last), ..run };
                    self.note(&entry.name, Some(run), Some(after)).await
                }
                Look::Later(_) => continue,
            };
            if let Err(error) = noted {
                self.failed(&entry, error)?;
            }
        }
        Ok(self.idle())
    }

    /// How long there will be nothing to do.
    fn idle(&self) -> Duration {
        let now = Instant::now();
        let rests = |entry: &BeatEntry| {
            self.resting.get(&entry.name).map(|until| until.saturating_duration_since(now))
        };
        let entries = self.settings.beat.entries.iter();
        let rested = entries.clone().filter_map(rests).filter(|rest| !rest.is_zero()).min();
        let awake = entries.filter(|entry| rests(entry).is_none_or(|rest| rest.is_zero()));
        let soonest = next(awake, &self.runs).map(|next| {
            Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default()
        });
        let renewal = self.renewal.saturating_duration_since(now);
        [rested, soonest].into_iter().flatten().fold(renewal, Duration::min)
    }

    /// Keeps the lead, or tries to get it, when it is time.
    async fn leads(&mut self) -> Result<bool, BrokerError> {
        let now = Instant::now();
        if now < self.renewal {
            return Ok(self.lead.is_some());
        }
        let lease = self.settings.beat.lease;
        self.renewal = now + lease / 3;
        let leads = self.table.timetable.lead(&self.token, lease).await?;
        match (leads, self.lead.is_some()) {
            (true, false) => self.begin().await?,
            (false, true) => {
                warn!("beat: another one leads now");
                self.lead = None;
            }
            _ => {}
        }
        Ok(leads)
    }

    /// Takes over where somebody else left off.
    async fn begin(&mut self) -> Result<(), BrokerError> {
        self.runs = self.table.timetable.runs().await?.into_iter().collect();
        let due = due(&self.settings, &self.runs, Timestamp::now());
        let doubtful = due.into_iter().map(|(entry, ..)| entry.name).collect();
        self.lead = Some(Lead { doubtful });
        self.resting.clear();
        info!("beat: leading, {} entries", self.settings.beat.entries.len());
        Ok(())
    }

    /// Notes entries that are new, and forgets those that are gone.
    async fn tidy(&mut self) -> Result<(), BrokerError> {
        let entries = &self.settings.beat.entries;
        let new = entries.iter().filter(|entry| !self.runs.contains_key(&entry.name));
        let new: Vec<_> = new.map(|entry| entry.name.clone()).collect();
        let known = |name: &String| entries.iter().any(|entry| entry.name == *name);
        let gone = self.runs.iter().filter(|(name, _)| !known(name));
        let gone: Vec<_> = gone.map(|(name, run)| (name.clone(), *run)).collect();
        for name in new {
            let now = to_microsecond(Timestamp::now());
            self.note(&name, None, Some(Run { at: now, count: 0 })).await?;
        }
        for (name, run) in gone {
            debug!("beat: {name} is scheduled no more");
            self.note(&name, Some(run), None).await?;
        }
        Ok(())
    }

    async fn send(
        &mut self,
        entry: &BeatEntry,
        run: Run,
        due: Timestamp,
        last: Timestamp,
    ) -> Result<(), BrokerError> {
        let now = Timestamp::now();
        let id = Tick { entry: entry.name.clone(), due }.id();
        let mut message = entry.sends.message(&id, &self.origin, now);
        let doubtful = self.lead.as_ref().is_some_and(|lead| lead.doubtful.contains(&entry.name));
        if doubtful && self.table.apart {
            message.headers.insert(REPEATED.to_owned(), true.into());
        }
        let mut raw = message.encode();
        raw.properties.expiration = message.expiration(now);
        let route = wiring::route(&self.settings, &entry.sends);
        info!(id, "Scheduler: Sending due task {} ({})", entry.name, entry.sends.task);
        let after = Run { at: to_microsecond(last), count: run.count + 1 };
        let change = Change { entry: entry.name.clone(), before: Some(run), after: Some(after) };
        let noted = self.table.timetable.note(&self.token, &change, Some((&route, &raw))).await?;
        self.take(change, noted).await
    }

    async fn note(
        &mut self,
        entry: &str,
        before: Option<Run>,
        after: Option<Run>,
    ) -> Result<(), BrokerError> {
        let change = Change { entry: entry.to_owned(), before, after };
        let noted = self.table.timetable.note(&self.token, &change, None).await?;
        self.take(change, noted).await
    }

    /// Knows from now on what is noted.
    async fn take(&mut self, change: Change, noted: Noted) -> Result<(), BrokerError> {
        match noted {
            Noted::Done => {
                self.resting.remove(&change.entry);
                if let Some(lead) = &mut self.lead {
                    lead.doubtful.remove(&change.entry);
                }
                match change.after {
                    Some(run) => drop(self.runs.insert(change.entry, run)),
                    None => drop(self.runs.remove(&change.entry)),
                }
            }
            Noted::NotLeading => {
                warn!("beat: the lead was lost; {} was not sent", change.entry);
                self.lead = None;
                self.renewal = Instant::now();
            }
            Noted::Superseded => {
                self.runs = self.table.timetable.runs().await?.into_iter().collect();
            }
        }
        Ok(())
    }

    /// One entry that cannot be sent keeps no other from being sent.
    fn failed(&mut self, entry: &BeatEntry, error: BrokerError) -> Result<(), BrokerError> {
        if matches!(error, BrokerError::Refused { .. } | BrokerError::Unreachable { .. }) {
            return Err(error);
        }
        let error = anyhow::Error::new(error);
        error!("beat: cannot send {}: {error:#}; trying again in {REST:?}", entry.name);
        self.resting.insert(entry.name.clone(), Instant::now() + REST);
        if let Some(lead) = &mut self.lead {
            lead.doubtful.insert(entry.name.clone());
        }
        Ok(())
    }
}

/// As timetables keep it.
fn to_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
