//! Servers that change or ask for certificates, under a whole worker: it reads its files again when it
//! dials again, after it gave up all files that it had no need of.

use std::time::Duration;

use umbel_harness::paths;
use umbel_harness::python::Peer;
use umbel_harness::rabbitmq::RabbitMq;
use umbel_harness::redis::RedisServer;
use umbel_harness::sentinels::Watched;
use umbel_harness::worker::{Umbel, Worker};

/// For a failover in between.
const LONG: Duration = Duration::from_secs(180);

fn worker(broker: &str, results: &str) -> Umbel {
    Worker::on(broker).results(results).plugin("tasks", paths::plugin("tasks")).start()
}

#[track_caller]
fn sums(client: &mut Peer) {
    let sum = "app.send_task('tasks.add', (2, 3)).get(timeout=150)";
    assert_eq!(client.eval_within(sum, LONG), 5);
}

#[test]
fn a_worker_follows_its_sentinels_to_the_next_master() {
    let mut watched = Watched::start();
    let url = watched.url();
    let mut umbel = worker(&url, &url);
    let client = || {
        let (servers, _) = url.split_once('?').expect("it has a query");
        let mut client = Peer::connect(servers, servers);
        client.exec(
            "options = {'master_name': 'mymaster', 'sentinel_kwargs': {'password': 'sent1nel'}}\n\
             app.conf.broker_transport_options = options\n\
             app.conf.result_backend_transport_options = options",
        );
        client
    };
    sums(&mut client());
    watched.fail_over();
    sums(&mut client());
    assert_eq!(umbel.process.poll(), None, "the worker was not started again");
    assert!(umbel.stop().success(), "and it stops as usual");
}

#[test]
fn a_worker_shows_its_certificate_to_rabbitmq_whenever_it_dials() {
    let (rabbit, (redis, results)) = (RabbitMq::shared(), RedisServer::for_the_known());
    let vhost = rabbit.fresh_vhost();
    let mut umbel = worker(&rabbit.url_for_the_known(&vhost), &results);
    sums(&mut Peer::connect(&rabbit.url(&vhost), &redis.url(0)));
    rabbit.close_connections(&vhost);
    sums(&mut Peer::connect(&rabbit.url(&vhost), &redis.url(0)));
    assert!(umbel.stop().success(), "it stops as usual");
}

#[test]
fn a_worker_shows_its_certificate_to_redis_whenever_it_dials() {
    let (mut redis, url) = RedisServer::for_the_known();
    let mut umbel = worker(&url, &url);
    sums(&mut Peer::connect(&redis.url(0), &redis.url(0)));
    redis.restart();
    sums(&mut Peer::connect(&redis.url(0), &redis.url(0)));
    assert!(umbel.stop().success(), "it stops as usual");
}

#[test]
fn a_rabbitmq_short_of_memory_delays_what_follows_and_stops_nobody() {
    let (rabbit, redis) = (RabbitMq::start(), RedisServer::start());
    let mut client = Peer::connect(&rabbit.url("/"), &redis.url(0));
    client.exec(
        "add = app.signature('tasks.add')\n\
         two = chain(add.clone(args=(1, 1)), add.clone(args=(1,))).apply_async()\n\
         one = add.clone(args=(2, 3)).apply_async()",
    );
    let full = |share: &str| {
        rabbit.evaluate(&format!("vm_memory_monitor:set_vm_memory_high_watermark({share})."));
    };
    full("0.0");
    let mut umbel = worker(&rabbit.url("/"), &redis.url(0));
    assert_eq!(client.eval_within("one.get(timeout=150)", LONG), 5, "it takes and ends tasks");
    assert_eq!(client.eval("two.ready()"), false, "nothing can be sent meanwhile");
    full("0.4");
    assert_eq!(client.eval_within("two.get(timeout=150)", LONG), 3);
    assert_eq!(umbel.process.poll(), None, "the worker was not started again");
    assert!(umbel.stop().success(), "it stops as usual");
}
