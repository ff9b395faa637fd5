"""Reasons that several cases share."""

RETRY_GOES_ASTRAY = (
    "From any quorum queue, Celery sends a retry to the default one; Umbel to the queue it came from.")
