"""A Celery client in default configuration that evaluates Python, one JSON line in, one out."""

import datetime
import decimal
import json
import math
import os
import sys
import time
import traceback
import uuid

import kombu
from celery import Celery, chain, chord, group, signature
from celery.result import AsyncResult

app = Celery(broker=os.environ["PEER_BROKER"], backend=os.environ["PEER_RESULTS"])


def call(name, *args, **kwargs):
    """Sends a task and waits for its result."""
    return app.send_task(name, args, kwargs).get(timeout=30)


def same(name, value):
    """Sends `value` through a task that gives it back, and compares value and type."""
    back = call(name, value)
    return type(back) is type(value) and back == value


def publish(body, headers=None, content_type="application/json", content_encoding="utf-8",
            queue="celery", **properties):
    """Publishes a body as it is."""
    with app.connection_for_write() as connection:
        kombu.Producer(connection.channel()).publish(
            body, exchange="", routing_key=queue, headers=headers or {},
            content_type=content_type, content_encoding=content_encoding, **properties)


def waiting(queue="celery"):
    """How many messages wait in a queue, those a worker holds not counted."""
    with app.connection_for_read() as connection:
        channel = connection.channel()
        if connection.transport.driver_type == "redis":
            steps = ["", "\x06\x163", "\x06\x166", "\x06\x169"]
            return sum(channel.client.llen(queue + step) for step in steps)
        return channel.queue_declare(queue, passive=True).message_count


def held():
    """How many messages workers hold, where the broker tells (Redis)."""
    with app.connection_for_read() as connection:
        return connection.channel().client.hlen("unacked")


def main():
    # What Celery or a test prints must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    scope = globals()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["verb"] == "eval":
                answer = {"value": eval(request["code"], scope)}
            else:
                exec(request["code"], scope)
                answer = {"value": None}
            text = json.dumps(answer)
        except BaseException as error:
            text = json.dumps({
                "module": type(error).__module__,
                "kind": type(error).__qualname__,
                "message": str(error),
                "traceback": traceback.format_exc(),
            })
        answers.write(text + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
