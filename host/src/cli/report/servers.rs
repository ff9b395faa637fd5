//! The servers that the settings name: whether they answer, and what they are.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use umbel_transport::address::{Address, Scheme};
use umbel_transport::{amqp, redis};

use crate::fault::{redact, render};
use crate::settings::Settings;
use crate::settings::units::about_size;
use crate::wiring;

/// Who does not answer by then is told of as away.
const PATIENCE: Duration = Duration::from_secs(5);

/// Broker and result backend.
pub(super) fn ask(settings: &Settings) -> anyhow::Result<Value> {
    super::super::small_runtime()?.block_on(async {
        let results = async {
            match &settings.results {
                Some(address) if address.scheme == Scheme::Rpc => json!("over the broker"),
                Some(address) => server(settings, address, false).await,
                None => json!("disabled"),
            }
        };
        let (broker, results) = tokio::join!(server(settings, &settings.broker, true), results);
        Ok(json!({ "broker": broker, "results": results }))
    })
}

async fn server(settings: &Settings, address: &Address, is_broker: bool) -> Value {
    let shown = address.to_string();
    if address.scheme == Scheme::Sqlite {
        // It is not opened: that would make it.
        let state = match Path::new(&address.path).metadata() {
            Ok(file) => format!("a file of {}", about_size(file.len())),
            Err(error) => error.to_string(),
        };
        return json!({ "address": shown, "state": state });
    }
    let asked = tokio::time::timeout(PATIENCE, product(settings, address, is_broker)).await;
    match asked {
        Ok(Ok(product)) => json!({ "address": shown, "state": "answers", "product": product }),
        Ok(Err(error)) => json!({ "address": shown, "state": redact(render(&error).trim()) }),
        Err(_) => json!({ "address": shown, "state": format!("no answer within {PATIENCE:?}") }),
    }
}

async fn product(
    settings: &Settings,
    address: &Address,
    is_broker: bool,
) -> anyhow::Result<Option<String>> {
    if address.scheme == Scheme::Redis {
        return Ok(Some(redis::product(address, &settings.redis).await?));
    }
    let product = amqp::product(address, PATIENCE).await?;
    if is_broker {
        // Whether it lets us in is another question.
        wiring::connect(settings, false).await?.broker.close().await;
    }
    Ok(product)
}
