//! Flower, unchanged, in a real browser: it shows an Umbel worker as it shows a Python one beside it.

use std::collections::BTreeMap;

use serde_json::json;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::net::{free_port, listens};
use umbel_harness::paths;
use umbel_harness::process::Process;
use umbel_harness::worker::Umbel;

use crate::browser::Browser;
use crate::stage::{Broker, Client, PYTHON, Stage, UMBEL};

/// A running Flower and who looks at it.
pub(crate) struct Flower {
    pub(crate) browser: Browser,
    process: Process,
    url: String,
}

/// The columns of the list of tasks.
const COLUMNS: &str = "name,uuid,state,args,kwargs,result,received,started,runtime,worker,retries";

impl Flower {
    /// Starts it with a client of the stage's tasks.
    pub(crate) fn start(stage: &Stage) -> Flower {
        let port = free_port();
        let mut program = stage.celery();
        // Without a login there are no buttons unless one asks for them.
        program.env("FLOWER_UNAUTHENTICATED_API", "true");
        program.args(["flower", "--address=127.0.0.1", "--inspect_timeout=20000"]);
        program.arg(format!("--port={port}")).arg(format!("--tasks_columns={COLUMNS}"));
        if let Some(url) = stage.management() {
            program.arg(format!("--broker_api={url}"));
        }
        let mut process = Process::start("flower", program);
        eventually("Flower listens", PATIENCE, || match process.poll() {
            Some(status) => panic!("Flower ended ({status}):\n{}", process.log()),
            None => listens(port).then_some(()).ok_or_else(|| process.log()),
        });
        process.await_log("Connected to", PATIENCE);
        let browser = Browser::start(stage);
        Flower { browser, process, url: format!("http://127.0.0.1:{port}") }
    }

    /// Goes to a page.
    pub(crate) fn open(&mut self, page: &str) {
        self.browser.open(&format!("{}{page}", self.url));
    }

    /// Goes to the page of a worker, once Flower knows it.
    pub(crate) fn open_worker(&mut self, node: &str) {
        self.open("/workers");
        self.browser.until(&format!(
            "document.querySelector('#workers-table tbody').textContent.includes('{node}')"
        ));
        self.open(&format!("/worker/{node}"));
    }

    /// Goes to one of the tabs of a worker's page.
    pub(crate) fn show_tab(&mut self, tab: &str) {
        self.browser.click(&format!("#worker-tab-{tab}"));
        let shown = format!("document.querySelector('#tab-{tab}.active.show')");
        self.browser.until(&format!("{shown} && getComputedStyle({shown}).opacity == 1"));
    }

    /// Goes to a tab of a worker's page once it says this: first Flower shows what it knew before.
    pub(crate) fn open_tab_that_says(&mut self, node: &str, tab: &str, text: &str) {
        eventually(&format!("{tab} says {text}"), PATIENCE, || {
            self.open_worker(node);
            self.show_tab(tab);
            let shown = self.browser.js(&format!("document.querySelector('#tab-{tab}').innerText"));
            let says = shown.as_str().is_some_and(|shown| shown.contains(text));
            if says { Ok(()) } else { Err(shown.to_string()) }
        });
    }

    /// Goes to the page of a task once Flower has heard that it is in this state.
    pub(crate) fn open_task(&mut self, id: &str, state: &str) {
        eventually(&format!("task {id} is {state}"), PATIENCE, || {
            self.open(&format!("/task/{id}"));
            let text = self.browser.js("document.body.innerText");
            let shown = self.browser.js(&format!(
                "[...document.querySelectorAll('.detail-list .badge')]\
                 .some(badge => badge.textContent == '{state}')"
            ));
            if shown == json!(true) {
                Ok(())
            } else {
                Err(format!("{text}\n{}", self.process.log()))
            }
        });
    }
}

/// What a page says where there is nothing to say.
const MISSING: &[&str] = &["", "—", "-", "N/A", "None", "null", "undefined", "NaN", "[]", "{}"];

/// What has no meaning for Umbel: where it stands, what it is called, and why.
const MEANINGLESS: &[(&str, &str, &str)] = &[
    ("config", "Configuration options: include", "there are no Python modules to import"),
    ("config", "Configuration options: worker_disable_prefetch", "a setting that is not Umbel's"),
];

