"""Runs what calls a task twice: with the task that stands in a README, and through the worker."""

import io
import types

from celery import signals
from PIL import Image, ImageChops, ImageStat

succeeded = []


@signals.task_success.connect
def note(result=None, **_):
    succeeded.append(result)


class Value:
    def __init__(self, value):
        self.value = value

    def get(self):
        return self.value


class Here:
    """In the app's place: runs the README's tasks in this process."""

    def send_task(self, name, args=(), kwargs=None):
        succeeded.clear()
        run = app.tasks[name].apply(args, kwargs or {})
        # A retry runs within the run that asks for it, which knows nothing of its end.
        return Value(succeeded[-1]) if run.state == "RETRY" else run


def outcome(code, through):
    """The variables that code sets, or what it raises."""
    scope = {"app": through}
    try:
        exec(code, scope)
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}"}
    return {name: value for name, value in scope.items()
            if name != "app" and not name.startswith("__") and not isinstance(value, types.ModuleType)}


def agree(code, between=""):
    """What differs between the two, if anything does; `between` them, other code is run."""
    here = outcome(code, Here())
    exec(between, globals())
    there = outcome(code, app)
    if here.keys() != there.keys():
        return f"the README's task: {here}, the port: {there}"
    different = [name for name in here if not alike(here[name], there[name])]
    return "".join(f"{name}: {here[name]!r:.500} of the README's task, {there[name]!r:.500} of the port\n"
                   for name in different)


def alike(one, other):
    if isinstance(one, bytes) and one[:3] == b"\xff\xd8\xff":
        one, other = Image.open(io.BytesIO(one)), Image.open(io.BytesIO(other))
        if (one.format, one.size, one.mode) != (other.format, other.size, other.mode):
            return False
        # Another encoder, the same picture: a few steps of 256 on average.
        return max(ImageStat.Stat(ImageChops.difference(one, other)).mean) < 10
    return type(one) is type(other) and one == other
