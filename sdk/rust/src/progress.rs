//! Tells whoever follows the task how far it is.

use crate::bindings::umbel::task::progress as host;

/// Sets a state of the task's own with details: JSON text, seen by the caller as
/// `AsyncResult.info`. Returns at once; of many updates the latest is sure to be stored.
pub fn update(state: &str, meta: &str) {
    host::update(state, meta);
}

/// Sets the state `PROGRESS` with `{"current": …, "total": …}`, which is what Celery's own
/// documentation shows.
pub fn report(current: u64, total: u64) {
    update("PROGRESS", &format!(r#"{{"current": {current}, "total": {total}}}"#));
}
