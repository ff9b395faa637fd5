//! Whether a broker is there, as far as the connections tell over which its messages are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What the connections of one broker tell of it. Shared; may be asked at any time.
#[derive(Debug, Default)]
pub struct Presence {
    /// Connections that were lost and are not back.
    away: AtomicUsize,
    reconnects: AtomicU64,
}

impl Presence {
    /// No connection is missing.
    pub fn is_connected(&self) -> bool {
        self.away.load(Ordering::Relaxed) == 0
    }

    /// How often a lost connection came back.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// One more connection, which stands.
    pub fn line(self: &Arc<Self>) -> Line {
        Line { presence: Arc::clone(self), away: AtomicBool::new(false) }
    }
}

/// What one connection tells; dropped, it is missed by nobody.
#[derive(Debug)]
pub struct Line {
    presence: Arc<Presence>,
    away: AtomicBool,
}

impl Line {
    /// It is gone. Said twice it counts once.
    pub fn lost(&self) {
        if !self.away.swap(true, Ordering::Relaxed) {
            self.presence.away.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It stands again.
    pub fn back(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            self.presence.reconnects.fetch_add(1, Ordering::Relaxed);
            self.presence.away.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.away.swap(false, Ordering::Relaxed) {
            self.presence.away.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_there_while_no_connection_is_missing() {
        let presence = Arc::new(Presence::default());
        let (one, other) = (presence.line(), presence.line());
        let seen = || (presence.is_connected(), presence.reconnects());
        one.back();
        assert_eq!(seen(), (true, 0));
        one.lost();
        one.lost();
        other.lost();
        assert_eq!(seen(), (false, 0));
        one.back();
        assert_eq!(seen(), (false, 1));
        drop(other);
        assert_eq!(seen(), (true, 1));
    }
}
