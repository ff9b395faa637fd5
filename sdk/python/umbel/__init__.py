"""What a task in Python may say and ask: how it ends, who called it, how far it is, what it sends.

A task is a plain function. An ordinary exception is its failure, with the exception's name and message; these
end it in other ways:

    from umbel import Retry, context, progress

    def download(url: str) -> str:
        progress("PROGRESS", {"retries": context.retries})
        try:
            return fetch(url)
        except ConnectionError as error:
            raise Retry(after=30) from error

`umbel.testing` runs a task without a worker.
"""

from umbel._context import Context, Delivery, context
from umbel._endings import Failure, Ignore, Reject, Retry
from umbel._progress import progress
from umbel._values import dumps, loads
from umbel.tasks import apply, replace, submit

__all__ = [
    "Context",
    "Delivery",
    "Failure",
    "Ignore",
    "Reject",
    "Retry",
    "apply",
    "context",
    "dumps",
    "loads",
    "progress",
    "replace",
    "submit",
]
