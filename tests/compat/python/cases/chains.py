"""Chains: each step is given what the step before it gave."""

from celery import chain, chord, group

from lab.cells import CARRYING_GROUPS
from lab.suite import case


@case
def a_chain_gives_the_result_of_its_last_step(lab):
    assert lab.get(chain(lab.sig("add", 1, 2), lab.sig("mul", 4), lab.sig("add", 5)).delay()) == 17


@case
def a_chain_of_one_step_is_that_step(lab):
    assert lab.get(chain(lab.sig("add", 1, 2)).apply_async()) == 3


@case
def an_immutable_step_is_given_its_own_arguments_alone(lab):
    second = lab.sig("add", 10, 20).set(immutable=True)
    steps = chain(lab.sig("add", 1, 2), second, lab.sig("mul", 2))
    assert lab.get(steps.apply_async()) == 60


@case
def a_chain_can_be_called_with_more_arguments(lab):
    assert lab.get(chain(lab.sig("add", 1), lab.sig("mul", 4)).apply_async((2,))) == 12


@case
def a_chain_of_thirty_steps_arrives(lab):
    steps = chain(lab.sig("echo", 0), *(lab.sig("add", 1) for _ in range(30)))
    assert lab.get(steps.apply_async()) == 30


@case
def chains_inside_chains_are_one_chain(lab):
    inner = chain(lab.sig("mul", 2), chain(lab.sig("add", 1), lab.sig("mul", 3)))
    assert lab.get(chain(lab.sig("add", 1, 1), inner, lab.sig("add", 100)).apply_async()) == 115


@case
def every_step_of_a_chain_can_be_looked_at(lab):
    last = chain(lab.sig("add", 1, 2), lab.sig("mul", 4), lab.sig("add", 5)).apply_async()
    assert lab.get(last) == 17
    assert (lab.get(last.parent), lab.get(last.parent.parent)) == (12, 3)


@case
def steps_know_their_parent_and_their_root(lab):
    last = chain(lab.sig("add", 1, 2), lab.sig("mul", 4), lab.sig("context")).apply_async()
    seen = lab.get(last)
    assert seen["parent_id"] == last.parent.id
    assert seen["root_id"] == last.parent.parent.id
    assert lab.stored(last.id)["parent_id"] == last.parent.id


@case
def each_step_is_the_child_of_the_one_before(lab):
    last = chain(lab.sig("add", 1, 2), lab.sig("mul", 4)).apply_async()
    # The next step may end before this one's result is stored.
    lab.get(last.parent)
    assert [child[0][0] for child in lab.stored(last.parent.id)["children"]] == [last.id]


@case
def a_failing_step_stops_its_chain(lab):
    steps = chain(lab.sig("echo", "missing"), lab.sig("fail_key"), lab.sig("note", lab.key))
    last = steps.apply_async()
    error = lab.error(last)
    assert type(error) is KeyError and error.args == ("missing",)
    assert lab.noted(lab.key) == []
    assert lab.get(last.parent.parent) == "missing"


@case
def the_failure_of_a_step_is_stored_for_all_that_follow(lab):
    last = chain(lab.sig("fail", "no luck"), lab.sig("add", 1), lab.sig("add", 1)).apply_async()
    assert str(lab.error(last)) == "no luck"
    for result in (last, last.parent, last.parent.parent):
        lab.state(result, "FAILURE")
        assert lab.stored(result.id)["result"]["exc_message"] == ["no luck"]


@case
def a_revoked_step_does_not_fail_what_follows(lab):
    tail = [dict(lab.sig("add", 1).set(task_id=f"tail-{lab.key}"))]
    sent = lab.publish(
        "add", [2, 3], embed={"chain": tail}, headers={"expires": "2020-01-01T00:00:00+00:00"})
    assert type(lab.error(sent)).__name__ == "TaskRevokedError"
    assert lab.result(f"tail-{lab.key}").state == "PENDING"


@case
def the_error_callback_of_a_chain_is_called_for_its_failing_step(lab):
    steps = chain(lab.sig("echo", "x"), lab.sig("fail_custom"), lab.sig("add", 1))
    last = steps.apply_async(link_error=lab.sig("on_error_old"))
    lab.error(last)
    assert lab.notes(last.parent.id) == ["old style"]


