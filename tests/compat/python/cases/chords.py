"""Chords: a body that is given all results of its header, once."""

from celery import chain, chord, group

from lab.cells import CARRYING_GROUPS
from lab.suite import case


def numbers(lab, count):
    return [lab.sig("add", i, i) for i in range(count)]


@case
def a_chord_gives_its_body_all_results(lab):
    assert lab.get(chord(numbers(lab, 5), lab.sig("xsum")).apply_async()) == 20


@case
def the_body_is_given_the_results_in_order(lab):
    header = [lab.sig("retry_until", 1, 1.0), lab.sig("echo", "second"), lab.sig("echo", "third")]
    assert lab.get(chord(header, lab.sig("echo")).apply_async()) == [1, "second", "third"]


@case
def the_body_is_sent_exactly_once(lab):
    work = [chord(numbers(lab, 8), lab.sig("note", f"{lab.key}{i}")) for i in range(5)]
    for sent in [chord_.apply_async() for chord_ in work]:
        lab.get(sent)
    assert lab.call("add", 1, 1) == 2
    for i in range(5):
        assert lab.noted(f"{lab.key}{i}") == [[0, 2, 4, 6, 8, 10, 12, 14]]


@case
def a_chord_of_one_has_a_list_of_one(lab):
    assert lab.get(chord(numbers(lab, 1), lab.sig("echo")).apply_async()) == [0]


@case
def an_empty_chord_gives_its_body_an_empty_list(lab):
    work = chord(group([], app=lab.app), lab.sig("echo"), app=lab.app)
    assert lab.get(work.apply_async()) == []


@case
def an_immutable_body_is_given_its_own_arguments_alone(lab):
    body = lab.sig("add", 20, 22).set(immutable=True)
    assert lab.get(chord(numbers(lab, 3), body).apply_async()) == 42


@case
def a_body_keeps_its_own_arguments(lab):
    body = lab.sig("collect", "more", key="word")
    collected = lab.get(chord(numbers(lab, 2), body).apply_async())
    assert collected == [[[0, 2], "more"], {"key": "word"}]


@case
def a_chord_of_fifty_arrives(lab):
    assert lab.get(chord(numbers(lab, 50), lab.sig("xsum")).apply_async()) == 2450


@case
def a_chord_of_chains_gives_the_sum(lab):
    header = [chain(lab.sig("add", i, 1), lab.sig("mul", 2)) for i in range(4)]
    assert lab.get(chord(header, lab.sig("xsum")).apply_async()) == 20


@case
def the_body_may_be_a_chain(lab):
    body = chain(lab.sig("xsum"), lab.sig("mul", 10), lab.sig("add", 1))
    assert lab.get(chord(numbers(lab, 3), body).apply_async()) == 61


@case(contents=CARRYING_GROUPS)
def the_body_may_be_a_group(lab):
    body = group(lab.sig("xsum"), lab.sig("echo"))
    assert lab.get(chord(numbers(lab, 3), body).apply_async()) == [6, [0, 2, 4]]


@case(contents=CARRYING_GROUPS)
def the_body_may_be_a_chord(lab):
    body = chord([lab.sig("xsum"), lab.sig("xsum")], lab.sig("xsum"))
    assert lab.get(chord(numbers(lab, 3), body).apply_async()) == 12


@case
def a_member_may_be_a_chord(lab):
    inner = chord(numbers(lab, 3), lab.sig("xsum"))
    work = chord([inner, lab.sig("add", 1, 1)], lab.sig("xsum"))
    assert lab.get(work.apply_async()) == 8


@case
def chords_may_be_nested_three_deep(lab):
    inmost = chord(numbers(lab, 2), lab.sig("xsum"))
    inner = chord([inmost, lab.sig("add", 1, 1)], lab.sig("xsum"))
    work = chord([inner, lab.sig("add", 2, 2)], lab.sig("xsum"))
    assert lab.get(work.apply_async()) == 8


@case
def a_member_may_be_a_group(lab):
    header = [group(lab.sig("add", 1, 1), lab.sig("add", 2, 2)), lab.sig("add", 3, 3)]
    assert lab.get(chord(header, lab.sig("xsum")).apply_async()) == 12


@case(contents=CARRYING_GROUPS)
def a_member_may_be_a_chain_that_ends_in_a_group(lab):
    member = chain(lab.sig("add", 1, 1), group(lab.sig("add", 1), lab.sig("add", 2)))
    work = chord([member, lab.sig("add", 5, 5)], lab.sig("echo"))
    assert lab.get(work.apply_async()) == [[3, 4], 10]


@case
def a_chord_goes_on_as_a_chain(lab):
    work = chord(numbers(lab, 3), lab.sig("xsum")) | lab.sig("mul", 10) | lab.sig("add", 1)
    assert lab.get(work.apply_async()) == 61


@case(contents=CARRYING_GROUPS)
def a_chord_may_follow_a_chord(lab):
    first = chord(numbers(lab, 3), lab.sig("xsum"))
    second = chord([lab.sig("add", 1), lab.sig("mul", 2)], lab.sig("xsum"))
    assert lab.get(chain(first, second).apply_async()) == 19


