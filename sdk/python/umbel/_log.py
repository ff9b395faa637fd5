"""Python's logging, into the worker's log."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from umbel import _host


class WorkerHandler(logging.Handler):
    """Writes records to the worker's log; what `extra` gave them are the line's fields."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        message = self.format(record)
        fields = {name: value for name, value in vars(record).items() if name not in _ORDINARY}
        if record.name != "root":
            fields["logger"] = record.name
        _host.host().log(_level(record.levelno), message, json.dumps(fields, default=str) if fields else "")


def install() -> None:
    """From now on the root logger writes to the worker, from `INFO` on."""
    root = logging.getLogger()
    root.addHandler(WorkerHandler())
    root.setLevel(logging.INFO)


@contextmanager
def installed() -> Iterator[None]:
    """The root logger writes to the worker inside."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    install()
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])


_ORDINARY = {*vars(logging.makeLogRecord({})), "message", "asctime"}


def _level(number: int) -> int:
    return sum(number >= least for least in (logging.INFO, logging.WARNING, logging.ERROR))
