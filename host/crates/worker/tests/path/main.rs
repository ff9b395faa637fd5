//! The path of one message, with a broker, a store and tasks in memory.

#![expect(clippy::unwrap_used, reason = "a test may end where its helpers cannot go on")]

mod bench;
mod canvas;
mod care;
mod clock;
mod control;
mod endings;
mod events;
mod fakes;
mod headers;
mod inspect;
mod observe;
