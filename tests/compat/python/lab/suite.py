"""The list of cases: functions whose names are sentences, each marked with where it makes sense."""

import dataclasses
import importlib
import pathlib
import typing

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
    brokers: tuple
    contents: tuple
    sides: tuple
    on: str
    differs: str | None

    def takes_place(self, broker, content, side):
        return broker in self.brokers and content in self.contents and side in self.sides

    def description(self):
        fields = ("name", "subject", "brokers", "contents", "sides", "differs")
        return {field: getattr(self, field) for field in fields}


def case(function=None, *, brokers=BROKERS, contents=None, sides=SIDES, on=MAIN, differs=None):
    """Marks a case. `differs` says in one sentence why Umbel does not do what Celery does."""
    if isinstance(brokers, str):
        brokers = (brokers,)
    if contents is None:
        # What is about processes is not about content: one content type is enough.
        contents = CONTENTS if on in (MAIN, EXTENDED) else ("json",)

    def register(run):
        subject = run.__module__.rpartition(".")[2]
        assert run.__name__ not in CASES, f"two cases are called {run.__name__}"
        CASES[run.__name__] = Case(
            run.__name__, subject, run, tuple(brokers), tuple(contents), tuple(sides), on, differs)
        return run

    return register(function) if function else register


def load():
    """Imports every file of cases, and gives the cases in their order."""
    folder = pathlib.Path(__file__).parent.parent / "cases"
    for file in sorted(folder.glob("*.py")):
        importlib.import_module(f"cases.{file.stem}")
    return CASES
