//! YAML as PyYAML's `safe_load` and `safe_dump` have it: plain data, timestamps and bytes.

mod read;
mod scalar;
mod write;

pub(super) use read::read;
pub(super) use write::write;

/// Lighter than what other formats may hold: the parser takes a microsecond and more for each value,
/// PyYAML a hundred.
const MAX_WEIGHT: usize = 512 << 10;
