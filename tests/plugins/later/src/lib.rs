//! Async tasks in every ending, each after a wait: a caller sees of them what it sees of others.

#[umbel::tasks]
mod tasks {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use umbel::{Context, Error, log};
    use wasip3::clocks::monotonic_clock::wait_for;

    const MOMENT: u64 = 2_000_000;
    const HOUR: u64 = 3_600_000_000_000;

    static RUNS: AtomicU32 = AtomicU32::new(0);

    pub async fn ending(ctx: &Context, how: String) -> umbel::Result<String> {
        wait_for(MOMENT).await;
        log::info(format!("{} wants to end: {how}", ctx.name));
        let left = ctx.remaining();
        wait_for(MOMENT).await;
        match how.as_str() {
            "retry" if ctx.retries < 2 => {
                Err(Error::retry("later").after(Duration::from_millis(10)).at_most(5))
            }
            "fail" => Err(Error::failed("LabError", "as asked")),
            "text" => Err("only text")?,
            "reject" => Err(Error::Reject(false)),
            "panic" => panic!("as asked"),
            _ if left > ctx.remaining() => Ok(format!("after {} retries", ctx.retries)),
            _ => Err("the time stands still")?,
        }
    }

    /// Says that it has begun, and waits.
    pub async fn wait(ctx: &Context) {
        ctx.progress(1, 2);
        wait_for(HOUR).await;
    }

    /// How many runs this instance has begun, after a wait in which others begin.
    pub async fn runs() -> u32 {
        let runs = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
        wait_for(10 * MOMENT).await;
        runs.max(RUNS.load(Ordering::Relaxed))
    }
}
