//! A wall clock that jumps, for the processes of a test; the machine's own is left alone.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use tempfile::TempDir;

use crate::reaper;

/// One clock for all processes that are started with its [`variables`](JumpingClock::variables).
#[derive(Debug)]
pub struct JumpingClock {
    ahead: File,
    folder: TempDir,
}

impl JumpingClock {
    /// A clock that is right so far.
    pub fn new() -> JumpingClock {
        let folder = TempDir::with_prefix("umbel-clock-").expect("a temporary folder can be made");
        reaper::remove(folder.path());
        let source = folder.path().join("clock.c");
        fs::write(&source, include_str!("clock.c")).expect("a fresh folder is writable");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.path().join("clock.so"));
        let compiled = compiler.arg(&source).status().expect("`cc` can be started");
        assert!(compiled.success(), "`cc` compiles clock.c");
        let ahead = File::create(folder.path().join("ahead")).expect("a fresh folder is writable");
        let clock = JumpingClock { ahead, folder };
        clock.jump_to(0);
        clock
    }

    /// What a process must find in its environment to go by this clock.
    pub fn variables(&self) -> [(String, String); 2] {
        let path = |file: &str| self.folder.path().join(file).display().to_string();
        [("LD_PRELOAD".to_owned(), path("clock.so")), ("JUMPING_CLOCK".to_owned(), path("ahead"))]
    }

    /// From now on the clock is so many seconds ahead of the right one, or behind it.
    pub fn jump_to(&self, seconds: i64) {
        self.ahead.write_all_at(&seconds.to_ne_bytes(), 0).expect("the file is writable");
    }
}

impl Default for JumpingClock {
    fn default() -> Self {
        JumpingClock::new()
    }
}
