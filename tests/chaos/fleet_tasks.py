"""The tasks of the example plugin `tasks` that a mixed fleet shares, as a Python worker serves them."""

import os
import time

from celery import Celery

app = Celery(broker=os.environ["PEER_BROKER"], backend=os.environ["PEER_RESULTS"])
app.conf.update(
    # A worker that dies must not take messages with it.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # Its connections tell the server whose they are.
    redis_client_name=os.environ["PEER_NAME"],
)
if app.conf.broker_url.startswith("redis"):
    app.conf.broker_transport_options = {
        "visibility_timeout": float(os.environ["PEER_LEASE"]),
        "client_name": os.environ["PEER_NAME"],
    }


@app.task(name="tasks.add")
def add(x, y):
    return x + y


@app.task(name="tasks.sleep")
def sleep(seconds):
    time.sleep(seconds)


@app.task(name="tasks.xsum")
def xsum(numbers):
    return sum(numbers)