const TABS: [&str; 8] =
    ["pool", "broker", "queues", "tasks", "limits", "config", "system", "other"];

pub(crate) fn flower_shows_umbel_as_it_shows_a_python_worker(broker: Broker) {
    let stage = Stage::set(broker);
    let _umbel = umbel(&stage, "umbel");
    let _python = stage.python_with(PYTHON, &["-Q", "python"]);
    let mut flower = Flower::start(&stage);
    let mut client = stage.client();
    // Each fails in its own way: a sum that is too large, and one of things that have none.
    let both = [(UMBEL, "umbel", FAILS), (PYTHON, "python", "(2, 'three')")];
    let sent = both.map(|(node, queue, fails)| {
        flower.open_worker(node);
        (node, Sent::to(&mut client, queue, fails))
    });
    for (_, sent) in &sent {
        flower.open_task(&sent.succeeds, "SUCCESS");
        flower.open_task(&sent.fails, "FAILURE");
        flower.open_task(&sent.runs, "STARTED");
        flower.open_task(&sent.waits, "RECEIVED");
    }
    dashboard(&mut flower, broker);
    workers(&mut flower, broker, &sent);
    task_list(&mut flower, broker, &sent[0].1);
    tasks(&mut flower, broker, &sent);
    queues(&mut flower, broker);
}

/// Arguments of a sum that ends in a crash.
const FAILS: &str = "(9223372036854775807, 1)";

/// Tasks in each state, by their ids.
struct Sent {
    succeeds: String,
    fails: String,
    runs: String,
    waits: String,
}

impl Sent {
    /// Sends them to a worker of two slots. Others fill its second slot and wait behind it.
    fn to(client: &mut Client, queue: &str, fails: &str) -> Sent {
        let mut send = |name: &str, args: &str, more: &str| {
            let send = format!("app.send_task({name:?}, {args}, queue={queue:?}{more}).id");
            client.python.eval(&send).as_str().expect("an id is text").to_owned()
        };
        let sent = Sent {
            succeeds: send("tasks.add", "(2,)", ", kwargs={'y': 3}"),
            fails: send("tasks.add", fails, ""),
            runs: send("tasks.sleep", "(600,)", ", kwargs={}"),
            waits: send("tasks.add", "(4, 5)", ", countdown=600, expires=1200"),
        };
        for _ in 0..2 {
            send("tasks.sleep", "(600,)", "");
        }
        let revoked = format!("revoked-on-{queue}");
        client.python.exec(&format!("app.control.revoke({revoked:?})"));
        sent
    }

    fn in_state(&self, state: &str) -> &str {
        match state {
            "SUCCESS" => &self.succeeds,
            "FAILURE" => &self.fails,
            "STARTED" => &self.runs,
            _ => &self.waits,
        }
    }
}

fn umbel(stage: &Stage, queues: &str) -> Umbel {
    let worker = stage.worker().plugin("tasks", paths::plugin("tasks"));
    // As many ahead as Python takes.
    let ahead = ["--prefetch-multiplier", "4", "--drain-timeout", "1s"];
    worker.args(&["-n", UMBEL, "-E", "-c", "2", "-Q", queues]).args(&ahead).start()
}

