//! Traces: a client that OpenTelemetry instruments, Umbel, and a collector.

use std::net::{Ipv4Addr, TcpListener};

use serde_json::Value;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::net::free_port;
use umbel_harness::worker::Umbel;
use umbel_harness::{certificates, paths};

use crate::collector::{Collector, Span};
use crate::scrape::{self, SERVE};
use crate::stage::{Broker, Client, Stage, UMBEL};

/// `SPAN_KIND_CONSUMER`.
const CONSUMER: i32 = 5;

const CONFIG: &str = r#"
[plugins.flow]
allow = { submit = ["tasks.*"] }

[plugins.tasks]
tasks.fail = { retry = { max = 1, backoff = "10ms", kinds = ["TaskError"] } }
"#;

/// A worker whose spans go there.
fn worker(stage: &Stage, collector: &str, variables: &[(&str, &str)]) -> Umbel {
    let mut worker = stage.worker();
    for (name, file) in [("tasks", "tasks"), ("flow", "granted/flow")] {
        worker = worker.plugin(name, paths::plugin(file));
    }
    worker = worker.config(CONFIG);
    // Batches leave soon.
    worker = worker.variable("OTEL_BSP_SCHEDULE_DELAY", "100");
    for (name, value) in variables {
        worker = worker.variable(name, value);
    }
    let observed = ["-n", UMBEL, "-c", "2", "--otlp-endpoint", collector, SERVE[0], SERVE[1]];
    worker.args(&observed).start()
}

/// A client that is traced.
fn client(stage: &Stage) -> Client {
    let mut client = stage.client();
    client.python.exec(include_str!("traced.py"));
    client
}

/// Sends a canvas; gives its trace, the span that sent it, and what came of it.
fn traced(client: &mut Client, canvas: &str) -> (String, String, Value) {
    let told = client.python.eval(&format!("traced({canvas})"));
    let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    (text("trace"), text("span"), told["result"].clone())
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

pub(crate) fn a_trace_goes_from_the_client_through_every_task(broker: Broker) {
    let stage = Stage::set(broker);
    let collector = Collector::start();
    let mut umbel = worker(&stage, &collector.url(), &[]);
    let mut client = client(&stage);

    let (trace, sender, result) = traced(&mut client, "chain(add.s(1, 2), add.s(3))");
    assert_eq!(result, 6);
    let spans = collector.await_spans(&trace, "run/tasks.add", 2);
    let first = spans.iter().find(|span| span.parent == sender).expect("the client's child");
    let second = spans.iter().find(|span| span.parent == first.id).expect("its child");
    for span in [first, second] {
        looks_like_a_run(span, &collector, broker);
    }
    let address = scrape::address(&mut umbel);
    let counted = r#"umbel_tasks_ended_total{task="tasks.add",end="succeeded"}"#;
    assert_eq!(scrape::samples(&address)[counted], 2.0, "who traces counts as well");

    let (trace, sender, _) = traced(&mut client, "fan_out.s(2)");
    let sending = collector.await_spans(&trace, "run/flow.fan_out", 1).remove(0);
    assert_eq!(sending.parent, sender);
    for sent in collector.await_spans(&trace, "run/tasks.add", 2) {
        assert_eq!(sent.parent, sending.id, "{sent:#?}");
    }

    let chord = "chord([add.s(1, 1), add.s(2, 2)], xsum.s())";
    let (trace, _, result) = traced(&mut client, chord);
    assert_eq!(result, 6);
    let body = collector.await_spans(&trace, "run/tasks.xsum", 1).remove(0);
    let header = collector.await_spans(&trace, "run/tasks.add", 2);
    assert!(header.iter().any(|part| part.id == body.parent), "{body:#?} after {header:#?}");
}

pub(crate) fn a_retry_goes_on_the_trace_and_a_failure_is_one_in_it(broker: Broker) {
    let stage = Stage::set(broker);
    let collector = Collector::start();
    let _umbel = worker(&stage, &collector.url(), &[]);
    let mut client = client(&stage);
    let (trace, sender, _) = traced(&mut client, "fail.s('no')");
    let spans = collector.await_spans(&trace, "run/tasks.fail", 2);
    let first = spans.iter().find(|span| span.parent == sender).expect("the client's child");
    let last = spans.iter().find(|span| span.parent == first.id).expect("its child");
    let said = |span: &Span, key: &str| span.attributes.get(key).cloned().unwrap_or_default();
    for (span, state, error, retries) in
        [(first, "RETRY", None, ""), (last, "FAILURE", Some("error"), "1")]
    {
        assert_eq!(span.error.as_deref(), error, "{span:#?}");
        let told = ["celery.state", "error.type", "celery.retries"].map(|key| said(span, key));
        assert_eq!(told, [state, "error", retries]);
    }
}

fn looks_like_a_run(span: &Span, collector: &Collector, broker: Broker) {
    let parts = eventually("all its parts", PATIENCE, || {
        let parts = collector.within(span);
        if parts.len() == 4 { Ok(parts) } else { Err(format!("{parts:#?}")) }
    });
    assert_eq!(names(&parts), ["queue wait", "run", "store", "ack"]);
    for part in &parts {
        let inside = part.time.0 >= span.time.0 && part.time.1 <= span.time.1;
        assert!(inside && part.trace == span.trace, "{part:#?} in {span:#?}");
    }
    let system = if broker == Broker::Redis { "redis" } else { "rabbitmq" };
    for (key, value) in [
        ("celery.action", "run"),
        ("celery.task_name", "tasks.add"),
        ("celery.state", "SUCCESS"),
        ("messaging.system", system),
        ("messaging.destination.name", "celery"),
        ("messaging.destination", "celery"),
        ("umbel.end", "succeeded"),
        ("resource.service.name", "umbel"),
        ("resource.service.instance.id", UMBEL),
    ] {
        assert_eq!(span.attributes.get(key).map(String::as_str), Some(value), "{key}");
    }
    let said = |key: &str| span.attributes.get(key).cloned().unwrap_or_default();
    assert!(said("umbel.plugin").starts_with("tasks@"), "{span:#?}");
    assert!(said("umbel.memory_bytes").parse::<u64>().is_ok_and(|bytes| bytes > 0), "{span:#?}");
    assert!(said("umbel.cpu_ms").parse::<f64>().is_ok_and(|ms| ms > 0.0), "{span:#?}");
    assert_eq!(said("messaging.message.id").len(), 36);
    assert_eq!((span.kind, span.error.as_deref()), (CONSUMER, None));
}

#[test]
fn the_senders_decision_to_trace_is_kept_and_roots_are_sampled_as_the_variables_say() {
    let stage = Stage::set(Broker::Redis);
    let collector = Collector::start();
    let variables = [
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_SERVICE_NAME", "thumbnails"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=lab"),
    ];
    let _umbel = worker(&stage, &collector.url(), &variables);
    let mut client = stage.client();
    let send = |client: &mut Client, headers: &str| {
        let call =
            format!("app.send_task('tasks.add', (1, 2), headers={headers}).get(timeout=100)");
        assert_eq!(client.python.eval(&call), 3);
    };
    let parent = |flag: &str| {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        format!("{{'traceparent': '00-{trace}-00f067aa0ba902b7-{flag}', 'tracestate': 'a=1'}}")
    };
    send(&mut client, "{}");
    send(&mut client, "{'traceparent': 'nonsense'}");
    send(&mut client, &parent("00"));
    send(&mut client, &parent("01"));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let only = collector.await_spans(trace, "run/tasks.add", 1).remove(0);
    assert_eq!(only.parent, "00f067aa0ba902b7");
    let all = collector.spans();
    assert!(all.iter().all(|span| span.trace == trace), "{all:#?}");
    let said = |key: &str| only.attributes.get(key).map(String::as_str);
    assert_eq!(said("resource.service.name"), Some("thumbnails"));
    assert_eq!(said("resource.deployment.environment.name"), Some("lab"));
}

