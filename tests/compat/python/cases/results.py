"""What is stored, when, and in which form."""

import datetime
import json

from celery import group

from lab.differences import NO_TRACEBACK
from lab.suite import EXTENDED, OWN, case


@case
def a_success_is_stored_as_celery_stores_it(lab):
    sent = lab.send("add", 2, 3)
    lab.get(sent)
    stored = lab.stored(sent.id)
    date = datetime.datetime.fromisoformat(stored.pop("date_done"))
    assert date.tzinfo is not None
    assert stored == {
        "status": "SUCCESS", "result": 5, "traceback": None, "children": [], "task_id": sent.id}


@case(differs=NO_TRACEBACK)
def a_failure_is_stored_as_celery_stores_it(lab):
    sent = lab.send("fail", "no luck")
    lab.error(sent)
    stored = lab.stored(sent.id)
    assert stored["status"] == "FAILURE" and stored["task_id"] == sent.id
    assert stored["result"] == {
        "exc_type": "ValueError", "exc_message": ["no luck"], "exc_module": "builtins"}
    assert stored["date_done"]
    assert bool(stored["traceback"]) is not lab.umbel


@case
def nothing_is_stored_of_a_task_nobody_sent(lab):
    assert lab.result(lab.key).state == "PENDING"


@case
def a_result_expires_after_a_day(lab):
    sent = lab.send("add", 2, 3)
    lab.get(sent)
    seconds = lab.redis.ttl(f"celery-task-meta-{sent.id}")
    assert 86_000 < seconds <= 86_400


@case
def a_result_is_announced_to_those_who_wait(lab):
    task_id = f"announced-{lab.key}"
    with lab.redis.pubsub(ignore_subscribe_messages=True) as listening:
        listening.subscribe(f"celery-task-meta-{task_id}")
        listening.get_message(timeout=5)
        lab.send("add", 2, 3, task_id=task_id)
        told = lab.eventually("it is told", lambda: listening.get_message(timeout=1))
    meta = lab.app.backend.decode(told["data"])
    assert (meta["task_id"], meta["status"], meta["result"]) == (task_id, "SUCCESS", 5)


@case
def a_forgotten_result_is_gone(lab):
    sent = lab.send("add", 2, 3)
    lab.get(sent)
    sent.forget()
    assert lab.stored(sent.id) is None


@case
def a_call_may_ignore_its_result(lab):
    sent = lab.sig("note", 1, lab.key).apply_async(ignore_result=True)
    assert lab.notes(lab.key) == [1]
    assert lab.call("add", 2, 3) == 5
    assert lab.stored(sent.id) is None


@case
def a_task_may_ignore_its_result(lab):
    sent = lab.send("add_ignored", 2, 3)
    assert lab.call("add", 2, 3) == 5
    assert lab.stored(sent.id) is None


@case
def a_call_may_want_a_result_that_its_task_ignores(lab):
    assert lab.get(lab.send("add_ignored", 2, 3, ignore_result=False)) == 5


@case
def an_ignored_failure_is_not_stored(lab):
    failed = lab.send("fail_ignored", "unseen", link_error=lab.sig("on_error_old"))
    assert lab.notes(failed.id) == ["old style"]
    assert lab.stored(failed.id) is None


@case(on=EXTENDED)
def an_ignored_failure_may_be_stored_all_the_same(lab):
    assert type(lab.error(lab.send("fail_ignored", "seen"))) is ValueError


@case
def a_state_of_its_own_is_seen_with_its_details(lab):
    sent = lab.send("progress", "PROGRESS", {"current": 3, "total": 10}, 1.5)
    lab.state(sent, "PROGRESS")
    assert sent.info == {"current": 3, "total": 10}
    assert lab.stored(sent.id)["date_done"] is None
    assert lab.get(sent) == "done"


@case
def a_state_may_have_any_name(lab):
    sent = lab.send("progress", "LOOKING_AROUND", ["anything", None], 1.5)
    lab.state(sent, "LOOKING_AROUND")
    assert sent.info == ["anything", None]
    assert lab.get(sent) == "done"


@case(on=EXTENDED)
def a_started_task_says_so_and_where(lab):
    sent = lab.send("sleep", 1.5)
    lab.state(sent, "STARTED")
    assert sent.info["hostname"] == "extended@compat" and sent.info["pid"] > 0
    assert lab.get(sent) == 1.5


