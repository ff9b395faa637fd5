//! Every change of a message's place in the file. Runs inside a transaction of the writer.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::database::now;
use super::row::Row;
use crate::delivery::Settlement;

/// A message that a holder has.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: i64,
    /// An index into the holder's list of queues.
    pub(super) queue: usize,
    /// How often it was handed out before.
    pub(super) deliveries: u32,
    pub(super) row: Row,
}

/// Names one handing out of one message: the same message taken again has another count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) id: i64,
    pub(super) deliveries: u32,
}

/// Adds a message to the end of those of its priority.
pub(super) fn publish(file: &Connection, queue: &str, priority: u8, row: &Row) -> Result<()> {
    file.prepare_cached(
        "INSERT INTO content (exchange, routing_key, properties, headers, body)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        row.exchange,
        row.routing_key,
        row.properties,
        row.headers,
        &row.body[..]
    ])?;
    put_back(file, queue, i64::from(u8::MAX - priority), file.last_insert_rowid(), 0)
}

/// A new holder, whose lease runs from now.
pub(super) fn enter(file: &Connection, alive: Option<&str>, lease_ms: i64) -> Result<i64> {
    file.prepare_cached(concat!(
        "INSERT INTO holder (alive, until) VALUES (?1, ",
        now!(),
        " + ?2)"
    ))?
    .execute(params![alive, lease_ms])?;
    Ok(file.last_insert_rowid())
}

/// The lease runs from now. A holder that was taken for dead is alive again, without its messages.
pub(super) fn renew(
    file: &Connection,
    holder: i64,
    alive: Option<&str>,
    lease_ms: i64,
) -> Result<()> {
    file.prepare_cached(concat!(
        "INSERT INTO holder (id, alive, until) VALUES (?1, ?2, ",
        now!(),
        " + ?3) ON CONFLICT (id) DO UPDATE SET until = excluded.until"
    ))?
    .execute(params![holder, alive, lease_ms])?;
    Ok(())
}

/// Takes up to `count` messages; `first` is the queue that is asked first. Each queue gets its
/// share before one gets more.
pub(super) fn take(
    file: &Connection,
    holder: i64,
    queues: &[String],
    first: usize,
    count: usize,
) -> Result<Vec<Taken>> {
    let mut taken = Vec::new();
    let share = count.div_ceil(queues.len().max(1));
    for limit in [share, count] {
        for step in 0..queues.len() {
            let queue = (first + step) % queues.len();
            let limit = limit.min(count - taken.len());
            take_from(file, holder, queue, &queues[queue], limit, &mut taken)?;
        }
    }
    Ok(taken)
}

