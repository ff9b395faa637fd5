//! YAML as PyYAML's `safe_load` and `safe_dump` have it: plain data, timestamps and bytes.

mod read;
mod scalar;
mod write;

pub(super) use read::read;
pub(super) use write::write;
