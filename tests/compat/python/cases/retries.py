"""Tasks that ask to be run again."""

import datetime
import time

from celery import chain, chord, group

from lab.cells import PAUSE, QUORUM, REDIS
from lab.differences import NO_TRACEBACK, RETRY_GOES_ASTRAY
from lab.suite import EXTENDED, case


@case
def a_retried_task_succeeds_in_the_end(lab):
    assert lab.call("retry_until", 2) == 2


@case
def a_retry_keeps_the_task_id_and_counts(lab):
    sent = lab.send("retry_until", 2, PAUSE, lab.key)
    assert lab.get(sent) == 2
    assert lab.notes(lab.key, 3) == [[sent.id, 0], [sent.id, 1], [sent.id, 2]]


@case(differs=NO_TRACEBACK)
def a_waiting_retry_shows_its_cause(lab):
    sent = lab.send("retry_until", 1, 3)
    lab.state(sent, "RETRY")
    cause = sent.result
    assert type(cause) is ValueError and cause.args == ("attempt 0",)
    assert lab.umbel or "attempt 0" in sent.traceback
    assert lab.get(sent) == 1


@case
def a_retry_waits_for_its_countdown(lab):
    since = time.monotonic()
    assert lab.get(lab.send("retry_until", 1, 2)) == 1
    assert time.monotonic() - since >= 1.0


@case
def used_up_retries_raise_the_cause(lab):
    error = lab.error(lab.send("retry_on", 2))
    assert type(error) is ValueError and error.args == ("never",)


@case
def no_retries_allowed_raise_the_cause_at_once(lab):
    sent = lab.send("retry_on", 0)
    assert type(lab.error(sent)) is ValueError


@case
def used_up_retries_without_a_cause_say_so(lab):
    sent = lab.send("retry_bare", 1)
    error = lab.error(sent)
    assert type(error).__name__ == "MaxRetriesExceededError"
    assert str(error).startswith(f"Can't retry lab.retry_bare[{sent.id}]")


@case
def a_retry_keeps_arguments_headers_and_limits(lab):
    sent = lab.send(
        "retry_then_context", 1, [2], kwargs={"three": 3}, headers={"tenant": "blue"},
        time_limit=40, soft_time_limit=20, priority=4)
    seen = lab.get(sent)
    assert list(seen["args"]) == [1, [2]] and seen["kwargs"] == {"three": 3}
    assert seen["retries"] == 1 and seen["id"] == sent.id == seen["root_id"]
    assert seen["headers"]["tenant"] == "blue"
    assert seen["timelimit"] == [40, 20]
    assert seen["delivery_info"]["priority"] == 4
    assert seen["correlation_id"] == sent.id and seen["reply_to"] == lab.app.thread_oid


@case
def a_retry_keeps_its_stamps(lab):
    signature = lab.sig("retry_then_context")
    signature.stamp(batch=lab.key)
    assert "batch" in lab.get(signature.apply_async())["stamps"]


@case
def a_retry_keeps_its_expiry(lab):
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60)
    seen = lab.get(lab.send("retry_then_context", expires=expires))
    assert datetime.datetime.fromisoformat(seen["expires"]) == expires


@case
def a_retry_has_itself_as_parent(lab):
    sent = lab.send("retry_then_context")
    assert lab.get(sent)["parent_id"] == sent.id


@case(brokers=REDIS)
def a_task_that_expires_before_its_retry_is_revoked(lab):
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    sent = lab.publish("retry_until", [1, 2], headers={"expires": expires.isoformat()})
    assert type(lab.error(sent)).__name__ == "TaskRevokedError"


@case
def callbacks_come_once_and_after_the_last_try(lab):
    sent = lab.sig("retry_until", 2).apply_async(link=lab.sig("note", key=lab.key))
    assert lab.get(sent) == 2
    assert lab.notes(lab.key) == [2]
    assert lab.noted(lab.key) == [2]


@case
def error_callbacks_come_once_and_after_the_last_try(lab):
    sent = lab.sig("retry_on", 1).apply_async(link_error=lab.sig("on_error_old"))
    assert type(lab.error(sent)) is ValueError
    assert lab.notes(sent.id) == ["old style"]


@case
def a_chain_goes_on_after_retries(lab):
    steps = chain(lab.sig("retry_until", 2), lab.sig("add", 10))
    assert lab.get(steps.apply_async()) == 12


@case
def a_chain_fails_when_the_retries_of_a_step_are_used_up(lab):
    steps = chain(lab.sig("retry_on", 1), lab.sig("note", key=lab.key))
    assert type(lab.error(steps.apply_async())) is ValueError
    assert lab.noted(lab.key) == []


@case
def a_retried_member_keeps_its_place_in_its_group(lab):
    sent = group(lab.sig("retry_then_context"), lab.sig("context")).apply_async()
    first, second = lab.get(sent)
    assert (first["group_index"], second["group_index"]) == (0, 1)
    assert first["group"] == second["group"] == sent.id
    assert first["retries"] == 1


@case
def a_chord_waits_for_a_retried_member(lab):
    work = chord([lab.sig("retry_until", 2), lab.sig("add", 1, 1)], lab.sig("note", key=lab.key))
    assert lab.get(work.apply_async()) == [2, 2]
    assert lab.noted(lab.key) == [[2, 2]]


@case
def a_task_may_be_retried_by_policy(lab):
    assert lab.call("flaky", 2, lab.key) == 2
    assert lab.notes(lab.key, 3) == [0, 1, 2]


@case
def a_policy_gives_up_after_its_most_retries(lab):
    error = lab.error(lab.send("flaky", 99, lab.key))
    assert type(error) is ValueError and error.args == ("flaky",)
    assert lab.noted(lab.key) == [0, 1, 2]


@case
def a_retry_without_a_stored_result_runs_all_the_same(lab):
    sent = lab.send("retry_ignored", lab.key)
    assert lab.notes(lab.key, 2) == [0, 1]
    assert lab.stored(sent.id) is None


@case(on=EXTENDED, celery_not_on=QUORUM, differs=RETRY_GOES_ASTRAY)
def a_retried_task_stores_how_often(lab):
    sent = lab.send("retry_until", 1)
    assert lab.get(sent) == 1
    assert lab.stored(sent.id)["retries"] == 1


@case
def a_message_that_was_retried_elsewhere_goes_on_counting(lab):
    sent = lab.publish("retry_until", [3], headers={"retries": 2})
    assert lab.get(sent) == 3


@case
def a_retry_carries_headers_that_nobody_knows(lab):
    headers = {"x-unheard-of": {"nested": [None, True]}}
    seen = lab.get(lab.publish("retry_then_context", headers=headers))
    assert seen["headers"]["x-unheard-of"] == {"nested": [None, True]}
