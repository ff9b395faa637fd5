//! Where a line of a bundle came from: source maps of version 3, as far as it takes to show an error.

use serde_json::Value;

/// The lines of a bundle, each with its segments in ascending order.
pub(crate) struct SourceMap {
    sources: Vec<String>,
    lines: Vec<Vec<Segment>>,
}

/// From this column on, the text is that of a place in a source.
#[derive(Clone, Copy)]
struct Segment {
    column: i64,
    source: i64,
    line: i64,
    source_column: i64,
}

impl SourceMap {
    /// Reads a map; none if it is not one.
    pub(crate) fn read(text: &[u8]) -> Option<SourceMap> {
        let map: Value = serde_json::from_slice(text).ok()?;
        let sources = map.get("sources")?.as_array()?.iter();
        let sources = sources.map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
        let mut at = Segment { column: 0, source: 0, line: 0, source_column: 0 };
        let mut lines = Vec::new();
        for line in map.get("mappings")?.as_str()?.split(';') {
            at.column = 0;
            let segments = line.split(',').filter(|segment| !segment.is_empty());
            let read = segments.map(|segment| {
                let numbers = numbers(segment)?;
                at.column += numbers.first()?;
                at.source += numbers.get(1).unwrap_or(&0);
                at.line += numbers.get(2).unwrap_or(&0);
                at.source_column += numbers.get(3).unwrap_or(&0);
                Some(at)
            });
            lines.push(read.collect::<Option<Vec<Segment>>>()?);
        }
        Some(SourceMap { sources, lines })
    }

    /// The source, line and column of a place in the bundle; all count from one.
    pub(crate) fn origin(&self, line: usize, column: usize) -> Option<(&str, i64, i64)> {
        let column = i64::try_from(column).ok()? - 1;
        let segments = self.lines.get(line.checked_sub(1)?)?;
        let last = segments.iter().rfind(|segment| segment.column <= column).or(segments.first())?;
        let source = self.sources.get(usize::try_from(last.source).ok()?)?;
        Some((source, last.line + 1, last.source_column + 1))
    }
}

/// The numbers of one segment: six bits a character, five of them digits, the lowest one the sign.
fn numbers(segment: &str) -> Option<Vec<i64>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut numbers = Vec::new();
    let (mut number, mut shift) = (0_i64, 0_u32);
    for character in segment.bytes() {
        let digit = DIGITS.iter().position(|one| *one == character)?;
        let digit = i64::try_from(digit).ok()?;
        number |= (digit & 31).checked_shl(shift)?;
        shift += 5;
        if digit & 32 == 0 {
            numbers.push(if number & 1 == 1 { -(number >> 1) } else { number >> 1 });
            (number, shift) = (0, 0);
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_bundle_is_found_in_its_source() {
        // Two lines: the first of a.js from its column 5 on, the second of b.js, line 3.
        let map = br#"{"version": 3, "sources": ["a.js", "b.js"], "mappings": "AAAA,KAAK;ACEL"}"#;
        let map = SourceMap::read(map).expect("it is one");
        assert_eq!(map.origin(1, 1), Some(("a.js", 1, 1)));
        assert_eq!(map.origin(1, 8), Some(("a.js", 1, 6)));
        assert_eq!(map.origin(2, 4), Some(("b.js", 3, 1)));
        assert_eq!(map.origin(3, 1), None);
        assert!(SourceMap::read(b"{}").is_none());
    }
}
