"""Worker processes of both sides, started with the same words."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

from lab import umbel_settings
from lab.waiting import PATIENCE, eventually

HERE = pathlib.Path(__file__).parent.parent
START = 120.0

#: What a task writes to its worker's log to be seen from outside.
NOTE = re.compile(r"witness (\S+) (.*?) ;")


class Worker:
    """A worker process. `settings` are Celery's own names; Umbel gets what they mean there."""

    def __init__(self, cell, name, queues, concurrency=8, settings=None, broker=None, results=None):
        self.cell = cell
        self.name = name
        self.queues = queues
        self.concurrency = concurrency
        self.settings = settings or {}
        self.broker = broker or cell.broker_url
        self.results = results or cell.results_url
        self.folder = tempfile.TemporaryDirectory(prefix="umbel-compat-")
        self.log = Log(pathlib.Path(self.folder.name) / "log")
        self.process = None

    def start(self):
        """Starts the process and waits until it takes messages."""
        self.spawn()
        return self.await_ready()

    def spawn(self):
        """Starts the process."""
        with open(self.log.path, "ab") as output:
            self.process = subprocess.Popen(
                self.command(), cwd=HERE, env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output)

    def await_ready(self):
        self.await_log(" ready.", START)
        return self

    def await_log(self, words, within=PATIENCE):
        """Waits until the worker has written this."""
        def look():
            if words in self.log.text():
                return True
            if self.process.poll() is not None:
                raise AssertionError(f"worker {self.name} ended")

        eventually(f"worker {self.name} writes {words!r}", look, within)

    def signal(self, number):
        self.process.send_signal(number)

    def await_end(self, within=60.0):
        """The exit status."""
        self.process.wait(within)
        return self.process.returncode

    def stop(self):
        """Warm shutdown."""
        self.signal(signal.SIGTERM)
        return self.await_end()

    def kill(self):
        """Ends it and what it started without notice."""
        if self.process is None:
            return
        for pid in [*descendants(self.process.pid), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


class CeleryWorker(Worker):
    def command(self):
        return [
            sys.executable, "-m", "celery", "-A", "lab_tasks", "worker", "-l", "INFO",
            "-P", "prefork", "-c", str(self.concurrency), "-n", f"{self.name}@compat",
            "-Q", ",".join(self.queues), "--without-gossip", "--without-mingle"]

    def environment(self):
        settings = {"worker_deduplicate_successful_tasks": True, **self.settings}
        return {
            **os.environ,
            "COMPAT_SETTINGS": json.dumps(settings),
            "COMPAT_BROKER": self.broker,
            "COMPAT_RESULTS": self.results,
            "PYTHONDONTWRITEBYTECODE": "1",
        }


class UmbelWorker(Worker):
    def command(self):
        folder = pathlib.Path(self.folder.name)
        config = folder / "umbel.toml"
        config.write_text(umbel_settings.file(self.cell, self.queues, self.settings))
        plugins = folder / "plugins"
        plugins.mkdir(exist_ok=True)
        shutil.copyfile(os.environ["COMPAT_PLUGIN"], plugins / "lab.wasm")
        command = [
            os.environ["COMPAT_UMBEL"], "worker", "--config", str(config),
            "--broker", self.broker, "--result-backend", self.results, "--connect-timeout", "30s",
            "--plugins", str(plugins), "-c", str(self.concurrency), "-n", f"{self.name}@compat"]
        return command + (["--allow-root"] if os.geteuid() == 0 else [])

    def environment(self):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("UMBEL_")}
        return {**clean, "XDG_CACHE_HOME": os.environ["COMPAT_CACHE"], "NO_COLOR": "1"}


class Log:
    """A worker's output, read once as it grows."""

    def __init__(self, path):
        self.path = path
        self.path.touch()
        self.lock = threading.Lock()
        self.read = 0
        self.noted = {}

    def text(self):
        return self.bytes().decode(errors="replace")

    def bytes(self, since=0):
        with open(self.path, "rb") as file:
            file.seek(since)
            return file.read()

    def tail(self, lines=25):
        return "\n".join(self.text().splitlines()[-lines:])

    def notes(self, key):
        """What tasks noted under this key, in their order."""
        with self.lock:
            complete = self.bytes(self.read).rpartition(b"\n")[0]
            self.read += len(complete)
            for noted, value in NOTE.findall(complete.decode(errors="replace")):
                self.noted.setdefault(noted, []).append(json.loads(value))
            return list(self.noted.get(key, ()))


def descendants(pid):
    """All processes below this one."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, open_ends = [], [pid]
    while open_ends:
        below = parents.get(open_ends.pop(), [])
        found += below
        open_ends += below
    return found
