//! The result store's side of the file.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::time::Instant;
use umbel_protocol::record::{ResultRecord, State};

use super::broker::SqliteBroker;
use super::database::{Database, now};
use crate::address::Address;
use crate::results::{Reply, ResultStore, StoreError};

/// At most so many expired records go with each new one: more than come, few enough not to stall.
const CLEANED: u32 = 4;

/// Results in a file; those older than `expires` are gone.
#[derive(Debug)]
pub struct SqliteStore {
    database: Arc<Database>,
    /// The broker closes a file that is shared with it.
    owns: bool,
    expires: Option<Duration>,
}

impl SqliteStore {
    /// Opens the file that `address` names, or creates it. `None`: results are kept for ever.
    pub async fn open(
        address: Address,
        expires: Option<Duration>,
    ) -> Result<SqliteStore, StoreError> {
        let database = Database::open(&address.path)
            .await
            .map_err(|error| StoreError::Other { what: error.to_string(), source: error.into() })?;
        Ok(SqliteStore { database, owns: true, expires })
    }

    /// Uses the broker's own open file: results and settlements then share their transactions.
    /// Lives as long as the broker is not closed.
    pub fn beside(broker: &SqliteBroker, expires: Option<Duration>) -> SqliteStore {
        SqliteStore { database: broker.database().clone(), owns: false, expires }
    }
}

#[async_trait]
impl ResultStore for SqliteStore {
    async fn put(&self, record: &ResultRecord, _reply: &Reply) -> Result<(), StoreError> {
        let id = record.id.clone();
        let state = record.state.as_str().to_owned();
        let text = record.to_json();
        let expires_ms =
            self.expires.map(|after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX / 4));
        self.database
            .write(move |file| put(file, &id, &state, &text, expires_ms))
            .await
            .map_err(|error| error.store(self.database.path()))
    }

    async fn get(&self, id: &str) -> Result<Option<ResultRecord>, StoreError> {
        let wanted = id.to_owned();
        let text = self
            .database
            .read(move |file| get(file, &wanted))
            .await
            .map_err(|error| error.store(self.database.path()))?;
        text.map(|text| {
            ResultRecord::from_json(&text).map_err(|error| StoreError::Other {
                what: format!("cannot read the result of `{id}`"),
                source: error.into(),
            })
        })
        .transpose()
    }

    async fn wait(&self, id: &str, timeout: Duration) -> Result<Option<ResultRecord>, StoreError> {
        let end = Instant::now() + timeout;
        let mut changes = self.database.changes();
        loop {
            // Marked before reading: what is committed after it wakes us.
            changes.mark_unchanged();
            let found = self.get(id).await?;
            if found.as_ref().is_some_and(|record| record.state.is_ready()) {
                return Ok(found);
            }
            match tokio::time::timeout_at(end, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(found),
            }
        }
    }

    async fn reply_to(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn close(&self) {
        if self.owns {
            self.database.close().await;
        }
    }
}

fn put(
    file: &Connection,
    id: &str,
    state: &str,
    text: &[u8],
    expires_ms: Option<i64>,
) -> rusqlite::Result<()> {
    file.prepare_cached(concat!(
        "INSERT INTO result (id, state, record, expires) VALUES (?1, ?2, ?3, ",
        now!(),
        " + ?4) ON CONFLICT (id) DO UPDATE SET
             state = excluded.state, record = excluded.record, expires = excluded.expires
         WHERE result.state <> ?5"
    ))?
    .execute(params![id, state, text, expires_ms, State::Success.as_str()])?;
    file.prepare_cached(concat!(
        "DELETE FROM result WHERE number IN
             (SELECT number FROM result WHERE expires <= ",
        now!(),
        " LIMIT ?1)"
    ))?
    .execute([CLEANED])?;
    Ok(())
}

fn get(file: &Connection, id: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    file.prepare_cached(concat!(
        "SELECT record FROM result WHERE id = ?1 AND (expires IS NULL OR expires > ",
        now!(),
        ")"
    ))?
    .query_row([id], |row| row.get(0))
    .optional()
}
