//! What the system tells of this process and of the machine.

use std::fs;
use std::time::Instant;

use umbel_protocol::control::Usage;

/// Since when this process works, and where it is asked about.
#[derive(Debug)]
pub(crate) struct Vitals {
    started: Instant,
    pub(crate) pid: u32,
}

/// Ticks of a second in what the kernel tells of CPU time, on every Linux there is.
const TICKS: f64 = 100.0;

impl Vitals {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), pid: std::process::id() }
    }

    /// Whole seconds.
    pub(crate) fn uptime(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// The machine's load over one, five and fifteen minutes; zeros where it is not told.
    pub(crate) fn load(&self) -> [f64; 3] {
        load(&read("/proc/loadavg"))
    }

    /// Memory in use, in KiB.
    pub(crate) fn memory(&self) -> Option<u64> {
        field(&read("/proc/self/status"), "VmRSS:")
    }

    /// What the process used so far.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
        usage(&stat, &status, &read("/proc/self/io"), switches())
    }
}

/// Empty where there is none, or none for us.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn load(text: &str) -> [f64; 3] {
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().unwrap_or(0.0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0.0))
}

/// The number behind a name, on a line of its own.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// How often all threads gave the processor up, and how often it was taken from them.
fn switches() -> [u64; 2] {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.fold([0, 0], |[voluntary, involuntary], thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let count = |name: &str| field(&status, name).unwrap_or(0);
        [
            voluntary + count("voluntary_ctxt_switches:"),
            involuntary + count("nonvoluntary_ctxt_switches:"),
        ]
    })
}

fn usage(stat: &str, status: &str, io: &str, switches: [u64; 2]) -> Option<Usage> {
    // The second field is a name in brackets, with anything in it.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
    let blocks = |name: &str| field(io, name).unwrap_or(0) / 512;
    let [voluntary_switches, involuntary_switches] = switches;
    Some(Usage {
        user_time: number(11)? as f64 / TICKS,
        system_time: number(12)? as f64 / TICKS,
        max_memory: field(status, "VmHWM:").unwrap_or(0),
        minor_faults: number(7)?,
        major_faults: number(9)?,
        blocks_read: blocks("read_bytes:"),
        blocks_written: blocks("write_bytes:"),
        voluntary_switches,
        involuntary_switches,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_understood() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 3 0 250 50 0 0 20 0 4 0 1 2 3";
        let io = "rchar: 9\nread_bytes: 1024\nwrite_bytes: 2048\ncancelled_write_bytes: 0\n";
        let expected = Usage {
            user_time: 2.5,
            system_time: 0.5,
            max_memory: 2048,
            minor_faults: 100,
            major_faults: 3,
            blocks_read: 2,
            blocks_written: 4,
            voluntary_switches: 5,
            involuntary_switches: 6,
        };
        assert_eq!(usage(stat, "VmHWM:\t  2048 kB\n", io, [5, 6]), Some(expected));
        assert_eq!(usage("", "", "", [0, 0]), None);
        assert_eq!(load("0.97 1.50 1.22 2/300 999\n"), [0.97, 1.5, 1.22]);
        assert_eq!(load(""), [0.0; 3]);
    }
}
