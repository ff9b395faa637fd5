//! What a worker's log says of the tasks that ended.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// One task that succeeded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Done {
    pub(crate) id: String,
    /// What it returned, as the log shows it.
    pub(crate) value: String,
    /// The version it ran on.
    pub(crate) version: String,
    /// Milliseconds since midnight.
    pub(crate) at: u64,
}

/// Reads a log as it grows.
pub(crate) struct Log {
    file: PathBuf,
    read: u64,
    rest: String,
    pub(crate) done: Vec<Done>,
    /// How often a version took the place of another.
    pub(crate) swaps: u64,
}

impl Log {
    pub(crate) fn of(file: &std::path::Path) -> Log {
        Log { file: file.to_owned(), read: 0, rest: String::new(), done: Vec::new(), swaps: 0 }
    }

    /// Takes in what was written since.
    pub(crate) fn read(&mut self) {
        let mut file = File::open(&self.file).expect("the log is there");
        file.seek(SeekFrom::Start(self.read)).expect("a file can be sought in");
        let mut new = Vec::new();
        self.read += file.read_to_end(&mut new).expect("a file can be read") as u64;
        self.rest += &String::from_utf8_lossy(&new);
        let whole = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let lines: String = self.rest.drain(..whole).collect();
        self.swaps += lines.matches("is served now in place of").count() as u64;
        self.done.extend(lines.lines().filter_map(done));
    }

    /// The pauses between one end and the next, in milliseconds, longest first.
    pub(crate) fn pauses(done: &[Done]) -> Vec<u64> {
        let mut pauses: Vec<u64> =
            done.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).collect();
        pauses.sort_unstable_by(|one, other| other.cmp(one));
        pauses
    }
}

/// `[2026-01-01 00:00:00,000: INFO/MainProcess] Task n[id] succeeded in 0.1s: 'v' cpu=… plugin=p@d`
fn done(line: &str) -> Option<Done> {
    let (before, after) = line.split_once("] succeeded in ")?;
    let id = before.rsplit_once('[')?.1.to_owned();
    let value = after.split_once(": ")?.1.split(" cpu=").next()?.to_owned();
    let version = after.rsplit_once("plugin=")?.1.split(' ').next()?.to_owned();
    let time = before.get(12..24)?;
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<u64>().ok();
    let seconds = (number(0..2)? * 60 + number(3..5)?) * 60 + number(6..8)?;
    Some(Done { id, value, version, at: seconds * 1000 + number(9..12)? })
}

#[test]
fn a_line_is_read() {
    let line = "[2026-11-21 01:02:03,004: INFO/MainProcess] Task life.version[8d61] succeeded in \
                0.000100s: 'one' cpu=0.1ms mem=0.1MiB plugin=life@0123456789ab";
    let expected = Done {
        id: "8d61".to_owned(),
        value: "'one'".to_owned(),
        version: "life@0123456789ab".to_owned(),
        at: 3_723_004,
    };
    assert_eq!(done(line), Some(expected));
}
