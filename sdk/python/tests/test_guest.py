"""What `umbel build` puts between a component and an author's module."""

import asyncio
import sys
import types
import unittest
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from umbel import Failure, Ignore, Reject, Retry, context, testing


class Err(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


# What componentize-py gives to a component.
sys.modules["componentize_py_types"] = types.ModuleType("componentize_py_types")
sys.modules["componentize_py_types"].Err = Err

from umbel import _guest  # noqa: E402


def case(name: str) -> type:
    return type(name, (), {"__init__": lambda self, value=None: setattr(self, "value", value)})


TYPES = SimpleNamespace(
    Error_Failed=case("Error_Failed"),
    Error_Retry=case("Error_Retry"),
    Error_Reject=case("Error_Reject"),
    Error_Ignore=case("Error_Ignore"),
    Failure=lambda kind, message, data: (kind, message, data),
    Retry=lambda cause, after_ms, most: (cause, after_ms, most),
)


class Tasks:
    """The exported interface's class."""


def made(call: Any, params: dict, result: Any, error: Any = "error", waits: bool = False) -> Any:
    module = types.ModuleType("thumbs")
    module.run = call
    shapes = {"run": {"params": params, "result": result, "error": error, "async": waits}}
    return _guest.implement(Tasks, module, shapes, TYPES)().run


class Endings(unittest.TestCase):
    def check(self, raised: BaseException, kind: str, value: Any) -> None:
        def run() -> None:
            raise raised

        with self.subTest(raised=raised), testing.task(), self.assertRaises(Err) as ending:
            made(run, {}, "string")()
        self.assertEqual((type(ending.exception.value).__name__, ending.exception.value.value), (kind, value))

    def test_an_exception_becomes_what_the_type_has_for_it(self):
        caused = Retry(after=1.5, max=2)
        caused.__cause__ = ConnectionError("no net")
        for raised, kind, value in [
            (ValueError("bad"), "Error_Failed", ("ValueError", "bad", None)),
            (KeyError("x"), "Error_Failed", ("KeyError", "x", None)),
            (ValueError("bad", {"row": 3}), "Error_Failed", ("ValueError", "bad", '{"row": 3}')),
            (Failure("nobody", kind="NotFound", data=[1]), "Error_Failed", ("NotFound", "nobody", "[1]")),
            (Retry(), "Error_Retry", (None, None, None)),
            (Retry("busy", after=2), "Error_Retry", (("TaskError", "busy", None), 2000, None)),
            (caused, "Error_Retry", (("ConnectionError", "no net", None), 1500, 2)),
            (Reject(requeue=True), "Error_Reject", True),
            (Ignore(), "Error_Ignore", None),
        ]:
            self.check(raised, kind, value)

    def test_what_an_import_refused_is_told_in_its_words(self):
        NoSuchStore, Other = case("Error_NoSuchStore"), case("Error_Other")
        for value, message in [(Other("it is away"), "it is away"), (NoSuchStore(), "NoSuchStore"), ("text", "text")]:
            self.check(Err(value), "Error_Failed", ("TaskError", message, None))
        own = TYPES.Error_Ignore()
        self.check(Err(own), "Error_Ignore", None)

    def test_an_unexpected_exception_leaves_its_traceback_in_the_log(self):
        with testing.task() as worker, self.assertRaises(Err):
            made(lambda: 1 / 0, {}, "string")()
        ((level, text, _),) = worker.lines
        self.assertEqual(level, "error")
        self.assertIn("ZeroDivisionError: division by zero", text)
        self.assertNotIn("in method", text)

    def test_an_error_of_type_string_has_kind_and_message(self):
        with testing.task(), self.assertRaises(Err) as ending:
            made(lambda: {}["x"], {}, "string", error="string")()
        self.assertEqual(ending.exception.value, "KeyError: x")

    def test_what_a_type_has_no_room_for_is_raised_as_it_is(self):
        with testing.task(), self.assertRaises(ZeroDivisionError):
            made(lambda: 1 / 0, {}, "string", error=None)()

    def test_an_async_task_ends_the_same_way(self):
        async def run(wait: bool) -> str:
            if wait:
                raise Retry(after=1)
            return "done"

        with testing.task():
            task = made(run, {"wait": "bool"}, "string", waits=True)
            self.assertEqual(asyncio.run(task(False)), "done")
            with self.assertRaises(Err):
                asyncio.run(task(True))


@dataclass
class Size:
    lines: int
    name: str


class Shapes(unittest.TestCase):
    def test_arguments_arrive_as_pythons_values(self):
        with testing.task():
            self.assertEqual(made(lambda v: repr(v), {"v": "json"}, "string")('{"a": [1, null]}'), "{'a': [1, None]}")
            self.assertEqual(made(lambda v: repr(v), {"v": {"list": "json"}}, "string")(["1", '"x"']), "[1, 'x']")

    def test_an_omitted_argument_is_its_parameters_default(self):
        def run(width: int, quality: int = 80, note: Any = None) -> int:
            return width + quality + (note or 0)

        shapes = {"width": "u32", "quality": {"option": "u32"}, "note": {"option": "u32"}}
        with testing.task():
            self.assertEqual(made(run, shapes, "u32")(1, None, None), 81)
            self.assertEqual(made(run, shapes, "u32")(1, 2, 3), 6)

    def test_results_are_taken_in_pythons_ways_to_say_them(self):
        size = {"record": {"lines": "u32", "name": "string", "note": {"option": "string"}}}
        for shape, value, expected in [
            ("json", {"a": b"x"}, '{"a": {"__type__": "base64", "__value__": "eA=="}}'),
            ("f64", 1, 1.0),
            ("bytes", bytearray(b"x"), b"x"),
            ({"list": "u8"}, (1, 2), [1, 2]),
            ({"tuple": ["u8", "string"]}, [1, "x"], (1, "x")),
            ({"option": "u8"}, None, None),
            (size, {"lines": 1, "name": "x"}, SimpleNamespace(lines=1, name="x", note=None)),
            (size, Size(1, "x"), SimpleNamespace(lines=1, name="x", note=None)),
            ({"enum": ["red", "light-green"]}, "light_green", SimpleNamespace(value=1)),
            ({"flags": ["a", "b"]}, {"b"}, SimpleNamespace(value=2)),
        ]:
            with self.subTest(shape=shape, value=value), testing.task():
                self.assertEqual(made(lambda value=value: value, {}, shape)(), expected)

    def test_what_does_not_fit_is_a_type_error_that_says_where(self):
        for shape, value, text in [
            ("u32", -1, "-1, not a u32"),
            ("u32", 2**32, "4294967296, not a u32"),
            ("u32", 1.0, "1.0, not a u32"),
            ("string", None, "None, not a str"),
            ({"list": "u8"}, "abc", "'abc', not a list"),
            ({"list": {"record": {"n": "u8"}}}, [{"n": 1}, {"n": 256}], "[1].n is 256, not a u8"),
            ({"record": {"n": "u8"}}, {}, "{}, not an object with a field `n`"),
            ({"enum": ["red"]}, "blue", "'blue', not one of red"),
        ]:
            with self.subTest(shape=shape, value=value), testing.task(), self.assertRaises(Err) as ending:
                made(lambda value=value: value, {}, shape)()
            kind, message, _ = ending.exception.value.value
            self.assertEqual(kind, "TypeError")
            self.assertIn(f"run() returned what its WIT does not allow: {text}", message)

    def test_the_request_is_asked_for_in_each_run(self):
        task = made(lambda: context.id, {}, "string")
        for id in ["a", "b"]:
            with testing.task(id=id):
                self.assertEqual(task(), id)


class Mismatches(unittest.TestCase):
    def check(self, call: Any, text: str) -> None:
        with self.assertRaises(_guest.Mismatch) as mismatch:
            made(call, {"text": "string", "width": "u32"}, "string")
        self.assertIn(text, str(mismatch.exception))

    def test_a_function_that_is_missing_is_named(self):
        self.check(None, "thumbs has no function `run(text, width)`, which its WIT exports")

    def test_a_function_with_other_parameters_is_shown_beside_its_wit(self):
        self.check(lambda text: text, "thumbs.run is `run(text)`, but its WIT says `run(text, width)`")

    def test_a_class_named_as_the_interface_has_its_methods_taken(self):
        class Author:
            def run(self, text: str) -> str:
                return text * 2

        module = types.ModuleType("thumbs")
        module.Tasks = Author
        shapes = {"run": {"params": {"text": "string"}, "result": "string", "error": "error", "async": False}}
        with testing.task():
            self.assertEqual(_guest.implement(Tasks, module, shapes, TYPES)().run("ab"), "abab")


if __name__ == "__main__":
    unittest.main()
