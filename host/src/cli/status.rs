//! `umbel status`: which workers are there, and how they are.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use umbel_protocol::control::{Answer, software};
use umbel_value::{Map, Value};

use super::asking::{self, Line, Whom};
use super::remote::{error, miss, online};
use super::render;
use crate::out;
use crate::settings::Settings;
use crate::settings::units::show_duration;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    whom: Whom,
}

/// One worker; what it did not tell in time is missing.
#[derive(Debug, Default, PartialEq)]
struct Node {
    name: String,
    ping: Value,
    running: Option<usize>,
    uptime: Option<u64>,
    software: Option<String>,
}

/// Prints a table of those who answer; that nobody does is an error.
pub(super) fn run(settings: &Settings, args: &Args) -> anyhow::Result<ExitCode> {
    super::quiet_log(settings);
    let (there, nodes) = super::small_runtime()?.block_on(look(settings, &args.whom))?;
    if there.is_empty() {
        return Err(asking::nobody(settings, &args.whom).into());
    }
    if settings.json {
        out::json(&nodes.iter().map(|node| (node.name.clone(), node.json())).collect())?;
    } else {
        let head = ["NODE", "STATUS", "RUNNING", "UPTIME", "VERSION"].map(str::to_owned);
        let rows = std::iter::once(head).chain(nodes.iter().map(Node::row));
        render::table(&rows.collect::<Vec<_>>())?;
        out::line(&format!("\n{}", online(nodes.len())))?;
    }
    miss(&args.whom, &there);
    Ok(ExitCode::SUCCESS)
}

async fn look(settings: &Settings, whom: &Whom) -> anyhow::Result<(Vec<Answer>, Vec<Node>)> {
    let line = Line::open(settings).await?;
    let there = line.ask("ping", Map::new(), whom).await?;
    let mut nodes = Vec::new();
    if !there.is_empty() {
        // They are known by name now: nobody is waited for who has answered.
        let names = there.iter().map(|answer| answer.node.clone()).collect();
        let whom = Whom { destination: names, timeout: whom.timeout };
        let safe = [("safe".to_owned(), true.into())].into_iter().collect();
        let (stats, active, reports) = tokio::try_join!(
            line.ask("stats", Map::new(), &whom),
            line.ask("active", safe, &whom),
            line.ask("report", Map::new(), &whom),
        )?;
        nodes = there.iter().map(|ping| node(ping, &stats, &active, &reports)).collect();
    }
    line.close().await;
    Ok((there, nodes))
}

fn node(ping: &Answer, stats: &[Answer], active: &[Answer], reports: &[Answer]) -> Node {
    let of = |answers: &[Answer]| {
        let own = answers.iter().find(|answer| answer.node == ping.node);
        own.map(|answer| answer.value.clone())
    };
    Node {
        name: ping.node.clone(),
        ping: ping.value.clone(),
        running: of(active).and_then(|tasks| Some(tasks.as_list()?.len())),
        uptime: of(stats).and_then(|stats| stats.get("uptime")?.as_u64()),
        software: of(reports).and_then(|report| software(&report).map(str::to_owned)),
    }
}

impl Node {
    fn row(&self) -> [String; 5] {
        let uptime = self.uptime.map(|seconds| show_duration(Duration::from_secs(seconds)));
        let untold = || "-".to_owned();
        let answer = Answer { node: self.name.clone(), value: self.ping.clone() };
        [
            self.name.clone(),
            error(&answer).map_or("OK".to_owned(), |why| format!("ERROR {why}")),
            self.running.map_or_else(untold, |count| count.to_string()),
            uptime.unwrap_or_else(untold),
            self.software.clone().unwrap_or_else(untold),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let mut told = render::json(&self.ping);
        if let Some(told) = told.as_object_mut() {
            told.insert("running".to_owned(), json!(self.running));
            told.insert("uptime".to_owned(), json!(self.uptime));
            told.insert("software".to_owned(), json!(self.software));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(node: &str, value: Value) -> Answer {
        Answer { node: node.to_owned(), value }
    }

    #[test]
    fn what_a_worker_did_not_tell_in_time_is_missing() {
        let ping = answer("w@lab", Value::from([("ok", "pong".into())]));
        let stats = [answer("w@lab", Value::from([("uptime", 90.into())]))];
        let shown = node(&ping, &stats, &[], &[answer("other@lab", Value::Null)]);
        assert_eq!(shown.row(), ["w@lab", "OK", "-", "1m30s", "-"]);
        let told = json!({ "ok": "pong", "running": null, "uptime": 90, "software": null });
        assert_eq!(shown.json(), told);
    }
}
