//! Remote control in a file: what is said stays there for a minute, and listeners follow it.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Result, params};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use umbel_protocol::message::RawMessage;

use super::database::{Database, Failure, now};
use super::row::Row;
use crate::broker::{BrokerError, Listener};

/// How long what was said is kept, in milliseconds: any listener has heard it by then.
const KEPT: i64 = 60_000;

/// How many requests are read at once.
const FEW: i64 = 64;

struct SqliteListener {
    database: Arc<Database>,
    closed: CancellationToken,
    changes: watch::Receiver<u64>,
    /// The last one that was read.
    last: i64,
    heard: VecDeque<RawMessage>,
}

/// Hears everything that is said after this returns.
pub(super) async fn start(
    database: &Arc<Database>,
    closed: &CancellationToken,
) -> std::result::Result<impl Listener + use<>, Failure> {
    if closed.is_cancelled() {
        return Err(Failure::Closed);
    }
    let changes = database.changes();
    let last = database.read(last_said).await?;
    Ok(SqliteListener {
        database: database.clone(),
        closed: closed.clone(),
        changes,
        last,
        heard: VecDeque::new(),
    })
}

/// Says something, and forgets what was said long ago.
pub(super) fn say(file: &Connection, row: &Row) -> Result<()> {
    file.prepare_cached(concat!(
        "INSERT INTO said (properties, headers, body, at) VALUES (?1, ?2, ?3, ",
        now!(),
        ")"
    ))?
    .execute(params![row.properties, row.headers, &row.body[..]])?;
    file.prepare_cached(concat!("DELETE FROM said WHERE at < ", now!(), " - ?1"))?
        .execute([KEPT])?;
    Ok(())
}

#[async_trait]
impl Listener for SqliteListener {
    async fn next(&mut self) -> std::result::Result<Option<RawMessage>, BrokerError> {
        loop {
            if self.closed.is_cancelled() {
                return Ok(None);
            }
            if let Some(request) = self.heard.pop_front() {
                return Ok(Some(request));
            }
            // Marked before reading: what is committed after it wakes us.
            self.changes.mark_unchanged();
            let last = self.last;
            let found = match self.database.read(move |file| said_after(file, last)).await {
                Ok(found) => found,
                Err(Failure::Closed) => return Ok(None),
                Err(error) => return Err(error.broker(self.database.path())),
            };
            if found.is_empty() {
                tokio::select! {
                    () = self.closed.cancelled() => {}
                    _ = self.changes.changed() => {}
                }
            }
            for (id, row) in found {
                self.last = id;
                match row.open() {
                    Ok((_, request)) => self.heard.push_back(request),
                    Err(what) => tracing::warn!(%what, "a damaged remote-control request"),
                }
            }
        }
    }
}

/// Also of what is forgotten.
fn last_said(file: &Connection) -> Result<i64> {
    let last = file
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'said'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(0))
}

fn said_after(file: &Connection, last: i64) -> Result<Vec<(i64, Row)>> {
    file.prepare_cached(
        "SELECT id, properties, headers, body FROM said WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?
    .query_map([last, FEW], |row| {
        let request = Row {
            exchange: String::new(),
            routing_key: String::new(),
            properties: row.get(1)?,
            headers: row.get(2)?,
            body: Bytes::from(row.get::<_, Vec<u8>>(3)?),
        };
        Ok((row.get(0)?, request))
    })?
    .collect()
}
