//! What waits in a queue: counted, and removed a part at a time.

use rusqlite::{Connection, Result, params};

use super::queue::delete;

/// Messages that are removed at once: others must not wait long for the file.
const BATCH: i64 = 5_000;

/// As [`crate::broker::Broker::depth`].
pub(super) fn depth(file: &Connection, queue: &str) -> Result<u64> {
    let count: i64 = file
        .prepare_cached("SELECT count(*) FROM waiting WHERE queue = ?1")?
        .query_row([queue], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// As [`crate::broker::Broker::purge`].
pub(super) fn purge(file: &Connection, queue: &str) -> Result<u64> {
    let removed: Vec<i64> = file
        .prepare_cached(
            "DELETE FROM waiting WHERE queue = ?1 AND (rank, id) IN (
                 SELECT rank, id FROM waiting WHERE queue = ?1 ORDER BY rank, id LIMIT ?2
             ) RETURNING id",
        )?
        .query_map(params![queue, BATCH], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for id in &removed {
        delete(file, *id)?;
    }
    Ok(removed.len() as u64)
}
