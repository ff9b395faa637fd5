//! Exchanges, queues and bindings as Celery declares them.

use std::sync::Arc;

use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};
use umbel_protocol::control::Binding;
use umbel_protocol::message::Route;
use umbel_protocol::names;

use super::connection::{Link, reply_code};
use super::options::{AmqpOptions, ExchangeType};
use super::table;
use crate::broker::BrokerError;

/// What to do about a queue that exists with other arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// A conflict.
    Refuse,
    /// It is there, and that is enough.
    Accept,
}

/// A queue to consume from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    /// As options and deliveries call it.
    pub(crate) name: Arc<str>,
    /// As the server calls it: a broadcast's consumer has a queue of its own.
    pub(crate) at_server: ShortString,
    /// It counts how often it hands a message out.
    pub(crate) counts: bool,
}

impl Queue {
    pub(crate) fn new(options: &AmqpOptions, name: &str) -> Result<Queue, BrokerError> {
        let at_server = match options.is_broadcast(name) {
            true => short(&names::broadcast_queue(&uuid::Uuid::new_v4().to_string()))?,
            false => short(name)?,
        };
        Ok(Queue { name: name.into(), at_server, counts: options.is_quorum(name) })
    }
}

/// Declares the queue, its exchange and the binding between them.
pub(crate) async fn declare(
    link: &Link,
    connection: &Connection,
    queue: &Queue,
    existing: Existing,
) -> Result<(), BrokerError> {
    let options = &link.options;
    let (exchange, kind, key) = options.binding(&queue.name);
    let mut declarer = Declarer::new(link, connection);
    declarer.refuse = existing == Existing::Refuse && !options.accepts_existing(&queue.name);
    let exchange = short(exchange)?;
    declarer.exchange(&exchange, kind.into(), true).await?;
    let declare = QueueDeclareOptions {
        durable: true,
        auto_delete: options.is_broadcast(&queue.name),
        ..QueueDeclareOptions::default()
    };
    let arguments = table::write_table(&options.arguments(&queue.name), 0);
    declarer.queue_with(&queue.at_server, declare, arguments).await?;
    declarer.bind_queue(&exchange, &queue.at_server, key).await?;
    declarer.close().await
}

/// Lets a queue take from one more exchange, which is declared if it is missing.
pub(crate) async fn bind(
    link: &Link,
    connection: &Connection,
    queue: &str,
    binding: &Binding,
) -> Result<(), BrokerError> {
    let exchange = short(&binding.exchange)?;
    let kind = match binding.kind {
        "topic" => ExchangeKind::Topic,
        "fanout" => ExchangeKind::Fanout,
        _ => ExchangeKind::Direct,
    };
    let mut declarer = Declarer::new(link, connection);
    declarer.refuse = true;
    declarer.exchange(&exchange, kind, true).await?;
    declarer.bind_queue(&exchange, &short(queue)?, &binding.routing_key).await?;
    declarer.close().await
}

/// Makes sure that an exchange is there: publishing to a missing one would close the channel.
/// Where we know what it is, it is declared, with the queues that wait behind it.
pub(crate) async fn declare_exchange(
    link: &Link,
    connection: &Connection,
    name: &str,
) -> Result<(), BrokerError> {
    let options = &link.options;
    let mut known = well_known(options, name);
    for queue in options.queues.keys().filter(|queue| options.binding(queue).0 == name) {
        if options.is_broadcast(queue) {
            known = Some((ExchangeKind::Fanout, true));
        } else {
            let queue = Queue::new(options, queue)?;
            return declare(link, connection, &queue, Existing::Accept).await;
        }
    }
    let mut declarer = Declarer::new(link, connection);
    match known {
        Some((kind, durable)) => declarer.exchange(&short(name)?, kind, durable).await?,
        None if declarer.has_exchange(&short(name)?).await? => {}
        None => return Err(missing(name)),
    }
    declarer.close().await
}

fn missing(exchange: &str) -> BrokerError {
    BrokerError::Other {
        what: format!("there is no exchange `{exchange}`"),
        source: "whoever consumes from it declares it".into(),
    }
}

/// Exchanges that clients and workers have in common.
fn well_known(options: &AmqpOptions, name: &str) -> Option<(ExchangeKind, bool)> {
    if name == names::control_exchange(&options.control) {
        Some((ExchangeKind::Fanout, false))
    } else if name == names::reply_exchange(&options.control) {
        Some((ExchangeKind::Direct, false))
    } else if name == names::EVENT_EXCHANGE {
        Some((ExchangeKind::Topic, true))
    } else {
        None
    }
}

/// Where a message goes: what is for a queue behind a fanout exchange is for all that are.
pub(crate) fn spread(options: &AmqpOptions, route: &Route) -> Route {
    if route.exchange.is_empty()
        && let (exchange, ExchangeType::Fanout, key) = options.binding(&route.routing_key)
    {
        return Route { exchange: exchange.to_owned(), routing_key: key.to_owned() };
    }
    route.clone()
}

impl From<ExchangeType> for ExchangeKind {
    fn from(kind: ExchangeType) -> ExchangeKind {
        match kind {
            ExchangeType::Direct => ExchangeKind::Direct,
            ExchangeType::Topic => ExchangeKind::Topic,
            ExchangeType::Fanout => ExchangeKind::Fanout,
        }
    }
}

