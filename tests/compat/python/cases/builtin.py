"""Celery's own tasks, which every worker must know."""

from celery import chord
from celery.canvas import chunks, xmap, xstarmap

from lab.cells import PAUSE
from lab.suite import case


@case
def accumulate_gives_its_arguments(lab):
    assert lab.get(lab.send("celery.accumulate", 1, 2, 3)) == [1, 2, 3]
    assert lab.get(lab.send("celery.accumulate", 1, 2, 3, kwargs={"index": 1})) == 2


@case
def map_runs_a_task_for_each_item(lab):
    assert lab.get(xmap(lab.sig("xsum"), [[1, 2], [3, 4]], app=lab.app).apply_async()) == [3, 7]


@case
def starmap_runs_a_task_for_each_list_of_arguments(lab):
    assert lab.get(xstarmap(lab.sig("add"), [(1, 2), (3, 4)], app=lab.app).apply_async()) == [3, 7]


@case
def chunks_run_a_task_for_each_part(lab):
    work = chunks(lab.sig("add"), [(i, i) for i in range(7)], 3, app=lab.app)
    assert lab.get(work.apply_async()) == [[0, 2, 4], [6, 8, 10], [12]]


@case
def chunks_may_be_the_header_of_a_chord(lab):
    work = chunks(lab.sig("add"), [(i, i) for i in range(4)], 2, app=lab.app).group()
    assert lab.get(chord(work, lab.sig("echo")).apply_async()) == [[0, 2], [4, 6]]


@case
def a_failing_item_fails_the_map(lab):
    error = lab.error(xmap(lab.sig("fail"), ["a", "b"], app=lab.app).apply_async())
    assert type(error) is ValueError and str(error) == "a"


@case
def map_of_an_unknown_task_fails(lab):
    work = xmap(lab.app.signature("nobody.knows"), [1], app=lab.app)
    error = lab.error(work.apply_async(queue=lab.queue))
    assert type(error).__name__ == "NotRegistered"


@case
def backend_cleanup_does_no_harm(lab):
    assert lab.get(lab.send("celery.backend_cleanup")) is None


@case
def chord_unlock_sends_the_body_when_all_are_ready(lab):
    members = [lab.send("add", i, i) for i in range(3)]
    body = lab.sig("xsum").set(task_id=f"body-{lab.key}")
    kwargs = {"interval": 1, "max_retries": 5, "result": [member.as_tuple() for member in members]}
    lab.send("celery.chord_unlock", f"group-{lab.key}", dict(body), kwargs=kwargs)
    assert lab.get(lab.result(f"body-{lab.key}")) == 6


@case
def chord_unlock_waits_until_all_are_ready(lab):
    members = [lab.send("sleep", 1.2), lab.send("sleep", 0)]
    body = lab.sig("note", lab.key).set(task_id=f"body-{lab.key}")
    result = [member.as_tuple() for member in members]
    kwargs = {"interval": PAUSE, "max_retries": 20, "result": result}
    lab.send("celery.chord_unlock", f"group-{lab.key}", dict(body), kwargs=kwargs)
    assert lab.get(lab.result(f"body-{lab.key}")) == [1.2, 0]
    assert lab.noted(lab.key) == [[1.2, 0]]
