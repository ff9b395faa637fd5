//! The Lua scripts: one for each change of state, keys passed in.

use std::sync::LazyLock;

use redis::{Cmd, Pipeline, Script};

pub(super) static TAKE: LazyLock<Script> = LazyLock::new(|| script(include_str!("take.lua")));
pub(super) static ACK: LazyLock<Script> = LazyLock::new(|| script(include_str!("ack.lua")));
pub(super) static GIVE_BACK: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("give_back.lua")));
pub(super) static RENEW: LazyLock<Script> = LazyLock::new(|| script(include_str!("renew.lua")));
pub(super) static OVERDUE: LazyLock<Script> = LazyLock::new(|| script(include_str!("overdue.lua")));
pub(super) static UNLOCK: LazyLock<Script> = LazyLock::new(|| script(include_str!("unlock.lua")));
pub(super) static STORE: LazyLock<Script> = LazyLock::new(|| script(include_str!("store.lua")));

fn script(code: &str) -> Script {
    Script::new(code)
}

/// Loads every script; for each new connection, since the server may be a new one.
pub(super) fn load() -> Pipeline {
    let mut pipeline = Pipeline::new();
    for code in [
        include_str!("take.lua"),
        include_str!("ack.lua"),
        include_str!("give_back.lua"),
        include_str!("renew.lua"),
        include_str!("overdue.lua"),
        include_str!("unlock.lua"),
        include_str!("store.lua"),
    ] {
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
