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
        usage(&read("/proc/self/stat"), &read("/proc/self/status"))
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

fn usage(stat: &str, status: &str) -> Option<Usage> {
    // The second field is a name in brackets, with anything in it.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
    Some(Usage {
        user_time: number(11)? as f64 / TICKS,
        system_time: number(12)? as f64 / TICKS,
        max_memory: field(status, "VmHWM:").unwrap_or(0),
        minor_faults: number(7)?,
        major_faults: number(9)?,
        voluntary_switches: field(status, "voluntary_ctxt_switches:").unwrap_or(0),
        involuntary_switches: field(status, "nonvoluntary_ctxt_switches:").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_understood() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 3 0 250 50 0 0 20 0 4 0 1 2 3";
        let status =
            "VmHWM:\t  2048 kB\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t6";
        let expected = Usage {
            user_time: 2.5,
            system_time: 0.5,
            max_memory: 2048,
            minor_faults: 100,
            major_faults: 3,
            voluntary_switches: 5,
            involuntary_switches: 6,
        };
        assert_eq!(usage(stat, status), Some(expected));
        assert_eq!(usage("", ""), None);
        assert_eq!(load("0.97 1.50 1.22 2/300 999\n"), [0.97, 1.5, 1.22]);
        assert_eq!(load(""), [0.0; 3]);
    }
}
