"""Tasks that wait for their time, that come too late, and that run for too long."""

import datetime
import time

from celery import chain, chord

from lab.cells import CLASSIC, QUORUM, REDIS
from lab.differences import INVALID_IS_TOLD, RETRY_GOES_ASTRAY
from lab.suite import OWN, case

UTC = datetime.timezone.utc


def in_seconds(seconds, zone=UTC):
    return datetime.datetime.now(zone) + datetime.timedelta(seconds=seconds)


def takes(lab, result, at_least, at_most=20.0, since=None):
    """Waits for a result, which must not come before its time."""
    since = time.monotonic() if since is None else since
    value = lab.get(result)
    seconds = time.monotonic() - since
    assert at_least <= seconds <= at_most, f"{seconds} s"
    return value


@case
def a_countdown_delays_the_run(lab):
    since = time.monotonic()
    assert takes(lab, lab.send("add", 2, 3, countdown=2), 1.0, since=since) == 5


@case(brokers=(REDIS, CLASSIC))
def a_countdown_of_less_than_a_second_is_kept(lab):
    since = time.monotonic()
    assert takes(lab, lab.send("add", 2, 3, countdown=0.7), 0.65, since=since) == 5


@case
def an_eta_delays_the_run(lab):
    eta = in_seconds(2)
    assert lab.get(lab.send("add", 2, 3, eta=eta)) == 5
    assert datetime.datetime.now(UTC) >= eta


@case
def an_eta_of_another_time_zone_is_understood(lab):
    eta = in_seconds(2, datetime.timezone(datetime.timedelta(hours=-7)))
    assert lab.get(lab.send("add", 2, 3, eta=eta)) == 5
    assert datetime.datetime.now(UTC) >= eta


@case
def an_eta_without_time_zone_is_utc(lab):
    eta = in_seconds(1)
    headers = {"eta": eta.replace(tzinfo=None).isoformat()}
    assert lab.get(lab.publish("add", [2, 3], headers=headers)) == 5
    assert datetime.datetime.now(UTC) >= eta


@case
def an_eta_with_a_z_is_understood(lab):
    eta = in_seconds(1)
    headers = {"eta": eta.replace(tzinfo=None).isoformat() + "Z"}
    assert lab.get(lab.publish("add", [2, 3], headers=headers)) == 5
    assert datetime.datetime.now(UTC) >= eta


@case
def an_eta_in_the_past_is_no_reason_to_wait(lab):
    assert takes(lab, lab.send("add", 2, 3, eta=in_seconds(-3600)), 0.0, 5.0) == 5


@case(differs=INVALID_IS_TOLD)
def an_eta_that_is_no_time_is_refused(lab):
    sent = lab.publish("add", [2, 3], headers={"eta": "the day after"}, queue="mortal")
    lab.eventually("it is gone", lambda: lab.broker.waiting("mortal") == 0)
    if lab.cell.on_rabbitmq:
        lab.broker.exhumed(sent.id)
    assert lab.call("add", 1, 1) == 2
    lab.state(sent, "FAILURE" if lab.umbel else "PENDING")


@case
def tasks_with_etas_run_in_the_order_of_their_etas(lab):
    start = time.monotonic()
    for wait in (3, 1, 2):
        lab.send("note", wait, lab.key, countdown=wait)
    assert lab.notes(lab.key, 3) == [1, 2, 3]
    assert time.monotonic() - start >= 2.0


@case
def what_waits_for_its_eta_delays_nobody(lab):
    for i in range(40):
        lab.send("add", i, 0, countdown=3600)
    assert lab.call("add", 2, 3) == 5


@case(on=OWN)
def more_tasks_with_etas_than_a_worker_may_hold_are_all_run(lab):
    with lab.worker(settings={"worker_eta_task_limit": 2}):
        since = time.monotonic()
        sent = [lab.send("add", i, 0, countdown=2) for i in range(6)]
        assert [lab.get(result) for result in sent] == list(range(6))
    assert time.monotonic() - since >= 1


@case
def a_countdown_delays_a_step_of_a_chain(lab):
    since = time.monotonic()
    steps = chain(lab.sig("add", 1, 2), lab.sig("mul", 4).set(countdown=2))
    assert takes(lab, steps.apply_async(), 1.0, since=since) == 12


@case
def a_countdown_delays_the_header_of_a_chord(lab):
    since = time.monotonic()
    work = chord([lab.sig("add", i, i) for i in range(3)], lab.sig("xsum"))
    assert takes(lab, work.apply_async(countdown=2), 1.0, since=since) == 6


@case
def a_task_in_time_is_run(lab):
    assert lab.get(lab.send("add", 2, 3, expires=60)) == 5
    assert lab.get(lab.send("add", 2, 3, expires=in_seconds(60))) == 5


@case
def an_expired_task_is_revoked(lab):
    headers = {"expires": in_seconds(-5).isoformat()}
    sent = lab.publish("note", [1, lab.key], headers=headers)
    error = lab.error(sent)
    assert type(error).__name__ == "TaskRevokedError" and "expired" in str(error)
    assert lab.noted(lab.key) == [], "it ran"


@case(brokers=(REDIS, CLASSIC))
def a_task_that_expires_before_its_eta_is_revoked(lab):
    headers = {"eta": in_seconds(2).isoformat(), "expires": in_seconds(1).isoformat()}
    sent = lab.publish("note", [1, lab.key], headers=headers)
    error = lab.error(sent)
    assert type(error).__name__ == "TaskRevokedError" and "expired" in str(error)
    assert lab.noted(lab.key) == [], "it ran"


