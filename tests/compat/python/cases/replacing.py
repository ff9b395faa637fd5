"""Tasks that put other work into their place, or send work of their own."""

from celery import chain, chord, group

from lab.cells import CARRYING_GROUPS
from lab.suite import case


@case
def a_replaced_task_has_the_result_of_its_replacement(lab):
    assert lab.get(lab.send("replace", dict(lab.sig("add", 2, 3)))) == 5


@case
def a_replacement_takes_the_place_in_a_chain(lab):
    steps = chain(lab.sig("replace", dict(lab.sig("add", 2, 3))), lab.sig("mul", 10))
    assert lab.get(steps.apply_async()) == 50


@case
def a_replacement_keeps_id_and_root(lab):
    sent = lab.send("replace", dict(lab.sig("context")))
    seen = lab.get(sent)
    assert seen["id"] == seen["root_id"] == sent.id


@case
def a_step_may_be_replaced_with_a_chain(lab):
    inner = chain(lab.sig("add", 1, 1), lab.sig("mul", 3))
    steps = chain(lab.sig("replace", inner), lab.sig("add", 100))
    assert lab.get(steps.apply_async()) == 106


@case(contents=CARRYING_GROUPS)
def a_task_may_be_replaced_with_a_group(lab):
    inner = group(lab.sig("add", 1, 1), lab.sig("add", 2, 2))
    assert lab.get(lab.send("replace", inner)) == [2, 4]


@case
def a_task_may_be_replaced_with_a_chord(lab):
    inner = chord([lab.sig("add", 1, 1), lab.sig("add", 2, 2)], lab.sig("xsum"))
    assert lab.get(lab.send("replace", inner)) == 6


@case(contents=CARRYING_GROUPS)
def a_step_may_be_replaced_with_a_group(lab):
    inner = group(lab.sig("add", 1, 1), lab.sig("add", 2, 2))
    assert lab.get(chain(lab.sig("replace", inner), lab.sig("xsum")).apply_async()) == 6


@case
def a_member_of_a_chord_may_be_replaced(lab):
    header = [lab.sig("replace", dict(lab.sig("add", 1, 1))), lab.sig("add", 2, 2)]
    assert lab.get(chord(header, lab.sig("echo")).apply_async()) == [2, 4]


@case
def a_member_of_a_chord_may_be_replaced_with_a_chain(lab):
    inner = chain(lab.sig("add", 1, 1), lab.sig("mul", 5))
    header = [lab.sig("replace", inner), lab.sig("add", 2, 2)]
    assert lab.get(chord(header, lab.sig("echo")).apply_async()) == [10, 4]


@case
def a_replacement_is_followed_by_the_callbacks(lab):
    sent = lab.sig("replace", dict(lab.sig("add", 2, 3))).apply_async(link=lab.sig("note", lab.key))
    assert lab.get(sent) == 5
    assert lab.notes(lab.key) == [5]


@case
def a_failing_replacement_is_followed_by_the_error_callbacks(lab):
    sent = lab.sig("replace", dict(lab.sig("fail", "no luck"))).apply_async(
        link_error=lab.sig("on_error_old"))
    assert str(lab.error(sent)) == "no luck"
    assert lab.notes(sent.id) == ["old style"]


@case
def a_replacement_may_be_replaced(lab):
    inner = lab.sig("replace", dict(lab.sig("add", 2, 3)))
    assert lab.get(lab.send("replace", dict(inner))) == 5


@case
def a_task_may_send_a_task_by_name(lab):
    sent = lab.send("submit", "lab.add", [2, 3], {})
    child = lab.get(sent)
    assert lab.get(lab.result(child)) == 5
    assert [result.id for result in sent.children] == [child]


@case
def a_sent_task_knows_who_sent_it(lab):
    sent = lab.send("submit", "lab.context", [], {})
    seen = lab.get(lab.result(lab.get(sent)))
    assert seen["parent_id"] == seen["root_id"] == sent.id


@case
def roots_go_down_through_generations(lab):
    inner = ["lab.context", [], {}]
    sent = lab.send("submit", "lab.submit", inner, {})
    middle = lab.get(sent)
    seen = lab.get(lab.result(lab.get(lab.result(middle))))
    assert (seen["parent_id"], seen["root_id"]) == (middle, sent.id)


@case
def a_task_may_send_a_chain(lab):
    work = chain(lab.sig("add", 1, 2), lab.sig("mul", 4))
    sent = lab.send("apply", work, [])
    last = lab.get(sent)[0][0]
    assert lab.get(lab.result(last)) == 12


@case(contents=CARRYING_GROUPS)
def a_task_may_send_a_group(lab):
    sent = lab.send("apply", group(lab.sig("add", 1, 1), lab.sig("add", 2, 2)), [])
    members = lab.get(sent)[1]
    assert [lab.get(lab.result(member[0][0])) for member in members] == [2, 4]
    assert sent.children[0].id == lab.get(sent)[0][0]


@case
def a_task_may_send_a_chord(lab):
    work = chord([lab.sig("add", 1, 1), lab.sig("add", 2, 2)], lab.sig("xsum"))
    body = lab.get(lab.send("apply", work, []))[0][0]
    assert lab.get(lab.result(body)) == 6


@case
def a_task_may_send_work_with_more_arguments(lab):
    child = lab.get(lab.send("apply", dict(lab.sig("add", 3)), [2]))[0][0]
    assert lab.get(lab.result(child)) == 5


@case
def a_task_may_enlarge_its_chord(lab):
    header = [lab.sig("enlarge", 1, dict(lab.sig("add", 10, 10))), lab.sig("add", 2, 2)]
    assert sorted(lab.get(chord(header, lab.sig("echo")).apply_async())) == [1, 4, 20]


@case
def the_graph_of_a_workflow_can_be_walked(lab):
    last = chain(lab.sig("add", 1, 2), lab.sig("mul", 4)).apply_async()
    lab.get(last)
    walked = [value for _, value in last.parent.collect(timeout=10)]
    assert walked == [3, 12]
