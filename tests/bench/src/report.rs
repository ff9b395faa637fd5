//! Figures beside their targets: printed at once, written at the end.

use std::path::PathBuf;

use serde_json::{Value, json};
use umbel_harness::paths;

/// Everything measured so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Value>,
    missed: Vec<String>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    Below(f64),
}

impl Report {
    /// A headline on the terminal.
    pub(crate) fn section(&mut self, title: &str) {
        println!("\n{title}");
    }

    /// One figure, beside its target if it has one.
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &str, target: Option<Target>) {
        let (verdict, wanted) = match target {
            None => (None, String::new()),
            Some(Target::AtLeast(least)) => (Some(value >= least), format!("at least {least}")),
            Some(Target::Below(most)) => (Some(value < most), format!("below {most}")),
        };
        let mark = match verdict {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        };
        let figure = format!("{} {unit}", shown(value));
        println!("  {name:<58} {figure:>14}   {wanted:<14} {mark}");
        if verdict == Some(false) {
            self.missed.push(name.to_owned());
        }
        self.figures.push(json!({
            "name": name, "value": value, "unit": unit, "target": wanted, "met": verdict,
        }));
    }

    /// Writes `target/bench/figures.json` and says what was missed.
    pub(crate) fn finish(self) {
        let file = write("figures.json", &pretty(&Value::Array(self.figures)));
        println!("\nwritten: {}", file.display());
        match self.missed.as_slice() {
            [] => println!("every target is met"),
            missed => println!("missed: {}", missed.join("; ")),
        }
    }
}

/// Writes a file into `target/bench` and gives its path.
pub(crate) fn write(name: &str, text: &str) -> PathBuf {
    let folder = paths::workspace().join("target/bench");
    std::fs::create_dir_all(&folder).expect("target is writable");
    let file = folder.join(name);
    std::fs::write(&file, text).expect("target is writable");
    file
}

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("values are JSON") + "\n"
}

/// The one in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that `share` of all stay below.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
