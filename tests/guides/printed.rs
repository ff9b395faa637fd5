//! Compares what was printed with what a page shows. What differs from run to run counts by its form: times, sizes, ids,
//! versions, and how many spaces stand between two words.

use std::sync::LazyLock;

use regex_lite::Regex;

/// Any text; on a line of its own any lines.
const ANYTHING: &str = "…";

static FORMS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let forms = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
        (r"@[0-9a-f]{12}\b", "@<version>"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:?\d\d)?", "<time>"),
        (r"\b\d+(\.\d+)?(ns|µs|ms|s|B|KiB|MiB|GiB)\b", "<amount>"),
        (r"\s+", " "),
    ];
    forms.map(|(form, name)| (Regex::new(form).expect("it is a pattern"), name)).into()
});

/// Whether these lines are what a page shows.
pub(crate) fn fits(shown: &[String], printed: &[&str]) -> bool {
    let Some((first, others)) = shown.split_first() else { return printed.is_empty() };
    if first.trim() == ANYTHING {
        return (0..=printed.len()).any(|skipped| fits(others, &printed[skipped..]));
    }
    printed.split_first().is_some_and(|(line, rest)| fits_line(first, line) && fits(others, rest))
}

fn fits_line(shown: &str, printed: &str) -> bool {
    let (shown, printed) = (form(shown), form(printed));
    let parts: Vec<&str> = shown.split(ANYTHING).collect();
    let [first, others @ ..] = parts.as_slice() else { return false };
    let Some((last, middle)) = others.split_last() else { return *first == printed };
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn form(line: &str) -> String {
    let line = line.trim_end().to_owned();
    FORMS.iter().fold(line, |line, (form, name)| form.replace_all(&line, *name).into_owned())
}
