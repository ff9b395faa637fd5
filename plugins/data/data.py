"""Summary statistics, in Python. wit/data.wit has the types: change both together."""

import csv as csv_files
import io
import statistics
from collections import Counter
from typing import Optional


def summarize(csv: str) -> dict:
    """Summary statistics of each column of a CSV text."""
    names, rows = read(csv)
    columns = [column(name, [row[i].strip() for row in rows]) for i, name in enumerate(names)]
    return {"rows": len(rows), "columns": columns}


def read(text: str) -> tuple[list[str], list[list[str]]]:
    """The header and the rows, each as long as the header."""
    header, *_ = text.split("\n", 1)
    delimiter = max(",;\t", key=header.count)
    reader = csv_files.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [line for line in reader if line]
    except csv_files.Error as error:
        raise ValueError(f"not CSV: {error}") from error
    if not lines:
        raise ValueError("not CSV: it is empty")
    names, *rows = lines
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise ValueError(f"row {number} has {len(row)} cells, the header has {len(names)}")
    return names, rows


def column(name: str, cells: list[str]) -> dict:
    values = [cell for cell in cells if cell != ""]
    numbers = as_numbers(values)
    # Not most_common(): it imports heapq when called, and a running component imports nothing.
    frequency = Counter(values) if numbers is None else {}
    return {
        "name": name,
        "count": len(values),
        "missing": len(cells) - len(values),
        "distinct": len(set(values)),
        "numbers": describe(numbers) if numbers else None,
        "most_common": max(frequency, key=frequency.__getitem__) if frequency else None,
    }


def as_numbers(values: list[str]) -> Optional[list[float]]:
    try:
        return [float(value) for value in values]
    except ValueError:
        return None


def describe(numbers: list[float]) -> dict:
    return {
        "mean": statistics.fmean(numbers),
        "median": statistics.median(numbers),
        "stdev": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "min": min(numbers),
        "max": max(numbers),
    }
