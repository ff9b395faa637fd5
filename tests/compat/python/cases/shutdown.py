"""How workers stop, and what becomes of what they hold."""

import signal

from lab.cells import CLASSIC, QUORUM, REDIS
from lab.differences import RETRY_GOES_ASTRAY
from lab.suite import OWN, case

HELD_BY_WORKERS = (REDIS, CLASSIC)


@case(on=OWN)
def a_warm_shutdown_lets_running_tasks_end(lab):
    with lab.worker() as worker:
        sent = lab.send("sleep", 1.5, lab.key)
        lab.notes(lab.key)
        assert worker.stop() == 0
    assert lab.get(sent) == 1.5
    assert lab.broker.waiting(lab.queue) == 0


@case(on=OWN)
def a_warm_shutdown_gives_waiting_messages_back(lab):
    with lab.worker(concurrency=1) as worker:
        running = lab.send("late", 1.5, lab.key)
        lab.notes(lab.key)
        behind = [lab.send("add", i, i) for i in range(8)]
        assert worker.stop() == 0
    assert lab.get(running) == 1.5
    lab.eventually("all are back", lambda: lab.broker.waiting(lab.queue) == 8)
    with lab.worker():
        assert [lab.get(result) for result in behind] == list(range(0, 16, 2))


@case(on=OWN, brokers=HELD_BY_WORKERS)
def a_warm_shutdown_gives_held_messages_back(lab):
    with lab.worker() as worker:
        for i in range(5):
            lab.send("add", i, i, countdown=600)
        lab.eventually("the worker has them", lambda: lab.broker.waiting(lab.queue) == 0)
        assert worker.stop() == 0
    lab.eventually("all are back", lambda: lab.broker.waiting(lab.queue) == 5)


@case(on=OWN)
def a_warm_shutdown_takes_no_new_work(lab):
    with lab.worker() as worker:
        running = lab.send("sleep", 1.5, lab.key)
        lab.notes(lab.key)
        worker.signal(signal.SIGTERM)
        worker.await_log("shutdown")
        lab.send("note", 1, lab.key + "new")
        worker.await_end()
    assert lab.get(running) == 1.5
    assert lab.noted(lab.key + "new") == []
    assert lab.broker.waiting(lab.queue) >= 1


@case(on=OWN)
def a_cold_shutdown_gives_late_tasks_back(lab):
    with lab.worker() as worker:
        sent = lab.send("late_once", 50)
        worker.await_log(f"lab.late_once[{sent.id}] received")
        worker.signal(signal.SIGQUIT)
        # A Celery worker sees to the signal when the next thing happens.
        lab.app.control.broadcast("ping", destination=[f"{worker.name}@compat"])
        worker.await_end()
    lab.eventually("it is back", lambda: lab.broker.waiting(lab.queue) == 1)
    with lab.worker():
        assert lab.get(sent) == "came again"


@case(on=OWN)
def a_remote_shutdown_is_a_warm_one(lab):
    with lab.worker() as worker:
        sent = lab.send("sleep", 1, lab.key)
        lab.notes(lab.key)
        lab.app.control.shutdown(destination=[f"{worker.name}@compat"])
        assert worker.await_end() == 0
    assert lab.get(sent) == 1


@case(on=OWN)
def an_interrupt_is_a_warm_shutdown(lab):
    with lab.worker() as worker:
        sent = lab.send("sleep", 1, lab.key)
        lab.notes(lab.key)
        worker.signal(signal.SIGINT)
        worker.await_end()
    assert lab.get(sent) == 1


@case(on=OWN, celery_not_on=QUORUM, differs=RETRY_GOES_ASTRAY)
def what_waited_for_its_retry_survives_a_restart(lab):
    with lab.worker() as worker:
        sent = lab.send("retry_until", 1, 4, lab.key)
        lab.state(sent, "RETRY")
        worker.stop()
    with lab.worker():
        assert lab.get(sent) == 1
    assert lab.notes(lab.key, 2) == [[sent.id, 0], [sent.id, 1]]


@case(on=OWN)
def a_chain_survives_a_restart_between_its_steps(lab):
    steps = lab.sig("late", 1, lab.key) | lab.sig("echo")
    sent = steps.apply_async()
    with lab.worker() as worker:
        lab.notes(lab.key)
        worker.stop()
    with lab.worker():
        assert lab.get(sent) == 1


@case(on=OWN)
def messages_sent_while_no_worker_runs_are_kept(lab):
    sent = [lab.send("add", i, i) for i in range(10)]
    with lab.worker():
        assert [lab.get(result) for result in sent] == list(range(0, 20, 2))
