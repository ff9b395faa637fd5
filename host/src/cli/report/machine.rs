//! The machine: its kernel, C library, processors and memory, and what this process may use of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::settings::units::about_size;

/// What runs below us.
pub(super) fn system() -> Value {
    let kernel = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let memory = meminfo();
    let size = |key: &str| memory.get(key).map(|bytes| about_size(*bytes));
    json!({
        "kernel": format!("{} {}", text(kernel.sysname()), text(kernel.release())),
        "machine": text(kernel.machine()),
        "distribution": distribution(),
        "c library": c_library(),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "processor limit": cgroup("cpu.max"),
        "memory": size("MemTotal"),
        "memory available": size("MemAvailable"),
        "memory limit": cgroup("memory.max"),
        "swap": size("SwapTotal"),
        "user": rustix::process::geteuid().as_raw(),
    })
}

/// What the kernel allows this process: soft and hard.
pub(super) fn limits() -> Value {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let mut found = BTreeMap::new();
    for line in limits.lines().skip(1) {
        // Columns: the name, up to three words; soft; hard; the unit, if it has one.
        let Some((name, rest)) = line.split_at_checked(26) else { continue };
        let mut amounts = rest.split_whitespace();
        if let (Some(soft), Some(hard)) = (amounts.next(), amounts.next()) {
            let name = name.trim().trim_start_matches("Max ").to_owned();
            let unit = amounts.next().unwrap_or_default();
            found.insert(name, format!("{soft} of {hard} {unit}").trim_end().to_owned());
        }
    }
    json!(found)
}

/// Bytes by name.
fn meminfo() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = |line: &str| {
        let (name, amount) = line.split_once(':')?;
        let kibibytes: u64 = amount.split_whitespace().next()?.parse().ok()?;
        Some((name.to_owned(), kibibytes * 1024))
    };
    text.lines().filter_map(line).collect()
}

fn distribution() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// Asked of the system's own program: the library itself tells C alone.
fn c_library() -> String {
    let asked = std::process::Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let told = asked.ok().filter(|told| told.status.success());
    let told = told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned());
    told.unwrap_or_else(|| super::libc().to_owned())
}

/// What this process's own control group is limited to, where there are groups of the second kind.
fn cgroup(file: &str) -> Option<String> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?.trim().to_owned();
    let root = Path::new("/sys/fs/cgroup");
    let limit = std::fs::read_to_string(root.join(own).join(file));
    limit.ok().map(|limit| limit.trim().to_owned())
}
