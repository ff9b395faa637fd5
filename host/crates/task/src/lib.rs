//! What a task is, for both worlds: the call, how it ends, what it may use. Pure; knows neither
//! brokers nor wasmtime.

pub mod call;
pub mod grants;
pub mod name;
pub mod outcome;
pub mod policy;
pub mod runner;
