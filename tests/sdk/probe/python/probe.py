"""Each shape of types and each ending, in Python."""

import logging
from dataclasses import dataclass
from typing import Any

from wit_world.exports import tasks

from umbel import Failure, Ignore, Reject, Retry, context, progress, submit


@dataclass
class Size:
    lines: int
    extra: Any


def echo(value):
    return value


def numbers(a, b, c, d, e, f):
    return a, b, c, d, e, bytearray(f)


def colors(color, access, shape):
    assert (color, access) == (tasks.Color.RED, tasks.Access.CAN_READ)
    return "light-green", {"can_write"}, tasks.Shape_Nothing() if shape.value == 2 else shape


def measure(text, factor=3):
    if text == "wrong":
        return {"lines": -1, "extra": None}
    return Size(lines=len(text.splitlines()) * factor, extra=[b"\xff", None])


def ending(how):
    match how:
        case "retry":
            raise Retry(after=1.5, max=2) from ConnectionError("no net")
        case "reject":
            raise Reject(requeue=True)
        case "ignore":
            raise Ignore()
        case "failure":
            raise Failure("nobody", kind="NotFound", data=[1])
        case "builtin":
            raise LookupError("no such row")
    return how


def text_ending(how):
    return ending(how)


def tell():
    progress("PROGRESS", {"done": 1})
    logging.getLogger("probe").warning("%d left", 2, extra={"size": 3})
    return [context.retries, context.args, context.eta, context.delivery.redelivered, context.remaining() > 1]


def send(name):
    return submit(name, [1], {"a": 2}, countdown=2)
