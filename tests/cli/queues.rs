//! RabbitMQ's queues as the file describes them.

use umbel_harness::rabbitmq::RabbitMq;

use crate::embedded::worker;
use crate::{folder, put, umbel};

#[test]
fn a_queue_is_declared_and_bound_as_the_file_says() {
    let folder = folder(
        "[[queues]]\nname = 'pictures'\ntype = 'quorum'\nexchange = 'media'\n\
         exchange-type = 'topic'\nrouting-key = 'pictures.#'\n",
    );
    put(folder.path(), "tasks", "tasks");
    let server = RabbitMq::shared();
    let url = server.url(&server.fresh_vhost());
    let worker = worker(folder.path(), &["-b", &url]);
    let line = ".> pictures         exchange=media(topic) key=pictures.#";
    assert!(worker.log().contains(line), "{}", worker.log());
    umbel(folder.path(), &["call", "tasks.add", "1", "2", "-b", &url, "-w", "--timeout", "20s"])
        .said(&["3\n"]);
}

#[test]
fn a_queue_that_exists_otherwise_is_refused_unless_it_is_accepted() {
    let plain = folder("");
    put(plain.path(), "tasks", "tasks");
    let server = RabbitMq::shared();
    let url = server.url(&server.fresh_vhost());
    umbel(plain.path(), &["call", "tasks.add", "1", "2", "-q", "old", "-b", &url]).said(&[]);
    let quorum = "[[queues]]\nname = 'old'\ntype = 'quorum'\n";
    let strict = folder(quorum);
    put(strict.path(), "tasks", "tasks");
    umbel(strict.path(), &["worker", "--allow-root", "-b", &url])
        .refused(69, &["`old` exists", "with other arguments", "--accept-existing"]);
    let lenient = folder(&format!("{quorum}accept-existing = true\n"));
    put(lenient.path(), "tasks", "tasks");
    let mut worker = worker(lenient.path(), &["-b", &url]);
    worker.await_log("succeeded", crate::SOON);
}
