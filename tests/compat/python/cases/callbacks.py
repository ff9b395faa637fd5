"""What is sent after a task: callbacks on success, error callbacks on failure."""

from celery import chain, chord, group

from lab.cells import CARRYING_GROUPS
from lab.differences import NO_TRACEBACK
from lab.suite import case


@case
def a_callback_is_given_the_result(lab):
    lab.get(lab.sig("add", 2, 3).apply_async(link=lab.sig("note", key=lab.key)))
    assert lab.notes(lab.key) == [5]


@case
def a_callback_is_given_the_result_before_its_own_arguments(lab):
    lab.get(lab.sig("join", "a", "b").apply_async(link=lab.sig("note", lab.key)))
    assert lab.notes(lab.key) == ["ab"]


@case
def an_immutable_callback_is_given_its_own_arguments_alone(lab):
    link = lab.sig("note", "mine", lab.key).set(immutable=True)
    lab.get(lab.sig("add", 2, 3).apply_async(link=link))
    assert lab.notes(lab.key) == ["mine"]


@case
def several_callbacks_are_all_sent(lab):
    links = [lab.sig("note", lab.key + name) for name in "abc"]
    lab.get(lab.sig("add", 2, 3).apply_async(link=links))
    for name in "abc":
        assert lab.notes(lab.key + name) == [5]


@case
def a_callback_may_be_a_chain(lab):
    link = chain(lab.sig("mul", 10), lab.sig("note", lab.key))
    lab.get(lab.sig("add", 2, 3).apply_async(link=link))
    assert lab.notes(lab.key) == [50]


@case(contents=CARRYING_GROUPS)
def a_callback_may_be_a_group(lab):
    link = group(lab.sig("note", lab.key + name) for name in "ab")
    lab.get(lab.sig("add", 2, 3).apply_async(link=link))
    for name in "ab":
        assert lab.notes(lab.key + name) == [5]


@case
def a_callback_may_be_a_chord(lab):
    link = chord([lab.sig("add", 1), lab.sig("mul", 2)], lab.sig("note", lab.key))
    lab.get(lab.sig("add", 2, 3).apply_async(link=link))
    assert lab.notes(lab.key) == [[6, 10]]


@case
def a_callback_may_have_a_callback(lab):
    link = lab.sig("mul", 10)
    link.link(lab.sig("note", lab.key))
    lab.get(lab.sig("add", 2, 3).apply_async(link=link))
    assert lab.notes(lab.key) == [50]


@case
def a_callback_knows_its_parent_and_its_root(lab):
    link = lab.sig("context").set(task_id=f"linked-{lab.key}")
    sent = lab.sig("add", 2, 3).apply_async(link=link)
    lab.get(sent)
    seen = lab.get(lab.result(f"linked-{lab.key}"))
    assert seen["parent_id"] == seen["root_id"] == sent.id
    assert list(seen["args"]) == [5]


@case
def a_callback_is_a_child_of_its_task(lab):
    link = lab.sig("note", lab.key).set(task_id=f"linked-{lab.key}")
    sent = lab.sig("add", 2, 3).apply_async(link=link)
    lab.get(sent)
    assert [child.id for child in sent.children] == [f"linked-{lab.key}"]


@case
def a_callback_goes_to_the_queue_it_names(lab):
    lab.get(lab.sig("add", 2, 3).apply_async(link=lab.sig("note", lab.key).set(queue="mortal")))
    assert lab.notes(lab.key) == [5]


@case
def a_callback_may_have_a_countdown(lab):
    lab.get(lab.sig("add", 2, 3).apply_async(link=lab.sig("note", lab.key).set(countdown=1)))
    assert lab.notes(lab.key) == [5]


@case
def a_failed_task_sends_no_callback(lab):
    sent = lab.sig("fail", "no luck").apply_async(link=lab.sig("note", lab.key))
    lab.error(sent)
    assert lab.call("add", 1, 1) == 2
    assert lab.noted(lab.key) == []


@case
def a_task_that_succeeds_sends_no_error_callback(lab):
    sent = lab.sig("add", 2, 3).apply_async(link_error=lab.sig("on_error_old"))
    assert lab.get(sent) == 5
    assert lab.call("add", 1, 1) == 2
    assert lab.noted(sent.id) == []


@case
def an_error_callback_of_one_parameter_is_given_the_id(lab):
    sent = lab.sig("fail", "no luck").apply_async(link_error=lab.sig("on_error_old"))
    lab.error(sent)
    assert lab.notes(sent.id) == ["old style"]


@case(differs=NO_TRACEBACK)
def an_error_callback_of_three_parameters_is_given_the_failure(lab):
    sent = lab.sig("fail", "no luck").apply_async(link_error=lab.sig("on_error_new"))
    lab.error(sent)
    assert lab.notes(sent.id) == [["new style", "lab.fail", "ValueError", "no luck", not lab.umbel]]


@case
def both_kinds_of_error_callbacks_can_be_mixed(lab):
    errbacks = [lab.sig("on_error_old"), lab.sig("on_error_new")]
    sent = lab.sig("fail", "no luck").apply_async(link_error=errbacks)
    lab.error(sent)
    notes = lab.notes(sent.id, 2)
    assert "old style" in notes and any(note[0] == "new style" for note in notes)


@case
def an_immutable_error_callback_is_given_its_own_argument_alone(lab):
    errback = lab.sig("on_error_note", lab.key).set(immutable=True)
    lab.error(lab.sig("fail", "no luck").apply_async(link_error=errback))
    assert lab.notes(lab.key) == ["immutable"]


@case
def an_error_callback_that_the_worker_does_not_know_is_sent_on(lab):
    queue = f"elsewhere-{lab.key}"
    lab.broker.declare(lab.cell.queue(queue))
    errback = lab.app.signature("elsewhere.on_error", ("mine",), {"k": 1}, queue=queue)
    sent = lab.sig("fail", "no luck").apply_async(link_error=errback)
    lab.error(sent)
    message = lab.broker.take(queue)
    args, kwargs, _ = message.payload
    assert (list(args), kwargs) == ([sent.id, "mine"], {"k": 1})
    assert message.headers["task"] == "elsewhere.on_error"
    assert message.headers["parent_id"] == message.headers["root_id"] == sent.id


@case
def an_error_callback_comes_after_a_time_limit(lab):
    sent = lab.sig("sleep", 30).apply_async(time_limit=1, link_error=lab.sig("on_error_old"))
    lab.error(sent)
    # A prefork worker fails such a task twice.
    assert set(lab.notes(sent.id)) == {"old style"}


@case
def an_error_callback_comes_after_arguments_that_do_not_fit(lab):
    sent = lab.sig("greet").apply_async(link_error=lab.sig("on_error_new"))
    lab.error(sent)
    assert lab.notes(sent.id)[0][2] == "TypeError"


@case
def a_failing_error_callback_harms_nobody(lab):
    errbacks = [lab.sig("fail", "even worse").set(immutable=True), lab.sig("on_error_old")]
    sent = lab.sig("fail", "no luck").apply_async(link_error=errbacks)
    assert str(lab.error(sent)) == "no luck"
    assert lab.notes(sent.id) == ["old style"]


@case
def a_revoked_task_calls_no_error_callback(lab):
    sent = lab.publish(
        "add", [2, 3], embed={"errbacks": [dict(lab.sig("on_error_old"))]},
        headers={"expires": "2020-01-01T00:00:00+00:00"})
    assert type(lab.error(sent)).__name__ == "TaskRevokedError"
    assert lab.call("add", 1, 1) == 2
    assert lab.noted(sent.id) == []
