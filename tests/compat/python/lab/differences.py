"""Reasons that several cases share."""

RETRY_GOES_ASTRAY = (
    "From any quorum queue, Celery sends a retry to the default one; Umbel to where it came from.")

INVALID_IS_TOLD = (
    "Celery drops a message that makes no sense; Umbel rejects it as well, and stores a failure so"
    " that its caller knows.")

NO_TRACEBACK = (
    "An error that a sandboxed task returns was not raised anywhere, so that it has no traceback;"
    " a crash has one.")
