//! Queues, where tasks go, and how RabbitMQ is to have them.

use umbel_transport::amqp::{ExchangeType, QueueOptions, QueueType};
use umbel_value::Value;

use super::*;

#[test]
fn where_tasks_go_and_where_they_are_taken_from() {
    for (file, flag, taken, default) in [
        ("", "", "celery", "celery"),
        ("", "a,b", "a,b", "celery"),
        ("queues = ['a', 'b']", "", "a,b", "a"),
        ("queues = ['a', 'b']", "b", "b", "a"),
        ("default-queue = 'd'", "", "d", "d"),
        ("default-queue = 'd'\nqueues = ['a']", "", "a", "d"),
        ("queues = ['a', { name = 'b', type = 'quorum' }]", "", "a,b", "a"),
    ] {
        let flags: &[_] = if flag.is_empty() { &[] } else { &[("queues", flag)] };
        let settings = settings(flags, &[], file).expect(file);
        assert_eq!(settings.queues.join(","), taken, "{file} {flag}");
        assert_eq!(settings.default_queue, default, "{file} {flag}");
    }
}

#[test]
fn routes_keep_their_order() {
    let expected = [("z.*", "last"), ("a.b", "first")];
    let expected = expected.map(|(name, queue)| (name.to_owned(), queue.to_owned()));
    let file = "routes = { 'z.*' = 'last', 'a.b' = 'first' }";
    assert_eq!(settings(&[], &[], file).expect("a good file").routes, expected);
    let flags = [("routes", "z.*=last, a.b = first")];
    assert_eq!(settings(&flags, &[], "").expect("a good flag").routes, expected);
}

#[test]
fn a_queue_may_say_how_it_is_declared() {
    let file = "queue-type = 'quorum'\ndelayed-queue-type = 'classic'\n\
        [[queues]]\nname = 'q'\ntype = 'classic'\nmax-priority = 10\nexchange = 'x'\n\
        exchange-type = 'topic'\nrouting-key = 'k.#'\naccept-existing = true\n\
        arguments = { x-dead-letter-exchange = 'dlx', x-max-length = 0x10, x-single = true }\n";
    let settings = settings(&[], &[], file).expect("a good file");
    let amqp = &settings.amqp;
    assert_eq!(amqp.queue_type, QueueType::Quorum);
    assert_eq!(amqp.delayed_type, QueueType::Classic);
    assert_eq!(amqp.max_priority, None);
    let arguments = [
        ("x-dead-letter-exchange", Value::from("dlx")),
        ("x-max-length", Value::Int(16)),
        ("x-single", Value::Bool(true)),
        ("x-queue-type", Value::from("classic")),
        ("x-max-priority", Value::Int(10)),
    ];
    let expected = QueueOptions {
        exchange: Some("x".into()),
        exchange_type: ExchangeType::Topic,
        routing_key: Some("k.#".into()),
        arguments: arguments.map(|(name, value)| (name.to_owned(), value)).into(),
        broadcast: false,
        accept_existing: true,
    };
    assert_eq!(amqp.queues, [("q".to_owned(), expected)].into());
}

#[test]
fn rabbitmq_is_used_as_told() {
    let defaults = settings(&[], &[], "").expect("defaults are good").amqp;
    assert_eq!(format!("{defaults:?}"), format!("{:?}", AmqpOptions::default()));
    let file = "broker_heartbeat = 30\nqueue-max-priority = 9\nresults.persistent = true\n\
        [amqp]\nconnect-timeout = '1s'\naccept-existing = true\ndead-letter-queue = 'dead'\n";
    let told = settings(&[], &[], file).expect("a good file").amqp;
    assert_eq!(told.heartbeat, Duration::from_secs(30));
    assert_eq!(told.connect_timeout, Duration::from_secs(1));
    assert_eq!(told.max_priority, Some(9));
    assert_eq!(told.dead_letter_queue.as_deref(), Some("dead"));
    assert!(told.accept_existing && told.result_persistent);
}

#[test]
fn mistakes_in_queues_are_named() {
    for (file, what, help) in [
        ("queues = []", ":1: `queues`: names no queue", ""),
        ("queues = 'a'\nqueue-type = 'stream'", ":2: `queue-type`: `stream` is neither", ""),
        ("queues = [{ type = 'quorum' }]", ":1: a queue has no name", "name = \"images\""),
        ("queues = [{ name = 'q', typ = 'x' }]", "unknown key `queues.typ`", "`queues.type`?"),
        ("queues = [{ name = 'q', max-priority = 256 }]", "`256` is not a whole number", ""),
        (
            "queues = [{ name = 'q', type = 'quorum', max-priority = 9 }]",
            ":1: queue `q`: quorum queues take no `max-priority`",
            "",
        ),
        ("queues = [{ name = 'q', exchange-type = 'x' }]", "`x` is none of direct, topic", ""),
        ("queues = [{ name = 'q', arguments = { a = [] } }]", "`queues.arguments.a` must be", ""),
        ("queues = [1]", ":1: `queues` must be an array of names", ""),
        ("routes = 'x'", ":1: `routes` must be a table of texts, not text", ""),
        ("routes = { a = 'b,c' }", ":1: `routes.a` holds a `,`", ""),
    ] {
        let fault = settings(&[], &[], file).expect_err(file);
        assert!(fault.what.contains(what), "{file}: {fault}");
        assert!(fault.help.as_deref().unwrap_or("").contains(help), "{file}: {fault}");
    }
}
