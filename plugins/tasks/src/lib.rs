//! Small tasks for trying Umbel out and for its tests and benchmarks.

mod whoami;

use std::time::Duration;

use umbel::context;

umbel::plugin!({ world: "example:tasks/plugin", path: ["../../wit", "wit"] });

struct Tasks;
export!(Tasks);

impl exports::example::tasks::tasks::Guest for Tasks {
    fn add(x: i64, y: i64) -> i64 {
        x.checked_add(y).expect("the sum does not fit into 64 bits")
    }

    fn xsum(numbers: Vec<i64>) -> i64 {
        // Wide, so that only the total counts, not the order.
        let sum: i128 = numbers.into_iter().map(i128::from).sum();
        i64::try_from(sum).expect("the sum does not fit into 64 bits")
    }

    fn echo(value: String) -> String {
        value
    }

    fn fail(message: String) -> Result<(), String> {
        Err(message)
    }

    fn sleep(seconds: f64) {
        std::thread::sleep(wait(seconds));
    }

    fn nap(seconds: f64) -> bool {
        context::take_soft_limit();
        let wanted = wait(seconds);
        let allowed = context::soft_remaining_ms().map_or(Duration::MAX, Duration::from_millis);
        std::thread::sleep(wanted.min(allowed));
        wanted <= allowed
    }

    fn primes(n: u32) -> u32 {
        let prime = |candidate: u32| {
            let divisors = (2u32..).take_while(|&d| u64::from(d).pow(2) <= u64::from(candidate));
            divisors.into_iter().all(|d| !candidate.is_multiple_of(d))
        };
        (2..=n).map(|candidate| u32::from(prime(candidate))).sum()
    }

    fn whoami() -> String {
        whoami::json()
    }
}

/// NaN and what is below zero are no wait; what no clock can count is the longest one.
fn wait(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}
