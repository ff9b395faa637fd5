"""What a case is given: a client, the broker, results, and workers."""

import contextlib
import json
import threading
import uuid

import redis
from celery.result import AsyncResult

from lab import suite
from lab.broker import Broker
from lab.cells import DEFAULT_QUEUE, GRAVEYARD, MORTAL_QUEUE
from lab.servers import RedisServer
from lab.waiting import PATIENCE, eventually
from lab.workers import CeleryWorker, UmbelWorker

#: Shared workers: their queues, and what they are started with beyond the cell's own settings.
SHARED = {
    suite.MAIN: {"queues": [DEFAULT_QUEUE, MORTAL_QUEUE]},
    suite.EXTENDED: {
        "queues": [suite.EXTENDED],
        "concurrency": 3,
        "settings": {
            "result_extended": True, "task_track_started": True, "result_compression": "gzip",
            "task_store_errors_even_if_ignored": True}},
    suite.NARROW: {
        "queues": [suite.NARROW], "concurrency": 1, "settings": {"worker_prefetch_multiplier": 1}},
    suite.RPC: {"queues": [suite.RPC], "concurrency": 3, "results": "rpc://"},
}


class Theatre:
    """One side of one cell: its servers and its workers, shared by all cases."""

    def __init__(self, cell, side):
        self.cell = cell
        self.side = side
        self.apps = {}
        self.workers = []
        self.locks = {name: threading.Lock() for name in SHARED}
        self.shared = {}
        self.turns = {
            # Cases on the narrow worker see its order: one at a time.
            suite.NARROW: threading.Lock(),
            # Workers that start at the same time delay each other.
            suite.OWN: threading.Semaphore(6)}
        self.app = cell.app()
        self.rpc_app = cell.app(result_backend="rpc://")
        self.broker = Broker(cell, self.app)
        self.redis = redis.Redis.from_url(cell.results_url)
        self.declare()

    def declare(self):
        if self.cell.on_rabbitmq:
            with self.broker.connection() as connection:
                connection.default_channel.queue_declare(
                    GRAVEYARD, durable=True, auto_delete=False)
        for queue in self.cell.queues():
            self.broker.declare(queue)
        for name in (suite.EXTENDED, suite.NARROW, suite.RPC):
            self.broker.declare(self.cell.queue(name))

    def worker(self, name, **options):
        make = CeleryWorker if self.side == "celery" else UmbelWorker
        worker = make(self.cell, name, **options)
        self.workers.append(worker)
        return worker

    def run(self, case):
        lab = Lab(self, case)
        with self.turns.get(case.on, contextlib.nullcontext()):
            if case.on == suite.OWN:
                lab.own_queue()
            else:
                lab.queue = SHARED[case.on]["queues"][0]
                lab.shared_worker = self.ensure(case.on)
            try:
                case.run(lab)
            except BaseException as failure:
                failure.add_note(lab.logs())
                raise

    def ensure(self, name):
        """The shared worker of this name, started when it is first needed."""
        with self.locks[name]:
            if name not in self.shared:
                self.shared[name] = self.worker(name, **SHARED[name]).start()
            return self.shared[name]

    def close(self):
        for worker in self.workers:
            worker.kill()