@case
def a_chord_can_be_called_with_more_arguments(lab):
    work = chord([lab.sig("add", 1), lab.sig("mul", 2)], lab.sig("xsum"))
    assert lab.get(work.apply_async((10,))) == 31


@case
def the_callback_of_a_chord_comes_after_its_body(lab):
    body = lab.sig("xsum")
    body.link(lab.sig("note", lab.key))
    lab.get(chord(numbers(lab, 3), body).apply_async())
    assert lab.notes(lab.key) == [6]


@case
def a_failing_member_fails_the_body(lab):
    header = [lab.sig("add", 1, 1), lab.sig("fail", "no luck"), lab.sig("add", 2, 2)]
    sent = chord(header, lab.sig("note", lab.key)).apply_async()
    error = lab.error(sent)
    assert type(error).__name__ == "ChordError"
    assert "raised ValueError('no luck')" in str(error)
    assert lab.noted(lab.key) == [], "the body ran"


@case
def the_others_of_a_failed_chord_have_their_results(lab):
    header = [lab.sig("fail", "no luck"), lab.sig("add", 2, 2)]
    sent = chord(header, lab.sig("xsum")).apply_async()
    lab.error(sent)
    assert lab.get(sent.parent[1]) == 4
    assert type(lab.error(sent.parent[0])) is ValueError


@case
def the_error_callback_of_a_body_is_called_for_a_failing_member(lab):
    body = lab.sig("xsum").on_error(lab.sig("on_error_new"))
    sent = chord([lab.sig("fail", "no luck"), lab.sig("add", 1, 1)], body).apply_async()
    lab.error(sent)
    notes = lab.notes(sent.id)
    assert notes[0][0] == "new style" and notes[0][2] == "ChordError"


@case
def the_old_style_error_callback_of_a_body_is_given_the_bodys_id(lab):
    body = lab.sig("xsum").on_error(lab.sig("on_error_old"))
    sent = chord([lab.sig("fail", "no luck"), lab.sig("add", 1, 1)], body).apply_async()
    lab.error(sent)
    assert lab.notes(sent.id) == ["old style"]


@case
def a_failing_body_fails_the_chord(lab):
    sent = chord(numbers(lab, 2), lab.sig("fail", "no luck").set(immutable=True)).apply_async()
    error = lab.error(sent)
    assert type(error) is ValueError and str(error) == "no luck"


@case
def a_failing_chain_inside_a_chord_fails_the_body(lab):
    header = [
        chain(lab.sig("fail", "no luck"), lab.sig("add", 1)), lab.sig("add", 2, 2)]
    error = lab.error(chord(header, lab.sig("xsum")).apply_async())
    assert type(error).__name__ == "ChordError" and "no luck" in str(error)


@case
def what_follows_a_failed_chord_fails_too(lab):
    work = chord([lab.sig("fail", "no luck"), lab.sig("add", 1, 1)], lab.sig("xsum"))
    sent = (work | lab.sig("note", lab.key)).apply_async()
    assert type(lab.error(sent)).__name__ == "ChordError"
    assert lab.noted(lab.key) == []


@case
def a_revoked_member_fails_the_body(lab):
    revoked = f"revoked-{lab.key}"
    lab.revoke(lab.result(revoked))
    header = [lab.sig("add", 1, 1), lab.sig("add", 2, 2).set(task_id=revoked)]
    sent = chord(header, lab.sig("note", lab.key)).apply_async()
    assert type(lab.error(sent)).__name__ == "ChordError"
    assert lab.noted(lab.key) == []


@case
def members_may_ignore_their_results(lab):
    header = [lab.sig("add_ignored", i, i) for i in range(3)]
    assert lab.get(chord(header, lab.sig("xsum")).apply_async()) == 6


@case
def a_time_limit_in_a_member_fails_the_body(lab):
    header = [lab.sig("sleep", 30).set(time_limit=1), lab.sig("add", 1, 1)]
    error = lab.error(chord(header, lab.sig("xsum")).apply_async())
    assert type(error).__name__ == "ChordError" and "TimeLimitExceeded" in str(error)


@case(sides=("umbel",), differs=(
    "Celery does not count an unknown task into its chord, whose body then waits for ever."))
def an_unknown_task_in_a_header_fails_the_body(lab):
    header = [lab.app.signature("nobody.knows", queue="mortal"), lab.sig("add", 1, 1)]
    error = lab.error(chord(header, lab.sig("xsum")).apply_async())
    assert type(error).__name__ == "ChordError" and "NotRegistered" in str(error)


@case
def a_chord_leaves_nothing_behind_but_its_mark(lab):
    sent = chord(numbers(lab, 3), lab.sig("xsum")).apply_async()
    lab.get(sent)
    group_id = sent.parent.id
    mark = f"celery-taskset-meta-{group_id}.c".encode()
    lab.eventually("its keys are gone", lambda: lab.redis.keys(f"*{group_id}*") == [mark])


@case
def the_body_knows_its_group_and_its_root(lab):
    sent = chord(numbers(lab, 2), lab.sig("context")).apply_async()
    seen = lab.get(sent)
    assert seen["group"] == sent.parent.id
    assert seen["parent_id"] in [member.id for member in sent.parent]
