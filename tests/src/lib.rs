//! What the system tests and the benchmarks share: requests as a Python client writes them, a
//! client beside the worker, and what hostile tasks and messages try. The test targets of this
//! package are in the folders beside.

pub mod behaviours;
pub mod client;
pub mod guests;
pub mod messages;
pub mod request;
