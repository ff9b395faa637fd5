//! A wasm backtrace as people read it.

use std::fmt;

use wasmtime::WasmBacktrace;

use crate::capture::printable;

/// Frames that are kept; the innermost ones.
pub(crate) const MOST_FRAMES: usize = 64;

/// The guest's own functions on the stack, innermost first.
pub(crate) struct Frames(Vec<String>);

impl Frames {
    /// The frames an error was raised under, if it was raised under any.
    pub(crate) fn of(error: &wasmtime::Error) -> Option<Self> {
        let frames = Self::of_stack(error.downcast_ref::<WasmBacktrace>()?);
        (!frames.0.is_empty()).then_some(frames)
    }

    pub(crate) fn of_stack(trace: &WasmBacktrace) -> Self {
        Self(trace.to_string().lines().filter_map(name).collect())
    }

    pub(crate) fn innermost_first(&self) -> &[String] {
        &self.0
    }

    /// True if the stack is full of a few functions that call each other.
    pub(crate) fn is_runaway(&self) -> bool {
        let mut names: Vec<&String> = self.0.iter().collect();
        names.sort_unstable();
        names.dedup();
        self.0.len() >= MOST_FRAMES && names.len() <= MOST_FRAMES / 4
    }

    /// Where the guest's code begins: what a panic runs through before it ends in a trap tells
    /// nobody anything.
    fn past_the_panic(&self) -> &[String] {
        let Some(unwind) = self.0.iter().position(|f| f.ends_with("rust_begin_unwind")) else {
            return &self.0;
        };
        let rest = &self.0[unwind + 1..];
        let own = rest.iter().position(|f| !f.starts_with("core::")).unwrap_or(0);
        &rest[own..]
    }
}

impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wasm backtrace, innermost first:")?;
        for run in self.past_the_panic().chunk_by(|a, b| a == b) {
            write!(f, "\n  at {}", run[0])?;
            if run.len() > 1 {
                write!(f, " ({} times)", run.len())?;
            }
        }
        Ok(())
    }
}

/// The function's name in a line of wasmtime's `  0: 0x12 - module!function`; no line without a
/// number is one of a frame.
fn name(line: &str) -> Option<String> {
    let (number, rest) = line.split_once(": ")?;
    number.trim().parse::<usize>().ok()?;
    let rest = rest.split_once(" - ").map_or(rest, |(_, name)| name);
    let name = rest.split_once('!').map_or(rest, |(_, name)| name);
    Some(without_hashes(&printable(name)))
}

/// `std[d123b7a1a2ed1472]::abort` and `deeper::hf8bc98e6aeab62a5` without what only a linker needs.
fn without_hashes(name: &str) -> String {
    let is_hash = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let name = match name.rsplit_once("::h") {
        Some((path, hash)) if is_hash(hash) => path,
        _ => name,
    };
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        match after.split_once(']') {
            Some((hash, after)) if is_hash(hash) => rest = after,
            _ => {
                out.push('[');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{Frames, name};

    #[test]
    fn names_lose_what_only_machines_need() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(name(line).as_deref(), expected, "{line}");
        };
        check("error while executing at wasm backtrace:", None);
        check("    0: <unknown>!deeper", Some("deeper"));
        check("   12:  0x4f2 - app.wasm!app::run::hf8bc98e6aeab62a5", Some("app::run"));
        check(
            "    1: <unknown>!std[d123b7a1a2ed1472]::process::abort",
            Some("std::process::abort"),
        );
        check("    2: <unknown>!f(int[4])", Some("f(int[4])"));
        check("    3: <unknown>!<wasm function 7>", Some("<wasm function 7>"));
        check("    4: <unknown>!evil\u{1b}[2J", Some("evil\\x1b[2J"));
    }

    #[test]
    fn a_panics_own_frames_are_left_out_and_repeats_are_counted() {
        let names =
            ["abort", "__rustc::rust_begin_unwind", "core::panicking::panic_fmt", "f", "f", "g"];
        let frames = Frames(names.map(str::to_owned).to_vec());
        let expected = "wasm backtrace, innermost first:\n  at f (2 times)\n  at g";
        assert_eq!(frames.to_string(), expected);
    }
}
