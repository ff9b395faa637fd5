//! What runs do to the worker's memory, and what they find in their own.

use umbel_harness::eventually::{PATIENCE, eventually};
use umbel_protocol::record::State;
use umbel_system_tests::client::failure;
use umbel_value::Value;

use crate::scene::{Scene, shared};

const MEBIBYTE: u64 = 1 << 20;

#[test]
pub(crate) fn allocating_for_ever_ends_at_the_memory_limit() {
    let (scene, _shown) = shared();
    let raised = failure(&scene.call("hoards.allocate", "[]"));
    assert_eq!(raised.module.as_deref(), Some("builtins"), "{raised}");
    assert_eq!(raised.kind, "MemoryError", "{raised}");
}

#[test]
fn growth_beyond_the_limit_ends_the_run_or_is_refused() {
    let (scene, _shown) = shared();
    let record = scene.call("hoards.grow", "[]");
    match record.state {
        State::Success => assert_eq!(record.result.as_u64(), Some(1000)),
        _ => assert_eq!(failure(&record).kind, "MemoryError"),
    }
}

#[test]
fn memory_within_the_limit_is_there() {
    let (scene, _shown) = shared();
    let record = scene.call("hoards.use_and_return", "[40]");
    assert_eq!(record.state, State::Success, "{record:?}");
}

#[test]
fn the_workers_memory_returns_to_where_it_was() {
    let scene = Scene::open(&[]);
    let calls = |count: usize| std::iter::repeat_n(Vec::new(), count);
    let run = |count: usize| {
        for id in scene.client.send_all("hoards.allocate", calls(count)) {
            let raised = failure(&scene.client.wait(&id, PATIENCE));
            assert_eq!(raised.kind, "MemoryError", "{raised}");
        }
    };
    // The first runs make what stays: code pages, slots, threads.
    run(8);
    let before = scene.worker().process.usage().resident;
    run(40);
    eventually("the memory comes back", PATIENCE, || {
        let now = scene.worker().process.usage().resident;
        let grown = now.saturating_sub(before) / MEBIBYTE;
        if grown < 32 { Ok(()) } else { Err(format!("{grown} MiB more than before")) }
    });
}

#[test]
pub(crate) fn nothing_is_left_of_an_earlier_run() {
    let (scene, _shown) = shared();
    let secret = 0x5ec2_e7c0_ffee_1234_u64;
    let args = vec![Value::from(secret), Value::from(300_u64)];
    // More runs than there are slots that are warm, so that slots come round again.
    let calls = || std::iter::repeat_n(args.clone(), 100);
    for id in scene.client.send_all("remembers.hide", calls()) {
        let record = scene.client.wait(&id, PATIENCE);
        assert_eq!(record.state, State::Success, "{record:?}");
    }
    for id in scene.client.send_all("remembers.seek", calls()) {
        let record = scene.client.wait(&id, PATIENCE);
        assert_eq!(record.result.as_u64(), Some(0), "found a secret: {record:?}");
    }
    for _ in 0..10 {
        let record = scene.call("remembers.count", "[]");
        assert_eq!(record.result.as_u64(), Some(1), "a fresh instance each time");
    }
}
