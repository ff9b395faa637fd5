import unittest

import NAME
from umbel import Retry, testing


class Summarize(unittest.TestCase):
    def test_it_finds_the_lowest_the_highest_and_the_mean(self):
        self.assertEqual(NAME.summarize([3, 1, 2]), NAME.Summary(lowest=1, highest=3, mean=2))

    def test_it_refuses_no_numbers_at_all(self):
        with self.assertRaises(ValueError):
            NAME.summarize([])


class Load(unittest.TestCase):
    def test_it_tells_how_far_it_is(self):
        with testing.task() as worker:
            self.assertEqual(NAME.load(["1", "2.5"]), [1, 2.5])
        self.assertEqual(worker.updates[-1], ("PROGRESS", {"done": 2, "total": 2}))

    def test_it_waits_longer_each_time(self):
        with testing.task(retries=3), self.assertRaises(Retry) as retry:
            NAME.load(["1", "pending"])
        self.assertEqual(retry.exception.after, 8)


if __name__ == "__main__":
    unittest.main()
