//! Tasks that send tasks: one by one, as a chain, as a chord, and in their own place. They call those
//! of the example `tasks`, so the plugin needs a grant: `allow = { submit = ["tasks.*"] }`.

/// What the plugin can do.
#[umbel::tasks(package = "example:flow@0.1.0")]
mod tasks {
    use umbel::canvas::{chain, chord, task};
    use umbel::{Error, Result, Value, submit, tasks};

    /// Sends n sums, 0 + 1 to (n - 1) + 1, and gives their ids without waiting for them.
    pub fn fan_out(n: u32) -> Result<Vec<String>> {
        (0..n).map(|i| Ok(submit("tasks.add", &(i, 1))?)).collect()
    }

    /// Starts a chain that computes x + 1 + 10 + 100, and gives its result's id, its parents' ids
    /// and its children, as Celery's `AsyncResult.as_tuple` does.
    pub fn pipeline(x: i64) -> Result<Value> {
        let first = task("tasks.add", &(x, 1))?;
        let steps = [first, task("tasks.add", &[10])?, task("tasks.add", &[100])?];
        Ok(tasks::apply(chain(steps), &())?)
    }

    /// Starts a chord: doubles each number, all at once, then adds them up. Gives its result as
    /// `pipeline` does.
    pub fn doubled(numbers: Vec<i64>) -> Result<Value> {
        let header: Vec<_> =
            numbers.iter().map(|n| task("tasks.add", &[n, n])).collect::<Result<_>>()?;
        Ok(tasks::apply(chord(header, task("tasks.xsum", &())?), &())?)
    }

    /// Lets `tasks.add(x, 1)` take its place: that task's result is this one's.
    pub fn hand_over(x: i64) -> Result<i64> {
        tasks::replace(task("tasks.add", &(x, 1))?)?;
        Err(Error::Ignore)
    }

    /// In the header of a chord: adds a sum of `more` + 0 to the header, and gives `x`.
    pub fn join_in(x: i64, more: i64) -> Result<i64> {
        tasks::add_to_chord(task("tasks.add", &(more, 0))?)?;
        Ok(x)
    }
}
