//! The dashboard and the alerts of `packaging`, against a real Prometheus that scrapes a real worker:
//! every query is understood, and has data where it should.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::net::free_port;
use umbel_harness::paths;
use umbel_harness::process::Process;
use umbel_system_tests::request::request;

use crate::scrape::{address, escaped, get, names, samples, try_get};
use crate::stage::{Broker, Stage, UMBEL};

const ALERTS: &str = "packaging/prometheus/umbel-alerts.yml";
const DASHBOARD: &str = "packaging/grafana/umbel.json";

/// What Grafana puts in the place of its variables.
const VARIABLES: &[(&str, &str)] =
    &[("$__rate_interval", "1m"), ("$instance", ".*"), ("$task", ".*")];

fn read(place: &str) -> String {
    let path = paths::workspace().join(place);
    fs::read_to_string(path).unwrap_or_else(|why| panic!("{place}: {why}"))
}

/// A Prometheus of this test's own.
struct Prometheus {
    address: String,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    fn scraping(worker: &str) -> Prometheus {
        let folder = TempDir::with_prefix("umbel-prometheus-").expect("a folder can be made");
        let config = folder.path().join("prometheus.yml");
        let alerts = paths::workspace().join(ALERTS);
        let text = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}\n\
             rule_files: ['{}']\n\
             scrape_configs: [{{ job_name: umbel, static_configs: [{{ targets: ['{worker}'] }}] }}]\n",
            alerts.display()
        );
        fs::write(&config, text).expect("the folder is ours");
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::start("prometheus", command);
        eventually("prometheus is ready", PATIENCE, || match try_get(&address, "/-/ready")? {
            answer if answer.status == 200 => Ok(()),
            answer => Err(answer.body),
        });
        Prometheus { address, _process: process, _folder: folder }
    }

    /// What it answers, the outer shell taken off.
    fn api(&self, path: &str) -> Result<Value, String> {
        let answer = try_get(&self.address, &format!("/api/v1/{path}"))?;
        // It may come in chunks.
        let from = answer.body.find('{').ok_or_else(|| format!("{answer:?}"))?;
        let to = answer.body.rfind('}').ok_or_else(|| format!("{answer:?}"))?;
        let whole: Value = serde_json::from_str(&answer.body[from..=to])
            .map_err(|why| format!("{why}: {answer:?}"))?;
        match whole["status"].as_str() {
            Some("success") => Ok(whole["data"].clone()),
            _ => Err(whole.to_string()),
        }
    }

    /// How many series a query gives.
    fn count(&self, query: &str) -> Result<usize, String> {
        let data = self.api(&format!("query?query={}", escaped(query)))?;
        Ok(data["result"].as_array().map_or(0, Vec::len))
    }
}

/// Every query of every panel, with the panel's title.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let mut queries = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap_or_default();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let mut query = target["expr"].as_str().expect("a query").to_owned();
            for (variable, value) in VARIABLES {
                query = query.replace(variable, value);
            }
            assert!(!query.contains('$'), "{title}: {query}");
            queries.push((title.to_owned(), query));
        }
    }
    queries
}

#[test]
fn dashboard_and_alerts_ask_for_what_a_worker_tells() {
    let stage = Stage::set(Broker::Redis);
    let mut umbel = stage.umbel_that_serves(UMBEL);
    let worker = address(&mut umbel);
    let client = stage.sender();
    client.call("tasks.add", "[2, 3]");
    let mut dated = request("tasks.add", vec![1.into(), 2.into()]).encode();
    dated.properties.timestamp = Some(1_700_000_000);
    client.publish(&dated).expect("the broker takes messages");
    let prometheus = Prometheus::scraping(&worker);
    client.call("tasks.fail", "[\"bad\"]");

    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("it is JSON");
    let queries = queries(&dashboard);
    assert!(queries.len() > 25, "{queries:#?}");
    let alerts = alerts(&prometheus);
    let told: Vec<String> = samples(&worker).into_keys().collect();
    let told = names(told.iter().map(String::as_str));
    let asked = queries.iter().map(|(_, query)| query).chain(alerts.iter()).map(String::as_str);
    let unknown: Vec<_> = names(asked).difference(&told).cloned().collect();
    assert!(unknown.is_empty(), "no worker tells {unknown:?}");

    eventually("every panel has data", PATIENCE, || {
        for (title, query) in &queries {
            let count =
                prometheus.count(query).map_err(|why| format!("{title}: {query}: {why}"))?;
            if count == 0 {
                return Err(format!("{title}: {query}"));
            }
        }
        Ok(())
    });
    let dashboards_variables = dashboard["templating"]["list"].to_string();
    assert!(dashboards_variables.contains("label_values(umbel_tasks_received_total"));
    let values = prometheus.api("label/task/values").expect("it answers");
    assert!(values.to_string().contains("tasks.add"), "{values}");
}

/// The expression of every alert, which Prometheus has evaluated; none of them fires.
fn alerts(prometheus: &Prometheus) -> Vec<String> {
    eventually("every alert is evaluated", PATIENCE, || {
        let rules = prometheus.api("rules?type=alert")?;
        let groups = rules["groups"].as_array().ok_or("no groups")?;
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let rules: Vec<&Value> = rules.collect();
        let well = |rule: &&&Value| rule["health"] == "ok" && rule["state"] != "firing";
        match rules.iter().find(|rule| !well(rule)) {
            Some(rule) => Err(rule.to_string()),
            None if rules.len() < 10 => Err(format!("{} rules", rules.len())),
            None => Ok(rules
                .iter()
                .map(|rule| rule["query"].as_str().unwrap_or_default().into())
                .collect()),
        }
    })
}

#[test]
fn each_alert_fires_when_it_should_and_not_otherwise() {
    let alerts = paths::workspace().join(ALERTS);
    promtool(&["check", "rules", &alerts.display().to_string()]);
    let folder = TempDir::with_prefix("umbel-alerts-").expect("a folder can be made");
    let tests = folder.path().join("alerts.yml");
    let text = include_str!("alerts.yml").replace("ALERTS\n", &format!("{}\n", alerts.display()));
    fs::write(&tests, &text).expect("the folder is ours");
    promtool(&["test", "rules", &tests.display().to_string()]);
    for name in read(ALERTS).lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(text.contains(&format!("\"{name}\"")), "{name} is not tried");
    }
}

fn promtool(args: &[&str]) {
    let said = Command::new("promtool").args(args).output();
    let said = said.expect("Debian's prometheus has promtool");
    let told = [said.stdout, said.stderr].concat();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&told));
}

#[test]
fn the_guide_names_every_metric() {
    let stage = Stage::set(Broker::Redis);
    let mut umbel = stage.umbel_that_serves(UMBEL);
    let page = get(&address(&mut umbel), "/metrics").body;
    let guide = read("docs/operating.md");
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let ours = families.filter(|name| name.starts_with("umbel_"));
    let missing: Vec<_> = ours.filter(|name| !guide.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
