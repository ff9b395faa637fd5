"""The worker behind a running task: `_guest` puts the real one here, `testing` one that only notes."""

from typing import Any, Optional, Protocol


class Host(Protocol):
    """What a worker offers. JSON is text here."""

    def current(self) -> Any:
        """The request, with the fields of `umbel:task/context.request`."""

    def remaining_ms(self) -> int:
        """Milliseconds until the hard limit."""

    def soft_remaining_ms(self) -> Optional[int]:
        """Milliseconds until the soft limit, if there is one."""

    def take_soft_limit(self) -> None:
        """The soft limit does not end this run."""

    def progress(self, state: str, meta: str) -> None:
        """Stores a state of the task's own."""

    def log(self, level: int, message: str, fields: str) -> None:
        """Writes a line; levels are 0 (debug) to 3 (error)."""

    def submit(self, name: str, args: str, kwargs: str, options: Any) -> str:
        """Sends a task and gives its id."""

    def apply(self, signature: str, args: str) -> str:
        """Sends a canvas and gives its result tuple."""

    def replace(self, signature: str) -> None:
        """Puts a canvas in this task's place."""

    def add_to_chord(self, signature: str) -> str:
        """Adds a canvas to the chord that this task is in."""


_host: Optional[Host] = None
_request: Any = None


def connect(host: Optional[Host]) -> Optional[Host]:
    """From now on this worker is asked; gives the one before."""
    global _host, _request
    before, _host, _request = _host, host, None
    return before


def host() -> Host:
    """The worker of the running task."""
    if _host is None:
        raise RuntimeError("no task is running; in a test, put `with umbel.testing.task():` around the call")
    return _host


def request() -> Any:
    """The request of the running task, asked for once."""
    global _request
    if _request is None:
        _request = host().current()
    return _request


def forget() -> None:
    """Another run begins."""
    global _request
    _request = None
