//! Flower's buttons do to an Umbel worker what they say.

use serde_json::{Value, json};
use umbel_harness::eventually::{PATIENCE, eventually, expect_equal};
use umbel_harness::paths;
use umbel_harness::worker::Umbel;

use crate::flower::{Flower, named};
use crate::stage::{Broker, Client, Stage, UMBEL};

/// One worker, Flower, and a client that looks whether Flower is right.
struct Scene {
    umbel: Umbel,
    flower: Flower,
    client: Client,
    broker: Broker,
}

pub(crate) fn flowers_buttons_do_what_they_say(broker: Broker) {
    let stage = Stage::set(broker);
    let worker = stage.worker().plugin("tasks", paths::plugin("tasks"));
    let worker = worker.plugin("loops", paths::guest("loops"));
    let umbel = worker.args(&["-n", UMBEL, "-E", "-c", "2", "--time-limit", "10m"]).start();
    let mut scene = Scene { umbel, flower: Flower::start(&stage), client: stage.client(), broker };
    scene.the_pool_changes();
    scene.queues_are_added_and_cancelled();
    scene.limits_hold();
    scene.tasks_are_revoked_and_terminated();
    scene.plugins_are_read_again();
    scene.pages_are_refreshed();
    scene.the_worker_ends();
}

impl Scene {
    fn the_pool_changes(&mut self) {
        self.flower.open_worker(UMBEL);
        self.flower.show_tab("pool");
        self.flower.browser.fill("#pool-size", "3");
        self.press("#worker-pool-grow", "Growing 'umbel@lab' worker's pool by 3");
        assert_eq!(self.stats("/pool/max-concurrency"), 5);
        self.flower.browser.fill("#pool-size", "1");
        self.press("#worker-pool-shrink", "Shrinking 'umbel@lab' worker's pool by 1");
        assert_eq!(self.stats("/pool/max-concurrency"), 4);
        // As many run at once.
        for _ in 0..6 {
            self.send("tasks.sleep", "(600,)", "");
        }
        self.await_inspected("active", |active| {
            active.as_array().is_some_and(|all| all.len() == 4)
        });
        self.terminate_all();
        self.flower.browser.fill("#min-autoscale", "1");
        self.flower.browser.fill("#max-autoscale", "2");
        self.press("#worker-pool-autoscale", "Autoscaling 'umbel@lab' worker (min=1, max=2)");
        assert_eq!(self.stats("/autoscaler/max"), 2);
        assert_eq!(self.stats("/autoscaler/min"), 1);
        assert_eq!(self.stats("/pool/max-concurrency"), 2);
        self.flower.browser.click("#worker-pool-grow");
        let told = self.flower.browser.told();
        assert!(told.contains("not supported with autoscale"), "{told}");
        self.flower.browser.picture(&named(self.broker, "buttons-pool"));
    }

    fn queues_are_added_and_cancelled(&mut self) {
        self.flower.open_worker(UMBEL);
        self.flower.show_tab("queues");
        self.flower.browser.fill("#add-consumer-name", "extra");
        self.press("#worker-add-consumer", "add consumer extra");
        let queues = |told: &Value| -> Vec<String> {
            let all = told.as_array().into_iter().flatten();
            all.filter_map(|queue| queue["name"].as_str().map(str::to_owned)).collect()
        };
        assert_eq!(queues(&self.inspected("active_queues")), ["celery", "extra"]);
        let sent = self.send("tasks.add", "(2, 3)", ", queue='extra'");
        self.await_state(&sent, "SUCCESS");
        // The page shows it once Flower has asked again.
        self.flower.open_tab_that_says(UMBEL, "queues", "extra");
        self.flower.browser.picture(&named(self.broker, "buttons-queues"));
        self.press("#worker-cancel-consumer-extra", "no longer consuming from extra");
        assert_eq!(queues(&self.inspected("active_queues")), ["celery"]);
        let unheard = self.send("tasks.add", "(2, 3)", ", queue='extra'");
        let heard = self.send("tasks.add", "(2, 3)", "");
        self.await_state(&heard, "SUCCESS");
        self.await_state(&unheard, "PENDING");
    }

    fn limits_hold(&mut self) {
        self.flower.open_worker(UMBEL);
        self.flower.show_tab("limits");
        self.limit(
            "tasks.add",
            "task-rate-limit-tasks.add",
            "7",
            "new rate limit set successfully",
        );
        let registered = self.inspected("registered").to_string();
        assert!(registered.contains("tasks.add [rate_limit=7"), "{registered}");
        let set = "time limits set successfully";
        self.limit("tasks.sleep", "task-timeout-hard-tasks.sleep", "1", set);
        let late = self.send("tasks.sleep", "(600,)", "");
        self.await_state(&late, "FAILURE");
        let why = self.client.python.eval(&format!("repr(app.AsyncResult({late:?}).result)"));
        assert!(why.to_string().contains("TimeLimitExceeded"), "{why}");
        self.limit("tasks.sleep", "task-timeout-soft-tasks.sleep", "1", set);
        let late = self.send("tasks.sleep", "(600,)", "");
        self.await_state(&late, "FAILURE");
        let why = self.client.python.eval(&format!("repr(app.AsyncResult({late:?}).result)"));
        assert!(why.to_string().contains("SoftTimeLimitExceeded"), "{why}");
        self.limit("tasks.sleep", "task-timeout-hard-tasks.sleep", "600", set);
        self.flower.browser.picture(&named(self.broker, "buttons-limits"));
    }

