"""Tells whoever follows the task how far it is."""

from typing import Any

from umbel import _host
from umbel._values import dumps


def progress(state: str, meta: Any = None) -> None:
    """Stores a state of the task's own, seen by the caller as `AsyncResult.state` and `.info`.

    Returns at once; of many updates the latest is sure to be stored. Celery's own state names are refused by
    ending the task.
    """
    _host.host().progress(state, dumps(meta))
