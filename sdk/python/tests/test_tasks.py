"""What a task may say and ask, without a worker."""

import logging
import unittest
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import umbel
from umbel import Ignore, context, progress, submit, tasks, testing


class Context(unittest.TestCase):
    def test_it_has_the_request_in_pythons_types(self):
        request = {"args": [1, b"\x00\xff"], "kwargs": {"at": datetime(2026, 1, 2, 3)}, "retries": 2}
        with testing.task(id="abc", eta="2026-01-02T03:04:05Z", time_limit=1.5, group_index=3, **request):
            self.assertEqual((context.id, context.retries, context.group_index), ("abc", 2, 3))
            self.assertEqual(context.args, [1, b"\x00\xff"])
            self.assertEqual(context.kwargs, {"at": datetime(2026, 1, 2, 3)})
            self.assertEqual(context.eta, datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
            self.assertEqual((context.expires, context.time_limit, context.soft_time_limit), (None, 1.5, None))
            self.assertEqual(context.delivery, umbel.Delivery("", "celery", None, False))

    def test_it_knows_the_time_that_is_left(self):
        with testing.task() as worker:
            worker.remaining, worker.soft_remaining = 12.5, 2.0
            context.take_soft_limit()
            self.assertEqual((context.remaining(), context.soft_remaining()), (12.5, 2.0))
        self.assertTrue(worker.took_soft_limit)

    def test_without_a_task_it_says_what_to_do(self):
        with self.assertRaisesRegex(RuntimeError, "umbel.testing.task"):
            context.id  # noqa: B018

    def test_a_request_is_made_of_what_requests_have(self):
        with self.assertRaisesRegex(TypeError, "has no retrys"), testing.task(retrys=1):
            pass


class Telling(unittest.TestCase):
    def test_progress_is_seen_with_its_details(self):
        with testing.task() as worker:
            progress("PROGRESS", {"done": 1})
            progress("WAITING")
        self.assertEqual(worker.updates, [("PROGRESS", {"done": 1}), ("WAITING", None)])

    def test_logging_writes_to_the_worker(self):
        with testing.task() as worker:
            logging.getLogger("thumbs").warning("%d left", 3, extra={"size": 7})
            logging.info("hello")
            logging.debug("not shown")
        self.assertEqual(worker.lines, [("warning", "3 left", {"size": 7, "logger": "thumbs"}), ("info", "hello", {})])
        self.assertNotIn("WorkerHandler", repr(logging.getLogger().handlers))


class Values(unittest.TestCase):
    def test_they_survive_json(self):
        for value in [
            {"a": [1, 2.5, None, True, "ü"]},
            datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc),
            date(2026, 1, 2),
            time(3, 4),
            Decimal("1.10"),
            UUID("00000000-0000-4000-8000-000000000001"),
            b"\x00\xff",
        ]:
            with self.subTest(value=value):
                self.assertEqual(umbel.loads(umbel.dumps(value)), value)

    def test_what_has_no_json_form_is_a_type_error(self):
        with self.assertRaisesRegex(TypeError, "object has no JSON form"):
            umbel.dumps(object())

    def test_an_unknown_tag_is_left_alone(self):
        self.assertEqual(umbel.loads('{"__type__": "x", "__value__": 1}'), {"__type__": "x", "__value__": 1})


class Sending(unittest.TestCase):
    def test_a_task_is_sent_with_what_was_given(self):
        with testing.task() as worker:
            first = submit("mail.send", ["you"], {"at": date(2026, 1, 2)}, queue="mail", countdown=timedelta(seconds=1.5))
            self.assertNotEqual(first, submit("mail.send"))
        sent = worker.sent[0]
        self.assertEqual((sent.name, sent.args, sent.kwargs), ("mail.send", ["you"], {"at": date(2026, 1, 2)}))
        self.assertEqual(sent.options, {"queue": "mail", "countdown_ms": 1500})

    def test_durations_are_rounded_up_to_milliseconds(self):
        with testing.task() as worker:
            submit("a.b", countdown=0.0001, expires=-1, time_limit=2)
        self.assertEqual(worker.sent[0].options, {"countdown_ms": 1, "expires_ms": 0, "time_limit_ms": 2000})

    def test_a_refusal_is_raised(self):
        with testing.task() as worker, self.assertRaises(PermissionError):
            worker.refusal = PermissionError("no")
            submit("a.b")

    def test_a_replaced_task_ends(self):
        steps = tasks.chain(tasks.signature("a.b", [1], queue="q"), tasks.signature("a.c", immutable=True))
        with testing.task() as worker, self.assertRaises(Ignore):
            tasks.replace(steps)
        self.assertEqual(worker.replacement["task"], "celery.chain")
        first, second = worker.replacement["kwargs"]["tasks"]
        self.assertEqual((first["args"], first["options"], first["immutable"]), ([1], {"queue": "q"}, False))
        self.assertTrue(second["immutable"])


if __name__ == "__main__":
    unittest.main()
