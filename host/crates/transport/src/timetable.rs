//! Seam 3: what was sent on schedule last, and who of several senders is the one to send.
//!
//! A run is noted by comparing and replacing: whoever notes it says what stood there before. Where
//! broker and timetable are one server or one file, the message goes out in the same step as the
//! note, so a run that is noted was sent, once, and a run that is not was not. The lead keeps
//! several senders from doing the same work; that nothing is sent twice does not hang on it, nor on
//! anybody's clock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use umbel_protocol::message::{RawMessage, Route};

use crate::broker::{Broker, BrokerError};

/// Keeps the last run of each entry, and who leads.
#[async_trait]
pub trait Timetable: Send + Sync {
    /// Takes the lead if nobody has it, or keeps it: for so long from now. False if somebody else
    /// has it. `token` is its holder's alone.
    async fn lead(&self, token: &str, lease: Duration) -> Result<bool, BrokerError>;

    /// Gives the lead up, if it is this holder's.
    async fn resign(&self, token: &str) -> Result<(), BrokerError>;

    /// What is noted, by entry, in no order.
    async fn runs(&self) -> Result<Vec<(String, Run)>, BrokerError>;

    /// Replaces what is noted of an entry, and with it sends a message, both or neither; only for
    /// the holder of the lead, and only if nobody replaced it before. Asking again after a success
    /// is a success, and sends nothing.
    async fn note(
        &self,
        token: &str,
        change: &Change,
        sending: Option<(&Route, &RawMessage)>,
    ) -> Result<Noted, BrokerError>;

    /// Closes what it holds.
    async fn close(&self);
}

/// The last run of an entry, or the moment it was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// To the microsecond.
    pub at: Timestamp,
    /// How many there were.
    pub count: u64,
}

/// What is to be noted in the place of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub entry: String,
    /// `None`: nothing is noted of it.
    pub before: Option<Run>,
    /// `None`: it is forgotten.
    pub after: Option<Run>,
}

/// What noting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    Done,
    /// Somebody else leads, or nobody.
    NotLeading,
    /// Something else is noted than was said.
    Superseded,
}

/// A timetable that lies elsewhere than the messages go. Sending and noting are two steps: a sender
/// that dies between them leaves a run that its successor sends again, under the same id.
pub struct Apart {
    pub table: Arc<dyn Timetable>,
    pub broker: Arc<dyn Broker>,
}

#[async_trait]
impl Timetable for Apart {
    async fn lead(&self, token: &str, lease: Duration) -> Result<bool, BrokerError> {
        self.table.lead(token, lease).await
    }

    async fn resign(&self, token: &str) -> Result<(), BrokerError> {
        self.table.resign(token).await
    }

    async fn runs(&self) -> Result<Vec<(String, Run)>, BrokerError> {
        self.table.runs().await
    }

    async fn note(
        &self,
        token: &str,
        change: &Change,
        sending: Option<(&Route, &RawMessage)>,
    ) -> Result<Noted, BrokerError> {
        if let Some((route, message)) = sending {
            // Changes nothing; says whether it still could.
            let same = Change { after: change.before, ..change.clone() };
            let still = self.table.note(token, &same, None).await?;
            if still != Noted::Done {
                return Ok(still);
            }
            self.broker.publish(route, message).await?;
        }
        self.table.note(token, change, None).await
    }

    async fn close(&self) {
        self.table.close().await;
        self.broker.close().await;
    }
}
