//! A broker, a result backend and an Umbel worker between them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use umbel_harness::process::ShownOnFailure;
use umbel_harness::python::Peer;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::{Umbel, Worker};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    Redis,
    RabbitMq,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Results {
    Redis,
    Rpc,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) broker: Broker,
    pub(crate) results: Results,
}

/// The servers of one pair, with nothing on them yet.
pub(crate) struct Stage {
    pub(crate) pair: Pair,
    pub(crate) broker: String,
    pub(crate) results: String,
    redis: RedisServer,
}

impl Stage {
    /// A Redis of its own, or a virtual host of its own on the one RabbitMQ.
    pub(crate) fn set(pair: Pair) -> Stage {
        let redis = RedisServer::start();
        let broker = match pair.broker {
            Broker::Redis => redis.url(0),
            Broker::RabbitMq => {
                let node = RabbitMq::shared();
                node.url(&node.fresh_vhost())
            }
        };
        let results = match pair.results {
            Results::Redis => redis.url(0),
            Results::Rpc => "rpc://".to_owned(),
        };
        Stage { pair, broker, results, redis }
    }

    /// The Redis of this stage, which both kinds of pair have.
    pub(crate) fn redis(&self) -> &RedisServer {
        &self.redis
    }

    /// An unmodified Celery client.
    pub(crate) fn peer(&self) -> Peer {
        Peer::connect(&self.broker, &self.results)
    }

    /// A worker to be started with more options.
    pub(crate) fn worker(&self) -> Worker {
        Worker::on(&self.broker).results(&self.results)
    }

    /// Whether anybody can look a result up, or its sender only.
    pub(crate) fn keeps_results(&self) -> bool {
        self.pair.results == Results::Redis
    }
}

/// A stage with a worker on it, shared by the tests that leave it as it is.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    worker: Mutex<Umbel>,
}

impl Scene {
    pub(crate) fn open(pair: Pair) -> Scene {
        let stage = Stage::set(pair);
        // Above the 5 MB that one test sends back.
        let config = "[limits]\noutput = \"16MiB\"";
        let worker = Mutex::new(stage.worker().config(config).start());
        Scene { stage, worker }
    }

    /// A client, and a guard that shows the worker's log if the test fails.
    pub(crate) fn peer(&self) -> (Peer, ShownOnFailure) {
        let shown = self.worker().process.shown_on_failure();
        (self.stage.peer(), shown)
    }

    pub(crate) fn worker(&self) -> MutexGuard<'_, Umbel> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
