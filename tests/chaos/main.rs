//! Workers and brokers killed while they work: every message still gets its result.

mod beat;
mod clock;
mod fleet;
mod hops;
mod mixed;
mod monitor;
mod parked;
mod plan;
mod waits;
mod witness;

use umbel_harness::eventually::eventually;

use crate::fleet::{Amqp, Fleet, Kept, Sqlite};
use crate::plan::{LONG, Plan};

/// As many as a run of some seconds takes.
const MESSAGES: usize = 10_000;

/// How often the worker is killed during the run.
const KILLS: usize = 5;

#[test]
fn sqlite_loses_nothing_when_the_worker_is_killed() {
    kill_the_worker(Sqlite::open());
}

#[test]
fn redis_loses_nothing_when_the_worker_is_killed() {
    kill_the_worker(Kept::open());
}

#[test]
fn rabbitmq_loses_nothing_when_the_worker_is_killed() {
    kill_the_worker(Amqp::open());
}

#[test]
fn redis_loses_nothing_when_it_is_killed_itself() {
    kill_the_broker(Kept::open());
}

#[test]
fn rabbitmq_loses_nothing_when_it_is_killed_itself() {
    kill_the_broker(Amqp::open());
}

/// The worker dies without notice at random moments and is started again each time.
fn kill_the_worker(mut fleet: impl Fleet) {
    let mut plan = Plan::draw();
    fleet.send(MESSAGES);
    let mut worker = fleet.worker().start();
    for moment in plan.moments(KILLS, MESSAGES) {
        await_progress(&mut fleet, moment);
        plan.pause();
        worker.kill();
        worker.start_again();
    }
    await_all(&mut fleet);
    assert!(worker.stop().success(), "and it stops as usual");
    assert!(fleet.is_empty(), "nothing is left in the queue");
}

/// The broker dies without notice and comes back; the worker is left alone.
fn kill_the_broker(mut fleet: impl Fleet) {
    let mut plan = Plan::draw();
    fleet.send(MESSAGES);
    let mut worker = fleet.worker().start();
    for moment in plan.moments(2, MESSAGES) {
        await_progress(&mut fleet, moment);
        plan.pause();
        fleet.kill_broker();
        fleet.start_broker();
    }
    await_all(&mut fleet);
    assert_eq!(worker.process.poll(), None, "the worker was not started again");
    assert!(worker.stop().success(), "and it stops as usual");
    assert!(fleet.is_empty(), "nothing is left in the queue");
}

/// Waits until a message near this one has its result. Not that very one: it may be held by a
/// worker that is dead.
fn await_progress(fleet: &mut impl Fleet, moment: usize) {
    let near = moment..(moment + 500).min(MESSAGES);
    eventually(&format!("message {moment} gets its result"), LONG, || {
        if fleet.any_done(near.clone()) { Ok(()) } else { Err("none near it has one".to_owned()) }
    });
}

fn await_all(fleet: &mut impl Fleet) {
    eventually("every message gets its result", LONG, || match fleet.missing() {
        0 => Ok(()),
        missing => Err(format!("{missing} of {MESSAGES} are missing")),
    });
    assert_eq!(fleet.wrong(), 0, "results are right");
}
