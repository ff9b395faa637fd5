//! Native delayed delivery: Celery's 28 levels, and a way through them back to any queue.
//!
//! What Celery delays goes through the task's own topic exchange. What we delay must reach one
//! queue and no other, behind whatever exchange: it is bound to the way out by a key of its own.

use std::sync::Arc;

use lapin::{Connection, ExchangeKind};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use umbel_protocol::message::Route;
use umbel_protocol::names;
use umbel_value::{Map, Value};

use super::connection::Link;
use super::options::{AmqpOptions, ExchangeType, QueueType};
use super::table;
use super::topology::{Declarer, short};
use crate::broker::BrokerError;

/// Ends the keys of what we delay. Celery's bindings look at how a key ends: they must not match.
const MARK: &str = ".umbel-delay";

/// A queue's name is one word of a key, or `b` would get what is for `a.b`.
const WORD: &AsciiSet = &CONTROLS.add(b'.').add(b'*').add(b'#').add(b'%');

/// Where a message goes that is to be back in its queue in so many seconds; `None` where the key
/// would be too long.
pub(crate) fn route_back(queue: &str, seconds: u64) -> Option<Route> {
    let Route { routing_key, .. } = names::delayed_route(seconds, &key(queue));
    // Where the first digit is that is one: a topic exchange takes its time, and those before would
    // only pass the message on.
    let exchange = match seconds.checked_ilog2() {
        Some(level) => names::delayed_level(level.min(names::DELAY_LEVELS - 1)),
        None => names::DELAYED_DELIVERY.to_owned(),
    };
    (routing_key.len() <= usize::from(u8::MAX)).then_some(Route { exchange, routing_key })
}

/// The queue that a delayed message of ours is for.
pub(crate) fn queue_of(routing_key: &str) -> Option<String> {
    let rest = names::undelayed(routing_key);
    if rest.len() == routing_key.len() {
        return None;
    }
    let word = rest.strip_suffix(MARK)?;
    percent_decode_str(word).decode_utf8().ok().map(|queue| queue.into_owned())
}

/// Where a message of `queue` had been published to before it was delayed, if it was.
pub(crate) fn route_before(options: &AmqpOptions, queue: &str, delivered: Route) -> Route {
    let key = names::undelayed(&delivered.routing_key);
    if key.len() == delivered.routing_key.len() {
        return delivered;
    }
    let (exchange, kind, _) = options.binding(queue);
    if key.ends_with(MARK) || kind == ExchangeType::Direct {
        return Route::queue(queue);
    }
    Route { exchange: exchange.to_owned(), routing_key: key.to_owned() }
}

/// Declares the levels as Celery does; those that exist otherwise are used as they are.
pub(crate) async fn declare(link: &Link, connection: &Connection) -> Result<(), BrokerError> {
    let mut declarer = Declarer::new(link, connection);
    for level in (0..names::DELAY_LEVELS).rev() {
        let name = short(&names::delayed_level(level))?;
        declarer.exchange(&name, ExchangeKind::Topic, true).await?;
        let arguments = table::write_table(&arguments(level, link.options.delayed_type), 0);
        declarer.queue(&name, arguments).await?;
        declarer.bind_queue(&name, &name, &names::delayed_wait_key(level)).await?;
    }
    declarer.exchange(&short(names::DELAYED_DELIVERY)?, ExchangeKind::Topic, true).await?;
    for level in 0..names::DELAY_LEVELS {
        let (from, to) = (short(&names::delayed_level(level))?, short(&next(level))?);
        declarer.bind_exchange(&from, &to, &names::delayed_pass_key(level)).await?;
    }
    declarer.close().await
}

/// Binds a queue to the way out, for what we delay.
pub(crate) async fn bind(
    link: &Link,
    connection: &Connection,
    queue: &str,
) -> Result<(), BrokerError> {
    let mut declarer = Declarer::new(link, connection);
    let binding = names::delayed_binding_key(&key(queue));
    declarer.bind_queue(&short(names::DELAYED_DELIVERY)?, &short(queue)?, &binding).await?;
    declarer.close().await
}

/// Binds a queue that was deleted and declared again: messages may be on their way to it.
pub(crate) async fn bind_again(
    link: &Link,
    connection: &Connection,
    queue: &str,
) -> Result<(), BrokerError> {
    let mut declarer = Declarer::new(link, connection);
    let delayed = declarer.has_exchange(&short(names::DELAYED_DELIVERY)?).await?;
    declarer.close().await?;
    if !delayed || link.options.is_broadcast(queue) || route_back(queue, 0).is_none() {
        return Ok(());
    }
    bind(link, connection, queue).await
}

