"""The cells of the suite: a broker and a content type, and what both sides are configured with."""

import dataclasses
import json
import os

from celery import Celery
from celery.app.amqp import AMQP, Queues
from kombu import Exchange, Queue

REDIS = "redis"
CLASSIC = "rabbitmq-classic"
QUORUM = "rabbitmq-quorum"
RABBITMQ = (CLASSIC, QUORUM)
BROKERS = (REDIS, CLASSIC, QUORUM)
CONTENTS = ("json", "msgpack")
#: A group inside a message: as its length is that of its members, Celery's client writes it into
#: msgpack as a map of so many entries, which nobody can read.
CARRYING_GROUPS = ("json",)
ACCEPTED = ["json", "msgpack", "yaml"]

DEFAULT_QUEUE = "celery"
MORTAL_QUEUE = "mortal"
GRAVEYARD = "graveyard"
HIGHEST_PRIORITY = 9

#: How long a retry waits: Celery can delay by whole seconds alone where the broker does it, and
#: what is left of a second when it counts is none.
PAUSE = 1.3 if QUORUM in os.environ.get("COMPAT_CELL", "") else 0.1


class SteadyQueues(Queues):
    """The queues of an application that many threads use: one that is sent to for the first time
    is added, while Celery looks through them in another thread for a quorum queue."""

    def __iter__(self):
        return iter(list(super().keys()))


class SharedAMQP(AMQP):
    queues_cls = SteadyQueues


@dataclasses.dataclass(frozen=True)
class Cell:
    """One broker with one content type, and where they are."""

    broker: str
    content: str
    broker_url: str
    results_url: str

    @staticmethod
    def from_environment():
        broker, _, content = os.environ["COMPAT_CELL"].rpartition("-")
        return Cell(broker, content, os.environ["COMPAT_BROKER"], os.environ["COMPAT_RESULTS"])

    @property
    def on_rabbitmq(self):
        return self.broker in RABBITMQ

    def app(self, **settings):
        """A Celery application, the same for clients and for workers."""
        app = Celery(
            "lab", broker=self.broker_url, backend=self.results_url, set_as_current=False,
            amqp=SharedAMQP)
        app.conf.update(self.settings())
        app.conf.update(settings)
        return app

    def settings(self):
        settings = {
            "task_serializer": self.content,
            "result_serializer": self.content,
            "accept_content": ACCEPTED,
            "task_queues": self.queues(),
            "task_default_queue": DEFAULT_QUEUE,
            "broker_connection_retry_on_startup": True,
            "broker_connection_retry": True,
        }
        if self.broker == QUORUM:
            # A topic exchange: only those get native delayed delivery.
            settings.update(
                task_default_queue_type="quorum",
                task_default_exchange_type="topic",
                task_create_missing_queue_type="quorum",
                task_create_missing_queue_exchange_type="topic")
        return settings

    def queues(self):
        return [self.queue(DEFAULT_QUEUE), self.queue(MORTAL_QUEUE)]

    def queue(self, name):
        """A queue as both sides declare it: what they reject in `mortal` goes to the graveyard."""
        arguments = {}
        if self.broker == QUORUM:
            arguments["x-queue-type"] = "quorum"
        if self.on_rabbitmq and name == MORTAL_QUEUE:
            arguments["x-dead-letter-exchange"] = ""
            arguments["x-dead-letter-routing-key"] = GRAVEYARD
        kind = "topic" if self.broker == QUORUM else "direct"
        return Queue(name, Exchange(name, kind), routing_key=name, queue_arguments=arguments)


def worker_app():
    """The application of a worker process, with the settings that its case asked for."""
    settings = json.loads(os.environ.get("COMPAT_SETTINGS", "{}"))
    return Cell.from_environment().app(**settings)
