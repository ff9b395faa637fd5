"""The tasks of the example plugin `tasks`, as a Python worker serves them."""

import os
import time

from celery import Celery

app = Celery(broker=os.environ["PEER_BROKER"], backend=os.environ["PEER_RESULTS"])


@app.task(name="tasks.add")
def add(x, y):
    return x + y


@app.task(name="tasks.sleep")
def sleep(seconds):
    time.sleep(seconds)
