"""When a message is acknowledged, and what becomes of those that are not."""

import json
import time
import uuid

import kombu

from lab.cells import CLASSIC, HIGHEST_PRIORITY, RABBITMQ, REDIS
from lab.suite import NARROW, OWN, case


@case
def nothing_is_left_on_the_queue_of_finished_tasks(lab):
    for result in [lab.send("add", i, i, queue="mortal") for i in range(10)]:
        lab.get(result)
    for result in [lab.send("fail", "x", queue="mortal") for _ in range(5)]:
        lab.error(result)
    lab.eventually("all is settled", lambda: lab.broker.waiting("mortal") == 0)


@case
def a_rejected_message_is_gone_and_its_caller_knows(lab):
    sent = lab.send("reject", lab.key, queue="mortal")
    assert type(lab.error(sent)).__name__ == "Reject"
    lab.eventually("it is gone", lambda: lab.broker.waiting("mortal") == 0)
    assert lab.noted(lab.key) == ["rejecting"]


@case(brokers=RABBITMQ)
def a_rejected_message_goes_to_the_dead_letter_exchange(lab):
    sent = lab.send("reject", lab.key, queue="mortal", headers={"tenant": "blue"})
    message = lab.broker.exhumed(sent.id)
    assert message.headers["task"] == "lab.reject" and message.headers["tenant"] == "blue"
    assert message.headers["x-death"][0]["reason"] == "rejected"


@case
def a_message_may_be_given_back_and_come_again(lab):
    sent = lab.send("reject_once", lab.key)
    assert lab.get(sent) == "accepted"
    assert lab.notes(lab.key, 2) == [False, True]


@case(brokers=RABBITMQ)
def the_message_of_an_unknown_task_goes_to_the_dead_letter_exchange(lab):
    sent = lab.send("nobody.knows", queue="mortal")
    assert type(lab.error(sent)).__name__ == "NotRegistered"
    assert lab.broker.exhumed(sent.id).headers["task"] == "nobody.knows"


@case(brokers=RABBITMQ)
def a_failed_message_may_go_to_the_dead_letter_exchange(lab):
    sent = lab.send("fail_unacked", "no luck", queue="mortal")
    assert type(lab.error(sent)) is ValueError
    lab.broker.exhumed(sent.id)


@case
def a_message_that_timed_out_may_be_given_back(lab):
    sent = lab.send("late_once", 30, time_limit=1)
    lab.eventually("it came again", lambda: (lab.stored(sent.id) or {}).get("status") == "SUCCESS")
    assert lab.get(lab.result(sent.id)) == "came again"


@case(brokers=RABBITMQ)
def an_ignored_message_is_acknowledged(lab):
    sent = lab.send("ignore", queue="mortal")
    marker = lab.send("reject", queue="mortal")
    lab.broker.exhumed(marker.id)
    assert sent.id not in lab.broker.buried


def redeliver(lab, queue, task_id, args):
    """Puts a message of `note` into a queue as if a worker had taken it and vanished."""
    def make(queue):
        headers = {"task": "lab.note", "id": task_id}
        body = json.dumps([args, {}, None])
        lab.broker.publish(body, headers, queue=queue, correlation_id=task_id)

    lab.broker.redeliver(queue, make)


@case(on=OWN)
def a_redelivered_message_is_run(lab):
    task_id = str(uuid.uuid4())
    redeliver(lab, lab.queue, task_id, [1, lab.key])
    with lab.worker(settings={"task_acks_late": True}):
        assert lab.get(lab.result(task_id)) == 1


@case(on=OWN)
def a_redelivered_message_that_has_succeeded_is_not_run_again(lab):
    task_id = str(uuid.uuid4())
    lab.app.backend.store_result(task_id, "the first result", "SUCCESS")
    redeliver(lab, lab.queue, task_id, [1, lab.key])
    with lab.worker(settings={"task_acks_late": True}):
        lab.get(lab.send("note", 2, lab.key))
        lab.eventually("it is settled", lambda: lab.broker.waiting(lab.queue) == 0)
    assert lab.noted(lab.key) == [2]
    assert lab.get(lab.result(task_id)) == "the first result"


@case(on=OWN, brokers=RABBITMQ)
def a_late_task_runs_again_when_its_worker_is_killed(lab):
    sent = lab.send("late", 1.5, lab.key)
    with lab.worker() as first:
        lab.notes(lab.key)
        first.kill()
    with lab.worker():
        assert lab.get(sent) == 1.5
    assert lab.notes(lab.key, 3) == ["started", "started", "ended"]


@case(on=OWN, brokers=REDIS)
def a_late_task_runs_again_after_the_visibility_timeout(lab):
    settings = {"broker_transport_options": {"visibility_timeout": 1}}
    sent = lab.send("late", 0.5, lab.key)
    with lab.worker(settings=settings) as first:
        lab.notes(lab.key)
        taken = time.monotonic()
        first.kill()
    # Celery looks for abandoned messages at its start, and not again for a while.
    lab.eventually("the timeout is over", lambda: time.monotonic() - taken > 1.5)
    with lab.worker(settings=settings):
        assert lab.get(sent) == 0.5


@case(on=OWN)
def an_early_task_is_not_run_again_when_its_worker_is_killed(lab):
    lab.send("early", 5, lab.key)
    with lab.worker() as first:
        lab.notes(lab.key)
        if lab.cell.on_rabbitmq:
            lab.eventually("it is acknowledged", lambda: lab.broker.waiting(lab.queue) == 0)
        first.kill()
    with lab.worker():
        assert lab.call("add", 2, 3) == 5
    assert lab.noted(lab.key) == ["started"]


@case(on=OWN)
def a_worker_takes_no_more_than_it_is_allowed_to_hold(lab):
    settings = {"worker_prefetch_multiplier": 1, "task_acks_late": True}
    with lab.worker(concurrency=1, settings=settings):
        sent = [lab.send("late", 1.5, lab.key)]
        lab.notes(lab.key)
        sent += [lab.send("add", i, i) for i in range(6)]
        assert lab.broker.waiting(lab.queue) >= 5
        assert [lab.get(result) for result in sent] == [1.5, 0, 2, 4, 6, 8, 10]


@case(on=NARROW, brokers=REDIS)
def on_redis_lower_priorities_are_served_first(lab):
    busy = lab.send("sleep", 1, lab.key)
    lab.notes(lab.key)
    key = lab.key + "order"
    # One more than it runs may be taken already: it is the first of the most urgent.
    lab.send("note", "first", key, priority=0)
    for priority in (9, 6, 3, 0):
        lab.send("note", priority, key, priority=priority)
    assert lab.notes(key, 5) == ["first", 0, 3, 6, 9]
    lab.get(busy)


@case(on=OWN, brokers=CLASSIC)
def on_rabbitmq_higher_priorities_are_served_first(lab):
    queue = kombu.Queue(
        f"urgent-{lab.key}", kombu.Exchange(f"urgent-{lab.key}"), routing_key=f"urgent-{lab.key}",
        max_priority=HIGHEST_PRIORITY)
    lab.broker.declare(queue)
    for priority in (1, 9, 0, 5):
        lab.publish(
            "note", [priority, lab.key], queue=queue.name, priority=priority)
    settings = {"worker_prefetch_multiplier": 1, "task_queue_max_priority": HIGHEST_PRIORITY}
    with lab.worker(queues=[queue.name], concurrency=1, settings=settings):
        assert lab.notes(lab.key, 4) == [9, 5, 1, 0]
