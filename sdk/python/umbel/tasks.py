"""Sends tasks from inside a task.

The component imports `umbel:task/tasks`, and the plugin needs a grant that names what it sends,
`allow = { submit = ["mail.*"] }` in its table of the worker's configuration. What the grant does not name is a
`PermissionError`, what makes no sense a `ValueError`, and too much a `RuntimeError`.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, NoReturn, Optional, Union

from umbel import _host
from umbel._endings import Ignore
from umbel._values import dumps, loads, milliseconds

Signature = dict[str, Any]
"""A task or a canvas to be sent, in Celery's own form."""

Seconds = Union[int, float, timedelta]


def submit(
    name: str,
    args: Iterable[Any] = (),
    kwargs: Optional[Mapping[str, Any]] = None,
    *,
    queue: Optional[str] = None,
    countdown: Optional[Seconds] = None,
    expires: Optional[Seconds] = None,
    priority: Optional[int] = None,
    time_limit: Optional[Seconds] = None,
    soft_time_limit: Optional[Seconds] = None,
    ignore_result: Optional[bool] = None,
    headers: Optional[Mapping[str, Any]] = None,
) -> str:
    """Sends a task and gives its id, as Celery's `send_task`."""
    options = SimpleNamespace(
        queue=queue,
        countdown_ms=milliseconds(countdown),
        expires_ms=milliseconds(expires),
        priority=priority,
        time_limit_ms=milliseconds(time_limit),
        soft_time_limit_ms=milliseconds(soft_time_limit),
        ignore_result=ignore_result,
        headers=None if headers is None else dumps(dict(headers)),
    )
    return _host.host().submit(name, dumps(list(args)), dumps(dict(kwargs or {})), options)


def apply(canvas: Signature, args: Iterable[Any] = ()) -> Any:
    """Sends a canvas with these arguments before its own; gives Celery's `AsyncResult.as_tuple`."""
    return loads(_host.host().apply(dumps(canvas), dumps(list(args))))


def replace(canvas: Signature) -> NoReturn:
    """Puts a canvas in this task's place and ends this run; its result becomes this task's result."""
    _host.host().replace(dumps(canvas))
    raise Ignore()


def add_to_chord(canvas: Signature) -> Any:
    """Adds a canvas to the chord whose header this task is in; gives what `apply` gives."""
    return loads(_host.host().add_to_chord(dumps(canvas)))


def signature(name: str, args: Iterable[Any] = (), kwargs: Optional[Mapping[str, Any]] = None, **options: Any) -> Signature:
    """A task with arguments; `options` are those of Celery's `apply_async`, and `immutable`."""
    return _signature(name, None, list(args), dict(kwargs or {}), options)


def chain(*steps: Signature) -> Signature:
    """One after the other, each with the result of the one before as its first argument."""
    return _signature("celery.chain", "chain", [], {"tasks": list(steps)})


def group(*members: Signature) -> Signature:
    """All at once."""
    return _signature("celery.group", "group", [], {"tasks": list(members)})


def chord(header: Iterable[Signature], body: Signature) -> Signature:
    """All of the header at once, then the body with the list of their results as its first argument."""
    return _signature("celery.chord", "chord", [], {"kwargs": {}, "header": list(header), "body": body})


def _signature(
    name: str, kind: Optional[str], args: list[Any], kwargs: dict[str, Any], options: Optional[dict[str, Any]] = None
) -> Signature:
    options = options or {}
    immutable = bool(options.pop("immutable", False))
    return {
        "task": name,
        "args": args,
        "kwargs": kwargs,
        "options": options,
        "subtask_type": kind,
        "immutable": immutable,
    }
