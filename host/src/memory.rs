//! What the system's allocator may keep to itself.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// Makes glibc give back what is free. By its own rules each thread has a heap of its own and large
/// blocks stay in it once one was freed, so that a worker's memory grows for hours and stays where
/// its largest messages took it. Whoever configures glibc by its own variables is not overruled.
pub(crate) fn keep_little() {
    let chosen = |name: &str| std::env::var_os(name).is_some();
    if chosen("GLIBC_TUNABLES") || chosen("MALLOC_ARENA_MAX") {
        return;
    }
    #[cfg(target_env = "gnu")]
    for (option, value) in
        [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, LARGE)]
    {
        #[expect(
            unsafe_code,
            reason = "a function of C that takes two numbers; no other thread runs yet"
        )]
        // Refused, it leaves things as they were.
        let _ = unsafe { libc::mallopt(option, value) };
    }
}

/// Looks at the process's memory now and then, and when it has grown, has glibc give back what is
/// free between what is not: thousands of small blocks of one large message would keep its pages.
pub(crate) async fn give_back() -> Infallible {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut least = u64::MAX;
    loop {
        looks.tick().await;
        let now = resident();
        least = least.min(now);
        if now - least < GROWN {
            continue;
        }
        // On a thread of its own: it may take some milliseconds.
        let _ = tokio::task::spawn_blocking(trim).await;
        least = resident();
    }
}

fn trim() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "a function of C that takes a number; it locks what it walks")]
    // It tells whether there was anything to give back.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Bytes of memory in use; zero where the system does not tell.
fn resident() -> u64 {
    let told = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// How often to look.
const LOOK: Duration = Duration::from_secs(10);

/// By how many bytes memory must have grown to be worth it.
const GROWN: u64 = 8 << 20;

/// From how many bytes on a block is the system's again when it is freed, and how much of the end of
/// a heap may stay unused.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 128 << 10;
