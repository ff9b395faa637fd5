//! What stands for the worker's `types` interface in bindings.

pub use crate::error::{Error, Failure, Retry};

/// Text that holds one JSON value.
pub type Json = String;
