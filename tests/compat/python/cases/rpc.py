"""Results that come back as messages to their sender alone."""

from celery import chain, group

from lab.cells import QUORUM
from lab.differences import RETRY_GOES_ASTRAY
from lab.suite import RPC, case


@case(on=RPC)
def a_result_comes_back_as_a_message(lab):
    assert lab.get(lab.send("add", 2, 3)) == 5


@case(on=RPC)
def a_failure_comes_back_as_a_message(lab):
    error = lab.error(lab.send("fail", "no luck"))
    assert type(error) is ValueError and error.args == ("no luck",)


@case(on=RPC)
def many_results_come_back_as_messages(lab):
    sent = [lab.send("add", i, i) for i in range(30)]
    assert [lab.get(result) for result in sent] == list(range(0, 60, 2))


@case(on=RPC)
def a_group_comes_back_as_messages(lab):
    sent = group(lab.sig("add", i, i) for i in range(5)).apply_async()
    assert lab.get(sent) == [0, 2, 4, 6, 8]


@case(on=RPC)
def the_end_of_a_chain_comes_back_as_a_message(lab):
    steps = chain(lab.sig("add", 1, 2), lab.sig("mul", 4), lab.sig("add", 5))
    assert lab.get(steps.apply_async()) == 17


@case(on=RPC, celery_not_on=QUORUM, differs=RETRY_GOES_ASTRAY)
def a_retried_task_comes_back_as_a_message(lab):
    assert lab.get(lab.send("retry_until", 2)) == 2


@case(on=RPC)
def a_state_on_the_way_comes_back_as_a_message(lab):
    seen = []
    sent = lab.send("progress", "PROGRESS", {"current": 3}, 0.5)
    assert sent.get(timeout=20, on_message=lambda body: seen.append(body["status"])) == "done"
    assert seen == ["PROGRESS", "SUCCESS"]


@case(on=RPC)
def an_unknown_task_comes_back_as_a_message(lab):
    assert type(lab.error(lab.send("nobody.knows"))).__name__ == "NotRegistered"