/// Does for the queues what a worker of Celery does at its start when one of them is a quorum
/// queue: clients then delay what they send to those that are not behind direct exchanges.
pub(crate) async fn prepare(
    link: &Link,
    connection: &Connection,
    queues: &[Arc<str>],
) -> Result<(), BrokerError> {
    let options = &link.options;
    let behind = |queue: &str| options.binding(queue).1 != ExchangeType::Direct;
    let wanted: Vec<&Arc<str>> =
        queues.iter().filter(|queue| behind(queue) && !options.is_broadcast(queue)).collect();
    if wanted.is_empty() || !queues.iter().any(|queue| options.is_quorum(queue)) {
        return Ok(());
    }
    declare(link, connection).await?;
    let mut declarer = Declarer::new(link, connection);
    let delivery = short(names::DELAYED_DELIVERY)?;
    for queue in wanted {
        let (exchange, _, key) = options.binding(queue);
        let (exchange, key) = (short(exchange)?, names::delayed_binding_key(key));
        declarer.bind_exchange(&delivery, &exchange, &key).await?;
        declarer.bind_queue(&exchange, &short(queue)?, &key).await?;
    }
    declarer.close().await
}

/// The end of a routing key that only `queue` gets.
fn key(queue: &str) -> String {
    format!("{}{MARK}", utf8_percent_encode(queue, WORD))
}

/// Where a message goes after a level.
fn next(level: u32) -> String {
    level.checked_sub(1).map_or_else(|| names::DELAYED_DELIVERY.into(), names::delayed_level)
}

fn arguments(level: u32, kind: QueueType) -> Map {
    let text = |text: &str| Value::Text(text.into());
    let mut arguments = Map::from_iter([
        ("x-queue-type".to_owned(), text(kind.as_str())),
        ("x-overflow".to_owned(), text("reject-publish")),
        ("x-message-ttl".to_owned(), Value::Int(1000 << level)),
        ("x-dead-letter-exchange".to_owned(), text(&next(level))),
    ]);
    if kind == QueueType::Quorum {
        arguments.insert("x-dead-letter-strategy".to_owned(), text("at-least-once"));
    }
    arguments
}

/// Whether a queue or exchange belongs to delayed delivery.
pub(crate) fn is_ours(name: &str) -> bool {
    let level = name.rsplit('_').next().and_then(|level| level.parse().ok());
    name == names::DELAYED_DELIVERY
        || level.is_some_and(|level| names::delayed_level(level) == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::options::QueueOptions;
    use super::*;

    #[test]
    fn a_delayed_message_knows_its_queue() {
        for queue in ["q", "a.b", "a.*.#", "größe", "50%", "a.umbel-delay", ".", "0.1.0"] {
            let route = route_back(queue, 5).unwrap();
            assert_eq!(queue_of(&route.routing_key).as_deref(), Some(queue));
            // One word and the mark: nothing a topic exchange could take for another queue's.
            let words = route.routing_key.split('.').skip(names::DELAY_LEVELS as usize);
            assert_eq!(words.count(), 2, "{route:?}");
        }
    }

    #[test]
    fn a_delay_begins_at_its_first_digit() {
        for (seconds, exchange) in [
            (0, "celery_delayed_delivery"),
            (1, "celery_delayed_0"),
            (7, "celery_delayed_2"),
            (86_400, "celery_delayed_16"),
            (u64::MAX, "celery_delayed_27"),
        ] {
            let route = route_back("q", seconds).unwrap();
            assert_eq!(route.exchange, exchange);
            assert_eq!(
                route.routing_key,
                names::delayed_route(seconds, "q.umbel-delay").routing_key
            );
            assert!(is_ours(exchange));
        }
        for other in ["", "q", "celery", "celery_delayed_x", "celery_delayed_007"] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn a_queue_whose_key_would_be_too_long_cannot_be_delayed() {
        assert!(route_back(&"q".repeat(187), 1).is_some());
        assert_eq!(route_back(&"q".repeat(188), 1), None);
    }

    #[test]
    fn keys_of_others_are_for_no_queue_of_ours() {
        let celerys = names::delayed_route(5, "q").routing_key;
        for key in ["", "q", "q.umbel-delay", celerys.as_str()] {
            assert_eq!(queue_of(key), None, "{key}");
        }
    }

    #[test]
    fn a_delayed_message_was_published_to_where_it_belongs() {
        let topic = QueueOptions {
            exchange: Some("tx".into()),
            exchange_type: ExchangeType::Topic,
            ..QueueOptions::default()
        };
        let queues = BTreeMap::from([("tq".to_owned(), topic)]);
        let options = AmqpOptions { queues, ..AmqpOptions::default() };
        let route = |exchange: &str, key: &str| Route {
            exchange: exchange.to_owned(),
            routing_key: key.to_owned(),
        };
        let delayed =
            |key: &str| route("celery_delayed_0", &names::delayed_route(3, key).routing_key);
        for (queue, delivered, before) in [
            ("q", route("", "q"), route("", "q")),
            ("tq", route("tx", "a.b"), route("tx", "a.b")),
            ("tq", delayed("a.b"), route("tx", "a.b")),
            ("tq", delayed("tq.umbel-delay"), route("", "tq")),
            ("q", delayed("q.umbel-delay"), route("", "q")),
            ("q", delayed("somewhere"), route("", "q")),
        ] {
            assert_eq!(route_before(&options, queue, delivered), before);
        }
    }
}
