//! The worker's side: the real one inside a component, a double in tests.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::{context, log, progress, tasks};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::double::{context, log, progress, tasks};
