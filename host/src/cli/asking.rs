//! Asks running workers something over their broker, and `umbel reload`, `umbel rollback`.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use umbel_protocol::control::{Answer, question};
use umbel_value::{Map, Value};

use crate::fault::{Code, Fault, redact};
use crate::settings::units::celerys_duration;
use crate::settings::{Settings, host_name};
use crate::{out, wiring};

/// Whom to ask, and for how long to listen.
#[derive(Debug, clap::Args)]
pub(super) struct Whom {
    /// Only these workers, by node name; again for each further one
    #[arg(short, long = "destination", value_name = "NODE", value_delimiter = ',')]
    destination: Vec<String>,

    /// How long to wait for answers
    #[arg(short, long, value_name = "TIME", value_parser = celerys_duration, default_value = "1s")]
    timeout: Duration,
}

#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    #[command(flatten)]
    whom: Whom,
}

#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    /// The plugin, by the name of its table
    #[arg(value_name = "PLUGIN")]
    plugin: String,

    #[command(flatten)]
    whom: Whom,
}

/// Has workers read plugins and configuration again.
pub(super) fn reload(settings: &Settings, args: &Reload) -> anyhow::Result<ExitCode> {
    let answers = ask(settings, "pool_restart", Map::new(), &args.whom)?;
    tell(settings, &answers)
}

/// Has workers give all messages of a plugin to the first of its versions.
pub(super) fn roll_back(settings: &Settings, args: &Rollback) -> anyhow::Result<ExitCode> {
    let plugin = ("plugin".to_owned(), Value::from(args.plugin.as_str()));
    let answers = ask(settings, "plugin_rollback", [plugin].into_iter().collect(), &args.whom)?;
    tell(settings, &answers)
}

/// One line a node; a failure if one of them could not.
fn tell(settings: &Settings, answers: &[Answer]) -> anyhow::Result<ExitCode> {
    let error = |answer: &Answer| answer.value.get("error").is_some();
    if settings.json {
        out::json(&by_node(answers))?;
    } else {
        for answer in answers {
            let said = answer.value.get("ok").or(answer.value.get("error"));
            let said = said.and_then(Value::as_str).unwrap_or_default();
            let sign = if error(answer) { "error: " } else { "" };
            out::line(&redact(&format!("{}: {sign}{said}", answer.node)))?;
        }
    }
    let failed = answers.iter().any(error);
    Ok(if failed { Code::Failure.into() } else { ExitCode::SUCCESS })
}

/// The answers as one object.
pub(super) fn by_node(answers: &[Answer]) -> serde_json::Value {
    let read = |value: &Value| serde_json::from_str(&value.to_json()).unwrap_or_default();
    let nodes = answers.iter().map(|answer| (answer.node.clone(), read(&answer.value)));
    json!(nodes.collect::<serde_json::Map<_, _>>())
}

/// What the workers answer, by node name; that none does is an error.
pub(super) fn ask(
    settings: &Settings,
    method: &str,
    arguments: Map,
    whom: &Whom,
) -> anyhow::Result<Vec<Answer>> {
    super::quiet_log(settings);
    let answers = super::small_runtime()?.block_on(collect(settings, method, arguments, whom))?;
    if answers.is_empty() {
        let what = format!("no worker on {} answered", settings.broker);
        return Err(Fault::failure(what)
            .help("is one running, with remote control on? A busy one may need a longer --timeout")
            .into());
    }
    Ok(answers)
}

async fn collect(
    settings: &Settings,
    method: &str,
    arguments: Map,
    whom: &Whom,
) -> anyhow::Result<Vec<Answer>> {
    let broker = wiring::connect(settings, false).await?.broker;
    let asker = format!("umbel-{}@{}", uuid::Uuid::new_v4().simple(), host_name());
    let mut listener = broker.listen(&asker).await?;
    broker.broadcast(&question(method, arguments, &whom.destination, &asker)).await?;
    let until = Instant::now() + whom.timeout;
    let mut answers: Vec<Answer> = Vec::new();
    let all = |answers: &[Answer]| {
        let answered = |name: &String| answers.iter().any(|answer| answer.node == *name);
        !whom.destination.is_empty() && whom.destination.iter().all(answered)
    };
    while !all(&answers) {
        match tokio::time::timeout_at(until, listener.next()).await {
            Ok(Ok(Some(raw))) => answers.extend(Answer::decode(&raw, &asker)),
            Ok(Ok(None)) | Err(_) => break,
            Ok(Err(error)) => return Err(error.into()),
        }
    }
    drop(listener);
    broker.close().await;
    answers.sort_by(|one, other| one.node.cmp(&other.node));
    Ok(answers)
}