    /// Types a number beside a button, whose id has a full stop in it, and presses it.
    fn limit(&mut self, task: &str, button: &str, number: &str, told: &str) {
        let what = if button.contains("rate") { "Rate limit" } else { "Timeout" };
        self.flower.browser.fill(&format!("input[aria-label^='{what} for {task}']"), number);
        self.press(&format!("[id^='{button}']"), told);
    }

    fn tasks_are_revoked_and_terminated(&mut self) {
        let waits = self.send("tasks.add", "(2, 3)", ", countdown=600");
        self.flower.open_task(&waits, "RECEIVED");
        self.press("#task-revoke", &format!("Revoked '{waits}'"));
        self.await_inspected("revoked", |ids| {
            ids.as_array().is_some_and(|ids| ids.contains(&json!(waits)))
        });
        self.await_state(&waits, "REVOKED");
        for task in ["tasks.sleep", "loops.forever"] {
            let args = if task == "tasks.sleep" { "(600,)" } else { "()" };
            let runs = self.send(task, args, "");
            self.flower.open_task(&runs, "STARTED");
            self.press("#task-terminate", &format!("Revoked '{runs}'"));
            self.await_state(&runs, "REVOKED");
            self.await_inspected("active", |active| *active == json!([]));
            self.flower.open_task(&runs, "REVOKED");
        }
        self.flower.browser.picture(&named(self.broker, "buttons-task-revoked"));
    }

    fn plugins_are_read_again(&mut self) {
        self.act("pool-restart", "Restarting 'umbel@lab' worker's pool");
        let told = "told to read plugins and configuration again by remote control";
        self.umbel.process.await_log(told, PATIENCE);
        let sent = self.send("tasks.add", "(2, 3)", "");
        self.await_state(&sent, "SUCCESS");
    }

    fn pages_are_refreshed(&mut self) {
        for (button, told) in [("refresh", "Successfully refreshed"), ("refresh-all", "Refreshed")]
        {
            let queue = format!("found-by-{button}");
            let add = format!("app.control.add_consumer({queue:?}, reply=True, timeout=5)");
            self.client.python.exec(&add);
            self.act(button, told);
            let known = format!(
                "fetch('/api/workers').then(answer => answer.text())\
                 .then(text => text.includes('{queue}'))"
            );
            self.flower.browser.until(&known);
        }
    }

    fn the_worker_ends(&mut self) {
        self.act("shutdown", "Shutting down!");
        let status = self.umbel.process.await_end(PATIENCE);
        assert!(status.success(), "{status}");
        self.flower.open("/workers");
        self.flower.browser.until(
            "document.querySelector('#workers-table tbody').textContent.includes('Offline')",
        );
        self.flower.browser.picture(&named(self.broker, "buttons-shutdown"));
    }

    /// Chooses from the menu of the worker's page.
    fn act(&mut self, action: &str, told: &str) {
        self.flower.open_worker(UMBEL);
        self.flower.show_tab("pool");
        self.flower.browser.click("#worker-group");
        self.press(&format!("#worker-{action}"), told);
    }

    /// Presses a button, and compares what Flower says.
    fn press(&mut self, button: &str, says: &str) {
        self.flower.browser.click(button);
        let told = self.flower.browser.told();
        assert!(told.starts_with(says), "{button}: {told}");
    }

    fn send(&mut self, name: &str, args: &str, more: &str) -> String {
        let send = format!("app.send_task({name:?}, {args}{more}).id");
        self.client.python.eval(&send).as_str().expect("an id is text").to_owned()
    }

    fn terminate_all(&mut self) {
        eventually("nothing runs or waits", PATIENCE, || {
            let tasks = ["active", "reserved"].map(|command| self.inspected(command));
            let ids: Vec<&Value> = tasks
                .iter()
                .filter_map(Value::as_array)
                .flatten()
                .map(|task| &task["id"])
                .collect();
            if ids.is_empty() {
                return Ok(());
            }
            let ids = serde_json::to_string(&ids).expect("ids are JSON");
            self.client.python.exec(&format!("app.control.terminate({ids})"));
            Err(ids)
        });
    }

    fn await_state(&mut self, id: &str, state: &str) {
        eventually(&format!("{id} is {state}"), PATIENCE, || {
            expect_equal(
                self.client.python.eval(&format!("app.AsyncResult({id:?}).state")),
                json!(state),
            )
        });
    }

    fn await_inspected(&mut self, command: &str, wanted: impl Fn(&Value) -> bool) {
        eventually(&format!("{command} is as it should be"), PATIENCE, || {
            let told = self.inspected(command);
            if wanted(&told) { Ok(()) } else { Err(told.to_string()) }
        });
    }

    /// What the worker answers to an inspecting command.
    fn inspected(&mut self, command: &str) -> Value {
        let ask = format!("app.control.inspect([{UMBEL:?}], timeout=60).{command}()");
        self.client.python.eval(&ask)[UMBEL].clone()
    }

    fn stats(&mut self, field: &str) -> Value {
        self.inspected("stats").pointer(field).cloned().unwrap_or_default()
    }
}
