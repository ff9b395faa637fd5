"""Who called this task, and how long it has got."""

# What the component's imports give has no types here.
# mypy: disable-error-code="no-any-return,import-not-found"

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional

from umbel import _host
from umbel._values import loads


@dataclass(frozen=True)
class Delivery:
    """How the message reached this worker."""

    exchange: str
    routing_key: str
    priority: Optional[int]
    redelivered: bool


class Context:
    """The message that started this run. Times are in seconds."""

    @property
    def id(self) -> str:
        """The task's id, kept by its retries."""
        return _host.request().id

    @property
    def name(self) -> str:
        """The name the task was called by."""
        return _host.request().name

    @property
    def args(self) -> list[Any]:
        """Positional arguments as the caller gave them."""
        return loads(_host.request().args)

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments as the caller gave them."""
        return loads(_host.request().kwargs)

    @property
    def retries(self) -> int:
        """How often this task has been retried."""
        return _host.request().retries

    @property
    def root_id(self) -> str:
        """Id of the first task of the workflow."""
        return _host.request().root_id

    @property
    def parent_id(self) -> Optional[str]:
        """Id of the task that sent this one."""
        return _host.request().parent_id

    @property
    def group_id(self) -> Optional[str]:
        """Id of the group this task is a member of."""
        return _host.request().group_id

    @property
    def group_index(self) -> Optional[int]:
        """This task's position in its group."""
        return _host.request().group_index

    @property
    def eta(self) -> Optional[datetime]:
        """Not before this instant."""
        return _instant(_host.request().eta)

    @property
    def expires(self) -> Optional[datetime]:
        """Not after this instant."""
        return _instant(_host.request().expires)

    @property
    def time_limit(self) -> Optional[float]:
        """The hard time limit of this run."""
        return _seconds(_host.request().time_limit_ms)

    @property
    def soft_time_limit(self) -> Optional[float]:
        """The soft time limit of this run."""
        return _seconds(_host.request().soft_time_limit_ms)

    @property
    def reply_to(self) -> Optional[str]:
        """Where the caller waits for the result, if it said so."""
        return _host.request().reply_to

    @property
    def correlation_id(self) -> str:
        """The caller's mark on request and result."""
        return _host.request().correlation_id

    @property
    def delivery(self) -> Delivery:
        """How the message reached this worker."""
        delivery = _host.request().delivery
        return Delivery(delivery.exchange, delivery.routing_key, delivery.priority, delivery.redelivered)

    @property
    def headers(self) -> dict[str, Any]:
        """The caller's own headers."""
        return loads(_host.request().headers)

    @property
    def stamps(self) -> dict[str, Any]:
        """Stamps by name."""
        return loads(_host.request().stamps)

    def remaining(self) -> float:
        """Time until the hard time limit ends this run."""
        return _host.host().remaining_ms() / 1000

    def soft_remaining(self) -> Optional[float]:
        """Time until the soft time limit; none if this run has none."""
        return _seconds(_host.host().soft_remaining_ms())

    def take_soft_limit(self) -> None:
        """The soft limit does not end this run any more: the task looks at the time and returns before the hard one."""
        _host.host().take_soft_limit()


context = Context()
"""Of the task that runs."""


def _instant(text: Optional[str]) -> Optional[datetime]:
    # Before 3.11 the standard library did not know that Z is UTC.
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


def _seconds(milliseconds: Optional[int]) -> Optional[float]:
    return None if milliseconds is None else milliseconds / 1000