class Lab:
    """The world of one case."""

    def __init__(self, theatre, case):
        self.theatre = theatre
        self.case = case
        self.cell = theatre.cell
        self.broker = theatre.broker
        self.redis = theatre.redis
        self.app = theatre.rpc_app if case.on == suite.RPC else theatre.app
        #: Unlike that of any other case.
        self.key = uuid.uuid4().hex
        self.queue = DEFAULT_QUEUE
        self.shared_worker = None
        self.workers = []

    @property
    def umbel(self):
        """Whether the worker is Umbel's."""
        return self.theatre.side == "umbel"

    # -- sending ---------------------------------------------------------------------------------

    def sig(self, name, /, *args, **kwargs):
        """A signature of one of the suite's tasks, for the queue of this case."""
        signature = self.app.signature(f"lab.{name}", args, kwargs, app=self.app)
        return signature if self.queue == DEFAULT_QUEUE else signature.set(queue=self.queue)

    def send(self, name, /, *args, kwargs=None, **options):
        """Sends one of the suite's tasks by its name."""
        name = name if "." in name else f"lab.{name}"
        options.setdefault("queue", self.queue)
        return self.app.send_task(name, args, kwargs, **options)

    def call(self, name, /, *args, **kwargs):
        """Sends a task and waits for its result."""
        return self.get(self.send(name, *args, kwargs=kwargs))

    def publish(self, name, args=(), kwargs=None, embed=None, headers=None, **properties):
        """Publishes a message of protocol 2 in JSON that no client would write; gives its id."""
        task_id = properties.pop("task_id", None) or str(uuid.uuid4())
        headers = {"task": f"lab.{name}", "id": task_id, **(headers or {})}
        body = json.dumps([list(args), kwargs or {}, embed])
        properties.setdefault("queue", self.queue)
        self.broker.publish(body, headers, correlation_id=task_id, **properties)
        return self.result(task_id)

    # -- looking ---------------------------------------------------------------------------------

    def get(self, result, timeout=PATIENCE, **options):
        return result.get(timeout=timeout, **options)

    def error(self, result, timeout=PATIENCE):
        """The exception that waiting for a result raises: its own, not that of a parent."""
        if isinstance(result, AsyncResult):
            result = self.result(result.id)
        try:
            value = result.get(timeout=timeout)
        except Exception as error:
            return error
        raise AssertionError(f"raised nothing but gave {value!r}")

    def result(self, task_id):
        return AsyncResult(task_id, app=self.app)

    def stored(self, task_id):
        """What is stored for a task, as it stands there."""
        raw = self.redis.get(f"celery-task-meta-{task_id}")
        return None if raw is None else self.app.backend.decode(raw)

    def state(self, result, *states):
        """Waits until a result is in one of these states."""
        return eventually(
            f"{result.id} becomes {' or '.join(states)}",
            lambda: result.state if result.state in states else None)

    def notes(self, key, count=1, within=PATIENCE):
        """What tasks noted under a key, once there are so many."""
        return eventually(f"{count} notes of {key}", lambda: self.noted(key, count), within)

    def noted(self, key, count=0):
        notes = [note for worker in self.theatre.workers for note in worker.log.notes(key)]
        return notes if len(notes) >= count else None

    def logs(self):
        """The end of what the workers of this case wrote."""
        workers = [self.shared_worker] if self.shared_worker else self.workers
        return "\n".join(f"---- {worker.name}\n{worker.log.tail()}" for worker in workers)

    def eventually(self, what, look, within=PATIENCE):
        return eventually(what, look, within)

    # -- remote control --------------------------------------------------------------------------

    def control(self, command, *args, to=None, **options):
        """Sends a remote control command, and waits until its worker has answered."""
        to = to or self.shared_worker
        answers = getattr(self.app.control, command)(
            *args, destination=[f"{to.name}@compat"], reply=True, timeout=PATIENCE, limit=1, **options)
        assert answers and "error" not in str(answers), answers

    def revoke(self, result, **options):
        self.control("revoke", result.id, **options)

    # -- processes -------------------------------------------------------------------------------

    def own_queue(self):
        self.queue = f"own-{self.key}"
        self.broker.declare(self.cell.queue(self.queue))

    def worker(self, **options):
        """A worker of this case alone, not started yet."""
        options.setdefault("queues", [self.queue])
        options.setdefault("concurrency", 2)
        name = f"own{len(self.workers)}-{self.key[:8]}"
        self.workers.append(self.theatre.worker(name, **options))
        return self.workers[-1]

    def redis_server(self):
        """A Redis of this case alone."""
        return RedisServer()
