//! A bar chart in SVG, readable in light and dark.

use std::fmt::Write;

/// One bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    /// The subject of the chart, drawn in its own colour.
    pub(crate) ours: bool,
}

/// Bars that are to be compared with each other.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

const WIDTH: u32 = 760;
const LABELS: f64 = 190.0;
const LONGEST: f64 = 430.0;
const BAR: u32 = 26;
const GAP: u32 = 10;

/// The chart of these groups, all to one scale.
pub(crate) fn svg(title: &str, note: &str, groups: &[Group]) -> String {
    let bars = || groups.iter().flat_map(|group| &group.bars);
    let most = bars().map(|bar| bar.value).fold(1.0, f64::max);
    let mut body = String::new();
    let mut y = 62;
    for group in groups {
        line(
            &mut body,
            &format!(
                "<text class=\"group\" x=\"20\" y=\"{}\">{}</text>",
                y + 16,
                escape(&group.title)
            ),
        );
        y += 28;
        for bar in &group.bars {
            draw(&mut body, bar, y, most);
            y += BAR + GAP;
        }
        y += 14;
    }
    line(
        &mut body,
        &format!("<text class=\"note\" x=\"20\" y=\"{}\">{}</text>", y + 8, escape(note)),
    );
    let height = y + 26;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n\
         <style>\n\
         text {{ font: 14px system-ui, sans-serif; fill: #24292f }}\n\
         .title {{ font-size: 18px; font-weight: 600 }}\n\
         .group {{ font-weight: 600 }}\n\
         .note {{ font-size: 12px; fill: #57606a }}\n\
         .ground {{ fill: #ffffff }}\n\
         .ours {{ fill: #2da44e }}\n\
         .other {{ fill: #8c959f }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e6edf3 }} .note {{ fill: #9198a1 }} .ground {{ fill: #0d1117 }}\n\
         }}\n\
         </style>\n\
         <rect class=\"ground\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n\
         <text class=\"title\" x=\"20\" y=\"36\">{title}</text>\n\
         {body}</svg>\n",
        title = escape(title),
    )
}

fn draw(body: &mut String, bar: &Bar, y: u32, most: f64) {
    let length = (bar.value / most * LONGEST).max(2.0);
    let class = if bar.ours { "ours" } else { "other" };
    let text = y + 18;
    line(
        body,
        &format!(
            "<text x=\"{x}\" y=\"{text}\" text-anchor=\"end\">{label}</text>\
         <rect class=\"{class}\" x=\"{LABELS}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"3\"/>\
         <text x=\"{end:.1}\" y=\"{text}\">{value} tasks/s</text>",
            x = LABELS - 10.0,
            label = escape(&bar.label),
            end = LABELS + length + 8.0,
            value = thousands(bar.value),
        ),
    );
}

fn line(body: &mut String, text: &str) {
    writeln!(body, "{text}").expect("text takes text");
}

/// `12345.6` as `12,346`.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        for (value, text) in
            [(0.0, "0"), (999.4, "999"), (1000.0, "1,000"), (1_234_567.0, "1,234,567")]
        {
            assert_eq!(thousands(value), text);
        }
    }

    #[test]
    fn labels_cannot_break_the_markup() {
        let bar = Bar { label: "<b>&\"".to_owned(), value: 1.0, ours: true };
        let chart = svg("t", "n", &[Group { title: "g".to_owned(), bars: vec![bar] }]);
        assert!(chart.contains("&lt;b&gt;&amp;&quot;") && !chart.contains("<b>"));
    }
}
