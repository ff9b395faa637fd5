"""Waiting for a state instead of sleeping."""

import time

PATIENCE = 90.0


def eventually(what, look, within=PATIENCE):
    """Looks until `look` gives something true, and returns it."""
    deadline = time.monotonic() + within
    pause = 0.005
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {within} s; last seen: {seen!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
