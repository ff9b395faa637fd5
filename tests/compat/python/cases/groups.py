"""Groups: many tasks at once."""

from celery import chain, group
from celery.result import GroupResult

from lab.suite import case


@case
def a_group_gives_its_results_in_order(lab):
    sent = group(lab.sig("add", i, i) for i in range(20)).apply_async()
    assert lab.get(sent) == list(range(0, 40, 2))


@case
def a_group_can_be_called_with_more_arguments(lab):
    sent = group(lab.sig("add", 1), lab.sig("mul", 2)).apply_async((10,))
    assert lab.get(sent) == [11, 20]


@case
def a_group_of_one_gives_a_list_of_one(lab):
    assert lab.get(group([lab.sig("add", 1, 2)]).apply_async()) == [3]


@case
def a_group_may_hold_chains(lab):
    sent = group(chain(lab.sig("add", i, 1), lab.sig("mul", 2)) for i in range(4)).apply_async()
    assert lab.get(sent) == [2, 4, 6, 8]


@case
def a_group_may_hold_groups(lab):
    inner = group(lab.sig("add", 1, 1), lab.sig("add", 2, 2))
    assert lab.get(group(inner, lab.sig("add", 3, 3)).apply_async()) == [2, 4, 6]


@case
def one_failing_member_does_not_stop_the_others(lab):
    sent = group(
        lab.sig("add", 1, 1), lab.sig("fail", "no luck"), lab.sig("add", 2, 2)).apply_async()
    assert type(lab.error(sent)) is ValueError
    assert lab.get(sent[0]) == 2 and lab.get(sent[2]) == 4
    assert sent.failed() and sent.ready()


@case
def a_group_counts_its_finished_members(lab):
    sent = group(lab.sig("add", i, i) for i in range(5)).apply_async()
    lab.get(sent)
    assert sent.completed_count() == 5 and sent.successful()


@case
def a_saved_group_can_be_restored(lab):
    sent = group(lab.sig("add", i, i) for i in range(3)).apply_async()
    sent.save(backend=lab.app.backend)
    restored = GroupResult.restore(sent.id, backend=lab.app.backend, app=lab.app)
    assert lab.get(restored) == [0, 2, 4]


@case
def a_callback_of_a_group_is_that_of_its_first_member(lab):
    work = group(lab.sig("add", i, i) for i in range(3))
    work.link(lab.sig("note", "linked", lab.key))
    lab.get(work.apply_async())
    assert lab.notes(lab.key) == ["linked"]


@case
def an_error_callback_of_a_group_is_called_for_its_failing_member(lab):
    work = group(lab.sig("fail", "no luck"), lab.sig("add", 1, 1))
    work.link_error(lab.sig("on_error_note", lab.key).set(immutable=True))
    sent = work.apply_async()
    lab.error(sent)
    assert lab.notes(lab.key) == ["immutable"]


@case
def a_group_of_hundred_arrives(lab):
    sent = group(lab.sig("add", i, 1) for i in range(100)).apply_async()
    assert lab.get(sent) == list(range(1, 101))


@case
def members_know_their_root(lab):
    sent = group(lab.sig("context") for _ in range(2)).apply_async()
    seen = lab.get(sent)
    assert all(member["root_id"] for member in seen)
