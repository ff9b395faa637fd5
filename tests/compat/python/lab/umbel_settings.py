"""Umbel's words for Celery's settings, and for the options of the tasks in `lab_tasks.py`."""

import json

#: Celery's setting, and the key that says the same.
KEYS = {
    "result_extended": "results.extended",
    "result_compression": "results.compression",
    "task_track_started": "tasks.track-started",
    "task_store_errors_even_if_ignored": "tasks.store-errors",
    "task_queue_max_priority": "queue-max-priority",
    "worker_eta_task_limit": "hold-limit",
    "worker_prefetch_multiplier": "prefetch-multiplier",
}

#: Late is how Umbel acknowledges anyway, and what has succeeded is not repeated.
IMPLIED = {"task_acks_late": True}

#: Options of single tasks.
TASKS = {
    "tempered": {"rate-limit": "4/s"},
    "add-ignored": {"ignore-result": True},
    "fail-ignored": {"ignore-result": True},
    "retry-ignored": {"ignore-result": True},
    "fail-unacked": {"ack-on-failure": False},
    "early": {"acks": "early"},
    "late-once": {"ack-on-timeout": False},
    "single": {"concurrency": 1},
    "flaky": {"retry": {
        "max": 2, "backoff": "100ms", "max-backoff": "100ms", "jitter": False,
        "kinds": ["ValueError"]}},
}


def file(cell, queues, settings):
    """The text of `umbel.toml`."""
    lines = {
        "queues": [queue(cell, name, settings) for name in queues],
        "default-queue": "celery",
        "accept-content": ["json", "msgpack", "yaml"],
        "results.serializer": cell.content,
        "plugins.lab.allow.submit": ["*"],
        "plugins.lab.allow.submit-queues": ["*"],
        "plugins.lab.tasks": TASKS,
    }
    for name, value in settings.items():
        if name == "broker_transport_options":
            lines["redis.visibility-timeout"] = f"{value['visibility_timeout']}s"
        elif IMPLIED.get(name) != value:
            lines[KEYS[name]] = value
    return "".join(f"{key} = {toml(value)}\n" for key, value in lines.items())


def queue(cell, name, settings):
    """A queue as `cell.queue` declares it."""
    if not cell.on_rabbitmq:
        return name
    declared = cell.queue(name)
    arguments = dict(declared.queue_arguments)
    table = {"name": name, "type": arguments.pop("x-queue-type", "classic")}
    if declared.exchange.type != "direct":
        table["exchange-type"] = declared.exchange.type
    if arguments:
        table["arguments"] = arguments
    return table


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)
