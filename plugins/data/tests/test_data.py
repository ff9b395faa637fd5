import unittest

import data


class Summarize(unittest.TestCase):
    def test_numbers_and_texts_are_told_apart(self):
        numbers, texts = data.summarize("size;kind\n1;a\n2;b\n;b\n")["columns"]
        self.assertEqual((numbers["count"], numbers["missing"], numbers["numbers"]["mean"]), (2, 1, 1.5))
        self.assertEqual((texts["numbers"], texts["most_common"]), (None, "b"))

    def test_a_row_that_is_too_short_is_named(self):
        with self.assertRaisesRegex(ValueError, "row 2 has 1 cells, the header has 2"):
            data.summarize("a,b\n1,2\n3\n")


if __name__ == "__main__":
    unittest.main()
