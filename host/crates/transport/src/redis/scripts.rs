//! The Lua scripts: one for each change of state, keys passed in.

use std::sync::LazyLock;

use redis::{Cmd, Pipeline, Script};

macro_rules! scripts {
    ($($name:ident = $file:literal)*) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!($file)));)*

        const SOURCES: &[&str] = &[$(include_str!($file)),*];
    };
}

scripts! {
    TAKE = "take.lua"
    ACK = "ack.lua"
    DELAY = "delay.lua"
    GIVE_BACK = "give_back.lua"
    RENEW = "renew.lua"
    DUE = "due.lua"
    BURY = "bury.lua"
    REPLAY = "replay.lua"
    STORE = "store.lua"
    JOIN = "join.lua"
    CLAIM = "claim.lua"
    READ = "read.lua"
    INCREMENT = "increment.lua"
    LEAD = "lead.lua"
    NOTE = "note.lua"
    PURGE = "purge.lua"
}

/// Loads every script; for each new connection, since the server may be a new one.
pub(super) fn load() -> Pipeline {
    let mut pipeline = Pipeline::new();
    for code in SOURCES {
        pipeline.cmd("SCRIPT").arg("LOAD").arg(code).ignore();
    }
    pipeline
}

/// A call of a loaded script; the caller adds the arguments.
pub(super) fn call<'a>(script: &Script, keys: impl ExactSizeIterator<Item = &'a str>) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script.get_hash()).arg(keys.len());
    for key in keys {
        command.arg(key);
    }
    command
}
