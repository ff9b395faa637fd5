//! The path of one message: take, decode, admit, slot, run, judge, carry out, settle.
//! Knows the vocabularies of both worlds and the libraries of neither.

mod admit;
mod attempt;
mod hold;
mod hop;
mod intake;
mod outbox;
mod retry;
mod shutdown;
mod tell;
mod verdict;
mod worker;

pub use hop::Hop;
pub use shutdown::Shutdown;
pub use tell::Summary;
pub use worker::{Worker, WorkerConfig, WorkerError};
