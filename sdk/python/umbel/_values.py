"""JSON text and Python values: dates, decimals, UUIDs and bytes as kombu tags them."""

import base64
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Callable, Union
from uuid import UUID


def loads(text: str) -> Any:
    """Reads JSON text; what carries one of kombu's tags becomes what it stands for."""
    return json.loads(text, object_hook=_untagged)


def dumps(value: Any) -> str:
    """Writes a value as JSON text; one without a JSON form is a `TypeError`."""
    return json.dumps(value, default=_tagged)


def milliseconds(wait: Union[int, float, timedelta, None]) -> Union[int, None]:
    """Seconds or a `timedelta` in whole milliseconds, rounded up; less than none is none."""
    if wait is None:
        return None
    seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
    return max(0, -int(-seconds * 1000 // 1))


_READERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": lambda value: UUID(hex=value["hex"]),
    "base64": base64.b64decode,
    "bytes": str.encode,
}


def _untagged(found: dict[str, Any]) -> Any:
    if found.keys() != {"__type__", "__value__"}:
        return found
    reader = _READERS.get(found["__type__"])
    return found if reader is None else reader(found["__value__"])


def _tagged(value: Any) -> Any:
    if isinstance(value, datetime):  # before date: it is one
        return _tag("datetime", value.isoformat())
    if isinstance(value, date):
        return _tag("date", value.isoformat())
    if isinstance(value, time):
        return _tag("time", value.isoformat())
    if isinstance(value, Decimal):
        return _tag("decimal", str(value))
    if isinstance(value, UUID):
        return _tag("uuid", {"hex": value.hex})
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _tag("base64", base64.b64encode(value).decode("ascii"))
    if isinstance(value, (set, frozenset)):
        return list(value)
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _tag(kind: str, value: Any) -> dict[str, Any]:
    return {"__type__": kind, "__value__": value}
