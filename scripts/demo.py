#!/usr/bin/env python3
"""Starts a worker on an SQLite file, sends it real work, and shows each result and what it cost."""

import base64
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "target"
UMBEL = TARGET / "release/umbel"
PLUGINS = TARGET / "plugins"
SAMPLES = TARGET / "samples"
NOBODY = "nobody"
# Compiling the plugins for the first time, on a slow machine.
READY_WITHIN = 300

CONFIG = """\
broker = "sqlite://{home}/state/umbel.db"
plugin-folder = "{plugins}"
cache = "{home}/state/cache"
drain-timeout = "10s"

# This one loops for ever: give it little.
[plugins.rogue]
limits = {{ time = "1s" }}
"""

COLOURS = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def main() -> int:
    home, plugins = folders()
    (home / "umbel.toml").write_text(CONFIG.format(home=home, plugins=plugins))
    print(f"\n{bold('A worker on an SQLite file')}, {who()}, with the plugins of target/plugins")
    worker, log = start(home)
    try:
        ready(worker, log)
        tour(home, log)
    finally:
        drain(worker, log)
    print(f"\nThe worker's log: {log}\nTry your own: {UMBEL.relative_to(ROOT)} help\n")
    return 0


def tour(home: pathlib.Path, log: pathlib.Path) -> None:
    """Each line: what is called, on what, and how its result is shown in one line."""
    call = Caller(home, log)
    call("tasks.add", ["2", "3"], "Rust: a sum")
    call("tasks.primes", ["1000000"], "Rust: primes up to a million, by trial division")
    call(
        "text.to_html",
        [f"@{ROOT / 'README.md'}"],
        "JavaScript, markdown-it: this project's own README.md to HTML",
        lambda html: f"{written(home, 'README.html', html.encode())}: {html.splitlines()[0]} …",
    )
    call(
        "images.make_thumb",
        [f"@{SAMPLES / 'grace_hopper.jpg'}", "160"],
        "Rust, image: a thumbnail of Rear Admiral Grace Hopper\n"
        "    (a photograph by the US Navy, public domain, from the matplotlib wheel)",
        lambda tag: written(home, "thumbnail.jpg", base64.b64decode(tag["__value__"])),
    )
    call(
        "data.summarize",
        [f"@{SAMPLES / 'statecrime.csv'}"],
        "Python, csv and statistics: crime and living conditions in the states of the USA, 2009\n"
        "    (American Statistical Abstract, public domain, from the statsmodels wheel)",
        table,
    )
    call("rogue.spin", [], "Rust: a task that loops for ever; its limit is 1 s", ends="FAILURE")


class Caller:
    """Sends a task as any client would, waits, and takes its cost from the worker's log."""

    def __init__(self, home: pathlib.Path, log: pathlib.Path) -> None:
        self.config = home / "umbel.toml"
        self.log = log

    def __call__(
        self,
        name: str,
        args: list[str],
        about: str,
        show: Callable[[Any], str] = json.dumps,
        ends: str = "SUCCESS",
    ) -> None:
        typed = " ".join([name, *map(as_typed, args)])
        print(f"\n{bold('umbel call --wait ' + typed)}\n    {dim(about)}")
        began = time.monotonic()
        command = [UMBEL, "call", "--config", self.config, "--json", "--wait", "--timeout", "60s", name, *args]
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.monotonic() - began
        if not done.stdout:
            sys.exit(f"{done.stderr}error: `{typed}` gave no result")
        record = json.loads(done.stdout)
        if record["state"] == "SUCCESS":
            print("    = " + show(record["result"]).replace("\n", "\n      "))
        else:
            print(f"    {record['state']}: {exception(record['result'])}")
        print(f"    {dim(self.cost(record['id'], seconds))}")
        if record["state"] != ends:
            sys.exit(f"error: {name} should have ended in {ends}")

    def cost(self, task_id: str, seconds: float) -> str:
        """Wall and processor time and memory, as the worker logged them."""
        log = self.log.read_text(errors="replace")
        ended = re.search(
            rf"\[{task_id}\] (?:succeeded in|raised after) ([\d.]+)s: .*? cpu=([\d.]+)ms mem=([\d.]+)MiB", log, re.DOTALL
        )
        if not ended:
            return f"took {seconds * 1000:,.0f} ms, sending included"
        wall, cpu, memory = ended.groups()
        wall = f"{float(wall) * 1000:,.1f} ms" if wall else f"{seconds * 1000:,.0f} ms, sending included"
        return f"took {wall}; {float(cpu):,.1f} ms of a processor; {memory} MiB of memory"


