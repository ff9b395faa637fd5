"""How a task ends other than by returning."""

from datetime import timedelta
from typing import Any, Optional, Union


class Ending(Exception):
    """Ends the task in another way than by failing."""


class Retry(Ending):
    """Raised by a task that wants to be run again.

    `after` is how long to wait, in seconds or as a `timedelta`, and `max` is the most retries to allow; what is
    not given is up to the task's policy. The cause is what the caller sees while the task waits: an exception or
    a text, or the exception that this one is raised `from`.
    """

    def __init__(
        self,
        cause: Union[BaseException, str, None] = None,
        *,
        after: Union[int, float, timedelta, None] = None,
        max: Optional[int] = None,
    ) -> None:
        super().__init__(cause if cause is not None else "retry")
        self.cause = cause
        self.after = after
        self.max = max


class Reject(Ending):
    """Raised by a task that does not take its message: to the dead letters, or into its queue again."""

    def __init__(self, reason: str = "", *, requeue: bool = False) -> None:
        super().__init__(reason)
        self.requeue = requeue


class Ignore(Ending):
    """Raised by a task of which nothing is to be stored."""


class Failure(Exception):
    """A failure whose name the task chooses: `kind` is what the caller sees as the exception's type.

    `data` is anything more that the caller can use, as the exception's second argument.
    """

    def __init__(self, message: str, *, kind: str = "TaskError", data: Any = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.data = data


def kind_of(error: BaseException) -> str:
    """The name under which the caller sees this exception."""
    return error.kind if isinstance(error, Failure) else type(error).__name__


def message_of(error: BaseException) -> str:
    """The exception's message as its caller is to read it."""
    # Not str(): that of KeyError("x") has quotes of its own, and an OSError's only argument may be a number.
    if error.args and isinstance(error.args[0], str):
        return error.args[0]
    return str(error)


def data_of(error: BaseException) -> Any:
    """What else the exception carries: its second argument, if it has just two."""
    if isinstance(error, Failure):
        return error.data
    if len(error.args) == 2 and isinstance(error.args[0], str):
        return error.args[1]
    return None


def cause_of(retry: Retry) -> Optional[BaseException]:
    """Why this run was not enough."""
    if isinstance(retry.cause, str):
        return Failure(retry.cause)
    return retry.cause if retry.cause is not None else retry.__cause__
