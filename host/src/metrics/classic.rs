//! The text format of before OpenMetrics, which everything can read. They differ in how a counter's
//! family is called, and in an end that is said. Pure.

use std::fmt::Write;

/// Says the same in the older format.
pub(super) fn text(modern: &str) -> String {
    let mut text = String::with_capacity(modern.len());
    let mut help = None;
    for line in modern.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, help)| help);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let total = if kind == "counter" { "_total" } else { "" };
            let help = help.take().unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = write!(text, "# HELP {name}{total} {help}\n# TYPE {name}{total} {kind}\n");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_called_by_their_samples_and_the_end_is_not_said() {
        let modern = "# HELP a_b What it is\n# TYPE a_b counter\na_b_total{x=\"# TYPE\"} 1\n\
                      # HELP g G\n# TYPE g gauge\ng 2\n# EOF\n";
        let classic = "# HELP a_b_total What it is\n# TYPE a_b_total counter\n\
                       a_b_total{x=\"# TYPE\"} 1\n# HELP g G\n# TYPE g gauge\ng 2\n";
        assert_eq!(text(modern), classic);
    }
}