/// Declares one thing after the other. What exists with other arguments is taken as it is, unless
/// that is to be refused.
pub(crate) struct Declarer<'a> {
    link: &'a Link,
    connection: &'a Connection,
    /// A refusal closes it.
    channel: Option<Channel>,
    refuse: bool,
    /// The last thing that was said not to be as wanted.
    other: Option<lapin::Error>,
}

impl<'a> Declarer<'a> {
    pub(crate) fn new(link: &'a Link, connection: &'a Connection) -> Self {
        Self { link, connection, channel: None, refuse: false, other: None }
    }

    pub(crate) async fn exchange(
        &mut self,
        name: &ShortString,
        kind: ExchangeKind,
        durable: bool,
    ) -> Result<(), BrokerError> {
        let options = ExchangeDeclareOptions { durable, ..ExchangeDeclareOptions::default() };
        let done = async {
            let channel = self.channel().await?;
            channel.exchange_declare(name.clone(), kind, options, FieldTable::default()).await
        };
        let done = done.await;
        self.judge(done, &format!("cannot declare the exchange `{name}`"), name)
    }

    /// Whether there is such an exchange.
    pub(crate) async fn has_exchange(&mut self, name: &ShortString) -> Result<bool, BrokerError> {
        let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let done = async {
            let (kind, none) = (ExchangeKind::Direct, FieldTable::default());
            self.channel().await?.exchange_declare(name.clone(), kind, options, none).await
        };
        match done.await {
            Err(missing) if reply_code(&missing) == Some(404) => {
                self.channel = None;
                Ok(false)
            }
            done => self
                .judge(done, &format!("cannot look for the exchange `{name}`"), name)
                .map(|()| true),
        }
    }

    /// A durable queue.
    pub(crate) async fn queue(
        &mut self,
        name: &ShortString,
        arguments: FieldTable,
    ) -> Result<(), BrokerError> {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.queue_with(name, durable, arguments).await
    }

    pub(crate) async fn queue_with(
        &mut self,
        name: &ShortString,
        options: QueueDeclareOptions,
        arguments: FieldTable,
    ) -> Result<(), BrokerError> {
        let done = async {
            self.channel().await?.queue_declare(name.clone(), options, arguments).await.map(drop)
        };
        let done = done.await;
        self.judge(done, &format!("cannot declare the queue `{name}`"), name)
    }

    pub(crate) async fn bind_queue(
        &mut self,
        exchange: &ShortString,
        queue: &ShortString,
        key: &str,
    ) -> Result<(), BrokerError> {
        let key = routing_key(key)?;
        let done = async {
            let (options, none) = (QueueBindOptions::default(), FieldTable::default());
            let channel = self.channel().await?;
            channel.queue_bind(queue.clone(), exchange.clone(), key, options, none).await
        };
        let done = done.await;
        self.judge(done, &format!("cannot bind the queue `{queue}` to `{exchange}`"), queue)
    }

    /// What `from` gets for `key` goes on to `to`.
    pub(crate) async fn bind_exchange(
        &mut self,
        from: &ShortString,
        to: &ShortString,
        key: &str,
    ) -> Result<(), BrokerError> {
        let key = routing_key(key)?;
        let done = async {
            let (options, none) = (ExchangeBindOptions::default(), FieldTable::default());
            let channel = self.channel().await?;
            channel.exchange_bind(to.clone(), from.clone(), key, options, none).await
        };
        let done = done.await;
        self.judge(done, &format!("cannot bind the exchange `{to}` to `{from}`"), to)
    }

    pub(crate) async fn close(self) -> Result<(), BrokerError> {
        let Some(channel) = self.channel else { return Ok(()) };
        let closed = channel.close(200, "declared".into()).await;
        closed.map_err(|e| self.link.error("cannot close a channel", e))
    }

    async fn channel(&mut self) -> lapin::Result<Channel> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let channel = self.connection.create_channel().await?;
        self.channel = Some(channel.clone());
        Ok(channel)
    }

    fn judge(
        &mut self,
        done: lapin::Result<()>,
        what: &str,
        name: &ShortString,
    ) -> Result<(), BrokerError> {
        let Err(refused) = done else { return Ok(()) };
        self.channel = None;
        match reply_code(&refused) {
            Some(406) if self.refuse => Err(BrokerError::Conflict {
                name: name.to_string(),
                address: self.link.address().clone(),
                source: refused.into(),
            }),
            Some(406) => {
                self.other = Some(refused);
                Ok(())
            }
            // It does not exist: its arguments were not different but impossible.
            Some(404) => Err(self.link.error(what, self.other.take().unwrap_or(refused))),
            _ => Err(self.link.error(what, refused)),
        }
    }
}

/// A queue's or exchange's name.
pub(crate) fn short(name: &str) -> Result<ShortString, BrokerError> {
    let refused = |why: table::TableError| BrokerError::Other {
        what: format!("`{name}` is no name for a queue or an exchange"),
        source: why.into(),
    };
    if name.is_empty() {
        return Err(BrokerError::Other {
            what: "a queue needs a name".into(),
            source: "the name is empty".into(),
        });
    }
    table::name("queue name", name).map_err(refused)
}

fn routing_key(key: &str) -> Result<ShortString, BrokerError> {
    table::name("routing key", key).map_err(|why| BrokerError::Other {
        what: format!("`{key}` is no routing key"),
        source: why.into(),
    })
}
