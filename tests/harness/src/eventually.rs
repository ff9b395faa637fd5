//! Waiting for a state instead of sleeping.

use std::time::{Duration, Instant};

/// Long enough for a loaded machine; a test that needs more says so.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Looks until `look` gives `Ok`, and returns what it gave. After `within` it panics with the last
/// state that `look` described.
#[track_caller]
pub fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + within;
    let mut pause = Duration::from_millis(1);
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(state) if Instant::now() >= deadline => {
                panic!("{what}: not within {within:?}; last seen: {state}")
            }
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// `Ok` if `seen` is `wanted`, else a description of what was seen; for use in [`eventually`].
pub fn expect_equal<T: PartialEq + std::fmt::Debug>(seen: T, wanted: T) -> Result<T, String> {
    if seen == wanted { Ok(seen) } else { Err(format!("{seen:?} instead of {wanted:?}")) }
}
