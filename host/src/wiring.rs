//! From addresses to the broker and the result store behind them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use umbel_transport::address::{Address, Scheme};
use umbel_transport::amqp::{AmqpBroker, AmqpOptions, RpcStore};
use umbel_transport::broker::Broker;
use umbel_transport::redis::{RedisBroker, RedisOptions, RedisRpcStore, RedisStore, StoreOptions};
use umbel_transport::results::ResultStore;
use umbel_transport::sqlite::{SqliteBroker, SqliteOptions, SqliteStore};

use crate::settings::Settings;

/// Celery's `result_expires`.
const RESULTS_EXPIRE: Duration = Duration::from_secs(86400);

/// Where messages come from and where results go.
pub(crate) struct Ends {
    pub(crate) broker: Arc<dyn Broker>,
    /// `None`: results are not kept.
    pub(crate) store: Option<Arc<dyn ResultStore>>,
}

/// Connects to the broker, and to the result store if it is wanted.
pub(crate) async fn connect(settings: &Settings, with_results: bool) -> anyhow::Result<Ends> {
    let address = &settings.broker;
    let results = settings.results.as_ref().filter(|_| with_results);
    // One file for both is opened once: results and settlements then share their syncs.
    if address.scheme == Scheme::Sqlite {
        let broker = SqliteBroker::open(address.clone(), SqliteOptions::default()).await?;
        let store = match results {
            Some(results) if results == address => {
                let store = SqliteStore::beside(&broker, Some(RESULTS_EXPIRE));
                Some(Arc::new(store) as Arc<dyn ResultStore>)
            }
            Some(results) => Some(store(settings, results).await?),
            None => None,
        };
        return Ok(Ends { broker: Arc::new(broker), store });
    }
    let broker: Arc<dyn Broker> = match address.scheme {
        Scheme::Redis => {
            Arc::new(RedisBroker::connect(address.clone(), RedisOptions::default()).await?)
        }
        _ => Arc::new(AmqpBroker::connect(address.clone(), AmqpOptions::default()).await?),
    };
    let store = match results {
        Some(results) => Some(store(settings, results).await?),
        None => None,
    };
    Ok(Ends { broker, store })
}

/// The result store alone; `None` if results are not kept.
pub(crate) async fn results(settings: &Settings) -> anyhow::Result<Option<Arc<dyn ResultStore>>> {
    match &settings.results {
        Some(address) => store(settings, address).await.map(Some),
        None => Ok(None),
    }
}

async fn store(settings: &Settings, address: &Address) -> anyhow::Result<Arc<dyn ResultStore>> {
    let opened: Result<Arc<dyn ResultStore>, anyhow::Error> = async {
        Ok(match address.scheme {
            Scheme::Redis => {
                let store = RedisStore::connect(address.clone(), StoreOptions::default()).await?;
                Arc::new(store) as Arc<dyn ResultStore>
            }
            Scheme::Sqlite => {
                Arc::new(SqliteStore::open(address.clone(), Some(RESULTS_EXPIRE)).await?)
            }
            Scheme::Rpc if settings.broker.scheme == Scheme::Redis => {
                let broker = settings.broker.clone();
                Arc::new(RedisRpcStore::connect(broker, RedisOptions::default()).await?)
            }
            Scheme::Rpc | Scheme::Amqp => {
                Arc::new(RpcStore::connect(settings.broker.clone(), AmqpOptions::default()).await?)
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
