//! Keeps what serves equal to what should: on a thread of its own, for loading takes its time.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use umbel_engine::{Catalog, Engine};
use umbel_value::Value;
use umbel_worker::Plugins;

use super::configuration::{Again, tell_of_the_rest};
use super::happening::{Counts, Happening, Reloads};
use super::report::report;
use super::slot::{Refused, SETTLE, STILL};
use super::stamp::{Seen, Stamp};
use super::state::{State, sooner};
use super::watch::Watch;
use crate::loading::{self, Found, Wanted};
use crate::settings::Settings;

/// Half a file of configuration may well be a whole one that says less: this much stillness.
const SETTLE_CONFIGURATION: Duration = Duration::from_millis(500);

/// Between two looks, however much is said to change.
const REST: Duration = Duration::from_millis(20);

/// Why the keeper is to look.
#[derive(Debug)]
pub(crate) enum Wake {
    Look,
    /// By command: the configuration as well, and what was refused.
    Reload,
    Stop,
}

/// Loads plugins, now and whenever they change.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    engine: Engine,
    again: Again,
    /// What the worker was started with: what cannot change is still as it was then.
    started: Settings,
    settings: Settings,
    configuration: Option<Seen>,
    /// The looks of the configuration that was decided about last.
    decided: Option<Stamp>,
    watch: Watch,
    wakes: Receiver<Wake>,
}

struct Shared {
    catalog: Arc<Catalog>,
    state: Mutex<State>,
    counts: Counts,
    wake: Mutex<Sender<Wake>>,
}

impl Keeper {
    pub(crate) fn new(settings: &Settings, engine: Engine, again: Again) -> Keeper {
        let (wake, wakes) = mpsc::channel();
        let decided = Stamp::of(&settings.config_file);
        let shared = Shared {
            catalog: Arc::default(),
            state: Mutex::default(),
            counts: Counts::default(),
            wake: Mutex::new(wake.clone()),
        };
        Keeper {
            shared: Arc::new(shared),
            engine,
            again,
            started: settings.clone(),
            settings: settings.clone(),
            configuration: None,
            decided,
            watch: Watch::new(wake),
            wakes,
        }
    }

