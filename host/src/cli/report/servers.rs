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
                Some(address) => server(settings, address).await,
                None => json!("disabled"),
            }
        };
        let (broker, results) = tokio::join!(server(settings, &settings.broker), results);
        Ok(json!({ "broker": broker, "results": results }))
    })
}

async fn server(settings: &Settings, address: &Address) -> Value {
    let shown = address.to_string();
    if address.scheme == Scheme::Sqlite {
        // It is not opened: that would make it.
        let state = match Path::new(&address.path).metadata() {
            Ok(file) => format!("a file of {}", about_size(file.len())),
            Err(error) => error.to_string(),
        };
        return json!({ "address": shown, "state": state });
    }
    let mut product = None;
    let asked = tokio::time::timeout(PATIENCE, ask_one(settings, address, &mut product)).await;
    let state = match asked {
        Ok(Ok(())) => "answers".to_owned(),
        Ok(Err(error)) => redact(render(&error).trim()),
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    json!({ "address": shown, "state": state, "product": product })
}

async fn ask_one(
    settings: &Settings,
    address: &Address,
    product: &mut Option<String>,
) -> anyhow::Result<()> {
    if address.scheme == Scheme::Redis {
        *product = Some(redis::product(address, &settings.redis).await?);
        return Ok(());
    }
    *product = amqp::product(address, PATIENCE).await?;
    // Whether it lets us in is another question.
    wiring::connect(settings, false).await?.broker.close().await;
    Ok(())
}
