//! Instants in the dialects Python writes (PROTOCOL 1.4).

/// An instant, and the text it came as.
#[derive(Clone, Debug, PartialEq)]
pub struct Timestamp {
    pub at: jiff::Timestamp,
    /// As the sender wrote it; sent on unchanged.
    pub text: String,
}

impl Timestamp {
    /// ISO 8601 with `T` or space, optional fraction, `Z` or `±HH:MM`; without an offset it is UTC.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let _ = text;
        todo!()
    }

    /// As Python's `datetime.isoformat()` writes a UTC instant: microseconds, absent when zero, `+00:00`.
    pub fn new(at: jiff::Timestamp) -> Timestamp {
        let _ = at;
        todo!()
    }
}
