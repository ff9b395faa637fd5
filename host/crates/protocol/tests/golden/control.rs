//! Remote control and events: recorded requests are read, recorded replies and events are written.

use jiff::Timestamp;
use umbel_protocol::control::{
    Binding, Pool, Request, Server, Stats, TaskInfo, Usage, ask, open_reply, recognize, registered,
    reply, set,
};
use umbel_protocol::event::{self, Event, Heard, News, Pulse, Stamp};
use umbel_protocol::message::{Message, RawMessage};
use umbel_value::{Map, Value};

/// The request of a recording, what `node` answered, and the reply as it went over the wire.
struct Asked {
    request: Request,
    answer: Option<(String, Value, RawMessage)>,
}

fn asked(file: &str) -> Asked {
    let recorded = super::recording(file);
    let messages = recorded.get("messages").and_then(Value::as_list).unwrap();
    let of = |wanted: &str| {
        let exchange = |one: &&Value| one.get("exchange").and_then(Value::as_str) == Some(wanted);
        messages.iter().find(exchange).map(super::raw)
    };
    let request = Request::decode(&of("celery.pidbox").expect(file)).expect(file);
    let answer = of("reply.celery.pidbox").map(|raw| {
        let mut answers = open_reply(&raw).unwrap();
        let (node, value) = answers.pop().unwrap();
        (node, value, raw)
    });
    Asked { request, answer }
}

fn answered(file: &str) -> Value {
    asked(file).answer.expect(file).1
}

fn recordings() -> Vec<String> {
    let names = super::recordings().into_iter().map(|(name, _)| name);
    names.filter(|name| super::is_of_control(name)).collect()
}

#[test]
fn every_recorded_command_is_known_and_refused_where_celery_refused_it() {
    let mut count = 0;
    for file in recordings().iter().filter(|name| !name.contains("-worker-")) {
        let Asked { request, answer } = asked(file);
        let recognized = recognize(&request.method, &request.arguments);
        count += 1;
        let Some((_, value, _)) = answer else { continue };
        let refused = value
            .get("error")
            .and_then(Value::as_str)
            .filter(|error| error.starts_with("TypeError") || error.starts_with("KeyError"));
        assert_eq!(recognized.err().as_deref(), refused, "{file}");
    }
    assert!(count > 50, "{count} commands");
}

#[test]
fn every_recorded_reply_is_written_alike() {
    let mut count = 0;
    for file in recordings().iter().filter(|name| !name.contains("-worker-")) {
        let Asked { request, answer } = asked(file);
        let Some((node, value, recorded)) = answer else { continue };
        let clock = recorded.headers["clock"].as_u64().unwrap();
        let written = reply(&node, request.ticket.as_deref(), clock, value);
        assert_eq!(written.headers, recorded.headers, "{file}");
        assert_eq!(written.properties, recorded.properties, "{file}");
        assert_eq!(open_reply(&written), open_reply(&recorded), "{file}");
        count += 1;
    }
    assert!(count > 45, "{count} replies");
}

#[test]
fn tasks_are_told_of_as_celery_does() {
    for (file, safe) in [
        ("amqp-pidbox-active", false),
        ("amqp-pidbox-active-2", true),
        ("amqp-pidbox-reserved", false),
    ] {
        for told in answered(file).as_list().unwrap() {
            assert_eq!(&info(told, safe), told, "{file}");
        }
    }
    for told in answered("amqp-pidbox-scheduled").as_list().unwrap() {
        let eta = told.get("eta").and_then(Value::as_str).unwrap().parse().unwrap();
        let request = told.get("request").unwrap();
        assert_eq!(&with_info(request, |info| info.scheduled(eta)), told);
    }
}

fn info(told: &Value, safe: bool) -> Value {
    with_info(told, |info| info.to_value(safe))
}