@case
def a_task_is_not_seen_to_start_unless_asked_for(lab):
    sent = lab.send("sleep", 0.8, lab.key)
    lab.notes(lab.key)
    assert sent.state == "PENDING"
    assert lab.get(sent) == 0.8


@case(on=EXTENDED)
def an_extended_result_tells_the_whole_call(lab):
    sent = lab.send("greet", "you", kwargs={"greeting": "Hi"})
    lab.get(sent)
    stored = lab.stored(sent.id)
    assert stored["name"] == "lab.greet" and stored["retries"] == 0
    assert list(stored["args"]) == ["you"] and stored["kwargs"] == {"greeting": "Hi"}
    assert stored["worker"] == "extended@compat"
    assert stored["queue"] == lab.queue


@case(on=EXTENDED)
def an_extended_failure_tells_the_whole_call(lab):
    sent = lab.send("fail", "no luck")
    lab.error(sent)
    stored = lab.stored(sent.id)
    assert (stored["name"], list(stored["args"])) == ("lab.fail", ["no luck"])


@case(on=EXTENDED)
def an_extended_result_has_its_stamps(lab):
    signature = lab.sig("add", 2, 3)
    signature.stamp(batch=lab.key)
    sent = signature.apply_async()
    lab.get(sent)
    assert lab.key in json.dumps(lab.stored(sent.id)["batch"])


@case(on=EXTENDED)
def a_result_may_be_compressed(lab):
    sent = lab.send("big", 10_000)
    assert lab.get(sent) == "x" * 10_000
    raw = lab.redis.get(f"celery-task-meta-{sent.id}")
    assert raw.startswith(b"\x00celery-compressed\x00application/x-gzip\x00") and len(raw) < 1000


@case(contents=("msgpack",))
def a_result_may_be_msgpack(lab):
    sent = lab.send("add", 2, 3)
    lab.get(sent)
    raw = lab.redis.get(f"celery-task-meta-{sent.id}")
    assert not raw.startswith(b"{") and b"SUCCESS" in raw


@case
def a_child_is_named_in_its_parents_result(lab):
    sent = lab.send("apply", dict(lab.sig("add", 2, 3)), [])
    child = lab.get(sent)[0][0]
    assert [result.id for result in sent.children] == [child]
    assert lab.get(sent.children[0]) == 5
    assert lab.stored(child)["parent_id"] == sent.id


@case
def a_result_knows_its_parent_and_its_group(lab):
    sent = group(lab.sig("add", i, i) for i in range(2)).apply_async()
    lab.get(sent)
    for member in sent:
        assert lab.stored(member.id)["group_id"] == sent.id


@case
def a_result_of_nothing_is_none(lab):
    sent = lab.send("echo", None)
    assert lab.get(sent) is None
    assert sent.state == "SUCCESS"


@case
def a_success_is_never_overwritten(lab):
    task_id = f"done-{lab.key}"
    assert lab.get(lab.send("add", 2, 3, task_id=task_id)) == 5
    lab.send("fail", "too late", task_id=task_id, link_error=lab.sig("on_error_old"))
    assert lab.notes(task_id) == ["old style"]
    assert lab.stored(task_id)["result"] == 5


@case
def a_later_success_replaces_a_failure(lab):
    task_id = f"second-{lab.key}"
    lab.error(lab.send("fail", "first", task_id=task_id))
    lab.send("add", 2, 3, task_id=task_id)
    lab.eventually("it is a success", lambda: lab.stored(task_id)["status"] == "SUCCESS")


@case(on=OWN, sides=("umbel",), differs=(
    "Celery fails a task whose result cannot be stored; Umbel stores it when the store is back."))
def a_result_store_away_for_a_while_loses_nothing(lab):
    with lab.redis_server() as store:
        app = lab.cell.app(result_backend=store.url)
        with lab.worker(results=store.url):
            store.stop()
            sent = [lab.send("note", i, lab.key) for i in range(4)]
            lab.notes(lab.key)
            store.start()
            results = [app.AsyncResult(result.id) for result in sent]
            assert [lab.get(result) for result in results] == list(range(4))
