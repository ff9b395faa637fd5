//! AMQP against a real RabbitMQ: the conformance suite, and what only AMQP has.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "amqp/bench.rs"]
mod bench;
#[path = "amqp/faults.rs"]
mod faults;
#[path = "amqp/golden.rs"]
mod golden;
#[path = "amqp/queues.rs"]
mod queues;
#[path = "amqp/servers.rs"]
mod servers;

mod broker {
    umbel_transport::broker_conformance!(super::bench::Conformance::start().await);
}

mod store {
    umbel_transport::store_conformance!(super::bench::Conformance::start().await);
}