    /// What serves, from the first load on and after every change.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.shared.catalog)
    }

    /// What can be told of the plugins at any time.
    pub(crate) fn view(&self) -> View {
        View(Arc::clone(&self.shared))
    }

    /// Loads everything once; gives what is refused.
    pub(crate) fn first(&mut self, wanted: Vec<Wanted>) -> Vec<Refused> {
        let found = Found { wanted, ..Found::default() };
        self.pass(found, Some(loading::load));
        let state = self.shared.state();
        state.slots.values().filter_map(|slot| slot.refused.clone()).collect()
    }

    /// Starts the thread that keeps at it.
    pub(crate) fn keep(self) -> io::Result<Keeping> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("umbel-plugins".into());
        let thread = thread.spawn(move || self.run())?;
        Ok(Keeping { shared, thread: Mutex::new(Some(thread)) })
    }

    fn run(mut self) {
        let mut due = Some(Instant::now());
        loop {
            let sweep = self.settings.plugin_sweep;
            let wait = due.map_or(sweep, |due| due.saturating_duration_since(Instant::now()));
            let mut wakes = match self.wakes.recv_timeout(wait.min(sweep)) {
                Ok(wake) => vec![wake],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            thread::sleep(REST);
            wakes.extend(self.wakes.try_iter());
            if wakes.iter().any(|wake| matches!(wake, Wake::Stop)) {
                return;
            }
            let commanded = wakes.iter().any(|wake| matches!(wake, Wake::Reload));
            let later = self.configuration(commanded);
            if commanded {
                self.shared.state().forget_refusals();
            }
            let found = loading::find(&self.settings);
            self.follow();
            due = sooner(later, self.pass(found, None));
        }
    }

    /// Makes what serves what was found, as far as that loads; gives when to look again. `at_once`
    /// loads without waiting for anything to become still.
    fn pass(&self, found: Found, at_once: Option<Loader>) -> Option<Instant> {
        let counts = &self.shared.counts;
        let settle = if at_once.is_some() { Duration::ZERO } else { SETTLE };
        let folder = &self.settings.plugin_folder;
        let noticed = self.shared.state().notice(found, folder, settle, Instant::now(), counts);
        let (due, mut again) = noticed;
        let sources: Vec<_> = due.iter().map(|due| due.source.clone()).collect();
        let load = at_once.unwrap_or(loading::load_silently);
        let loaded = due.into_iter().zip(load(&self.engine, &sources)).collect();
        let mut state = self.shared.state();
        again = sooner(again, state.judge(loaded, at_once.is_some(), Instant::now(), counts));
        again = sooner(again, state.retire(Instant::now(), counts));
        if state.publish(&self.shared.catalog) && state.has_conflicts() {
            again = sooner(again, Some(Instant::now() + SETTLE));
        }
        again
    }

    /// Takes up a changed configuration, once it is still; gives when to look again.
    fn configuration(&mut self, commanded: bool) -> Option<Instant> {
        let now = Instant::now();
        let stamp = Stamp::of(&self.settings.config_file);
        let seen = Seen::look(self.configuration, stamp, now);
        self.configuration = Some(seen);
        if !commanded && stamp == self.decided {
            return None;
        }
        if let (false, Some(later)) = (commanded, seen.still(SETTLE_CONFIGURATION, now)) {
            return Some(later);
        }
        let counts = &self.shared.counts;
        match self.again.read(&self.settings) {
            Ok(settings) => {
                counts.tell(&Happening::ConfigurationTaken);
                tell_of_the_rest(&self.started, &self.settings, &settings, counts);
                self.settings = settings;
            }
            Err(fault) => {
                if let (false, Some(later)) = (commanded, seen.still(STILL, now)) {
                    return Some(later);
                }
                counts.tell(&Happening::ConfigurationRefused { why: &fault.to_string() });
            }
        }
        self.decided = stamp;
        None
    }

    /// Watches the folder, the configuration, and files that are elsewhere.
    fn follow(&mut self) {
        let folder = &self.settings.plugin_folder;
        let state = self.shared.state();
        let files = state.slots.keys().map(|(_, file)| file);
        let elsewhere = files.filter(|file| file.parent() != Some(folder));
        let mut places: BTreeSet<PathBuf> = elsewhere.cloned().collect();
        drop(state);
        places.insert(folder.clone());
        places.insert(self.settings.config_file.clone());
        self.watch.follow(&places);
    }
}

type Loader = fn(
    &Engine,
    &[umbel_engine::PluginSource],
) -> Vec<Result<umbel_engine::Plugin, umbel_engine::LoadError>>;

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, wake: Wake) {
        // Nobody listens any more when the worker ends.
        let _ = self.wake.lock().unwrap_or_else(PoisonError::into_inner).send(wake);
    }
}

/// How the plugins are.
pub(crate) struct View(Arc<Shared>);

impl View {
    /// Files that serve.
    pub(crate) fn loaded(&self) -> usize {
        self.0.state().slots.values().filter(|slot| slot.serving.is_some()).count()
    }

    /// Files that are there, but refused.
    pub(crate) fn refused(&self) -> usize {
        self.0.state().slots.values().filter(|slot| slot.refused.is_some()).count()
    }

    /// What came of changes since the start, of every plugin that is there and of those that were.
    pub(crate) fn reloads(&self) -> Vec<Reloads> {
        let names = self.0.state().slots.keys().map(|(owner, _)| owner.name().to_owned()).collect();
        self.0.counts.reloads(names)
    }
}

/// The keeper at work; dropped, it stops.
pub(crate) struct Keeping {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Plugins for Keeping {
    fn reload(&self) {
        self.shared.wake(Wake::Reload);
    }

    fn report(&self) -> Value {
        report(&self.shared.state(), &self.shared.counts)
    }

    fn roll_back(&self, plugin: &str) -> Result<String, String> {
        let mut state = self.shared.state();
        let said = state.roll_back(plugin, &self.shared.counts)?;
        state.publish(&self.shared.catalog);
        Ok(said)
    }
}

impl Keeping {
    /// Ends the thread. One that is loading is not waited for: what it loads serves nobody.
    pub(crate) fn stop(&self) {
        self.shared.wake(Wake::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(JoinHandle::is_finished) {
            drop(thread.join());
        }
    }
}
