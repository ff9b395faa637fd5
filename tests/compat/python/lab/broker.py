"""The broker seen from below: queues and messages as they are."""

import threading
import uuid

import kombu

from lab.cells import ACCEPTED, GRAVEYARD, REDIS
from lab.waiting import eventually

PRIORITY_LISTS = ("", "\x06\x163", "\x06\x166", "\x06\x169")


class Broker:
    """Publishes and takes raw messages; safe to use from several threads."""

    def __init__(self, cell, app):
        self.cell = cell
        self.app = app
        self.buried = {}
        self.digging = threading.Lock()

    def connection(self):
        return self.app.connection_for_write()

    def declare(self, queue):
        with self.connection() as connection:
            queue(connection.default_channel).declare()

    def publish(self, body, headers=None, queue="celery", content_type="application/json",
                content_encoding="utf-8", **properties):
        """Publishes a body as it is."""
        with self.connection() as connection:
            kombu.Producer(connection.default_channel).publish(
                body, exchange="", routing_key=queue, headers=headers or {},
                content_type=content_type, content_encoding=content_encoding, **properties)

    def waiting(self, queue):
        """How many messages wait in a queue, those that a worker holds not counted."""
        with self.connection() as connection:
            channel = connection.default_channel
            if self.cell.broker == REDIS:
                return sum(channel.client.llen(queue + list_) for list_ in PRIORITY_LISTS)
            return channel.queue_declare(queue, passive=True).message_count

    def take(self, queue, within=20.0):
        """Takes one message out of a queue."""
        with self.connection() as connection:
            simple = kombu.Queue(queue)(connection.default_channel)
            message = eventually(
                f"a message comes to {queue}", lambda: simple.get(no_ack=True, accept=ACCEPTED), within)
            message.payload  # while the connection is open
            return message

    def exhumed(self, task_id, within=20.0):
        """The dead-lettered message of a task."""
        def dig():
            with self.digging, self.connection() as connection:
                # Not kombu's own way, which looks into bodies that nobody can read.
                channel = connection.default_channel
                while message := channel.basic_get(GRAVEYARD, no_ack=True):
                    self.buried[message.properties.get("correlation_id")] = message
            return self.buried.get(task_id)

        return eventually(f"{task_id} comes to the graveyard", dig, within)

    def redeliver(self, queue, make):
        """Puts a message into a queue as one that was handed out before, and not settled."""
        if self.cell.broker == REDIS:
            with self.connection() as connection:
                channel = connection.default_channel
                make(queue)
                message = kombu.Queue(queue)(channel).get()
                message.requeue()
        else:
            with self.connection() as connection:
                make(queue)
                channel = connection.default_channel
                eventually("the message is there", lambda: channel.basic_get(queue))
                # Closing gives it back.


def fresh_id():
    return str(uuid.uuid4())
