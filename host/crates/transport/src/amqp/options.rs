//! How to connect, and what to declare.

use std::collections::BTreeMap;
use std::time::Duration;

use umbel_protocol::body::Serializer;
use umbel_protocol::names;
use umbel_value::{Map, Value};

use super::morgue;

const TYPE: &str = "x-queue-type";
const MAX_PRIORITY: &str = "x-max-priority";

/// How to connect, and what to declare.
#[derive(Clone, Debug)]
pub struct AmqpOptions {
    /// Shown in the server's list of connections.
    pub name: String,
    /// How long dialling may take; the handshake gets as much again.
    pub connect_timeout: Duration,
    /// A server that is silent for twice as long counts as gone.
    pub heartbeat: Duration,
    /// What differs from Celery's defaults, by the queue's name.
    pub queues: BTreeMap<String, QueueOptions>,
    /// What kind a queue is whose arguments do not say.
    pub queue_type: QueueType,
    /// The highest priority in queues whose arguments do not say. Quorum queues have none.
    pub max_priority: Option<u8>,
    /// Consume from any queue that exists with other arguments, instead of a conflict.
    pub accept_existing: bool,
    /// What kind the queues are in which delayed messages wait.
    pub delayed_type: QueueType,
    /// A queue that the operator's dead-letter exchange fills; its messages are dead letters too.
    pub dead_letter_queue: Option<String>,
    /// The prefix of the exchanges of remote control.
    pub control: String,
    /// How `rpc://` results are written; as in Celery, they are never compressed.
    pub result_serializer: Serializer,
    /// `rpc://` results survive a restart of the server.
    pub result_persistent: bool,
}

/// How one queue is declared, and what it is bound to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueOptions {
    /// `None`: one of the queue's own name.
    pub exchange: Option<String>,
    pub exchange_type: ExchangeType,
    /// `None`: the queue's own name.
    pub routing_key: Option<String>,
    /// `x-queue-type`, `x-dead-letter-exchange`, `x-message-ttl`, ….
    pub arguments: Map,
    /// Everybody who consumes gets every message: the name is a fanout exchange's, and each
    /// consumer has a queue of its own behind it, which goes away with it.
    pub broadcast: bool,
    /// Consume from it even if it exists with other arguments.
    pub accept_existing: bool,
}

/// How an exchange chooses queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExchangeType {
    #[default]
    Direct,
    Topic,
    Fanout,
}

/// How a queue keeps its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueType {
    #[default]
    Classic,
    /// Replicated over the servers of a cluster.
    Quorum,
}

impl Default for AmqpOptions {
    fn default() -> Self {
        Self {
            name: "umbel".into(),
            // Celery's `broker_connection_timeout`.
            connect_timeout: Duration::from_secs(4),
            // A half-open connection is found within twenty seconds.
            heartbeat: Duration::from_secs(10),
            queues: BTreeMap::new(),
            queue_type: QueueType::Classic,
            max_priority: None,
            accept_existing: false,
            delayed_type: QueueType::Quorum,
            dead_letter_queue: None,
            control: names::CONTROL.into(),
            result_serializer: Serializer::Json,
            result_persistent: false,
        }
    }
}

impl ExchangeType {
    /// The server's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ExchangeType::Direct => "direct",
            ExchangeType::Topic => "topic",
            ExchangeType::Fanout => "fanout",
        }
    }
}

impl QueueType {
    /// The server's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            QueueType::Classic => "classic",
            QueueType::Quorum => "quorum",
        }
    }
}

impl AmqpOptions {
    pub(crate) fn is_broadcast(&self, queue: &str) -> bool {
        self.queues.get(queue).is_some_and(|options| options.broadcast)
    }

    pub(crate) fn accepts_existing(&self, queue: &str) -> bool {
        self.accept_existing
            || self.queues.get(queue).is_some_and(|options| options.accept_existing)
    }

    pub(crate) fn is_quorum(&self, queue: &str) -> bool {
        matches!(self.arguments(queue).get(TYPE), Some(Value::Text(kind)) if kind == "quorum")
    }

    /// The exchange that a queue is bound to, its kind, and the key.
    pub fn binding<'a>(&'a self, queue: &'a str) -> (&'a str, ExchangeType, &'a str) {
        let Some(options) = self.queues.get(queue) else {
            return (queue, ExchangeType::Direct, queue);
        };
        let exchange = options.exchange.as_deref().unwrap_or(queue);
        match options.broadcast {
            true => (exchange, ExchangeType::Fanout, ""),
            false => {
                let key = options.routing_key.as_deref().unwrap_or(queue);
                (exchange, options.exchange_type, key)
            }
        }
    }

    /// What a queue is declared with.
    pub(crate) fn arguments(&self, queue: &str) -> Map {
        let options = self.queues.get(queue);
        let mut arguments = options.map(|options| options.arguments.clone()).unwrap_or_default();
        let own = options.is_some_and(|options| options.broadcast)
            // Who looks at dead letters takes them and gives them back; quorum queues count that,
            // and some drop what was counted too often.
            || (options.is_none() && queue == morgue::QUEUE);
        if own {
            return arguments;
        }
        if self.queue_type == QueueType::Quorum && !arguments.contains_key(TYPE) {
            arguments.insert(TYPE.into(), Value::Text(QueueType::Quorum.as_str().into()));
        }
        let quorum = matches!(arguments.get(TYPE), Some(Value::Text(kind)) if kind == "quorum");
        if let Some(highest) = self.max_priority
            && !quorum
            && !arguments.contains_key(MAX_PRIORITY)
        {
            arguments.insert(MAX_PRIORITY.into(), Value::Int(i64::from(highest)));
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn check(options: &AmqpOptions, queue: &str, wanted: &[(&str, Value)]) {
        let wanted: Map =
            wanted.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        assert_eq!(options.arguments(queue), wanted, "{queue} of {options:?}");
    }

    fn with(queue: &str, options: QueueOptions) -> AmqpOptions {
        AmqpOptions {
            queues: BTreeMap::from([(queue.to_owned(), options)]),
            ..AmqpOptions::default()
        }
    }

    #[test]
    fn a_queue_of_which_nothing_is_said_has_no_arguments() {
        check(&AmqpOptions::default(), "q", &[]);
    }

    #[test]
    fn a_queues_own_arguments_come_before_those_for_all() {
        let own = Map::from_iter([(TYPE.to_owned(), text("classic"))]);
        let options = AmqpOptions {
            queue_type: QueueType::Quorum,
            max_priority: Some(9),
            ..with("q", QueueOptions { arguments: own, ..QueueOptions::default() })
        };
        check(&options, "q", &[(TYPE, text("classic")), (MAX_PRIORITY, Value::Int(9))]);
        // Quorum queues refuse to be declared with a highest priority.
        check(&options, "other", &[(TYPE, text("quorum"))]);
        check(&options, morgue::QUEUE, &[]);
    }

    #[test]
    fn the_queues_of_a_broadcast_are_as_temporary_as_their_consumers() {
        let options = AmqpOptions {
            queue_type: QueueType::Quorum,
            ..with("news", QueueOptions { broadcast: true, ..QueueOptions::default() })
        };
        check(&options, "news", &[]);
        assert_eq!(options.binding("news"), ("news", ExchangeType::Fanout, ""));
    }
}
