//! Asks running workers something over their broker, and `umbel reload`, `umbel rollback`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use umbel_protocol::control::{Answer, ask as ask_as_celery, open_reply, order, question};
use umbel_protocol::message::RawMessage;
use umbel_protocol::names;
use umbel_protocol::time::epoch;
use umbel_transport::broker::{Broker, BrokerError, Listener};
use umbel_value::{Map, Value};

use super::render;
use crate::fault::{Code, Fault, redact};
use crate::out::Progress;
use crate::settings::units::{celerys_duration, show_duration};
use crate::settings::{Settings, host_name};
use crate::{out, wiring};

/// Whom to ask, and for how long to listen.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Whom {
    /// Only these workers, by node name; several with commas, or again for each further one
    #[arg(short, long = "destination", value_name = "NODE", value_delimiter = ',')]
    pub(super) destination: Vec<String>,

    /// How long to wait for answers
    #[arg(short, long, value_name = "TIME", value_parser = celerys_duration, default_value = "1s")]
    pub(super) timeout: Duration,
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
    let nodes = answers.iter().map(|answer| (answer.node.clone(), render::json(&answer.value)));
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
        return Err(nobody(settings, whom).into());
    }
    Ok(answers)
}

async fn collect(
    settings: &Settings,
    method: &str,
    arguments: Map,
    whom: &Whom,
) -> anyhow::Result<Vec<Answer>> {
    let line = Line::open(settings).await?;
    let answers = line.ask_ours(method, arguments, whom).await?;
    line.close().await;
    Ok(answers)
}

/// That nobody answered, and what to look at.
pub(super) fn nobody(settings: &Settings, whom: &Whom) -> Fault {
    let time = show_duration(whom.timeout);
    let named = match whom.destination.as_slice() {
        [] => "no node".to_owned(),
        names => format!("none of {}", names.join(", ")),
    };
    let what = format!("{named} replied within {time} on {}", settings.broker);
    let help = match whom.destination.is_empty() {
        true => {
            "is a worker running on this broker (-b), with remote control on? A busy Python worker \
             may need a longer --timeout"
        }
        false => {
            "see `umbel status` for the names of the nodes that are there; a busy Python worker may \
             need a longer --timeout"
        }
    };
    Fault::new(Code::Unavailable, what).help(help)
}

/// A connection over which workers are asked and told.
pub(super) struct Line {
    pub(super) broker: Arc<dyn Broker>,
}

impl Line {
    pub(super) async fn open(settings: &Settings) -> anyhow::Result<Line> {
        Ok(Line { broker: wiring::connect(settings, false).await?.broker })
    }

    pub(super) async fn close(self) {
        self.broker.close().await;
    }

    /// What workers of any kind answer, by node name: until the time is over, or all who were named
    /// have answered.
    pub(super) async fn ask(
        &self,
        method: &str,
        arguments: Map,
        whom: &Whom,
    ) -> anyhow::Result<Vec<Answer>> {
        let oid = uuid::Uuid::new_v4().to_string();
        let replies = match self.broker.replies(&oid).await {
            Ok(replies) => replies,
            // There are no workers but ours.
            Err(BrokerError::Unsupported(_)) => {
                return self.ask_ours(method, arguments, whom).await;
            }
            Err(error) => return Err(error.into()),
        };
        let exchange = names::reply_exchange(names::CONTROL);
        let expires = epoch(Timestamp::now()) + whom.timeout.as_secs_f64();
        let to = (exchange.as_str(), oid.as_str());
        let request = ask_as_celery(method, arguments, &whom.destination, to, 1, expires);
        self.broker.broadcast(&request).await?;
        let read = |raw: &RawMessage| {
            let nodes = open_reply(raw).unwrap_or_default().into_iter();
            nodes.map(|(node, value)| Answer { node, value }).collect()
        };
        gather(replies, whom, read).await
    }

    /// The same of Umbel's workers alone: what they are asked, others may not know.
    async fn ask_ours(
        &self,
        method: &str,
        arguments: Map,
        whom: &Whom,
    ) -> anyhow::Result<Vec<Answer>> {
        let asker = format!("umbel-{}@{}", uuid::Uuid::new_v4().simple(), host_name());
        let listener = self.broker.listen(&asker).await?;
        self.broker.broadcast(&question(method, arguments, &whom.destination, &asker)).await?;
        gather(listener, whom, |raw| Answer::decode(raw, &asker).into_iter().collect()).await
    }

    /// Says something that nobody answers.
    pub(super) async fn order(
        &self,
        method: &str,
        arguments: Map,
        destination: &[String],
    ) -> Result<(), BrokerError> {
        self.broker.broadcast(&order(method, arguments, destination)).await
    }
}

async fn gather(
    mut listener: Box<dyn Listener>,
    whom: &Whom,
    read: impl Fn(&RawMessage) -> Vec<Answer>,
) -> anyhow::Result<Vec<Answer>> {
    let until = Instant::now() + whom.timeout;
    let mut answers: Vec<Answer> = Vec::new();
    let all = |answers: &[Answer]| {
        let answered = |name: &String| answers.iter().any(|answer| answer.node == *name);
        !whom.destination.is_empty() && whom.destination.iter().all(answered)
    };
    let mut progress = Progress::new();
    let mut ticks = tokio::time::interval(Progress::TICK);
    while !all(&answers) {
        tokio::select! {
            heard = tokio::time::timeout_at(until, listener.next()) => match heard {
                Ok(Ok(Some(raw))) => answers.extend(read(&raw)),
                Ok(Ok(None)) | Err(_) => break,
                Ok(Err(error)) => return Err(error.into()),
            },
            _ = ticks.tick(), if progress.is_visible() => {
                progress.tell(&format!("waiting for answers · {}", answers.len()));
            }
        }
    }
    answers.sort_by(|one, other| one.node.cmp(&other.node));
    Ok(answers)
}