@case(on="narrow")
def a_task_that_expires_while_it_waits_for_a_slot_is_revoked(lab):
    busy = lab.send("sleep", 2.5, lab.key)
    lab.notes(lab.key)
    headers = {"expires": in_seconds(1).isoformat()}
    sent = lab.publish("note", [1, lab.key + "late"], headers=headers)
    error = lab.error(sent)
    assert type(error).__name__ == "TaskRevokedError" and "expired" in str(error)
    assert lab.noted(lab.key + "late") == [], "it ran"
    assert lab.get(busy) == 2.5


@case(differs=INVALID_IS_TOLD)
def an_expiry_that_is_no_time_is_refused(lab):
    sent = lab.publish("add", [2, 3], headers={"expires": "never"}, queue="mortal")
    lab.eventually("it is gone", lambda: lab.broker.waiting("mortal") == 0)
    assert lab.call("add", 1, 1) == 2
    lab.state(sent, "FAILURE" if lab.umbel else "PENDING")


@case
def the_soft_limit_ends_a_task(lab):
    sent = lab.send("sleep", 30, soft_time_limit=1, time_limit=20)
    error = takes_error(lab, sent, 0.9, 10)
    assert type(error).__name__ == "SoftTimeLimitExceeded"


@case
def a_task_can_tidy_up_at_its_soft_limit(lab):
    sent = lab.send("tidy", 30, soft_time_limit=1, time_limit=20)
    assert takes(lab, sent, 0.9, 10) == "tidied up"


@case
def a_task_that_ends_before_its_soft_limit_notices_nothing(lab):
    assert lab.get(lab.send("tidy", 0.1, soft_time_limit=10, time_limit=20)) == "had the time"


@case
def the_hard_limit_ends_a_task(lab):
    error = takes_error(lab, lab.send("sleep", 30, time_limit=1), 0.9, 10)
    assert type(error).__name__ == "TimeLimitExceeded"
    assert error.args[0] == 1


@case
def the_hard_limit_ends_a_task_that_goes_on_after_the_soft_one(lab):
    error = takes_error(lab, lab.send("stubborn", 30, soft_time_limit=1, time_limit=2), 1.8, 12)
    assert type(error).__name__ == "TimeLimitExceeded"


@case
def after_a_time_limit_the_worker_goes_on(lab):
    sent = [lab.send("sleep", 30, time_limit=1) for _ in range(3)]
    assert all(type(lab.error(result)).__name__ == "TimeLimitExceeded" for result in sent)
    assert lab.call("add", 2, 3) == 5


@case
def limits_hold_in_a_chain_and_fail_what_follows(lab):
    steps = chain(lab.sig("sleep", 30).set(time_limit=1), lab.sig("note", key=lab.key))
    assert type(lab.error(steps.apply_async())).__name__ == "TimeLimitExceeded"
    assert lab.noted(lab.key) == []


def takes_error(lab, sent, at_least, at_most):
    since = time.monotonic()
    error = lab.error(sent)
    seconds = time.monotonic() - since
    assert at_least <= seconds <= at_most, f"{seconds} s, {error!r}"
    return error


@case(on=OWN)
def what_waits_for_its_eta_survives_a_restart(lab):
    with lab.worker() as worker:
        sent = lab.send("add", 2, 3, countdown=5)
        lab.eventually("the worker has it", lambda: lab.broker.waiting(lab.queue) == 0)
        worker.stop()
    with lab.worker():
        assert lab.get(sent) == 5


@case(on=OWN, brokers=QUORUM, differs=(
    "A task is shown a routing key with the digits of its delay by Celery, without by Umbel."))
def on_quorum_queues_the_broker_holds_what_is_delayed(lab):
    with lab.worker() as worker:
        sent = lab.send("context", countdown=4)
        worker.stop()
    assert lab.broker.waiting(lab.queue) == 0, "it is held in a queue of delays"
    with lab.worker():
        seen = lab.get(sent)
    key = seen["delivery_info"]["routing_key"]
    digits = key.removesuffix(lab.queue)
    assert digits == "" if lab.umbel else len(digits.split(".")) == 29, key


@case(brokers=QUORUM, sides=("celery",), differs=(
    "Umbel holds a retry itself while it holds few messages; Celery leaves each to the broker."))
def on_quorum_queues_a_retry_is_delayed_by_the_broker(lab):
    sent = lab.send("retry_until", 1, 20)
    lab.state(sent, "RETRY")
    # A little less than twenty seconds are sixteen and two or three more.
    lab.eventually("it is in the queue of delays", lambda: lab.broker.waiting("celery_delayed_4"))


@case(brokers=QUORUM, sides=("umbel",), differs=(
    "On quorum queues Celery fails a task that is to be retried within a second."))
def on_quorum_queues_a_retry_within_a_second_is_possible(lab):
    assert lab.call("retry_until", 2, 0.2) == 2


@case(on=OWN, brokers=QUORUM, sides=("umbel",), differs=RETRY_GOES_ASTRAY)
def on_quorum_queues_a_retry_comes_back_to_its_own_queue(lab):
    with lab.worker():
        assert lab.call("retry_until", 1, 1.3) == 1
        seen = lab.call("retry_then_context")
    assert seen["delivery_info"]["routing_key"].endswith(lab.queue)
