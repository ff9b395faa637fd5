//! The path of one message: take, decode, admit, slot, run, judge, carry out, settle.
//! Knows the vocabularies of both worlds and the libraries of neither.

mod admit;
mod attempt;
mod builtins;
mod carry;
mod chord;
mod control;
mod errback;
mod events;
mod exception;
mod flow;
mod hold;
mod hop;
mod ids;
mod inflight;
mod intake;
mod observe;
mod outbox;
mod parked;
mod queues;
mod record;
mod retry;
mod revoked;
mod sanitize;
mod shutdown;
mod slots;
mod submissions;
mod tell;
mod turn;
mod verdict;
mod vitals;
mod worker;

pub use carry::REPEATED;
pub use control::Plugins;
pub use hop::Hop;
pub use observe::{End, Observer, Run, Story, Times, Watch};
pub use shutdown::Shutdown;
pub use tell::Summary;
pub use worker::{About, Worker, WorkerConfig, WorkerError};
