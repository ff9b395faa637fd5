//! The list of cases, as the Python files have it.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;
use umbel_harness::{paths, python};

/// Who serves the tasks.
pub(crate) const SIDES: [&str; 2] = ["celery", "umbel"];

/// What the suite was asked to have at least.
const LEAST: usize = 120;

/// Each file of cases is about one of these.
const SUBJECTS: [&str; 17] = [
    "acknowledgement",
    "builtin",
    "callbacks",
    "calls",
    "chains",
    "chords",
    "connections",
    "content",
    "endings",
    "flow",
    "groups",
    "replacing",
    "results",
    "retries",
    "rpc",
    "shutdown",
    "time",
];

/// One case, and where it takes place.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    subject: String,
    /// Cell and side.
    places: Vec<(String, String)>,
    /// Why Umbel does not do what Celery does, if it does not.
    differs: Option<String>,
}

/// Asks Python for the list.
pub(crate) fn read() -> Vec<Case> {
    let listed = python::run(&paths::tests().join("compat/python/driver.py"), &["--list"]);
    listed.as_array().expect("the list is one").iter().map(Case::new).collect()
}

/// Every cell that some case takes place in, in the order of the cases.
pub(crate) fn cells(cases: &[Case]) -> Vec<String> {
    let mut cells = Vec::new();
    for (cell, _) in cases.iter().flat_map(|case| &case.places) {
        if !cells.contains(cell) {
            cells.push(cell.clone());
        }
    }
    cells
}

/// How many cases there are, and on how many places they run.
pub(crate) fn totals(cases: &[Case]) -> String {
    let mut text = format!("{} cases", cases.len());
    for side in SIDES {
        let (mut on_side, mut runs) = (0, 0);
        for case in cases {
            let places = case.places.iter().filter(|(_, place)| place == side).count();
            on_side += usize::from(places > 0);
            runs += places;
        }
        write!(text, "; {on_side} on {side}, {runs} runs").expect("text takes everything");
    }
    text
}

/// Whether the suite is as large and as wide as it must be.
pub(crate) fn check(cases: &[Case]) -> Result<(), String> {
    let mut wrong = Vec::new();
    if cases.len() < LEAST {
        wrong.push(format!("{} cases are less than {LEAST}", cases.len()));
    }
    let subjects: BTreeSet<&str> = cases.iter().map(|case| &*case.subject).collect();
    if subjects != BTreeSet::from(SUBJECTS) {
        wrong.push(format!("the subjects are {subjects:?}"));
    }
    let readme = paths::workspace().join("README.md");
    let readme = std::fs::read_to_string(readme).expect("the project has a README");
    let tells = |reason: &str, name: &str| {
        let row = readme.lines().find(|line| line.starts_with(&format!("| {reason} |")));
        row.is_some_and(|row| row.contains(&format!("`{name}`")))
    };
    for case in cases {
        let one_sided = SIDES.iter().any(|side| !case.is_on(side));
        match &case.differs {
            _ if case.places.is_empty() => wrong.push(format!("{} runs nowhere", case.name)),
            None if one_sided => wrong.push(format!("{} does not say why", case.name)),
            Some(reason) if !reason.ends_with('.') => {
                wrong.push(format!("the reason of {} is no sentence", case.name));
            }
            Some(reason) if !tells(reason, &case.name) => {
                wrong.push(format!("README.md does not tell how {} differs", case.name));
            }
            _ => {}
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

impl Case {
    fn new(listed: &Value) -> Case {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let places = listed["places"].as_array().expect("places are a list").iter().map(|place| {
            let [broker, content, side] = [0, 1, 2].map(|i| text(&place[i]).expect("a place"));
            (format!("{broker}-{content}"), side)
        });
        Case {
            name: text(&listed["name"]).expect("a case has a name"),
            subject: text(&listed["subject"]).expect("a case has a subject"),
            places: places.collect(),
            differs: text(&listed["differs"]),
        }
    }

    pub(crate) fn takes_place(&self, cell: &str, side: &str) -> bool {
        self.places.iter().any(|place| (&*place.0, &*place.1) == (cell, side))
    }

    fn is_on(&self, side: &str) -> bool {
        self.places.iter().any(|place| place.1 == side)
    }
}