#[test]
fn a_collector_that_is_away_or_silent_keeps_neither_tasks_nor_the_end_waiting() {
    // The kernel takes connections that nobody will ever answer.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port exists");
    let silent_port = silent.local_addr().expect("it is bound").port();
    for (port, why) in [(free_port(), "does not answer: "), (silent_port, "timed out")] {
        let stage = Stage::set(Broker::Redis);
        let url = format!("http://127.0.0.1:{port}");
        let variables = [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "20"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ];
        let mut umbel = worker(&stage, &url, &variables);
        let mut client = stage.client();
        let sum = "sum(call('tasks.add', n, 1) for n in range(50))";
        assert_eq!(client.python.eval(sum), 1275);
        umbel.process.await_log("traces: ", PATIENCE);
        assert!(umbel.stop().success());
        let log = umbel.process.log();
        assert!(log.contains("http/protobuf, not as grpc"), "{log}");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("traces: ")).collect();
        // One a minute and one at the end; machines may stand still for some minutes.
        assert!((1..=4).contains(&lines.len()), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains(why)), "{lines:#?}");
        let last = lines.last().expect("one at least");
        assert!(last.contains("250 since the start"), "five spans for each of 50 tasks: {last}");
    }
}

#[test]
fn a_collector_may_ask_for_an_encrypted_connection() {
    let stage = Stage::set(Broker::Redis);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    certificates::make(folder.path());
    let mut client = stage.client();
    client.python.exec(include_str!("encrypted.py"));
    let port = client.python.eval(&format!("collect({:?})", folder.path()));
    let authority = folder.path().join("ca.pem").display().to_string();
    let variables = [("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.as_str())];
    let _umbel = worker(&stage, &format!("https://localhost:{port}"), &variables);
    assert_eq!(client.python.eval("call('tasks.add', 1, 2)"), 3);
    eventually("spans arrive", PATIENCE, || match client.python.eval("collected") {
        Value::Array(paths) if paths.iter().any(|path| path == "/v1/traces") => Ok(()),
        other => Err(other.to_string()),
    });
}
