//! The result store's side of the file.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::time::Instant;
use umbel_protocol::body::{Content, Serializer};
use umbel_protocol::chord::{ChordPart, decode_group, encode_group};
use umbel_protocol::record::{ResultRecord, State};
use umbel_value::Value;

use super::broker::SqliteBroker;
use super::chords;
use super::database::{Database, now};
use crate::address::Address;
use crate::results::{Claim, Joined, Reply, ResultStore, StoreError};

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

    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let written = self.database.write(work).await;
        written.map_err(|error| error.store(self.database.path()))
    }

    fn expires_ms(&self) -> Option<i64> {
        self.expires.map(milliseconds)
    }
}

#[async_trait]
impl ResultStore for SqliteStore {
    async fn put(&self, record: &ResultRecord, _reply: &Reply) -> Result<(), StoreError> {
        let id = record.id.clone();
        let state = record.state.as_str().to_owned();
        let text = record.to_json();
        let expires_ms = self.expires_ms();
        self.write(move |file| put(file, &id, &state, &text, expires_ms)).await
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

    async fn begin_chord(&self, group: &str, size: u32) -> Result<(), StoreError> {
        let (group, expires) = (group.to_owned(), self.expires_ms());
        self.write(move |file| chords::begin(file, &group, size, expires)).await
    }

    async fn grow_chord(&self, group: &str, by: u32) -> Result<(), StoreError> {
        let (group, expires) = (group.to_owned(), self.expires_ms());
        self.write(move |file| chords::grow(file, &group, by, expires)).await
    }

    async fn join(&self, part: &ChordPart) -> Result<Joined, StoreError> {
        let (part, expires) = (part.clone(), self.expires_ms());
        let token = uuid::Uuid::new_v4().simple().to_string();
        self.write(move |file| chords::join(file, &part, token, expires)).await
    }

    async fn extend_claim(&self, claim: &Claim, time: Duration) -> Result<bool, StoreError> {
        let claim = claim.clone();
        self.write(move |file| chords::extend(file, &claim, milliseconds(time))).await
    }

    async fn end_chord(&self, claim: &Claim, sent: bool) -> Result<(), StoreError> {
        let claim = claim.clone();
        self.write(move |file| chords::end(file, &claim, sent)).await
    }

    async fn save_group(&self, group: &str, tuple: &Value) -> Result<(), StoreError> {
        let text = encode_group(tuple, Content::default())
            .map_err(|error| StoreError::Unstorable { what: error.to_string() })?;
        let (group, expires) = (group.to_owned(), self.expires_ms());
        self.write(move |file| chords::save(file, &group, &text, expires)).await
    }

    async fn group(&self, group: &str) -> Result<Option<Value>, StoreError> {
        let id = group.to_owned();
        let reading = self.database.read(move |file| chords::saved(file, &id)).await;
        let text = reading.map_err(|error| error.store(self.database.path()))?;
        let tuple = text.map(|text| decode_group(&text, Serializer::Json)).transpose();
        tuple.map_err(|error| StoreError::Other {
            what: format!("cannot read the group `{group}`"),
            source: error.into(),
        })
    }

    async fn close(&self) {
        if self.owns {
            self.database.close().await;
        }
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
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