fn dashboard(flower: &mut Flower, broker: Broker) {
    // What is active it knows from heartbeats, which come every other second.
    eventually("the dashboard shows both workers as they are", PATIENCE, || {
        flower.open("/workers");
        let online = "document.querySelector('#workers-online').textContent == '2'";
        flower.browser.until(online);
        let rows = flower.browser.rows("#workers-table");
        let right = |node: &str| {
            let row = rows.iter().find(|row| row[0] == node);
            // Status, active, processed, failed, succeeded; and the machine's load.
            row.is_some_and(|row| {
                row[1..6] == ["Online", "2", "6", "1", "1"] && row[6].contains('.')
            })
        };
        if right(UMBEL) && right(PYTHON) { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    flower.browser.picture(&named(broker, "workers"));
}

fn workers(flower: &mut Flower, broker: Broker, sent: &[(&str, Sent); 2]) {
    let [umbel, python] = [&sent[0], &sent[1]].map(|(node, sent)| {
        // Flower asks for each part of the page by itself.
        eventually(&format!("the page of {node} is up to date"), PATIENCE, || {
            flower.open_tab_that_says(node, "tasks", &sent.waits);
            let facts = flower.browser.facts("#tab-tasks");
            let processed = ("Processed tasks: tasks.add".to_owned(), "2".to_owned());
            if facts.contains(&processed) { Ok(()) } else { Err(format!("{facts:?}")) }
        });
        TABS.map(|tab| {
            flower.show_tab(tab);
            flower.browser.picture(&named(broker, &format!("{}-{tab}", worker_of(node))));
            flower.browser.facts(&format!("#tab-{tab}"))
        })
    });
    for ((tab, umbel), python) in TABS.iter().zip(umbel).zip(python) {
        compare(tab, umbel, python);
    }
}

fn worker_of(node: &str) -> &str {
    node.split('@').next().unwrap_or(node)
}

/// Fails where Umbel's page says nothing and Python's says something.
fn compare(place: &str, umbel: Vec<(String, String)>, python: Vec<(String, String)>) {
    let umbel: BTreeMap<String, String> = umbel.into_iter().collect();
    let says = |value: &str| !MISSING.contains(&value);
    assert!(!python.is_empty(), "{place} shows something");
    for (name, value) in python.iter().filter(|(_, value)| says(value)) {
        let same = umbel.get(name).is_some_and(|value| says(value));
        let meaningless = MEANINGLESS.iter().any(|(at, what, _)| (*at, *what) == (place, name));
        assert!(same || meaningless, "{place}: {name} is {value:?} for Python, and\n{umbel:#?}");
        assert!(!(same && meaningless), "{place}: {name} has a meaning after all: {umbel:#?}");
    }
}

fn task_list(flower: &mut Flower, broker: Broker, sent: &Sent) {
    flower.open(&format!("/tasks?worker={UMBEL}"));
    let shown = "document.querySelectorAll('#tasks-table tbody tr').length == 6";
    flower.browser.until(shown);
    let rows = flower.browser.rows("#tasks-table");
    let cells = |id: &str| {
        let row = rows.iter().find(|row| row[1].starts_with(id));
        row.unwrap_or_else(|| panic!("{id} is not in the list: {rows:#?}"))
    };
    let done = cells(&sent.succeeds);
    assert_eq!(done[0], "tasks.add");
    assert_eq!(done[2..6], ["SUCCESS", "(2,)", "{'y': 3}", "5"]);
    for (at, name) in COLUMNS.split(',').enumerate() {
        assert!(!MISSING.contains(&&*done[at]), "{name} of {done:?}");
    }
    assert_eq!(cells(&sent.fails)[2..5], ["FAILURE", FAILS, "{}"]);
    assert_eq!(cells(&sent.runs)[2..5], ["STARTED", "(600,)", "{}"]);
    assert_eq!(cells(&sent.waits)[2..5], ["RECEIVED", "(4, 5)", "{}"]);
    flower.browser.picture(&named(broker, "tasks"));
}

fn tasks(flower: &mut Flower, broker: Broker, sent: &[(&str, Sent); 2]) {
    for state in ["SUCCESS", "FAILURE", "STARTED", "RECEIVED"] {
        let [umbel, python] = [&sent[0], &sent[1]].map(|(node, sent)| {
            flower.open_task(sent.in_state(state), state);
            let name = format!("{}-task-{}", worker_of(node), state.to_lowercase());
            flower.browser.picture(&named(broker, &name));
            flower.browser.facts(".task-details-card")
        });
        compare(state, umbel, python);
    }
}

fn queues(flower: &mut Flower, broker: Broker) {
    flower.open("/broker");
    let rows = flower.browser.rows("#queue-table");
    let [umbel, python] = ["umbel", "python"].map(|queue| {
        let row = rows.iter().find(|row| row[0] == queue);
        let cells = row.unwrap_or_else(|| panic!("no {queue} in {rows:?}")).iter();
        cells.enumerate().map(|(at, cell)| (format!("column {at}"), cell.clone())).collect()
    });
    compare("queues of the broker", umbel, python);
    flower.browser.picture(&named(broker, "broker"));
}

/// The name of a picture.
pub(crate) fn named(broker: Broker, page: &str) -> String {
    format!("{}-{page}", format!("{broker:?}").to_lowercase())
}
