//! Pure: how long a retry waits, and whether one is left.

use std::time::Duration;

use umbel_task::policy::Retry;

/// What becomes of a task that wants to be run again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Next {
    /// Send it again after this long.
    After(Duration),
    /// Its retries are used up.
    Exhausted,
}

/// What the run itself asked for; `None` leaves it to the policy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) after: Option<Duration>,
    pub(crate) max: Option<u32>,
}

/// Decides about the retry after `retries` earlier ones. `spread` in 0..1 is drawn by the caller.
pub(crate) fn next(policy: &Retry, retries: u32, wish: Wish, spread: f64) -> Next {
    if wish.max.or(policy.max).is_some_and(|max| retries >= max) {
        return Next::Exhausted;
    }
    if let Some(after) = wish.after {
        return Next::After(after);
    }
    let doubled = 2f64.powi(retries.min(64) as i32);
    let cap = policy.max_backoff.as_secs_f64();
    let wait = (policy.backoff.as_secs_f64() * doubled).min(cap);
    let wait = if policy.jitter { wait * spread.clamp(0.0, 1.0) } else { wait };
    Next::After(Duration::try_from_secs_f64(wait).unwrap_or(policy.max_backoff))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(jitter: bool) -> Retry {
        let second = Duration::from_secs(1);
        let (backoff, max_backoff) = (2 * second, 10 * second);
        Retry { max: Some(3), backoff, max_backoff, jitter, kinds: Vec::new() }
    }

    #[test]
    fn the_wait_doubles_up_to_the_cap_until_the_retries_are_used_up() {
        let table = [(0, Some(2.0)), (1, Some(4.0)), (2, Some(8.0)), (3, None), (90, None)];
        for (retries, wait) in table {
            let expected =
                wait.map_or(Next::Exhausted, |secs| Next::After(Duration::from_secs_f64(secs)));
            assert_eq!(next(&policy(false), retries, Wish::default(), 0.5), expected, "{retries}");
        }
    }

    #[test]
    fn the_cap_holds_for_any_number_of_retries() {
        let policy = Retry { max: None, ..policy(false) };
        for retries in [3, 64, u32::MAX] {
            assert_eq!(
                next(&policy, retries, Wish::default(), 0.5),
                Next::After(Duration::from_secs(10))
            );
        }
    }

    #[test]
    fn jitter_draws_between_nothing_and_the_wait() {
        let drawn = |spread| next(&policy(true), 1, Wish::default(), spread);
        assert_eq!(drawn(0.0), Next::After(Duration::ZERO));
        assert_eq!(drawn(0.5), Next::After(Duration::from_secs(2)));
    }

    #[test]
    fn the_run_may_choose_its_wait_and_its_number() {
        let wish = Wish { after: Some(Duration::from_millis(5)), max: Some(1) };
        assert_eq!(next(&policy(false), 0, wish, 0.5), Next::After(Duration::from_millis(5)));
        assert_eq!(next(&policy(false), 1, wish, 0.5), Next::Exhausted);
    }
}
