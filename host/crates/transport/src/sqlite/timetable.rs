//! The schedule's last runs and its lead in the file; a run and its message are one piece of work.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Result, params};
use umbel_protocol::message::{RawMessage, Route};

use super::broker::{SqliteBroker, queue_of};
use super::database::now;
use super::queue;
use super::row::Row;
use crate::broker::{Broker, BrokerError};
use crate::timetable::{Change, Noted, Run, Timetable};

#[async_trait]
impl Timetable for SqliteBroker {
    async fn lead(&self, token: &str, lease: Duration) -> std::result::Result<bool, BrokerError> {
        let (token, lease) = (token.to_owned(), lease.as_millis());
        let lease_ms = i64::try_from(lease).unwrap_or(i64::MAX / 4);
        let held = self.database().write(move |file| lead(file, &token, lease_ms)).await;
        held.map_err(|error| error.broker(self.database().path()))
    }

    async fn resign(&self, token: &str) -> std::result::Result<(), BrokerError> {
        let token = token.to_owned();
        let given_up = self.database().write(move |file| {
            file.prepare_cached("DELETE FROM beat_lead WHERE token = ?1")?.execute([token])
        });
        given_up.await.map(drop).map_err(|error| error.broker(self.database().path()))
    }

    async fn runs(&self) -> std::result::Result<Vec<(String, Run)>, BrokerError> {
        let read = self.database().read(runs).await;
        read.map_err(|error| error.broker(self.database().path()))
    }

    async fn note(
        &self,
        token: &str,
        change: &Change,
        sending: Option<(&Route, &RawMessage)>,
    ) -> std::result::Result<Noted, BrokerError> {
        let (token, change) = (token.to_owned(), change.clone());
        let sending = sending.map(|(route, message)| Sending {
            queue: queue_of(route).to_owned(),
            priority: message.properties.priority.unwrap_or(0),
            row: Row::new(route, message),
        });
        let noting =
            self.database().write(move |file| note(file, &token, &change, sending.as_ref()));
        noting.await.map_err(|error| error.broker(self.database().path()))
    }

    async fn close(&self) {
        Broker::close(self).await;
    }
}

/// A message on its way into the file.
struct Sending {
    queue: String,
    priority: u8,
    row: Row,
}

fn lead(file: &Connection, token: &str, lease_ms: i64) -> Result<bool> {
    let held = file
        .prepare_cached(concat!(
            "INSERT INTO beat_lead (id, token, until) VALUES (1, ?1, ",
            now!(),
            " + ?2) ON CONFLICT (id) DO UPDATE SET token = excluded.token, until = excluded.until
             WHERE beat_lead.token = excluded.token OR beat_lead.until <= ",
            now!()
        ))?
        .execute(params![token, lease_ms])?;
    Ok(held > 0)
}

fn runs(file: &Connection) -> Result<Vec<(String, Run)>> {
    let mut read = file.prepare_cached("SELECT entry, at, count FROM beat")?;
    read.query_map([], |row| Ok((row.get(0)?, run(row.get(1)?, row.get(2)?))))?.collect()
}

fn note(
    file: &Connection,
    token: &str,
    change: &Change,
    sending: Option<&Sending>,
) -> Result<Noted> {
    let noted = file
        .prepare_cached("SELECT at, count FROM beat WHERE entry = ?1")?
        .query_row([&change.entry], |row| Ok(run(row.get(0)?, row.get(1)?)))
        .optional()?;
    if noted == change.after && change.before != change.after {
        return Ok(Noted::Done);
    }
    let leads = file
        .prepare_cached(concat!("SELECT 1 FROM beat_lead WHERE token = ?1 AND until > ", now!()))?
        .exists([token])?;
    if !leads {
        return Ok(Noted::NotLeading);
    }
    if noted != change.before {
        return Ok(Noted::Superseded);
    }
    if let Some(Sending { queue, priority, row }) = sending {
        queue::publish(file, queue, *priority, row)?;
    }
    match change.after {
        Some(Run { at, count }) => file
            .prepare_cached("INSERT OR REPLACE INTO beat (entry, at, count) VALUES (?1, ?2, ?3)")?
            .execute(params![change.entry, at.as_microsecond(), count.cast_signed()])?,
        None => {
            file.prepare_cached("DELETE FROM beat WHERE entry = ?1")?.execute([&change.entry])?
        }
    };
    Ok(Noted::Done)
}

fn run(at: i64, count: i64) -> Run {
    // What we wrote; anything else is as good as the beginning of time.
    let at = Timestamp::from_microsecond(at).unwrap_or_default();
    Run { at, count: count.cast_unsigned() }
}
