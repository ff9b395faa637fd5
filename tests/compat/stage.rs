//! One side of one cell: its servers, and the Python process that plays its cases.

use std::sync::OnceLock;
use std::time::Duration;

use umbel_harness::dialogue::Dialogue;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::{paths, python};

/// Longer than any case waits for anything on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Opened by its first case.
pub(crate) struct Stage {
    cell: String,
    side: &'static str,
    opened: OnceLock<Opened>,
}

/// What is dropped first is ended first.
struct Opened {
    driver: Dialogue,
    _redis: RedisServer,
}

impl Stage {
    pub(crate) fn new(cell: &str, side: &'static str) -> Stage {
        Stage { cell: cell.to_owned(), side, opened: OnceLock::new() }
    }

    pub(crate) fn cell(&self) -> &str {
        &self.cell
    }

    pub(crate) fn side(&self) -> &str {
        self.side
    }

    /// Plays a case; an error is what Python says of its failure.
    pub(crate) fn play(&self, case: &str) -> Result<(), String> {
        let opened = self.opened.get_or_init(|| self.open());
        let answer = opened.driver.ask(case, PATIENCE)?;
        match answer["failure"].as_str() {
            None => Ok(()),
            Some(failure) => Err(failure.to_owned()),
        }
    }

    fn open(&self) -> Opened {
        let redis = RedisServer::start();
        let broker = if self.cell.starts_with("rabbitmq") {
            let node = RabbitMq::shared();
            node.url(&node.fresh_vhost())
        } else {
            redis.url(0)
        };
        let mut command = python::python(&paths::tests().join("compat/python/driver.py"));
        command
            .env("COMPAT_CELL", &self.cell)
            .env("COMPAT_SIDE", self.side)
            .env("COMPAT_BROKER", broker)
            .env("COMPAT_RESULTS", redis.url(1))
            .env("COMPAT_CACHE", paths::cache())
            .env("COMPAT_UMBEL", paths::umbel())
            .env("COMPAT_PLUGIN", paths::test_plugin("lab"));
        Opened { driver: Dialogue::start(command), _redis: redis }
    }
}
