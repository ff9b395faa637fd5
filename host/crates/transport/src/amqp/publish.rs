//! Publishing with confirms, and declaring on first use. Many publishes are on their way at once.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::task::Poll;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use tokio::sync::Mutex;
use umbel_protocol::message::{RawMessage, Route};

use super::connection::{Link, describe, reply_code, spread};
use super::topology::{Existing, Queue};
use super::{delays, table, topology};
use crate::address::Address;
use crate::broker::BrokerError;
use crate::reconnect::Backoff;

/// What becomes of a message for a queue that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The queue is declared.
    Declare,
    /// Nobody wants the message any more.
    Drop,
}

/// Publishes over a connection of its own, so that a server that slows publishers down does not
/// slow acknowledgements down.
pub(crate) struct Publisher {
    link: Arc<Link>,
    line: Mutex<Option<Arc<Line>>>,
}

/// A channel in confirm mode.
struct Line {
    connection: Arc<Connection>,
    channel: Channel,
    /// The library numbers a publish and queues its frames in two steps; the server numbers by
    /// arrival. One at a time keeps a confirm with its own message.
    order: SyncMutex<()>,
    declared: SyncMutex<HashSet<Declared>>,
    /// Held while the levels of delayed delivery are declared: it takes a while, and once is enough.
    declaring_delays: Mutex<()>,
    /// The server was found to take nothing.
    blocked: AtomicBool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Declared {
    Queue(String),
    Exchange(String),
    /// The levels of delayed delivery.
    Delays,
    /// The levels, and this queue's way out of them.
    DelaysOf(String),
}

/// A message ready to be sent, as often as it takes.
struct Parcel {
    exchange: ShortString,
    routing_key: ShortString,
    properties: BasicProperties,
    body: bytes::Bytes,
}

/// A publish that the server answered with an error again and again will not get better.
const ATTEMPTS: u32 = 3;

impl Publisher {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self { link, line: Mutex::new(None) }
    }

    /// Returns once the server has taken the message over. Waits for a lost connection and sends
    /// again.
    pub(crate) async fn publish(
        &self,
        route: &Route,
        message: &RawMessage,
        missing: Missing,
    ) -> Result<(), BrokerError> {
        let parcel = parcel(&topology::spread(&self.link.options, route), message)?;
        let mut attempts = 0;
        let mut backoff = Backoff::default();
        loop {
            let line = self.line().await?;
            line.tell_if_blocked(self.link.address());
            let done = tokio::select! {
                done = line.deliver(&self.link, &parcel, missing) => done,
                () = self.link.gone.cancelled() => return Err(BrokerError::Closed),
            };
            let (failed, counts) = match done {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Refused(error)) => (error, true),
                Err(Failure::Lost(error)) => {
                    self.forget(&line).await;
                    // Not if the connection was closed: by an operator, or a server that stops.
                    let counts = reply_code(&error).is_some_and(|code| code != 320);
                    (self.link.error("the server does not take the message", error), counts)
                }
            };
            attempts += u32::from(counts);
            if attempts >= ATTEMPTS {
                return Err(failed);
            }
            tracing::debug!(error = %describe(&failed), "publishing again");
            tokio::select! {
                () = self.link.closed.cancelled() => return Err(BrokerError::Closed),
                () = tokio::time::sleep(backoff.next(spread())) => {}
            }
        }
    }

    pub(crate) async fn close(&self) {
        self.link.close().await;
        *self.line.lock().await = None;
    }

    async fn line(&self) -> Result<Arc<Line>, BrokerError> {
        let mut current = self.line.lock().await;
        if self.link.closed.is_cancelled() {
            return Err(BrokerError::Closed);
        }
        if let Some(line) = &*current
            && line.channel.status().connected()
        {
            return Ok(line.clone());
        }
        let link = &self.link;
        let line = link.persist(|connection| Line::open(link.clone(), connection)).await?;
        let line = Arc::new(line);
        *current = Some(line.clone());
        Ok(line)
    }

    /// Gives a broken channel up, unless somebody already replaced it.
    async fn forget(&self, broken: &Arc<Line>) {
        let mut current = self.line.lock().await;
        if current.as_ref().is_some_and(|line| Arc::ptr_eq(line, broken)) {
            *current = None;
        }
    }
}

enum Failure {
    /// This message cannot be published.
    Final(BrokerError),
    /// The queue did not take it: it is full, or has no majority at this moment.
    Refused(BrokerError),
    /// The channel is gone.
    Lost(lapin::Error),
}

