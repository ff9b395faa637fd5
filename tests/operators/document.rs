//! The table in `docs/compatibility.md` is what these tests saw.

use std::fmt::Write;

use crate::commands::Same;
use crate::stage::Row;

const PLACE: &str = "docs/compatibility.md";

/// Everything between these lines is made here.
const BEGIN: &str = "<!-- made by tests/operators -->";
const END: &str = "<!-- end -->";

/// Fails if the document says something else; with `UMBEL_WRITE_DOCS` set it is written instead.
pub(crate) fn check(rows: &[Row]) {
    let path = umbel_harness::paths::tests().join("..").join(PLACE);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let (before, rest) = text.split_once(BEGIN).expect("the document has a place for the table");
    let (_, after) = rest.split_once(END).expect("the table has an end");
    let wanted = format!("{before}{BEGIN}\n{}{END}{after}", table(rows));
    if std::env::var_os("UMBEL_WRITE_DOCS").is_some() {
        std::fs::write(&path, wanted).expect("the document can be written");
        return;
    }
    assert_eq!(text, wanted, "{PLACE} is not what was seen: run this with UMBEL_WRITE_DOCS=1");
}

fn table(rows: &[Row]) -> String {
    let mut text =
        String::from("\n| `celery …` | Python | Umbel | what is printed |\n|---|---|---|---|\n");
    for Row { command, python, umbel } in rows {
        let seen = match command.same {
            Same::Text => "the same, character by character".to_owned(),
            Same::Shape => "the same keys".to_owned(),
            Same::Status => "the same kind of thing".to_owned(),
            Same::Differs(why) => why.to_owned(),
        };
        let line = command.line;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{line}` | {} | {} | {seen} |", python.exit, umbel.exit);
    }
    text.push('\n');
    text
}
