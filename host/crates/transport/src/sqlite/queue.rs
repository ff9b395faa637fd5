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
    /// How often it was handed out before and not given back in good order.
    pub(super) deliveries: u32,
    /// It was handed out before.
    pub(super) seen: bool,
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
    let place = Place {
        queue: queue.to_owned(),
        rank: i64::from(u8::MAX - priority),
        deliveries: 0,
        seen: false,
    };
    put_back(file, file.last_insert_rowid(), &place)
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
        "SELECT rank, id, deliveries, seen FROM waiting
         WHERE queue = ?1 ORDER BY rank, id LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found: Vec<(i64, i64, u32, bool)> = look
        .query_map(params![name, limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_>>()?;
    let mut leave =
        file.prepare_cached("DELETE FROM waiting WHERE queue = ?1 AND rank = ?2 AND id = ?3")?;
    let mut hold = file.prepare_cached(
        "INSERT INTO held (id, holder, queue, rank, deliveries, seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut read = file.prepare_cached(
        "SELECT exchange, routing_key, properties, headers, body FROM content WHERE id = ?1",
    )?;
    for (rank, id, deliveries, seen) in found {
        leave.execute(params![name, rank, id])?;
        hold.execute(params![id, holder, name, rank, deliveries.saturating_add(1), seen])?;
        let row = read.query_row([id], content);
        // Somebody deleted it by hand: held by nobody's receipt, it goes with its holder.
        if let Some(row) = row.optional()? {
            taken.push(Taken { id, queue, deliveries, seen, row });
        }
    }
    Ok(())
}

/// Where a message belongs, and what is known of it.
#[derive(Clone, Debug)]
struct Place {
    queue: String,
    rank: i64,
    deliveries: u32,
    seen: bool,
}

/// Does what is to become of a message; `false` if the holder no longer has it from this handing out.
pub(super) fn settle(
    file: &Connection,
    holder: i64,
    claim: Claim,
    how: Settlement,
) -> Result<bool> {
    let Some(place) = let_go(file, Some(holder), claim)? else { return Ok(false) };
    let seen = Place { seen: true, ..place };
    let uncounted = Place { deliveries: claim.deliveries, ..seen.clone() };
    match how {
        Settlement::Ack => delete(file, claim.id)?,
        Settlement::Requeue => put_back(file, claim.id, &uncounted)?,
        Settlement::Reject => put_back(file, claim.id, &seen)?,
        Settlement::Delay(at) => {
            // This handing out was none.
            let place = Place { seen: place.seen, ..uncounted };
            delay(file, claim.id, &place, at.as_millisecond())?;
        }
        Settlement::Discard => set_aside(file, claim.id, &seen, "discarded", false)?,
    }
    Ok(true)
}

/// Takes a message from its holder, whoever that is when none is given; `None` if this handing out
/// is over.
fn let_go(file: &Connection, holder: Option<i64>, claim: Claim) -> Result<Option<Place>> {
    file.prepare_cached(
        "DELETE FROM held WHERE id = ?1 AND holder = coalesce(?2, holder) AND deliveries = ?3
         RETURNING queue, rank, deliveries, seen",
    )?
    .query_row(params![claim.id, holder, claim.deliveries.saturating_add(1)], |row| {
        Ok(Place {
            queue: row.get(0)?,
            rank: row.get(1)?,
            deliveries: row.get(2)?,
            seen: row.get(3)?,
        })
    })
    .optional()
}

/// Gives back a message that nobody saw: this handing out was none.
pub(super) fn give_back(file: &Connection, holder: i64, claim: Claim) -> Result<()> {
    match let_go(file, Some(holder), claim)? {
        Some(place) => put_back(file, claim.id, &Place { deliveries: claim.deliveries, ..place }),
        None => Ok(()),
    }
}

fn put_back(file: &Connection, id: i64, place: &Place) -> Result<()> {
    file.prepare_cached(
        "INSERT INTO waiting (queue, rank, id, deliveries, seen) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![place.queue, place.rank, id, place.deliveries, place.seen])?;
    Ok(())
}

fn delay(file: &Connection, id: i64, place: &Place, due_ms: i64) -> Result<()> {
    file.prepare_cached(
        "INSERT INTO delayed (id, queue, rank, deliveries, seen, due)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    // Not before its time: what is less than a millisecond is rounded up.
    .execute(params![
        id,
        place.queue,
        place.rank,
        place.deliveries,
        place.seen,
        due_ms + 1
    ])?;
    Ok(())
}

/// Lets messages whose time has come wait in their old places; some at once, for there may be many.
pub(super) fn end_delays(file: &Connection) -> Result<()> {
    file.prepare_cached(concat!(
        "INSERT INTO waiting (queue, rank, id, deliveries, seen)
         SELECT queue, rank, id, deliveries, seen FROM delayed WHERE due <= ",
        now!(),
        " ORDER BY due, id LIMIT 1000"
    ))?
    .execute([])?;
    file.prepare_cached(concat!(
        "DELETE FROM delayed WHERE id IN (SELECT id FROM delayed WHERE due <= ",
        now!(),
        " ORDER BY due, id LIMIT 1000)"
    ))?
    .execute([])?;
    Ok(())
}

/// In how many milliseconds the next delay ends, if there is one. Only reads.
pub(super) fn next_due_ms(file: &Connection) -> Result<Option<i64>> {
    file.prepare_cached(concat!("SELECT min(due) - ", now!(), " FROM delayed"))?
        .query_row([], |row| row.get(0))
}

/// A message that was put aside.
#[derive(Debug)]
pub(super) struct Dead {
    pub(super) id: i64,
    pub(super) queue: String,
    pub(super) at_ms: i64,
    pub(super) reason: String,
    pub(super) parked: bool,
    pub(super) row: Row,
}

/// Puts a held message aside; `false` if this handing out is over.
pub(super) fn bury(file: &Connection, claim: Claim, reason: &str, parked: bool) -> Result<bool> {
    let Some(place) = let_go(file, None, claim)? else { return Ok(false) };
    set_aside(file, claim.id, &place, reason, parked)?;
    Ok(true)
}

fn set_aside(file: &Connection, id: i64, place: &Place, reason: &str, parked: bool) -> Result<()> {
    file.prepare_cached(concat!(
        "INSERT INTO dead (id, queue, rank, deliveries, reason, parked, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ",
        now!(),
        ")"
    ))?
    .execute(params![id, place.queue, place.rank, place.deliveries, reason, parked])?;
    Ok(())
}

/// The oldest messages that were put aside. Only reads.
pub(super) fn dead(file: &Connection, limit: usize) -> Result<Vec<Dead>> {
    file.prepare_cached(
        "SELECT exchange, routing_key, properties, headers, body, id, queue, at, reason, parked
         FROM dead JOIN content USING (id) ORDER BY at, id LIMIT ?1",
    )?
    .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(Dead {
            row: content(row)?,
            id: row.get(5)?,
            queue: row.get(6)?,
            at_ms: row.get(7)?,
            reason: row.get(8)?,
            parked: row.get(9)?,
        })
    })?
    .collect()
}

/// Lets a message that was put aside wait again, as a new one; `false` if there is none.
pub(super) fn replay(file: &Connection, id: i64) -> Result<bool> {
    let found = file
        .prepare_cached("DELETE FROM dead WHERE id = ?1 RETURNING queue, rank")?
        .query_row([id], |row| {
            Ok(Place { queue: row.get(0)?, rank: row.get(1)?, deliveries: 0, seen: false })
        })
        .optional()?;
    let Some(place) = found else { return Ok(false) };
    file.prepare_cached(
        "INSERT INTO content (exchange, routing_key, properties, headers, body)
         SELECT exchange, routing_key, properties, headers, body FROM content WHERE id = ?1",
    )?
    .execute([id])?;
    put_back(file, file.last_insert_rowid(), &place)?;
    delete(file, id)?;
    Ok(true)
}

pub(super) fn delete(file: &Connection, id: i64) -> Result<()> {
    file.prepare_cached("DELETE FROM content WHERE id = ?1")?.execute([id])?;
    Ok(())
}

fn content(row: &rusqlite::Row<'_>) -> Result<Row> {
    Ok(Row {
        exchange: row.get(0)?,
        routing_key: row.get(1)?,
        properties: row.get(2)?,
        headers: row.get(3)?,
        body: Bytes::from(row.get::<_, Vec<u8>>(4)?),
    })
}

/// A holder is gone; all it held goes back to its place. What it had when it died counts as handed
/// out, what it leaves does not.
pub(super) fn release(file: &Connection, holder: i64, died: bool) -> Result<()> {
    file.prepare_cached(
        "INSERT INTO waiting (queue, rank, id, deliveries, seen)
         SELECT queue, rank, id, CASE WHEN ?2 THEN deliveries ELSE max(deliveries - 1, 0) END, 1
         FROM held WHERE holder = ?1",
    )?
    .execute(params![holder, died])?;
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
    /// When its lease ends, in milliseconds; another one once it was renewed.
    pub(super) until: i64,
    pub(super) expired: bool,
}

/// All holders but this one. Only reads.
pub(super) fn others(file: &Connection, holder: i64) -> Result<Vec<Holder>> {
    file.prepare_cached(concat!(
        "SELECT id, alive, until, until <= ",
        now!(),
        " FROM holder WHERE id <> ?1"
    ))?
    .query_map([holder], |row| {
        Ok(Holder { id: row.get(0)?, alive: row.get(1)?, until: row.get(2)?, expired: row.get(3)? })
    })?
    .collect()
}

/// It did not renew its lease since it was looked at.
pub(super) fn is_silent(file: &Connection, holder: &Holder) -> Result<bool> {
    file.prepare_cached("SELECT EXISTS (SELECT 1 FROM holder WHERE id = ?1 AND until = ?2)")?
        .query_row(params![holder.id, holder.until], |row| row.get(0))
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
