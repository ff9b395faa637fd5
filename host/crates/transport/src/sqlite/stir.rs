//! Tells when any process writes to the file, so that nobody has to look all the time. Where the
//! system has no such thing, the reader looks more often.

use std::path::Path;
use std::time::Duration;

/// Writes come in bursts: one word for all within this time.
#[cfg(target_os = "linux")]
const BURST: Duration = Duration::from_millis(4);

/// Watches until it is dropped.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(super) struct Watch {
    inotify: std::sync::Arc<std::os::fd::OwnedFd>,
    watched: i32,
}

#[cfg(target_os = "linux")]
impl Watch {
    /// Calls `stir` on a thread of its own after every write to the log, until `stir` says `false`.
    /// `None` if the system refuses.
    pub(super) fn start(
        database: &Path,
        mut stir: impl FnMut() -> bool + Send + 'static,
    ) -> Option<Watch> {
        use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};

        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        let inotify = std::sync::Arc::new(init(CreateFlags::CLOEXEC).ok()?);
        let watched = add_watch(&inotify, Path::new(&log), WatchFlags::MODIFY).ok()?;
        let theirs = inotify.clone();
        std::thread::spawn(move || {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 512];
            let mut events = Reader::new(&*theirs, &mut buffer);
            // Ignored: the watch was removed, or the file is gone.
            while let Ok(event) = events.next()
                && !event.events().contains(ReadFlags::IGNORED)
            {
                if !stir() {
                    break;
                }
                if events.is_buffer_empty() {
                    std::thread::sleep(BURST);
                }
            }
        });
        Some(Watch { inotify, watched })
    }
}

#[cfg(target_os = "linux")]
impl Drop for Watch {
    fn drop(&mut self) {
        // Ends the thread.
        let _ = rustix::fs::inotify::remove_watch(&self.inotify, self.watched);
    }
}

/// Never there.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(super) enum Watch {}

#[cfg(not(target_os = "linux"))]
impl Watch {
    pub(super) fn start(_: &Path, _: impl FnMut() -> bool + Send + 'static) -> Option<Watch> {
        None
    }
}

/// How long the reader may sleep: `lively` while there was a change within that time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    pub(super) lively: Duration,
    pub(super) short: Duration,
    pub(super) long: Duration,
}

/// Once stirred: a write is seen a little before its commit.
pub(super) const WATCHING: Rhythm = Rhythm {
    lively: Duration::from_millis(200),
    short: Duration::from_millis(3),
    long: Duration::from_millis(500),
};

/// On its own: a compromise between a prompt start and the cost of idling.
pub(super) const LOOKING: Rhythm = Rhythm {
    lively: Duration::from_secs(2),
    short: Duration::from_millis(4),
    long: Duration::from_millis(8),
};