@case
def the_callback_of_a_chain_comes_after_its_last_step(lab):
    last = chain(lab.sig("add", 1, 2), lab.sig("mul", 4)).apply_async(link=lab.sig("note", lab.key))
    assert lab.get(last) == 12
    assert lab.notes(lab.key) == [12]


@case
def a_step_may_have_callbacks_of_its_own(lab):
    first = lab.sig("add", 1, 2)
    first.link(lab.sig("note", lab.key))
    assert lab.get(chain(first, lab.sig("mul", 4)).apply_async()) == 12
    assert lab.notes(lab.key) == [3]


@case
def steps_may_be_on_different_queues(lab):
    steps = chain(lab.sig("add", 1, 2), lab.sig("context").set(queue="mortal"))
    assert lab.get(steps.apply_async())["delivery_info"]["routing_key"] == "mortal"


@case
def a_step_keeps_its_options(lab):
    step = lab.sig("context").set(
        time_limit=33, soft_time_limit=22, priority=5, headers={"tenant": "blue"}, expires=600)
    seen = lab.get(chain(lab.sig("add", 1, 2), step).apply_async())
    assert seen["timelimit"] == [33, 22]
    assert seen["delivery_info"]["priority"] == 5
    assert seen["headers"]["tenant"] == "blue"
    assert seen["expires"]


@case
def a_step_keeps_its_own_keyword_arguments(lab):
    steps = chain(lab.sig("echo", "you"), lab.sig("greet", greeting="Hi"))
    assert lab.get(steps.apply_async()) == "Hi, you!"


@case(contents=CARRYING_GROUPS)
def a_group_inside_a_chain_becomes_a_chord(lab):
    steps = chain(
        lab.sig("add", 1, 1), group(lab.sig("add", 10), lab.sig("mul", 10)), lab.sig("xsum"),
        lab.sig("add", 100))
    assert lab.get(steps.apply_async()) == 132


@case(contents=CARRYING_GROUPS)
def a_chain_may_end_in_a_group(lab):
    steps = chain(lab.sig("add", 1, 1), group(lab.sig("add", i) for i in range(4)))
    assert lab.get(steps.apply_async()) == [2, 3, 4, 5]


@case
def a_chain_may_begin_with_a_group(lab):
    steps = chain(group(lab.sig("add", i, i) for i in range(4)), lab.sig("xsum"), lab.sig("mul", 2))
    assert lab.get(steps.apply_async()) == 24


@case(contents=CARRYING_GROUPS)
def a_chain_of_groups_passes_all_results_on(lab):
    steps = chain(
        group(lab.sig("add", i, i) for i in range(3)),
        group(lab.sig("xsum"), lab.sig("echo")), lab.sig("echo"))
    assert lab.get(steps.apply_async()) == [6, [0, 2, 4]]


@case(contents=CARRYING_GROUPS)
def a_chain_may_hold_a_chord(lab):
    work = chord([lab.sig("add", 1), lab.sig("add", 2)], lab.sig("xsum"))
    assert lab.get(chain(lab.sig("add", 1, 1), work, lab.sig("mul", 10)).apply_async()) == 70


@case(contents=CARRYING_GROUPS)
def two_groups_in_a_row_wait_for_each_other(lab):
    steps = chain(
        lab.sig("add", 1, 1), group(lab.sig("add", 1), lab.sig("add", 2)), lab.sig("xsum"),
        group(lab.sig("mul", 2), lab.sig("mul", 3)), lab.sig("xsum"))
    assert lab.get(steps.apply_async()) == 35


@case
def the_tail_of_a_chain_travels_unread(lab):
    """Options and keys that a worker has no use for are there when the step is sent."""
    queue = f"tail-{lab.key}"
    lab.broker.declare(lab.cell.queue(queue))
    odd = {"task": "elsewhere.odd", "args": [], "kwargs": {"k": "ü"}, "subtask_type": None,
           "immutable": True, "options": {"task_id": f"odd-{lab.key}", "x_unheard_of": [None, 1.5]},
           "x_more": {"nested": True}}
    middle = dict(lab.sig("echo").set(queue=queue, task_id=f"middle-{lab.key}"))
    lab.publish("add", [2, 3], embed={"chain": [odd, middle]})
    args, _, embed = lab.broker.take(queue).payload
    assert list(args) == [5]
    assert embed["chain"] == [odd]
