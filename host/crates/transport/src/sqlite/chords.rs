//! Chords and groups in the file. Runs inside a transaction of the writer.

use rusqlite::{Connection, OptionalExtension, Result, params};
use umbel_protocol::body::{Content, Serializer};
use umbel_protocol::chord::ChordPart;

use super::database::now;
use crate::results::{Claim, Joined};

/// How long a claim holds, as Celery's does: twice the time that joining may take.
const CLAIM_MS: i64 = 6_000;

/// How long it is remembered that a chord's body was sent.
const REMEMBERED_MS: i64 = 300_000;

/// At most so many expired chords and groups go with each new one.
const CLEANED: u32 = 4;

/// Where parts without a position stand.
const NOWHERE: i64 = i64::MAX;

/// Notes the size, and that nothing was sent yet.
pub(super) fn begin(
    file: &Connection,
    chord: &str,
    size: u32,
    expires_ms: Option<i64>,
) -> Result<()> {
    enter(file, chord, expires_ms)?;
    file.prepare_cached("UPDATE chord SET size = ?2, token = NULL, done = 0 WHERE id = ?1")?
        .execute(params![chord, size])?;
    clean(file)
}

pub(super) fn grow(file: &Connection, chord: &str, by: u32, expires_ms: Option<i64>) -> Result<()> {
    enter(file, chord, expires_ms)?;
    file.prepare_cached("UPDATE chord SET added = added + ?2 WHERE id = ?1")?
        .execute(params![chord, by])?;
    Ok(())
}

