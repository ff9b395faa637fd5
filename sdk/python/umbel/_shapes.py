"""Values between WIT's types and Python's: what a component takes and gives, by the shape of its type.

A shape is text (`"u32"`, `"json"`, `"bytes"`) or a table of one entry (`{"list": shape}`, `{"record": {…}}`).
"""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Callable, Optional

from umbel._values import dumps, loads

Convert = Callable[[Any], Any]


class Misfit(TypeError):
    """A value that does not fit its type, and where in the whole it lies."""

    def __init__(self, expected: str, value: Any, where: str = "") -> None:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        super().__init__(f"{where} is {shown}, not {expected}" if where else f"{shown}, not {expected}")
        self.expected, self.value, self.where = expected, value, where

    def within(self, where: str) -> "Misfit":
        """The same, seen from further out."""
        return Misfit(self.expected, self.value, where + self.where)


def lifter(shape: Any) -> Optional[Convert]:
    """What makes an argument of this shape what a task is to see; none where it is that already."""
    if shape == "json":
        return loads
    kind, inner = _opened(shape)
    if kind == "option":
        return _unless_none(lifter(inner))
    if kind == "list":
        return _lift_list(lifter(inner))
    if kind == "tuple":
        return _lift_tuple([lifter(member) for member in inner])
    if kind == "record":
        return _lift_record({name: lift for name, field in inner.items() if (lift := lifter(field))})
    return None


def _unless_none(convert: Optional[Convert]) -> Optional[Convert]:
    return None if convert is None else lambda value: None if value is None else convert(value)


def _lift_list(convert: Optional[Convert]) -> Optional[Convert]:
    return None if convert is None else lambda values: [convert(value) for value in values]


def _lift_tuple(lifts: list[Optional[Convert]]) -> Optional[Convert]:
    if not any(lifts):
        return None
    return lambda values: tuple(lift(value) if lift else value for lift, value in zip(lifts, values))


def _lift_record(lifts: dict[str, Convert]) -> Optional[Convert]:
    def lift(record: Any) -> Any:
        for name, convert in lifts.items():
            setattr(record, name, convert(getattr(record, name)))
        return record

    return lift if lifts else None


def lowerer(shape: Any) -> Convert:
    """What makes a task's result one of this shape; `Misfit` where that cannot be."""
    if isinstance(shape, str):
        return _SIMPLE.get(shape) or _integer(shape)
    kind, inner = _opened(shape)
    return _COMPOUND[kind](inner) if kind in _COMPOUND else _as_is


def _opened(shape: Any) -> tuple[str, Any]:
    return next(iter(shape.items())) if isinstance(shape, dict) else ("", None)


def _as_is(value: Any) -> Any:
    return value


def _instance(expected: str, *types: type) -> Convert:
    def lower(value: Any) -> Any:
        if isinstance(value, types):
            return value
        raise Misfit(expected, value)

    return lower


def _integer(name: str) -> Convert:
    bits = int(name[1:])
    least, most = (0, 2**bits - 1) if name[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def lower(value: Any) -> int:
        try:
            number: int = value.__index__()
        except AttributeError:
            raise Misfit(f"a {name}", value) from None
        if least <= number <= most:
            return number
        raise Misfit(f"a {name}", value)

    return lower


def _float(value: Any) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    raise Misfit("a number", value)


def _bytes(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise Misfit("bytes", value)


def _char(value: Any) -> str:
    if isinstance(value, str) and len(value) == 1:
        return value
    raise Misfit("a single character", value)


def _list(inner: Any) -> Convert:
    lower = lowerer(inner)

    def lower_list(values: Any) -> list[Any]:
        if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
            raise Misfit("a list", values)
        return [_at(f"[{index}]", lower, value) for index, value in enumerate(values)]

    return lower_list


def _tuple(inner: list[Any]) -> Convert:
    lowers = [lowerer(member) for member in inner]

    def lower_tuple(values: Any) -> tuple[Any, ...]:
        if not isinstance(values, (tuple, list)) or len(values) != len(lowers):
            raise Misfit(f"a tuple of {len(lowers)}", values)
        return tuple(_at(f"[{i}]", lower, value) for i, (lower, value) in enumerate(zip(lowers, values)))

    return lower_tuple


def _option(inner: Any) -> Convert:
    lower = lowerer(inner)
    if "option" in inner:  # of an option: the outer one is Some or None
        return _as_is
    return lambda value: None if value is None else lower(value)


def _record(fields: dict[str, Any]) -> Convert:
    lowers = {name: (lowerer(shape), "option" in shape) for name, shape in fields.items()}

    def lower_record(value: Any) -> Any:
        table = value if isinstance(value, Mapping) else None
        made = SimpleNamespace()
        for name, (lower, optional) in lowers.items():
            missing = name not in table if table is not None else not hasattr(value, name)
            if missing and not optional:
                raise Misfit(f"an object with a field `{name}`", value)
            field = None if missing else table[name] if table is not None else getattr(value, name)
            setattr(made, name, _at(f".{name}", lower, field))
        return made

    return lower_record


def _enum(names: list[str]) -> Convert:
    numbers = {name.replace("-", "_"): number for number, name in enumerate(names)}

    def lower(value: Any) -> Any:
        if isinstance(value, str) and (number := numbers.get(value.replace("-", "_").lower())) is not None:
            return SimpleNamespace(value=number)
        if isinstance(getattr(value, "value", None), int):
            return value
        raise Misfit(f"one of {', '.join(names)}", value)

    return lower


def _flags(names: list[str]) -> Convert:
    bits = {name.replace("-", "_"): 1 << number for number, name in enumerate(names)}

    def lower(value: Any) -> Any:
        if isinstance(getattr(value, "value", None), int):
            return value
        try:
            return SimpleNamespace(value=sum({bits[name.replace("-", "_").lower()] for name in value}))
        except (KeyError, TypeError, AttributeError):
            raise Misfit(f"a set of {', '.join(names)}", value) from None

    return lower


def _at(where: str, lower: Convert, value: Any) -> Any:
    try:
        return lower(value)
    except Misfit as misfit:
        raise misfit.within(where) from None


_SIMPLE: dict[str, Convert] = {
    "any": _as_is,
    "bool": _instance("a bool", bool),
    "bytes": _bytes,
    "char": _char,
    "f32": _float,
    "f64": _float,
    "json": dumps,
    "string": _instance("a str", str),
}

_COMPOUND: dict[str, Callable[[Any], Convert]] = {
    "enum": _enum,
    "flags": _flags,
    "list": _list,
    "option": _option,
    "record": _record,
    "tuple": _tuple,
}
