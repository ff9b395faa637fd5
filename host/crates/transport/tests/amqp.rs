//! AMQP against a real RabbitMQ: the conformance suite, and what only AMQP has.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "amqp/bench.rs"]
mod bench;
#[path = "amqp/control.rs"]
mod control;
#[path = "amqp/delays.rs"]
mod delays;
#[path = "amqp/faults.rs"]
mod faults;
#[path = "amqp/golden.rs"]
mod golden;
#[path = "amqp/letters.rs"]
mod letters;
#[path = "amqp/queues.rs"]
mod queues;
#[path = "amqp/servers.rs"]
mod servers;

use bench::Conformance;

mod classic {
    use umbel_transport::amqp::QueueType;

    umbel_transport::broker_conformance!(super::Conformance::of(QueueType::Classic).await);
}

mod quorum {
    use umbel_transport::amqp::QueueType;

    umbel_transport::broker_conformance!(super::Conformance::of(QueueType::Quorum).await);
}

mod store {
    use umbel_transport::amqp::QueueType;

    umbel_transport::store_conformance!(super::Conformance::of(QueueType::Classic).await);
}