def as_typed(arg: str) -> str:
    """An argument as a person in the project's folder would type it."""
    return "@" + os.path.relpath(arg[1:], ROOT) if arg.startswith("@") else arg


def table(summary: dict) -> str:
    """A summary as lines of a table."""
    head = f"{'column':<10}{'count':>7}{'mean':>10}{'median':>10}{'stdev':>10}{'min':>10}{'max':>10}"
    lines = [f"{summary['rows']} rows", head]
    for column in summary["columns"]:
        line = f"{column['name']:<10}{column['count']:>7}"
        if numbers := column["numbers"]:
            keys = ("mean", "median", "stdev", "min", "max")
            line += "".join(f"{numbers[key]:>10.2f}" for key in keys)
        else:
            line += f"   text, {column['distinct']} different"
        lines.append(line)
    return "\n".join(lines)


def exception(result: Any) -> str:
    if not isinstance(result, dict) or "exc_type" not in result:
        return json.dumps(result)
    message = result.get("exc_message")
    if isinstance(message, list):
        message = ", ".join(map(str, message))
    return f"{result['exc_type']}: {message}"


def written(home: pathlib.Path, name: str, content: bytes) -> str:
    file = home / name
    file.write_bytes(content)
    return f"{len(content):,} bytes, written to {os.path.relpath(file, ROOT) if file.is_relative_to(ROOT) else file}"


# The worker


def folders() -> tuple[pathlib.Path, pathlib.Path]:
    """Where the demo lives and its plugins: below target/, unless the worker's user cannot go there."""
    home, plugins = TARGET / "demo", PLUGINS
    ways = [TARGET, PLUGINS, *TARGET.parents]
    if os.getuid() == 0 and not all(folder.stat().st_mode & 0o001 for folder in ways):
        home = pathlib.Path(tempfile.gettempdir()) / "umbel-demo"
        plugins = home / "plugins"
    home.mkdir(parents=True, exist_ok=True)
    if home.lstat().st_uid != os.getuid():
        sys.exit(f"error: {home} belongs to somebody else\nhelp: remove it")
    if plugins != PLUGINS:
        shutil.copytree(PLUGINS, plugins, dirs_exist_ok=True)
    # The worker's own: nothing else here is written by it.
    state = home / "state"
    state.mkdir(exist_ok=True)
    for old in state.glob("umbel.db*"):
        old.unlink()
    if os.getuid() == 0:
        nobody = pwd.getpwnam(NOBODY)
        os.chown(state, nobody.pw_uid, nobody.pw_gid)
    return home, plugins


def who() -> str:
    if os.getuid() == 0:
        return f"as user {NOBODY}"
    return f"as user {pwd.getpwuid(os.getuid()).pw_name}"


def start(home: pathlib.Path) -> tuple[subprocess.Popen, pathlib.Path]:
    log = home / "worker.log"
    command = [UMBEL, "worker", "--config", home / "umbel.toml"]
    if os.getuid() == 0:
        command += ["--uid", NOBODY, "--gid", str(pwd.getpwnam(NOBODY).pw_gid)]
    with open(log, "wb") as file:
        # A session of its own: Ctrl-C comes here first, and the drain is ours to ask for.
        worker = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    return worker, log


def ready(worker: subprocess.Popen, log: pathlib.Path) -> None:
    began = time.monotonic()
    while "ready." not in log.read_text(errors="replace"):
        seconds = time.monotonic() - began
        if worker.poll() is not None:
            sys.exit(f"{log.read_text()}error: the worker did not start")
        if seconds > READY_WITHIN:
            sys.exit(f"{log.read_text()}error: the worker is not ready after {READY_WITHIN} s")
        if COLOURS and seconds > 0.5:
            print(f"\r  compiling the plugins for this machine, once … {seconds:.0f} s", end="", flush=True)
        time.sleep(0.02)
    print("\r\033[K" if COLOURS else "", end="")
    print(f"ready after {time.monotonic() - began:.2f} s")


def drain(worker: subprocess.Popen, log: pathlib.Path) -> None:
    """Asks the worker to finish, and shows the last it has to say."""
    if worker.poll() is None:
        print(f"\n{bold('SIGTERM')}: the worker drains")
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(timeout=30)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
    for line in log.read_text(errors="replace").splitlines()[-3:]:
        print(f"    {line}")


def bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if COLOURS else text


def dim(text: str) -> str:
    return f"\033[2m{text}\033[0m" if COLOURS else text


if __name__ == "__main__":
    # Without a terminal the output is a file or a pipe: let it appear line by line all the same.
    sys.stdout.reconfigure(line_buffering=True)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
