//! Real brokers, worker processes and Python peers for tests.
//! Everything started here ends with its owner, and at the latest with the test process itself.

pub mod certificates;
pub mod clock;
pub mod dialogue;
pub mod eventually;
pub mod net;
pub mod paths;
pub mod process;
pub mod python;
pub mod rabbitmq;
mod reaper;
pub mod redis;
pub mod sentinels;
pub mod shell;
pub mod terminal;
pub mod worker;