impl Line {
    async fn open(link: Arc<Link>, connection: Arc<Connection>) -> Result<Line, BrokerError> {
        let open = async {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        let channel = open.await.map_err(|e| link.error("cannot open a channel", e))?;
        Ok(Line {
            connection,
            channel,
            order: SyncMutex::default(),
            declared: SyncMutex::default(),
            declaring_delays: Mutex::default(),
            blocked: AtomicBool::new(false),
        })
    }

    /// A server short of memory or disk reads nothing from publishers until it has more.
    fn tell_if_blocked(&self, address: &Address) {
        let blocked = self.connection.status().blocked();
        if self.blocked.swap(blocked, Ordering::Relaxed) != blocked {
            match blocked {
                true => {
                    tracing::warn!(%address, "the server is short of memory or disk: publishing waits")
                }
                false => tracing::info!(%address, "the server takes messages again"),
            }
        }
    }

    async fn deliver(&self, link: &Link, parcel: &Parcel, missing: Missing) -> Result<(), Failure> {
        let must_arrive =
            parcel.exchange.as_str().is_empty() || delays::is_ours(parcel.exchange.as_str());
        match missing {
            Missing::Declare => self.prepare(link, parcel).await?,
            Missing::Drop => {}
        }
        let mandatory = must_arrive && missing == Missing::Declare;
        let mut confirmation = self.send(parcel, mandatory).await.map_err(Failure::Lost)?;
        for _ in 0..ATTEMPTS {
            let refused = confirmation.is_nack();
            // A returned message comes with some confirm, not always its own: whoever gets it
            // takes care of it.
            let Some(returned) = confirmation.take_message() else {
                return if refused {
                    Err(Failure::Refused(not_taken("its queue refuses it")))
                } else {
                    Ok(())
                };
            };
            let delivery = returned.delivery;
            let again = Parcel {
                exchange: delivery.exchange,
                routing_key: delivery.routing_key,
                properties: delivery.properties,
                body: delivery.data.into(),
            };
            // Somebody deleted the queue since, and who knows what else.
            self.declared().clear();
            self.prepare(link, &again).await?;
            confirmation = self.send(&again, true).await.map_err(Failure::Lost)?;
        }
        Err(Failure::Final(not_taken("there is no queue for it, however often it is declared")))
    }

    /// Makes sure that the target exists.
    async fn prepare(&self, link: &Link, parcel: &Parcel) -> Result<(), Failure> {
        let target = parcel.target();
        if self.declared().contains(&target) {
            return Ok(());
        }
        let done = self.declare(link, &target).await;
        if let Err(failed) = done {
            // Only what the server answered is final; a lost connection is dialled again.
            return Err(match failed {
                BrokerError::Unreachable { source, .. } => {
                    match source.downcast::<lapin::Error>() {
                        Ok(lost) => Failure::Lost(*lost),
                        Err(source) => {
                            let address = link.address().clone();
                            Failure::Final(BrokerError::Unreachable { address, source })
                        }
                    }
                }
                other => Failure::Final(other),
            });
        }
        self.declared().insert(target);
        Ok(())
    }

    async fn declare(&self, link: &Link, target: &Declared) -> Result<(), BrokerError> {
        match target {
            Declared::Queue(name) => {
                let queue = Queue::new(&link.options, name)?;
                topology::declare(link, &self.connection, &queue, Existing::Accept).await
            }
            Declared::Exchange(name) => {
                topology::declare_exchange(link, &self.connection, name).await
            }
            Declared::Delays => self.declare_delays(link).await,
            Declared::DelaysOf(queue) => {
                self.declare_delays(link).await?;
                delays::bind(link, &self.connection, queue).await
            }
        }
    }

    async fn declare_delays(&self, link: &Link) -> Result<(), BrokerError> {
        let _one_at_a_time = self.declaring_delays.lock().await;
        if !self.declared().contains(&Declared::Delays) {
            delays::declare(link, &self.connection).await?;
            self.declared().insert(Declared::Delays);
        }
        Ok(())
    }

    async fn send(&self, parcel: &Parcel, mandatory: bool) -> lapin::Result<Confirmation> {
        let options = BasicPublishOptions { mandatory, immediate: false };
        let mut publish = pin!(self.channel.basic_publish(
            parcel.exchange.clone(),
            parcel.routing_key.clone(),
            options,
            &parcel.body,
            parcel.properties.clone(),
        ));
        // The first poll numbers the message and queues it.
        let queued = poll_fn(|context| {
            let _one_at_a_time = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            Poll::Ready(publish.as_mut().poll(context))
        })
        .await;
        let written = match queued {
            Poll::Ready(written) => written?,
            Poll::Pending => publish.await?,
        };
        written.await
    }

    fn declared(&self) -> std::sync::MutexGuard<'_, HashSet<Declared>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parcel {
    fn target(&self) -> Declared {
        let (exchange, key) = (self.exchange.as_str(), self.routing_key.as_str());
        match exchange {
            "" => Declared::Queue(key.to_owned()),
            _ if delays::is_ours(exchange) => {
                delays::queue_of(key).map_or(Declared::Delays, Declared::DelaysOf)
            }
            _ => Declared::Exchange(exchange.to_owned()),
        }
    }
}

fn parcel(route: &Route, message: &RawMessage) -> Result<Parcel, BrokerError> {
    let refuse = |why: table::TableError| BrokerError::Other {
        what: "the message cannot be written in AMQP".into(),
        source: why.into(),
    };
    Ok(Parcel {
        exchange: table::name("exchange", &route.exchange).map_err(refuse)?,
        routing_key: table::name("routing key", &route.routing_key).map_err(refuse)?,
        properties: table::write(&message.properties, &message.headers).map_err(refuse)?,
        body: message.body.clone(),
    })
}

fn not_taken(why: &str) -> BrokerError {
    BrokerError::Other {
        what: "the server does not take the message over".into(),
        source: why.into(),
    }
}
