"""Runs tasks without a worker, in the tests of a plugin.

    with umbel.testing.task(retries=1) as worker:
        assert thumbs.download("https://example.com") == "…"
    assert worker.updates == [("PROGRESS", {"retries": 1})]
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Optional, Union

from umbel import _host, _log
from umbel._values import dumps, loads


@dataclass
class Sent:
    """A task that was submitted; `options` are those that were given."""

    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    options: dict[str, Any]


@dataclass
class Worker:
    """What a task told while it ran."""

    updates: list[tuple[str, Any]] = field(default_factory=list)
    """States and their details, all of them."""
    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Lines of the log: level, message, fields."""
    sent: list[Sent] = field(default_factory=list)
    """What was submitted."""
    applied: list[tuple[Any, list[Any]]] = field(default_factory=list)
    """Canvases that were sent, with the arguments put before theirs."""
    replacement: Any = None
    """The canvas in the task's place."""
    added: list[Any] = field(default_factory=list)
    """What was added to the task's chord."""
    refusal: Optional[Exception] = None
    """What `submit` and its neighbours raise, if anything."""
    remaining: float = 300.0
    """Seconds until the hard limit."""
    soft_remaining: Optional[float] = None
    """Seconds until the soft limit."""
    took_soft_limit: bool = False
    _request: Any = None

    def current(self) -> Any:
        return self._request

    def remaining_ms(self) -> int:
        return int(self.remaining * 1000)

    def soft_remaining_ms(self) -> Optional[int]:
        return None if self.soft_remaining is None else int(self.soft_remaining * 1000)

    def take_soft_limit(self) -> None:
        self.took_soft_limit = True

    def progress(self, state: str, meta: str) -> None:
        self.updates.append((state, loads(meta)))

    def log(self, level: int, message: str, fields: str) -> None:
        levels = ("debug", "info", "warning", "error")
        self.lines.append((levels[level], message, json.loads(fields or "{}")))

    def submit(self, name: str, args: str, kwargs: str, options: Any) -> str:
        self._refuse()
        given = {key: value for key, value in vars(options).items() if value is not None}
        self.sent.append(Sent(name, loads(args), loads(kwargs), given))
        return self._id()

    def apply(self, signature: str, args: str) -> str:
        self._refuse()
        self.applied.append((loads(signature), loads(args)))
        return dumps([[self._id(), None], None])

    def replace(self, signature: str) -> None:
        self._refuse()
        self.replacement = loads(signature)

    def add_to_chord(self, signature: str) -> str:
        self._refuse()
        self.added.append(loads(signature))
        return dumps([[self._id(), None], None])

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def _id(self) -> str:
        number = len(self.sent) + len(self.applied) + len(self.added)
        return f"00000000-0000-4000-8000-{number:012}"


@contextmanager
def task(
    *,
    args: Optional[list[Any]] = None,
    kwargs: Optional[dict[str, Any]] = None,
    headers: Optional[dict[str, Any]] = None,
    stamps: Optional[dict[str, Any]] = None,
    delivery: Optional[dict[str, Any]] = None,
    time_limit: Optional[float] = None,
    soft_time_limit: Optional[float] = None,
    **request: Union[str, int, None],
) -> Iterator[Worker]:
    """Inside, a task runs with this request: `id`, `name`, `retries`, `eta` (ISO 8601) and so on."""
    unknown = request.keys() - _REQUEST.keys()
    if unknown:
        raise TypeError(f"a request has no {', '.join(sorted(unknown))}; it has {', '.join(_REQUEST)}")
    worker = Worker()
    worker._request = SimpleNamespace(
        **{**_REQUEST, **request},
        args=dumps(args or []),
        kwargs=dumps(kwargs or {}),
        headers=dumps(headers or {}),
        stamps=dumps(stamps or {}),
        delivery=SimpleNamespace(**{**_DELIVERY, **(delivery or {})}),
        time_limit_ms=None if time_limit is None else int(time_limit * 1000),
        soft_time_limit_ms=None if soft_time_limit is None else int(soft_time_limit * 1000),
    )
    before = _host.connect(worker)
    try:
        with _log.installed():
            yield worker
    finally:
        _host.connect(before)


_REQUEST: dict[str, Union[str, int, None]] = {
    "id": "00000000-0000-4000-8000-000000000000",
    "name": "test",
    "retries": 0,
    "root_id": "00000000-0000-4000-8000-000000000000",
    "parent_id": None,
    "group_id": None,
    "group_index": None,
    "eta": None,
    "expires": None,
    "reply_to": None,
    "correlation_id": "00000000-0000-4000-8000-000000000000",
}

_DELIVERY: dict[str, Any] = {"exchange": "", "routing_key": "celery", "priority": None, "redelivered": False}
