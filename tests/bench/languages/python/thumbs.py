"""The function that the benchmark calls in every language."""

from dataclasses import dataclass


@dataclass
class Summary:
    """What `summarize` finds."""

    count: int
    mean: float
    largest: float


def summarize(numbers: list[float]) -> Summary:
    """Counts numbers, and finds their mean and the largest of them."""
    return Summary(len(numbers), sum(numbers) / len(numbers), max(numbers))
