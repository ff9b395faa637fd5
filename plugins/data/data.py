"""Summary statistics, in Python."""

import csv
import io
import statistics
from collections import Counter
from typing import Optional

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.tasks import Column, Numbers, Summary


class Tasks(exports.Tasks):
    def summarize(self, csv: str) -> Summary:
        names, rows = read(csv)
        columns = [column(name, [row[i].strip() for row in rows]) for i, name in enumerate(names)]
        return Summary(rows=len(rows), columns=columns)


def read(text: str) -> tuple[list[str], list[list[str]]]:
    """The header and the rows, each as long as the header."""
    header, *_ = text.split("\n", 1)
    delimiter = max(",;\t", key=header.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise Err(f"not CSV: {error}")
    if not lines:
        raise Err("not CSV: it is empty")
    names, *rows = lines
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise Err(f"row {number} has {len(row)} cells, the header has {len(names)}")
    return names, rows


def column(name: str, cells: list[str]) -> Column:
    values = [cell for cell in cells if cell != ""]
    numbers = as_numbers(values)
    # Not most_common(): it imports heapq when called, and a running component imports nothing.
    frequency = Counter(values) if numbers is None else {}
    return Column(
        name=name,
        count=len(values),
        missing=len(cells) - len(values),
        distinct=len(set(values)),
        numbers=describe(numbers) if numbers else None,
        most_common=max(frequency, key=frequency.__getitem__) if frequency else None,
    )


def as_numbers(values: list[str]) -> Optional[list[float]]:
    try:
        return [float(value) for value in values]
    except ValueError:
        return None


def describe(numbers: list[float]) -> Numbers:
    return Numbers(
        mean=statistics.fmean(numbers),
        median=statistics.median(numbers),
        stdev=statistics.stdev(numbers) if len(numbers) > 1 else None,
        min=min(numbers),
        max=max(numbers),
    )
