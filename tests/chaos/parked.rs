//! With `unknown = "park"` a message waits for the plugin that brings its task, however long.

use tempfile::TempDir;
use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_harness::paths;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::worker::Worker;
use umbel_protocol::record::State;
use umbel_system_tests::client::url;
use umbel_system_tests::request::request;

use crate::hops::Client;

#[test]
fn redis_keeps_an_unknown_task_until_its_plugin_is_there() {
    let redis = RedisServer::start();
    waits_for_its_plugin(&redis.url(0), &redis.url(0));
}

#[test]
fn rabbitmq_keeps_an_unknown_task_until_its_plugin_is_there() {
    let (rabbit, redis) = (RabbitMq::shared(), RedisServer::start());
    waits_for_its_plugin(&rabbit.url(&rabbit.fresh_vhost()), &redis.url(0));
}

#[test]
fn a_file_keeps_an_unknown_task_until_its_plugin_is_there() {
    let folder = TempDir::with_prefix("umbel-parked-").expect("a folder");
    let file = url(&folder.path().join("umbel.db"));
    waits_for_its_plugin(&file, &file);
}

fn waits_for_its_plugin(broker: &str, results: &str) {
    let client = Client::open(broker, results);
    let worker = |plugins: &[&str]| {
        let worker = Worker::on(broker).results(results).args(&["--unknown", "park"]);
        plugins.iter().fold(worker, |worker, name| worker.plugin(name, paths::plugin("tasks")))
    };
    let sent = [1, 2, 3].map(|number| request("late.add", vec![number.into(), 1.into()]));
    let never = request("never.add", vec![]);
    for message in sent.iter().chain([&never]) {
        client.publish(message);
    }
    let mut first = worker(&["tasks"]).start();
    eventually("the messages are parked", PATIENCE, || {
        match first.process.log().matches("is parked until").count() {
            4 => Ok(()),
            parked => Err(format!("{parked} of 4 are")),
        }
    });
    assert!(first.stop().success(), "it stops as usual");
    assert!(sent.iter().all(|message| client.get(&message.id).is_none()), "none has ended");
    let mut second = worker(&["tasks", "late"]).start();
    for message in &sent {
        let record = client.wait(&message.id, State::Success);
        assert_eq!(record.0, (message.args[0].as_i64().expect("a number") + 1).into());
    }
    assert!(second.stop().success(), "it stops as usual");
    assert!(client.get(&never.id).is_none(), "what nobody knows waits on");
    client.close();
}
