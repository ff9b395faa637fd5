//! Tasks that send tasks: one by one, as a chain, as a chord, and in their own place.

use umbel_sdk::canvas::{chain, chord, task};
use umbel_sdk::{Error, Json, tasks};

umbel_sdk::plugin!({ world: "example:flow/plugin", path: ["../../wit", "wit"] });

struct Flow;
export!(Flow);

impl exports::example::flow::tasks::Guest for Flow {
    fn fan_out(n: u32) -> Result<Vec<String>, Error> {
        (0..n).map(|i| Ok(tasks::submit("tasks.add", &format!("[{i}, 1]"))?)).collect()
    }

    fn pipeline(x: i64) -> Result<Json, Error> {
        let first = task("tasks.add", &(x, 1))?;
        let steps = [first, task("tasks.add", &[10])?, task("tasks.add", &[100])?];
        Ok(tasks::apply(&chain(steps).to_string(), "")?)
    }

    fn doubled(numbers: Vec<i64>) -> Result<Json, Error> {
        let header: Vec<_> =
            numbers.iter().map(|n| task("tasks.add", &[n, n])).collect::<Result<_, _>>()?;
        let sum = task("tasks.xsum", &())?;
        Ok(tasks::apply(&chord(header, sum).to_string(), "")?)
    }

    fn hand_over(x: i64) -> Result<i64, Error> {
        tasks::replace(&task("tasks.add", &(x, 1))?.to_string())?;
        Err(Error::Ignore)
    }

    fn join_in(x: i64, more: i64) -> Result<i64, Error> {
        tasks::add_to_chord(&task("tasks.add", &(more, 0))?.to_string())?;
        Ok(x)
    }
}
