//! What the system tests and the benchmarks share: requests as a Python client writes them, and a
//! client of the embedded broker. The test targets of this package are in the folders beside.

pub mod client;
pub mod request;