/// The message that must have been told of.
fn with_info(told: &Value, tell: impl FnOnce(TaskInfo<'_>) -> Value) -> Value {
    let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap();
    let args = match told.get("args").unwrap() {
        Value::List(args) => args.clone(),
        _ => vec![8.into()],
    };
    let mut message = Message::new(text("type"), args, Map::new());
    message.id = text("id").to_owned();
    message.priority = Some(0);
    let delivery = told.get("delivery_info").unwrap();
    let route = umbel_protocol::message::Route {
        exchange: delivery.get("exchange").and_then(Value::as_str).unwrap().to_owned(),
        routing_key: delivery.get("routing_key").and_then(Value::as_str).unwrap().to_owned(),
    };
    let running = told.get("time_start").and_then(Value::as_f64).map(|since| {
        let pid = told.get("worker_pid").and_then(Value::as_u64).unwrap();
        (at(since), u32::try_from(pid).unwrap())
    });
    tell(TaskInfo {
        message: &message,
        route: &route,
        redelivered: false,
        node: text("hostname"),
        running,
        acknowledged: told.get("acknowledged") == Some(&Value::Bool(true)),
    })
}

fn at(seconds: f64) -> Timestamp {
    let nanos = (seconds.fract() * 1e9).round() as i32;
    Timestamp::new(seconds.trunc() as i64, nanos).unwrap()
}

#[test]
fn queues_and_tasks_are_listed_as_celery_does() {
    let queues = answered("amqp-pidbox-active_queues");
    assert_eq!(queues, vec![Binding::usual("celery").to_value("celery")].into());
    let lines = answered("amqp-pidbox-registered-2");
    let limited = [
        ("rate_limit", "2/s".to_owned()),
        ("acks_late", "False".to_owned()),
        ("name", "lab.limited".to_owned()),
    ];
    let line = registered("lab.limited", &limited);
    assert!(lines.as_list().unwrap().contains(&line.into()));
    let revoked = answered("amqp-pidbox-revoke");
    let said = format!("tasks {} flagged as revoked", set(&["zzz".to_owned()]));
    assert_eq!(revoked.get("ok"), Some(&said.into()));
}

/// Values differ, of course; every key and every type is there.
#[test]
fn numbers_have_the_shape_of_celerys() {
    let stats = Stats {
        total: [("lab.add".to_owned(), 10.into())].into_iter().collect(),
        pool: Pool { implementation: "x", ..Pool::default() },
        broker: Server { transport: "amqp", user: Some("guest".into()), ..Server::default() }
            .to_value(),
        usage: Some(Usage::default()),
        ..Stats::default()
    };
    let (ours, theirs) = (stats.into_value(), answered("amqp-pidbox-stats"));
    let kinds = |value: &Value| -> Vec<(String, &'static str)> {
        let map = value.as_map().unwrap();
        map.iter().map(|(key, value)| (key.clone(), value.type_name())).collect()
    };
    assert_eq!(kinds(&ours), kinds(&theirs));
    for part in ["pool", "broker", "rusage"] {
        let (ours, theirs) = (ours.get(part).unwrap(), theirs.get(part).unwrap());
        assert_eq!(kinds(ours), kinds(theirs), "{part}");
    }
    let writes = |value: &Value| value.get("pool").unwrap().get("writes").cloned().unwrap();
    assert_eq!(kinds(&writes(&ours)), kinds(&writes(&theirs)));
}

#[test]
fn every_recorded_event_is_written_alike() {
    let mut kinds = std::collections::BTreeSet::new();
    for (file, recorded) in super::recordings() {
        if file == "amqp-run-proto1" {
            continue; // Celery has no text for its arguments; we make one
        }
        for message in recorded.get("messages").and_then(Value::as_list).unwrap_or_default() {
            if message.get("exchange").and_then(Value::as_str) != Some("celeryev") {
                continue;
            }
            let raw = super::raw(message);
            let events = event::open(&raw);
            let node = raw.headers["hostname"].as_str().unwrap();
            let written: Vec<_> = events.iter().filter_map(write).collect();
            if written.len() < events.len() {
                continue; // a client's own
            }
            let sent = event::messages(node, written);
            let [(route, sent, count)] = &*sent else { panic!("{file}: {} messages", sent.len()) };
            assert_eq!(*count, events.len());
            let key = message.get("routing_key").and_then(Value::as_str);
            assert_eq!((route.exchange.as_str(), key), ("celeryev", Some(&*route.routing_key)));
            assert_eq!(sent.headers, raw.headers, "{file}");
            assert_eq!(sent.properties, raw.properties, "{file}");
            assert_eq!(event::open(sent), events, "{file}");
            // As they come, down to the order of their keys.
            let keys = |events: &[Map]| -> Vec<Vec<String>> {
                events.iter().map(|event| event.keys().cloned().collect()).collect()
            };
            assert_eq!(keys(&event::open(sent)), keys(&events), "{file}");
            kinds.extend(events.iter().map(|event| event["type"].as_str().unwrap().to_owned()));
        }
    }
    assert!(kinds.len() >= 11, "{kinds:?}");
}

/// An event with the same contents, written by us.
fn write(told: &Map) -> Option<event::Written> {
    let text = |key: &str| told.get(key).and_then(Value::as_str);
    let number = |key: &str| told.get(key).and_then(Value::as_u64).unwrap();
    let truth = |key: &str| told.get(key) == Some(&Value::Bool(true));
    let stamp = Stamp {
        node: text("hostname")?,
        pid: u32::try_from(number("pid")).unwrap(),
        clock: number("clock"),
        at: at(told["timestamp"].as_f64().unwrap()),
        software: "py-celery",
        version: "5.7.0",
    };
    let id = text("uuid").unwrap_or_default();
    let message;
    let event = match text("type")? {
        "worker-heartbeat" if told["freq"] == Value::Int(5) => Event::Here,
        "worker-online" => Event::Online(pulse(told)),
        "worker-heartbeat" => Event::Heartbeat(pulse(told)),
        "worker-offline" => Event::Offline(pulse(told)),
        "worker-elect" => Event::Elect {
            id: text("id").unwrap(),
            topic: text("topic").unwrap(),
            action: &told["action"],
        },
        "worker-elect-ack" => Event::ElectAck { id: text("id").unwrap() },
        "task-received" => {
            message = received(told);
            Event::Received(&message)
        }
        "task-started" => Event::Started(id),
        "task-succeeded" => return Some(succeeded(told, id, &stamp)),
        "task-failed" | "task-retried" => {
            let exception = text("exception").unwrap();
            let traceback = text("traceback");
            match text("type") == Some("task-failed") {
                true => Event::Failed { id, exception, traceback, bill: None },
                false => Event::Retried { id, exception, traceback, bill: None },
            }
        }
        "task-revoked" => Event::Revoked {
            id,
            terminated: truth("terminated"),
            expired: truth("expired"),
            bill: None,
        },
        "task-rejected" => Event::Rejected { id, requeue: truth("requeue") },
        "task-cancelled" => Event::Cancelled(id),
        _ => return None,
    };
    Some(event.write(&stamp))
}

/// What it cost comes behind what Celery tells.
fn succeeded(told: &Map, id: &str, stamp: &Stamp<'_>) -> event::Written {
    let runtime = told["runtime"].as_f64();
    let result = told["result"].as_str().unwrap();
    Event::Succeeded { id, result, runtime, bill: None }.write(stamp)
}

fn pulse(told: &Map) -> Pulse {
    let load = told["loadavg"].as_list().unwrap();
    Pulse {
        every: told["freq"].as_f64().unwrap(),
        active: usize::try_from(told["active"].as_u64().unwrap()).unwrap(),
        processed: told["processed"].as_u64().unwrap(),
        load: std::array::from_fn(|at| load[at].as_f64().unwrap()),
    }
}

fn received(told: &Map) -> Message {
    let text = |key: &str| told[key].as_str().map(str::to_owned);
    let time = |key: &str| told[key].as_str().and_then(umbel_protocol::time::Timestamp::parse);
    Message {
        id: text("uuid").unwrap(),
        argsrepr: text("args"),
        kwargsrepr: text("kwargs"),
        root_id: text("root_id"),
        parent_id: text("parent_id"),
        retries: u32::try_from(told["retries"].as_u64().unwrap()).unwrap(),
        eta: time("eta"),
        expires: time("expires"),
        ..Message::new(told["name"].as_str().unwrap(), Vec::new(), Map::new())
    }
}

#[test]
fn a_worker_says_hello_as_celerys_do() {
    let recorded = super::recording("amqp-worker-start-alone");
    let messages = recorded.get("messages").and_then(Value::as_list).unwrap();
    let hello = messages.iter().find(|one| one.get("exchange") == Some(&"celery.pidbox".into()));
    let raw = super::raw(hello.unwrap());
    let request = Request::decode(&raw).unwrap();
    let route = request.reply_to.clone().unwrap();
    let (clock, expires) = (request.clock.unwrap(), raw.headers["expires"].as_f64().unwrap());
    let asked = |request: &Request| {
        let arguments = request.arguments.clone();
        let to = (&*route.exchange, &*route.routing_key);
        ask(&request.method, arguments, &request.destination, to, clock, expires)
    };
    let written = asked(&request);
    assert_eq!((&written.headers, &written.properties), (&raw.headers, &raw.properties));
    let read = Request::decode(&written).unwrap();
    assert!(read.ticket.is_some() && read.ticket != request.ticket, "a ticket of its own");
    assert_eq!(Request { ticket: None, ..read }, Request { ticket: None, ..request });
    let keys = |raw: &RawMessage| -> Vec<String> {
        Value::from_json(&raw.body).unwrap().as_map().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(&written), keys(&raw));
}

#[test]
fn what_other_workers_tell_is_understood() {
    let recorded = super::recording("amqp-pidbox-election");
    let heard: Vec<Heard> = recorded
        .get("messages")
        .and_then(Value::as_list)
        .unwrap()
        .iter()
        .flat_map(|message| event::open(&super::raw(message)))
        .filter_map(|event| Heard::of(&event))
        .collect();
    let [elect, ack] = &*heard else { panic!("{heard:?}") };
    assert!(
        matches!(&elect.what, News::Elect { id, topic, .. } if id == "el-1" && topic == "task")
    );
    assert_eq!(ack.what, News::ElectAck { id: "el-1".to_owned() });
    assert_eq!((elect.node.as_str(), elect.clock), ("w1@lab", 345));
}
