"""The list of cases: functions whose names are sentences, each marked with where it makes sense."""

import dataclasses
import importlib
import pathlib
import typing

from lab import asserting
from lab.cells import BROKERS, CONTENTS

SIDES = ("celery", "umbel")

#: Workers that cases share, by name; `OWN` is for cases that start and stop workers themselves.
MAIN = "main"
EXTENDED = "extended"
NARROW = "narrow"
RPC = "rpc"
OWN = "own"

CASES: dict[str, "Case"] = {}


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    subject: str
    run: typing.Callable
    on: str
    differs: str | None
    places: tuple

    def description(self):
        fields = ("name", "subject", "places", "differs")
        return {field: getattr(self, field) for field in fields}


def case(function=None, *, brokers=BROKERS, contents=None, sides=SIDES, celery_not_on=(),
         on=MAIN, differs=None):
    """Marks a case. `differs` says in one sentence why Umbel does not do what Celery does."""
    brokers, celery_not_on = as_tuple(brokers), as_tuple(celery_not_on)
    if contents is None:
        # What is about processes is not about content: one content type is enough.
        contents = CONTENTS if on in (MAIN, EXTENDED) else ("json",)
    assert differs or (sides == SIDES and not celery_not_on), "only a difference is one-sided"
    places = tuple(
        (broker, content, side)
        for broker in brokers for content in contents for side in sides
        if not (side == "celery" and broker in celery_not_on))

    def register(run):
        subject = run.__module__.rpartition(".")[2]
        assert run.__name__ not in CASES, f"two cases are called {run.__name__}"
        CASES[run.__name__] = Case(run.__name__, subject, run, on, differs, places)
        return run

    return register(function) if function else register


def as_tuple(value):
    return (value,) if isinstance(value, str) else tuple(value)


def load():
    """Imports every file of cases, and gives the cases in their order."""
    asserting.install()
    folder = pathlib.Path(__file__).parent.parent / "cases"
    for file in sorted(folder.glob("*.py")):
        importlib.import_module(f"cases.{file.stem}")
    return CASES
