//! What other tasks notice of a hostile one: nothing.

use std::time::Instant;

use umbel_harness::eventually::PATIENCE;
use umbel_protocol::record::State;
use umbel_value::Value;

use crate::scene::Scene;

const ADDS: u64 = 200;

/// More loops than a small machine has cores; every sum must be there before the first loop ends.
#[test]
fn sums_go_on_while_loops_take_every_core() {
    let scene = Scene::open(&[]);
    let loops = scene.client.send_all("patient.forever", std::iter::repeat_n(Vec::new(), 4));
    for id in &loops {
        scene.await_logged(id, "received");
    }
    let sums = (0..ADDS).map(|number| vec![Value::from(number), Value::from(1_u64)]);
    let sent = Instant::now();
    let ids = scene.client.send_all("tasks.add", sums);
    for (number, id) in (0..ADDS).zip(&ids) {
        let record = scene.client.wait(id, PATIENCE);
        assert_eq!(record.result.as_u64(), Some(number + 1), "{record:?}");
    }
    for id in &loops {
        let record = scene.client.get(id);
        let ended = record.is_some_and(|record| record.state == State::Failure);
        assert!(!ended, "{ADDS} sums took {:?}, longer than a loop's limit", sent.elapsed());
    }
}

#[test]
fn the_worker_goes_on_after_every_kind_of_ending() {
    let scene = Scene::open(&["-c", "4"]);
    let hostile = [
        ("traps.misstep", "[]"),
        ("recurses.deeper", "[0]"),
        ("hoards.allocate", "[]"),
        ("loops.forever", "[]"),
        ("stalls.reach", "[]"),
        ("boasts.text", "[50000000]"),
        ("floods.flood", "[20000]"),
    ];
    for _ in 0..3 {
        let ids: Vec<String> =
            hostile.iter().map(|(task, args)| scene.client.send(task, args)).collect();
        for id in ids {
            scene.client.wait(&id, PATIENCE);
        }
        let record = scene.call("tasks.add", "[2, 3]");
        assert_eq!(record.result.as_u64(), Some(5), "{record:?}");
    }
    assert!(scene.worker().stop().success(), "and stops as usual");
}
