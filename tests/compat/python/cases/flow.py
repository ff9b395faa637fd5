"""Revoking, limiting and repeating tasks."""

import time

from celery import chain

from lab.cells import CLASSIC, REDIS
from lab.suite import NARROW, OWN, case

#: On quorum queues the broker holds what is delayed, so that no worker can look at it.
HELD_BY_WORKERS = (REDIS, CLASSIC)


def revoked(lab, sent, words="revoked"):
    error = lab.error(sent)
    assert type(error).__name__ == "TaskRevokedError", repr(error)
    assert words in str(error), str(error)


@case
def a_task_revoked_before_it_comes_is_not_run(lab):
    task_id = f"revoked-{lab.key}"
    lab.revoke(lab.result(task_id))
    sent = lab.send("note", 1, lab.key, task_id=task_id)
    revoked(lab, sent)
    assert lab.noted(lab.key) == []


@case(on=NARROW)
def a_task_revoked_while_it_waits_is_not_run(lab):
    busy = lab.send("sleep", 1.5, lab.key)
    lab.notes(lab.key)
    sent = lab.send("note", 1, lab.key + "waiting")
    lab.revoke(sent)
    assert lab.get(busy) == 1.5
    revoked(lab, sent)
    assert lab.noted(lab.key + "waiting") == []


@case(brokers=HELD_BY_WORKERS)
def a_task_revoked_while_it_waits_for_its_eta_is_not_run(lab):
    sent = lab.send("note", 1, lab.key, countdown=5)
    lab.shared_worker.await_log(f"lab.note[{sent.id}] received")
    lab.revoke(sent)
    revoked(lab, sent)
    assert lab.noted(lab.key) == []


@case
def a_running_task_can_be_terminated(lab):
    sent = lab.send("sleep", 30, lab.key)
    lab.notes(lab.key)
    lab.revoke(sent, terminate=True)
    revoked(lab, sent, "terminated")
    assert lab.noted(lab.key) == ["started"]


@case
def a_running_task_is_left_alone_unless_told_to_terminate(lab):
    sent = lab.send("sleep", 1, lab.key)
    lab.notes(lab.key)
    lab.revoke(sent)
    lab.notes(lab.key, 2)


@case
def a_terminated_task_does_not_stop_the_tasks_beside_it(lab):
    beside = lab.send("sleep", 1.5)
    sent = lab.send("sleep", 30, lab.key)
    lab.notes(lab.key)
    lab.revoke(sent, terminate=True, signal="SIGKILL")
    revoked(lab, sent, "terminated")
    assert lab.get(beside) == 1.5


@case
def several_tasks_can_be_revoked_at_once(lab):
    ids = [f"revoked-{lab.key}-{i}" for i in range(3)]
    lab.control("revoke", ids)
    for task_id in ids:
        revoked(lab, lab.send("add", 1, 1, task_id=task_id))


@case
def tasks_can_be_revoked_by_their_stamps(lab):
    lab.control("revoke_by_stamped_headers", {"batch": [lab.key]})
    signature = lab.sig("note", 1, lab.key)
    signature.stamp(batch=lab.key)
    revoked(lab, signature.apply_async())
    other = lab.sig("note", 2, lab.key)
    other.stamp(batch="another")
    assert lab.get(other.apply_async()) == 2


@case
def revoking_a_finished_task_changes_nothing(lab):
    sent = lab.send("add", 2, 3)
    assert lab.get(sent) == 5
    lab.revoke(sent, terminate=True)
    assert lab.call("add", 1, 1) == 2
    assert sent.state == "SUCCESS"


@case
def a_revoked_step_ends_its_chain(lab):
    first = f"first-{lab.key}"
    lab.revoke(lab.result(first))
    steps = chain(lab.sig("add", 1, 2).set(task_id=first), lab.sig("note", lab.key))
    steps.apply_async()
    revoked(lab, lab.result(first))
    assert lab.call("add", 1, 1) == 2
    assert lab.noted(lab.key) == []


@case(on=OWN)
def a_rate_limit_spreads_tasks_over_time(lab):
    with lab.worker(concurrency=4):
        since = time.monotonic()
        sent = [lab.send("tempered", i) for i in range(7)]
        assert [lab.get(result) for result in sent] == list(range(7))
        seconds = time.monotonic() - since
    # Four a second: after the first, six waits of a quarter.
    assert 1.3 <= seconds <= 6, seconds


@case(on=OWN)
def a_rate_limit_delays_no_other_task(lab):
    with lab.worker(concurrency=2):
        limited = [lab.send("tempered", i) for i in range(8)]
        since = time.monotonic()
        assert lab.call("add", 2, 3) == 5
        assert time.monotonic() - since < 1.5
        assert [lab.get(result) for result in limited] == list(range(8))


@case(on=OWN)
def a_rate_limit_can_be_set_while_the_worker_runs(lab):
    with lab.worker(concurrency=4) as worker:
        lab.control("rate_limit", "lab.limited", "4/s", to=worker)
        since = time.monotonic()
        sent = [lab.send("limited", i) for i in range(7)]
        assert [lab.get(result) for result in sent] == list(range(7))
        assert time.monotonic() - since >= 1.3


@case(on=OWN)
def a_rate_limit_can_be_lifted_while_the_worker_runs(lab):
    with lab.worker(concurrency=4) as worker:
        lab.control("rate_limit", "lab.tempered", "0", to=worker)
        since = time.monotonic()
        sent = [lab.send("tempered", i) for i in range(20)]
        assert [lab.get(result) for result in sent] == list(range(20))
        assert time.monotonic() - since < 3.5


@case(sides=("umbel",), differs=(
    "Celery has no limit on how many runs of a task there are at a time; Umbel's file has one."))
def a_task_may_be_limited_to_one_run_at_a_time(lab):
    since = time.monotonic()
    for result in [lab.send("single", 0.4) for _ in range(4)]:
        lab.get(result)
    assert time.monotonic() - since >= 1.5


@case
def the_same_id_may_come_twice_and_stays_one_task(lab):
    task_id = f"twice-{lab.key}"
    for _ in range(2):
        lab.send("note", 1, lab.key, task_id=task_id)
    assert lab.get(lab.result(task_id)) == 1
    assert lab.call("add", 1, 1) == 2
    assert lab.stored(task_id)["status"] == "SUCCESS"


@case(on=OWN)
def two_queues_are_served_side_by_side(lab):
    other = f"other-{lab.key}"
    lab.broker.declare(lab.cell.queue(other))
    for i in range(60):
        lab.send("sleep", 0.05)
    with lab.worker(queues=[lab.queue, other], concurrency=1):
        since = time.monotonic()
        assert lab.get(lab.send("add", 2, 3, queue=other)) == 5
        assert time.monotonic() - since < 3, "it waited for the whole of the other queue"


@case(on=OWN)
def two_workers_share_one_queue(lab):
    with lab.worker(concurrency=1) as first, lab.worker(concurrency=1) as second:
        sent = [lab.send("sleep", 0.2, f"{lab.key}{i}") for i in range(12)]
        assert [lab.get(result) for result in sent] == [0.2] * 12
        shares = [
            sum(bool(worker.log.notes(f"{lab.key}{i}")) for i in range(12))
            for worker in (first, second)]
    assert sum(shares) == 12 and all(shares), shares
