//! The tasks of `NAME`: each `pub fn` in the module is one, and callers send `NAME.summarize`.

#[umbel::tasks]
mod tasks {
    use std::time::Duration;

    use umbel::{Context, Error};

    /// What `summarize` finds.
    #[derive(Debug, PartialEq, umbel::Type)]
    pub struct Summary {
        pub count: u32,
        pub mean: f64,
        pub largest: f64,
    }

    /// Counts numbers, and finds their mean and the largest of them.
    pub fn summarize(numbers: Vec<f64>) -> umbel::Result<Summary> {
        let largest = numbers
            .iter()
            .copied()
            .reduce(f64::max)
            .ok_or("there are no numbers")?;
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        Ok(Summary {
            count: numbers.len() as u32,
            mean,
            largest,
        })
    }

    /// Adds up amounts such as `12.50`, told apart by lines. An empty text has not arrived yet: the
    /// task is run again two seconds later, three times at most.
    pub fn add_up(ctx: &Context, lines: &str) -> umbel::Result<f64> {
        if lines.is_empty() {
            let error = Error::retry(format!("nothing arrived for {}", ctx.id));
            return Err(error.after(Duration::from_secs(2)).at_most(3));
        }
        let total = lines.lines().count() as u64;
        let mut sum = 0.0;
        for (done, line) in (1..).zip(lines.lines()) {
            sum += line.trim().parse::<f64>()?;
            ctx.progress(done, total);
        }
        Ok(sum)
    }
}

// `cargo test` runs these as they are, without a worker and without WebAssembly.
#[cfg(test)]
mod tests {
    use super::tasks::{Summary, add_up, summarize};
    use umbel::{Context, Error, testing};

    #[test]
    fn numbers_are_summarized() {
        let summary = Summary {
            count: 3,
            mean: 2.0,
            largest: 3.0,
        };
        assert_eq!(summarize(vec![3.0, 1.0, 2.0]), Ok(summary));
        assert_eq!(
            summarize(vec![]).unwrap_err().message(),
            "there are no numbers"
        );
    }

    #[test]
    fn amounts_are_added_up_line_by_line() {
        let worker = testing::worker();
        assert_eq!(add_up(&Context::current(), "12.50\n7.25"), Ok(19.75));
        assert_eq!(worker.progress()[1].meta["current"], 2);
    }

    #[test]
    fn what_has_not_arrived_is_tried_again() {
        let ending = add_up(&Context::current(), "").unwrap_err();
        assert!(matches!(ending, Error::Retry(retry) if retry.max == Some(3)));
    }

    #[test]
    fn a_line_that_is_no_amount_fails_the_task() {
        let error = add_up(&Context::current(), "12.50\ntwelve").unwrap_err();
        assert_eq!(error.kind(), Some("ParseFloatError"));
    }
}
