//! The hops of a message's path, by name: what tests that kill a worker go over.

use std::fmt;
use std::str::FromStr;

/// A hop, in the order of the path. "After" a hop is before the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hop {
    Take,
    Decode,
    Admit,
    Slot,
    Run,
    Judge,
    Publish,
    Store,
    /// The body of a chord is this worker's to send.
    Claim,
    Join,
    Settle,
}

impl Hop {
    pub const ALL: [Hop; 11] = [
        Hop::Take,
        Hop::Decode,
        Hop::Admit,
        Hop::Slot,
        Hop::Run,
        Hop::Judge,
        Hop::Publish,
        Hop::Store,
        Hop::Claim,
        Hop::Join,
        Hop::Settle,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Hop::Take => "take",
            Hop::Decode => "decode",
            Hop::Admit => "admit",
            Hop::Slot => "slot",
            Hop::Run => "run",
            Hop::Judge => "judge",
            Hop::Publish => "publish",
            Hop::Store => "store",
            Hop::Claim => "claim",
            Hop::Join => "join",
            Hop::Settle => "settle",
        }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Hop {
    type Err = String;

    fn from_str(text: &str) -> Result<Hop, String> {
        let found = Hop::ALL.into_iter().find(|hop| hop.as_str() == text);
        let known = || Hop::ALL.map(Hop::as_str).join(", ");
        found.ok_or_else(|| format!("`{text}` is no hop: {}", known()))
    }
}
