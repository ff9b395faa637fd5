//! Tells whoever follows the task how far it is.

use serde::Serialize;

use crate::{Result, host, json};

/// Sets a state of the task's own with details, seen by the caller as `AsyncResult.state` and
/// `.info`. Returns at once; of many updates the latest is sure to be stored. Details that have no
/// JSON form are an error.
///
/// ```
/// # fn task() -> umbel::Result<()> {
/// umbel::progress::update("UPLOADING", &[("bytes", 1024)])?;
/// # Ok(())
/// # }
/// # task().unwrap();
/// ```
pub fn update(state: &str, meta: &(impl Serialize + ?Sized)) -> Result<()> {
    host::progress::update(state, &json::to(meta)?);
    Ok(())
}

/// Sets the state `PROGRESS` with `{"current": …, "total": …}`, which is what Celery's own
/// documentation shows.
pub fn report(current: u64, total: u64) {
    host::progress::update("PROGRESS", &format!(r#"{{"current": {current}, "total": {total}}}"#));
}
