"""The tasks of the suite as a Python worker serves them; the plugin `lab` has the same ones."""

import datetime
import json
import os
import time

from billiard.exceptions import SoftTimeLimitExceeded
from celery.exceptions import Ignore, Reject
from celery.utils.log import get_task_logger

from lab.cells import PAUSE, worker_app

app = worker_app()
log = get_task_logger(__name__)


def witness(key, value):
    """Makes something visible to the case that waits for it, whatever becomes of the result."""
    log.info("witness %s %s ;", key, json.dumps(value))


class LabError(Exception):
    """An exception that no client knows."""


def task(function=None, **options):
    if function is None:
        return lambda function: task(function, **options)
    return app.task(name=f"lab.{function.__name__}", **options)(function)


# -- values -------------------------------------------------------------------------------------

@task
def add(x, y):
    return x + y


@task
def mul(x, y):
    return x * y


@task
def xsum(numbers):
    return sum(numbers)


@task
def echo(value):
    return value


@task
def join(left, right):
    return left + right


@task
def greet(name, greeting="Hello"):
    return f"{greeting}, {name}!"


@task
def collect(*args, **kwargs):
    return [list(args), kwargs]


@task
def reverse(data):
    return data[::-1]


@task
def big(size):
    return "x" * size


@task
def note(value, key):
    """Passes a value on, and says so in the log."""
    witness(key, value)
    return value


# -- time ---------------------------------------------------------------------------------------

@task
def sleep(seconds, key=None):
    if key is not None:
        witness(key, "started")
    time.sleep(seconds)
    if key is not None:
        witness(key, "ended")
    return seconds


@task
def tidy(seconds):
    """Takes its soft time limit as a reason to finish early."""
    try:
        time.sleep(seconds)
    except SoftTimeLimitExceeded:
        return "tidied up"
    return "had the time"


@task
def stubborn(seconds):
    """Takes note of its soft time limit and goes on."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            time.sleep(left)
        except SoftTimeLimitExceeded:
            pass
    return "outlived its limits"


@task(rate_limit="4/s")
def tempered(value):
    return value


@task
def limited(value):
    """Has no rate limit until somebody sets one."""
    return value


# -- endings ------------------------------------------------------------------------------------

@task
def fail(message):
    raise ValueError(message)


@task
def fail_custom(message):
    raise LabError(message)


@task
def fail_key(key):
    raise KeyError(key)


@task(ignore_result=True)
def fail_ignored(message):
    raise ValueError(message)


@task(ignore_result=True)
def add_ignored(x, y):
    return x + y


@task(bind=True, ignore_result=True)
def retry_ignored(self, key):
    witness(key, self.request.retries)
    if self.request.retries < 1:
        raise self.retry(countdown=PAUSE)


@task
def ignore():
    raise Ignore()


@task(acks_late=True)
def reject(key=None):
    if key is not None:
        witness(key, "rejecting")
    raise Reject("not wanted", requeue=False)


@task(bind=True, acks_late=True)
def reject_once(self, key):
    """Gives its message back the first time."""
    redelivered = bool(self.request.delivery_info.get("redelivered"))
    witness(key, redelivered)
    if not redelivered:
        raise Reject("not now", requeue=True)
    return "accepted"


@task(acks_late=True, acks_on_failure_or_timeout=False)
def fail_unacked(message):
    raise ValueError(message)


@task
def crash():
    os._exit(7)


@task(acks_late=True)
def late(seconds, key):
    """Its message is acknowledged when it has ended."""
    witness(key, "started")
    time.sleep(seconds)
    witness(key, "ended")
    return seconds


@task(bind=True, acks_late=True, acks_on_timeout=False)
def late_once(self, seconds):
    """Takes its time unless its message comes again."""
    if self.request.delivery_info.get("redelivered"):
        return "came again"
    time.sleep(seconds)
    return "had the time"


@task
def single(seconds):
    """May run once at a time, where a worker can limit that."""
    time.sleep(seconds)
    return seconds


@task(acks_late=False)
def early(seconds, key):
    """Its message is acknowledged when it starts."""
    witness(key, "started")
    time.sleep(seconds)
    witness(key, "ended")
    return seconds


# -- retries ------------------------------------------------------------------------------------

@task(bind=True)
def retry_until(self, attempts, countdown=PAUSE, key=None):
    """Succeeds once it has been retried so many times."""
    if key is not None:
        witness(key, [self.request.id, self.request.retries])
    if self.request.retries < attempts:
        cause = ValueError(f"attempt {self.request.retries}")
        raise self.retry(exc=cause, countdown=countdown, max_retries=attempts)
    return self.request.retries


@task(bind=True)
def retry_on(self, most, countdown=PAUSE):
    """Never succeeds."""
    raise self.retry(exc=ValueError("never"), countdown=countdown, max_retries=most)


@task(bind=True)
def retry_bare(self, most):
    """Never succeeds and does not say why."""
    raise self.retry(countdown=PAUSE, max_retries=most)


@task(bind=True)
def retry_then_context(self, *args, **kwargs):
    if self.request.retries < 1:
        raise self.retry(countdown=PAUSE, max_retries=1)
    return request_fields(self.request)


@task(bind=True, autoretry_for=(ValueError,), retry_backoff=False, max_retries=2,
      default_retry_delay=PAUSE, retry_jitter=False)
def flaky(self, attempts, key):
    """Is retried by the policy of its worker, without asking for it."""
    witness(key, self.request.retries)
    if self.request.retries < attempts:
        raise ValueError("flaky")
    return self.request.retries


# -- the worker's services ----------------------------------------------------------------------

def request_fields(request):
    names = ("id", "task", "args", "kwargs", "retries", "root_id", "parent_id", "group",
             "group_index", "eta", "expires", "timelimit", "reply_to", "correlation_id",
             "delivery_info", "headers", "stamps")
    fields = {name: getattr(request, name, None) for name in names}
    # What RabbitMQ writes on messages that it delayed holds times, which msgpack has no form for.
    fields["headers"] = {
        name: value for name, value in (fields["headers"] or {}).items()
        if not name.startswith(("x-death", "x-first-death"))}
    for name in ("eta", "expires"):
        if isinstance(fields[name], datetime.datetime):
            fields[name] = fields[name].isoformat()
    fields["timelimit"] = list(fields["timelimit"] or (None, None))
    return fields


@task(bind=True)
def context(self, *args, **kwargs):
    return request_fields(self.request)


@task(bind=True)
def progress(self, state, meta, seconds):
    """Reports a state of its own and stays in it for a while."""
    self.update_state(state=state, meta=meta)
    time.sleep(seconds)
    return "done"


@task(bind=True)
def submit(self, name, args, keywords):
    """Sends a task and gives its id."""
    return self.app.send_task(name, args, keywords).id


@task(bind=True)
def apply(self, signature, args):
    """Sends any canvas and gives its result's tuple."""
    return self.app.signature(signature).apply_async(args).as_tuple()


@task(bind=True)
def replace(self, signature):
    """Puts any canvas into its own place."""
    return self.replace(self.app.signature(signature))


@task(bind=True)
def enlarge(self, value, signature):
    """Adds a member to the chord that it is part of."""
    self.add_to_chord(self.app.signature(signature))
    return value


# -- error callbacks ----------------------------------------------------------------------------

@task
def on_error_old(failed):
    witness(failed, "old style")


@task
def on_error_new(request, exc, traceback):
    witness(request.id, ["new style", request.task, type(exc).__name__, str(exc), bool(traceback)])


@task
def on_error_note(key):
    """An error callback that is given its own argument alone."""
    witness(key, "immutable")
