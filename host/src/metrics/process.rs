//! What the kernel tells of this process, under the names that other exporters use.

use std::fmt;
use std::fs;

use rustix::process::{Resource, getrlimit};

use super::page::Writer;

/// The kernel counts in hundredths of a second for everyone outside it.
const TICKS: f64 = 100.0;

/// One look. What cannot be read is not told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    cpu: Option<f64>,
    /// Seconds since the epoch.
    started: Option<f64>,
    resident: Option<u64>,
    virtual_: Option<u64>,
    files: Option<u64>,
    most_files: Option<u64>,
}

impl Process {
    pub(super) fn look() -> Process {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let files = fs::read_dir("/proc/self/fd").ok();
        Process {
            // The look itself has one open.
            files: files.map(|files| (files.count() as u64).saturating_sub(1)),
            most_files: getrlimit(Resource::Nofile).current,
            ..Process::read(
                &read("/proc/self/stat"),
                &read("/proc/self/status"),
                &read("/proc/stat"),
            )
        }
    }

    fn read(own: &str, status: &str, machine: &str) -> Process {
        // The program's name stands in brackets and may hold spaces.
        let fields: Vec<&str> =
            own.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        let number = |text: &str, name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let kibibytes = |name| Some(number(status, name)? * 1024);
        let boot = number(machine, "btime ");
        Process {
            cpu: ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / TICKS),
            started: boot.zip(ticks(19)).map(|(boot, after)| boot as f64 + after / TICKS),
            resident: kibibytes("VmRSS:"),
            virtual_: kibibytes("VmSize:"),
            ..Process::default()
        }
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let Process { cpu, started, resident, virtual_, files, most_files } = *self;
        if let Some(cpu) = cpu {
            let help = "CPU time of the whole process, in user and system mode";
            writer.counter("process_cpu_seconds", help, cpu)?;
        }
        let gauges = [
            ("process_resident_memory_bytes", "Memory in use", resident),
            ("process_virtual_memory_bytes", "Address space, most of it reserved alone", virtual_),
            ("process_open_fds", "Open file descriptors", files),
            ("process_max_fds", "File descriptors that may be open", most_files),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                writer.gauge(name, help, value)?;
            }
        }
        match started {
            Some(started) => {
                let help = "When it was started, in seconds since the epoch";
                writer.gauge("process_start_time_seconds", help, started)
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let own = "7 (a ) b) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 4 0 1000 0 0";
        let status = "Name:\tumbel\nVmSize:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        let expected = Process {
            cpu: Some(2.0),
            started: Some(1_700_000_010.0),
            resident: Some(1 << 20),
            virtual_: Some(2 << 20),
            ..Process::default()
        };
        assert_eq!(Process::read(own, status, "cpu 1 2\nbtime 1700000000\n"), expected);
        assert_eq!(Process::read("", "", ""), Process::default());
    }
}
