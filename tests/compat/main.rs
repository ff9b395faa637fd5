//! What an unmodified Celery client can ask of a worker, asked of `celery worker` and of Umbel: every
//! case of `python/cases` on every broker with every content type is a test of its own.
//!
//! A test's name is `<broker>-<content>::<side>::<case>`; the client lives in a Python process for
//! each side of each cell, which is started for its first case and ended after its last one.

mod catalogue;
mod stage;

use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use crate::catalogue::{Case, SIDES};
use crate::stage::Stage;

/// Cases mostly wait: more of them at a time than there are cores.
const AT_ONCE: usize = 14;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let cases = catalogue::read();
    let mut trials = about_the_suite(&cases);
    for stage in stages(&cases) {
        let stage = Arc::new(stage);
        for case in cases.iter().filter(|case| case.takes_place(stage.cell(), stage.side())) {
            trials.push(trial(&stage, &case.name));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Every side of every cell that some case takes place on, in the order in which they are run.
fn stages(cases: &[Case]) -> Vec<Stage> {
    let cells = catalogue::cells(cases);
    cells.iter().flat_map(|cell| SIDES.map(|side| Stage::new(cell, side))).collect()
}

/// The stage ends when the last of its trials is dropped.
fn trial(stage: &Arc<Stage>, case: &str) -> Trial {
    let (stage, case) = (stage.clone(), case.to_owned());
    let name = format!("{}::{}::{case}", stage.cell(), stage.side());
    Trial::test(name, move || play(&stage, &case).map_err(Into::into))
}

/// Celery gets a second chance: cases are proved on it, it is not what is tested, and some of what
/// it does is a race on a busy machine.
fn play(stage: &Stage, case: &str) -> Result<(), String> {
    let played = stage.play(case);
    match (played, stage.side()) {
        (Err(first), "celery") => {
            stage.play(case).map_err(|second| format!("{first}\nand again:\n{second}"))
        }
        (played, _) => played,
    }
}

fn about_the_suite(cases: &[Case]) -> Vec<Trial> {
    let (totals, covered) = (catalogue::totals(cases), catalogue::check(cases));
    vec![Trial::test("the_suite::covers_every_subject_on_both_sides", move || {
        say(&totals);
        covered.map_err(Into::into)
    })]
}

#[expect(clippy::print_stdout, reason = "the totals belong into the list of results")]
fn say(text: &str) {
    println!("{text}");
}
