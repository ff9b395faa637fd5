"""How tasks end, and what their callers see of it."""

from lab.differences import NO_TRACEBACK
from lab.suite import case


@case
def a_failing_task_raises_in_its_caller(lab):
    error = lab.error(lab.send("fail", "no luck: ü"))
    assert type(error) is ValueError and error.args == ("no luck: ü",)


@case
def a_builtin_exception_is_raised_as_itself(lab):
    error = lab.error(lab.send("fail_key", "missing"))
    assert type(error) is KeyError and error.args == ("missing",)


@case
def an_exception_that_the_caller_does_not_know_keeps_its_name(lab):
    error = lab.error(lab.send("fail_custom", "special"))
    assert type(error).__name__ == "LabError" and error.args == ("special",)


@case(differs=NO_TRACEBACK)
def a_failure_has_a_traceback(lab):
    sent = lab.send("crash") if lab.umbel else lab.send("fail", "no luck")
    lab.error(sent)
    assert ("lab" if lab.umbel else "no luck") in sent.traceback


def refused(lab, words, *args, **kwargs):
    error = lab.error(lab.send("greet", *args, kwargs=kwargs))
    assert type(error) is TypeError, repr(error)
    assert words in str(error), error


@case
def a_missing_argument_is_a_type_error(lab):
    refused(lab, "greet() missing 1 required positional argument: 'name'")


@case
def an_argument_too_many_is_a_type_error(lab):
    refused(lab, "greet() takes from 1 to 2 positional arguments but 3 were given", 1, 2, 3)


@case
def an_unknown_keyword_is_a_type_error(lab):
    refused(lab, "greet() got an unexpected keyword argument 'volume'", "you", volume=11)


@case
def an_argument_given_twice_is_a_type_error(lab):
    refused(lab, "greet() got multiple values for argument 'name'", "you", name="you")


@case
def an_unknown_task_raises_not_registered(lab):
    error = lab.error(lab.send("nobody.knows", queue="mortal"))
    assert type(error).__name__ == "NotRegistered" and "nobody.knows" in str(error)


@case(differs=(
    "Where Celery loses a process, WorkerLostError, Umbel's sandbox has ended a task, TaskTrap."))
def a_crash_fails_its_task_alone(lab):
    sent = [lab.send("crash"), lab.send("add", 2, 3), lab.send("crash")]
    kind = "TaskTrap" if lab.umbel else "WorkerLostError"
    assert type(lab.error(sent[0])).__name__ == kind
    assert type(lab.error(sent[2])).__name__ == kind
    assert lab.get(sent[1]) == 5


@case
def a_task_that_ignores_stores_nothing(lab):
    sent = lab.send("ignore")
    assert lab.call("add", 2, 3) == 5
    assert sent.state == "PENDING"


@case
def a_failure_does_not_stop_the_tasks_beside_it(lab):
    failing = [lab.send("fail", str(i)) for i in range(20)]
    working = [lab.send("add", i, 0) for i in range(20)]
    assert [lab.get(result) for result in working] == list(range(20))
    assert all(type(lab.error(result)) is ValueError for result in failing)
