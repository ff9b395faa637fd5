"""Tasks that umbel runs. wit/NAME.wit has their types: change both together."""

from dataclasses import dataclass

from umbel import Retry, context, progress


@dataclass
class Summary:
    """What is to be known of some numbers."""

    lowest: float
    highest: float
    mean: float


def summarize(numbers: list[float]) -> Summary:
    """The lowest, the highest and the mean of some numbers."""
    # No numbers: ValueError, which the caller gets as that.
    return Summary(min(numbers), max(numbers), sum(numbers) / len(numbers))


def load(rows: list[str]) -> list[float]:
    """Numbers out of rows of text; comes back for those that are pending."""
    numbers = []
    for row in rows:
        if row == "pending":
            raise Retry(f"row {len(numbers) + 1} is pending", after=2**context.retries)
        numbers.append(float(row))
        progress("PROGRESS", {"done": len(numbers), "total": len(rows)})
    return numbers
