//! From addresses to the broker and the result store behind them.

use std::sync::Arc;

use anyhow::Context;
use umbel_protocol::beat::Entry;
use umbel_protocol::message::Route;
use umbel_transport::address::{Address, Scheme};
use umbel_transport::amqp::{AmqpBroker, RpcStore};
use umbel_transport::broker::Broker;
use umbel_transport::redis::{RedisBroker, RedisRpcStore, RedisStore};
use umbel_transport::results::ResultStore;
use umbel_transport::sqlite::{SqliteBroker, SqliteOptions, SqliteStore};
use umbel_transport::timetable::{Apart, Timetable};
use umbel_worker::WorkerConfig;

use crate::about;
use crate::beat::Table;
use crate::fault::Fault;
use crate::settings::Settings;

/// Where messages come from and where results go.
pub(crate) struct Ends {
    pub(crate) broker: Arc<dyn Broker>,
    /// `None`: results are not kept.
    pub(crate) store: Option<Arc<dyn ResultStore>>,
}

/// So many runs have address space for as many memories each as a component may have.
const ROOMY: usize = 1200;

/// Tasks at once that there is room for: remote control may ask for more than there are at the start.
pub(crate) fn most_at_once(settings: &Settings) -> usize {
    let wanted = settings.concurrency.saturating_add(settings.concurrency.max(16));
    wanted.min(ROOMY).max(settings.concurrency)
}

/// The worker's share of the settings.
pub(crate) fn worker_config(settings: &Settings) -> WorkerConfig {
    WorkerConfig {
        node: settings.node.clone(),
        queues: settings.queues.clone(),
        concurrency: settings.concurrency,
        prefetch_multiplier: settings.prefetch_multiplier,
        drain_timeout: settings.drain_timeout,
        hold_limit: settings.hold_limit,
        default_queue: settings.default_queue.clone(),
        routes: settings.routes.clone(),
        accept: settings.accept.clone(),
        result_extended: settings.result_options.extended,
        control: settings.remote_control,
        max_concurrency: most_at_once(settings),
        task_events: settings.task_events,
        heartbeat: settings.heartbeat,
        gossip: settings.gossip,
        mingle: settings.mingle,
        about: about::about(settings),
        park_unknown: settings.park_unknown,
        die_after: settings.die_after.clone(),
        ..WorkerConfig::default()
    }
}

/// Connects to the broker, and to the result store if it is wanted.
pub(crate) async fn connect(settings: &Settings, with_results: bool) -> anyhow::Result<Ends> {
    let address = &settings.broker;
    let results = settings.results.as_ref().filter(|_| with_results);
    let expires = settings.result_options.store.expires;
    // One file for both is opened once: results and settlements then share their syncs.
    if address.scheme == Scheme::Sqlite {
        let broker = SqliteBroker::open(address.clone(), SqliteOptions::default()).await?;
        let store = match results {
            Some(results) if results == address => {
                let store = SqliteStore::beside(&broker, expires);
                Some(Arc::new(store) as Arc<dyn ResultStore>)
            }
            Some(results) => Some(store(settings, results).await?),
            None => None,
        };
        return Ok(Ends { broker: Arc::new(broker), store });
    }
    let broker: Arc<dyn Broker> = match address.scheme {
        Scheme::Redis => {
            Arc::new(RedisBroker::connect(address.clone(), settings.redis.clone()).await?)
        }
        _ => Arc::new(AmqpBroker::connect(address.clone(), settings.amqp.clone()).await?),
    };
    let store = match results {
        Some(results) => Some(store(settings, results).await?),
        None => None,
    };
    Ok(Ends { broker, store })
}

/// Where beat's messages and its notes go: one place, if it can be.
pub(crate) async fn timetable(settings: &Settings) -> anyhow::Result<Table> {
    let broker = &settings.broker;
    let elsewhere = settings.beat.store.as_ref().filter(|store| *store != broker);
    let store = match (elsewhere, broker.scheme) {
        (Some(store), _) => store,
        (None, Scheme::Redis | Scheme::Sqlite) => {
            return Ok(Table { timetable: open(settings, broker).await?, apart: false });
        }
        (None, _) => settings.results.as_ref().unwrap_or(broker),
    };
    if !matches!(store.scheme, Scheme::Redis | Scheme::Sqlite) {
        let what = "there is no place to note what was sent: RabbitMQ has none";
        let help =
            "name one: --beat-store redis://… or sqlite://…, or a result backend of that kind";
        return Err(Fault::usage(what).help(help).into());
    }
    let table = open(settings, store).await.context("cannot use the schedule's store")?;
    let broker = connect(settings, false).await?.broker;
    Ok(Table { timetable: Arc::new(Apart { table, broker }), apart: true })
}

async fn open(settings: &Settings, address: &Address) -> anyhow::Result<Arc<dyn Timetable>> {
    Ok(match address.scheme {
        Scheme::Sqlite => {
            Arc::new(SqliteBroker::open(address.clone(), SqliteOptions::default()).await?)
        }
        _ => Arc::new(RedisBroker::connect(address.clone(), settings.redis.clone()).await?),
    })
}

/// The queue that an entry names, or where its task goes by its name.
pub(crate) fn route(settings: &Settings, entry: &Entry) -> Route {
    match &entry.queue {
        Some(queue) => Route::queue(queue),
        None => worker_config(settings).route(&entry.task),
    }
}

/// The result store alone; `None` if results are not kept.
pub(crate) async fn results(settings: &Settings) -> anyhow::Result<Option<Arc<dyn ResultStore>>> {
    match &settings.results {
        Some(address) => store(settings, address).await.map(Some),
        None => Ok(None),
    }
}

async fn store(settings: &Settings, address: &Address) -> anyhow::Result<Arc<dyn ResultStore>> {
    let options = &settings.result_options.store;
    let opened: Result<Arc<dyn ResultStore>, anyhow::Error> = async {
        Ok(match address.scheme {
            Scheme::Redis => {
                let store = RedisStore::connect(address.clone(), options.clone()).await?;
                Arc::new(store) as Arc<dyn ResultStore>
            }
            Scheme::Sqlite => Arc::new(SqliteStore::open(address.clone(), options.expires).await?),
            Scheme::Rpc if settings.broker.scheme == Scheme::Redis => {
                let broker = settings.broker.clone();
                Arc::new(RedisRpcStore::connect(broker, settings.redis.clone()).await?)
            }
            Scheme::Rpc | Scheme::Amqp => {
                Arc::new(RpcStore::connect(settings.broker.clone(), settings.amqp.clone()).await?)
            }
        })
    }
    .await;
    opened.context("cannot use the result backend")
}

/// Results over the broker's own connection are addressed to the client that asked: nobody else
/// can fetch them.
pub(crate) fn can_fetch_later(results: &Address) -> bool {
    results.scheme != Scheme::Rpc
}
