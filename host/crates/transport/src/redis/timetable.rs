//! The schedule's last runs in a hash, the lead in a key that expires; one script notes and sends.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use redis::{Cmd, FromRedisValue, Value, cmd};
use umbel_protocol::message::{RawMessage, Route};

use super::connection::{Fault, new_batch};
use super::publish::{commanded, patiently, targets, written};
use super::{RedisBroker, scripts};
use crate::broker::{Broker, BrokerError};
use crate::timetable::{Change, Noted, Run, Timetable};

#[async_trait]
impl Timetable for RedisBroker {
    async fn lead(&self, token: &str, lease: Duration) -> Result<bool, BrokerError> {
        let held = self.ask_for_lead(token, lease.as_millis().max(1)).await;
        held.map_err(|fault| fault.broker(self.shared.link.address()))
    }

    async fn resign(&self, token: &str) -> Result<(), BrokerError> {
        let given_up = self.ask_for_lead(token, 0).await;
        given_up.map(drop).map_err(|fault| fault.broker(self.shared.link.address()))
    }

    async fn runs(&self) -> Result<Vec<(String, Run)>, BrokerError> {
        let mut read = cmd("HGETALL");
        read.arg(self.shared.keys.timetable());
        let read = async {
            let fields = HashMap::<String, String>::from_redis_value(self.answer(read).await?);
            let damaged = |why: redis::ParsingError| {
                Fault::Other("cannot read the schedule's last runs".into(), why.into())
            };
            let fields = fields.map_err(damaged)?;
            Ok(fields.into_iter().filter_map(|(entry, text)| Some((entry, run(&text)?))).collect())
        };
        read.await.map_err(|fault: Fault| fault.broker(self.shared.link.address()))
    }

    async fn note(
        &self,
        token: &str,
        change: &Change,
        sending: Option<(&Route, &RawMessage)>,
    ) -> Result<Noted, BrokerError> {
        let noted = self.try_note(token, change, sending).await;
        noted.map_err(|fault| fault.broker(self.shared.link.address()))
    }

    async fn close(&self) {
        Broker::close(self).await;
    }
}

impl RedisBroker {
    async fn ask_for_lead(&self, token: &str, milliseconds: u128) -> Result<bool, Fault> {
        let key = self.shared.keys.lead();
        let mut call = scripts::call(&scripts::LEAD, [key.as_str()].into_iter());
        call.arg(token).arg(milliseconds.to_string());
        Ok(self.answer(call).await? == Value::Int(1))
    }

    async fn try_note(
        &self,
        token: &str,
        change: &Change,
        sending: Option<(&Route, &RawMessage)>,
    ) -> Result<Noted, Fault> {
        let mut keys = vec![self.shared.keys.lead(), self.shared.keys.timetable()];
        let mut message = Vec::new();
        if let Some((route, raw)) = sending {
            let (priority, text) = written(route, raw);
            let queues = patiently(&self.shared, targets(&self.shared, route)).await?;
            keys.extend(queues.iter().map(|queue| self.shared.keys.list(queue, priority)));
            message = text;
        }
        let mut call = scripts::call(&scripts::NOTE, keys.iter().map(String::as_str));
        call.arg(token).arg(&change.entry).arg(text(change.before)).arg(text(change.after));
        call.arg(message);
        Ok(match self.answer(call).await? {
            Value::Int(1) => Noted::Done,
            Value::Int(2) => Noted::Superseded,
            _ => Noted::NotLeading,
        })
    }

    async fn answer(&self, command: Cmd) -> Result<Value, Fault> {
        let mut batch = new_batch();
        batch.add_command(command);
        let answers = patiently(&self.shared, commanded(&self.shared.link, &batch)).await?;
        Ok(answers.into_iter().next().unwrap_or(Value::Nil))
    }
}

/// Microseconds and count; empty for nothing.
fn text(run: Option<Run>) -> String {
    run.map_or(String::new(), |run| format!("{} {}", run.at.as_microsecond(), run.count))
}

fn run(text: &str) -> Option<Run> {
    let (at, count) = text.split_once(' ')?;
    let at = Timestamp::from_microsecond(at.parse().ok()?).ok()?;
    Some(Run { at, count: count.parse().ok()? })
}