/// Counts a part in; `token` becomes the claim if it was the last.
pub(super) fn join(
    file: &Connection,
    part: &ChordPart,
    token: String,
    expires_ms: Option<i64>,
) -> Result<Joined> {
    enter(file, &part.group, expires_ms)?;
    let done: bool = file
        .prepare_cached("SELECT done FROM chord WHERE id = ?1")?
        .query_row([&part.group], |row| row.get(0))?;
    if done {
        return Ok(Joined::Done);
    }
    let position = part.index.map_or(NOWHERE, i64::from);
    let new = file
        .prepare_cached(
            "INSERT OR IGNORE INTO chord_part (chord, position, task, part)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![part.group, position, part.id, part.encode(Content::default())])?;
    if new > 0 {
        file.prepare_cached("UPDATE chord SET joined = joined + 1 WHERE id = ?1")?
            .execute([&part.group])?;
    }
    let complete: bool = file
        .prepare_cached("SELECT coalesce(joined = size + added, 0) FROM chord WHERE id = ?1")?
        .query_row([&part.group], |row| row.get(0))?;
    if !complete {
        return Ok(Joined::Waiting);
    }
    let claimed = file
        .prepare_cached(concat!(
            "UPDATE chord SET token = ?2, claimed_until = ",
            now!(),
            " + ?3 WHERE id = ?1 AND (token IS NULL OR claimed_until <= ",
            now!(),
            ")"
        ))?
        .execute(params![part.group, token, CLAIM_MS])?;
    if claimed == 0 {
        return Ok(Joined::Claimed);
    }
    let claim = Claim { group: part.group.clone(), token };
    Ok(Joined::Complete { claim, parts: parts(file, &part.group)? })
}

/// By position.
fn parts(file: &Connection, chord: &str) -> Result<Vec<ChordPart>> {
    let mut read =
        file.prepare_cached("SELECT position, part FROM chord_part WHERE chord = ?1 ORDER BY 1")?;
    read.query_map([chord], |row| {
        let position: i64 = row.get(0)?;
        let part: Vec<u8> = row.get(1)?;
        let index = u32::try_from(position).ok();
        let part = ChordPart::decode(&part, Serializer::Json, chord, index);
        Ok(part.unwrap_or_else(|why| ChordPart::unreadable(chord, index, &why)))
    })?
    .collect()
}

/// `false` when the claim is somebody else's by now, or nobody's.
pub(super) fn extend(file: &Connection, claim: &Claim, time_ms: i64) -> Result<bool> {
    let held = file
        .prepare_cached(concat!(
            "UPDATE chord SET claimed_until = ",
            now!(),
            " + ?3 WHERE id = ?1 AND token = ?2 AND claimed_until > ",
            now!()
        ))?
        .execute(params![claim.group, claim.token, time_ms])?;
    Ok(held > 0)
}

/// The body was sent, or can never be.
pub(super) fn end(file: &Connection, claim: &Claim, sent: bool) -> Result<()> {
    let ours = file
        .prepare_cached(concat!(
            "UPDATE chord SET size = NULL, token = NULL, done = ?3,
                 expires = CASE WHEN ?3 THEN ",
            now!(),
            " + ?4 ELSE expires END WHERE id = ?1 AND token = ?2"
        ))?
        .execute(params![claim.group, claim.token, sent, REMEMBERED_MS])?;
    if ours > 0 && sent {
        forget_parts(file, &claim.group)?;
    }
    Ok(())
}

fn forget_parts(file: &Connection, chord: &str) -> Result<()> {
    file.prepare_cached("DELETE FROM chord_part WHERE chord = ?1")?.execute([chord])?;
    file.prepare_cached("UPDATE chord SET joined = 0, added = 0 WHERE id = ?1")?
        .execute([chord])?;
    Ok(())
}

/// Keeps a group's result tuple.
pub(super) fn save(
    file: &Connection,
    group: &str,
    tuple: &[u8],
    expires_ms: Option<i64>,
) -> Result<()> {
    file.prepare_cached(concat!(
        "INSERT OR REPLACE INTO result_group (id, tuple, expires) VALUES (?1, ?2, ",
        now!(),
        " + ?3)"
    ))?
    .execute(params![group, tuple, expires_ms])?;
    clean(file)
}

/// Only reads.
pub(super) fn saved(file: &Connection, group: &str) -> Result<Option<Vec<u8>>> {
    file.prepare_cached(concat!(
        "SELECT tuple FROM result_group WHERE id = ?1 AND (expires IS NULL OR expires > ",
        now!(),
        ")"
    ))?
    .query_row([group], |row| row.get(0))
    .optional()
}

/// The chord is there, and is kept from now on; one that expired is a new one.
fn enter(file: &Connection, chord: &str, expires_ms: Option<i64>) -> Result<()> {
    let expired = file
        .prepare_cached(concat!("DELETE FROM chord WHERE id = ?1 AND expires <= ", now!()))?
        .execute([chord])?;
    if expired > 0 {
        file.prepare_cached("DELETE FROM chord_part WHERE chord = ?1")?.execute([chord])?;
    }
    file.prepare_cached(concat!(
        "INSERT INTO chord (id, expires) VALUES (?1, ",
        now!(),
        " + ?2) ON CONFLICT (id) DO UPDATE SET expires = excluded.expires WHERE NOT done"
    ))?
    .execute(params![chord, expires_ms])?;
    Ok(())
}

fn clean(file: &Connection) -> Result<()> {
    file.prepare_cached(concat!(
        "DELETE FROM result_group WHERE id IN
             (SELECT id FROM result_group WHERE expires <= ",
        now!(),
        " LIMIT ?1)"
    ))?
    .execute([CLEANED])?;
    let expired: Vec<String> = file
        .prepare_cached(concat!(
            "DELETE FROM chord WHERE id IN (SELECT id FROM chord WHERE expires <= ",
            now!(),
            " LIMIT ?1) RETURNING id"
        ))?
        .query_map([CLEANED], |row| row.get(0))?
        .collect::<Result<_>>()?;
    expired.iter().try_for_each(|chord| {
        file.prepare_cached("DELETE FROM chord_part WHERE chord = ?1")?.execute([chord])?;
        Ok(())
    })
}
