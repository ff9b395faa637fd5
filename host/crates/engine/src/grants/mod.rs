//! What one plugin was granted, made ready for its runs. Patterns are `umbel_task::grants`'; here
//! is what is done about them.

mod clocks;
mod files;
mod http;
mod imports;
mod keyvalue;
mod lookup;
mod offers;
mod quota;
mod relay;
mod scratch;
mod sockets;
mod stream;

use std::sync::Arc;

use umbel_task::grants::{Access, Grants};
use umbel_task::runner::Source;
use wasmtime::component::Linker;
use wasmtime_wasi::clocks::{MonotonicClock, WallClock};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};

use crate::capture::Journal;
use crate::config::{EngineConfig, Shared};
use crate::load::Refusal;
use crate::meter::{Meter, OpenSocket};
use crate::state::State;
use clocks::Coarse;
use files::Files;
use http::Http;
use keyvalue::Kept;
use quota::Quota;
use sockets::Pins;

pub use imports::Needs;
pub(crate) use imports::{granted, needs};
pub use lookup::Resolver;
pub(crate) use lookup::System;
pub(crate) use scratch::sweep;

/// Where a guest finds the run's own directory.
const SCRATCH: &str = "/tmp";

/// One plugin version's grants.
pub(crate) struct Granted {
    pub(crate) grants: Grants,
    resolver: Arc<dyn Resolver>,
    config: WasiConfigVariables,
    /// Holds the runs' own directories.
    scratch: Option<scratch::Folder>,
    keyvalue: Option<Arc<Kept>>,
}

/// What one run has opened of it.
pub(crate) struct Opened {
    http: Http,
    files: Files,
    pins: Arc<Pins>,
    /// Sockets that were open when they were last looked at.
    open: Vec<(u32, Arc<OpenSocket>)>,
    /// The operator was told that the store refused something.
    told_of_store: bool,
}

/// Puts the interfaces that look at grants in the place of WASI's own.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    files::add_to_linker(linker)?;
    sockets::add_to_linker(linker)?;
    lookup::add_to_linker(linker)?;
    http::add_to_linker(linker)?;
    keyvalue::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    wasmtime_wasi_config::add_to_linker(linker, |state| {
        state.meter.host_call();
        WasiConfig::new(&state.granted.config)
    })
}

impl Granted {
    /// Checks what can be checked before the first run.
    pub(crate) fn new(grants: Grants, shared: &Shared) -> Result<Self, Refusal> {
        for dir in &grants.dirs {
            let about = std::fs::metadata(&dir.host);
            if !about.is_ok_and(|about| about.is_dir()) {
                let what = format!("was granted {}, which is no directory", dir.host.display());
                return Err((what, Some("make it, or correct `dirs` in its `allow`".to_owned())));
            }
        }
        let Shared { resolver, config: EngineConfig { scratch: folder, keyvalue, .. }, .. } =
            shared;
        let scratch = grants.scratch.map(|_| scratch::Folder::new(folder.as_deref())).transpose();
        let scratch = scratch.map_err(|why| {
            (format!("was granted scratch space, but there is none: {why}"), None)
        })?;
        let keyvalue = Kept::of(&grants, keyvalue.as_deref())?;
        let config = grants.config.iter().map(|(key, value)| (key.clone(), value.clone()));
        let (config, resolver) = (config.collect(), resolver.clone());
        Ok(Self { config, grants, resolver, scratch, keyvalue })
    }

    /// The surroundings of one run.
    pub(crate) fn open(
        self: &Arc<Self>,
        journal: &Journal,
        meter: &Arc<Meter>,
    ) -> (WasiCtx, Opened) {
        let Grants { env, coarse_clock, sockets, .. } = &self.grants;
        let http = Http::new(self.clone(), meter.clone(), journal.clone());
        let (files, pins, open) = (Files::default(), Arc::default(), Vec::new());
        let mut opened = Opened { http, files, pins, open, told_of_store: false };
        let mut builder = WasiCtx::builder();
        builder
            .stdout(journal.stream(Source::Stdout).counted(meter))
            .stderr(journal.stream(Source::Stderr).counted(meter))
            .envs(env)
            .allow_tcp(!sockets.is_empty())
            .allow_udp(false)
            .max_random_size(MOST_RANDOM);
        if let Some(step) = coarse_clock {
            builder.wall_clock(Coarse::new(WallClock::new(), *step));
            builder.monotonic_clock(Coarse::new(MonotonicClock::new(), *step));
        }
        if !sockets.is_empty() {
            let pins = opened.pins.clone();
            builder.socket_addr_check(move |address, what| {
                let allowed = pins.allow(address, what);
                Box::pin(async move { allowed })
            });
            opened.pins.spell_out(&self.grants);
        }
        self.open_dirs(&mut builder, &mut opened.files, journal);
        (builder.build(), opened)
    }

    fn open_dirs(&self, builder: &mut WasiCtxBuilder, files: &mut Files, journal: &Journal) {
        for dir in &self.grants.dirs {
            let (perms, quota) = match dir.access {
                Access::Read => (FsPerms::ReadOnly, 0),
                Access::Write { quota } => (FsPerms::ReadWrite, quota),
            };
            match builder.preopened_dir(&dir.host, &dir.guest, perms) {
                Ok(_) => files.add(Quota::new(quota)),
                Err(why) => journal.warn(format!("{} is not there: {why}", dir.guest)),
            }
        }
        let (Some(bytes), Some(folder)) = (self.grants.scratch, &self.scratch) else { return };
        let made = files.scratch_in(folder.path()).map_err(wasmtime::Error::from);
        match made.and_then(|path| builder.preopened_dir(path, SCRATCH, FsPerms::ReadWrite)) {
            Ok(_) => files.add(Quota::new(bytes)),
            Err(why) => journal.warn(format!("{SCRATCH} is not there: {why}")),
        }
    }

    pub(crate) fn resolver(&self) -> &Arc<dyn Resolver> {
        &self.resolver
    }
}

/// Bytes of randomness one host call may ask for.
const MOST_RANDOM: u64 = 1 << 20;