fn take_from(
    file: &Connection,
    holder: i64,
    queue: usize,
    name: &str,
    limit: usize,
    taken: &mut Vec<Taken>,
) -> Result<()> {
    if limit == 0 {
        return Ok(());
    }
    let mut look = file.prepare_cached(
        "SELECT rank, id, deliveries FROM waiting WHERE queue = ?1 ORDER BY rank, id LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found: Vec<(i64, i64, u32)> = look
        .query_map(params![name, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_>>()?;
    let mut leave =
        file.prepare_cached("DELETE FROM waiting WHERE queue = ?1 AND rank = ?2 AND id = ?3")?;
    let mut hold = file.prepare_cached(
        "INSERT INTO held (id, holder, queue, rank, deliveries) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut read = file.prepare_cached(
        "SELECT exchange, routing_key, properties, headers, body FROM content WHERE id = ?1",
    )?;
    for (rank, id, deliveries) in found {
        leave.execute(params![name, rank, id])?;
        hold.execute(params![id, holder, name, rank, deliveries.saturating_add(1)])?;
        let row = read.query_row([id], |row| {
            Ok(Row {
                exchange: row.get(0)?,
                routing_key: row.get(1)?,
                properties: row.get(2)?,
                headers: row.get(3)?,
                body: Bytes::from(row.get::<_, Vec<u8>>(4)?),
            })
        });
        // Somebody deleted it by hand: held by nobody's receipt, it goes with its holder.
        if let Some(row) = row.optional()? {
            taken.push(Taken { id, queue, deliveries, row });
        }
    }
    Ok(())
}

/// Does what is to become of a message; `false` if the holder no longer has it from this handing out.
pub(super) fn settle(
    file: &Connection,
    holder: i64,
    claim: Claim,
    how: Settlement,
) -> Result<bool> {
    let held = file
        .prepare_cached(
            "DELETE FROM held WHERE id = ?1 AND holder = ?2 AND deliveries = ?3
             RETURNING queue, rank, deliveries",
        )?
        .query_row(params![claim.id, holder, claim.deliveries.saturating_add(1)], held)
        .optional()?;
    let Some((queue, rank, deliveries)) = held else { return Ok(false) };
    match how {
        Settlement::Ack => {
            file.prepare_cached("DELETE FROM content WHERE id = ?1")?.execute([claim.id])?;
        }
        Settlement::Requeue | Settlement::Reject | Settlement::Delay(_) => {
            put_back(file, &queue, rank, claim.id, deliveries)?
        }
        Settlement::Discard => {
            file.prepare_cached(concat!(
                "INSERT INTO dead (id, queue, deliveries, at) VALUES (?1, ?2, ?3, ",
                now!(),
                ")"
            ))?
            .execute(params![claim.id, queue, deliveries])?;
        }
    }
    Ok(true)
}

/// Gives back a message that nobody saw: this handing out does not count.
pub(super) fn give_back(file: &Connection, holder: i64, claim: Claim) -> Result<()> {
    let held = file
        .prepare_cached(
            "DELETE FROM held WHERE id = ?1 AND holder = ?2 AND deliveries = ?3
             RETURNING queue, rank, deliveries",
        )?
        .query_row(params![claim.id, holder, claim.deliveries.saturating_add(1)], held)
        .optional()?;
    match held {
        Some((queue, rank, _)) => put_back(file, &queue, rank, claim.id, claim.deliveries),
        None => Ok(()),
    }
}

fn held(row: &rusqlite::Row<'_>) -> Result<(String, i64, u32)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn put_back(file: &Connection, queue: &str, rank: i64, id: i64, deliveries: u32) -> Result<()> {
    file.prepare_cached(
        "INSERT INTO waiting (queue, rank, id, deliveries) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![queue, rank, id, deliveries])?;
    Ok(())
}

/// The holder is gone; all it held goes back to its place.
pub(super) fn release(file: &Connection, holder: i64) -> Result<()> {
    file.prepare_cached(
        "INSERT INTO waiting (queue, rank, id, deliveries)
         SELECT queue, rank, id, deliveries FROM held WHERE holder = ?1",
    )?
    .execute([holder])?;
    file.prepare_cached("DELETE FROM held WHERE holder = ?1")?.execute([holder])?;
    file.prepare_cached("DELETE FROM holder WHERE id = ?1")?.execute([holder])?;
    Ok(())
}

/// Another holder, as the file knows it.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) id: i64,
    /// The name of its sign of life.
    pub(super) alive: Option<String>,
    pub(super) expired: bool,
}

/// All holders but this one. Only reads.
pub(super) fn others(file: &Connection, holder: i64) -> Result<Vec<Holder>> {
    file.prepare_cached(concat!(
        "SELECT id, alive, until <= ",
        now!(),
        " FROM holder WHERE id <> ?1"
    ))?
    .query_map([holder], |row| {
        Ok(Holder { id: row.get(0)?, alive: row.get(1)?, expired: row.get(2)? })
    })?
    .collect()
}

/// One of the queues has a message. Only reads.
pub(super) fn is_waiting(file: &Connection, queues: &[String]) -> Result<bool> {
    let mut any = file.prepare_cached("SELECT EXISTS (SELECT 1 FROM waiting WHERE queue = ?1)")?;
    for queue in queues {
        if any.query_row([queue], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}
