"""Runs cases on one side of one cell: their names come one a line, so do the answers as JSON."""

import concurrent.futures
import json
import os
import sys
import threading
import time
import traceback

from lab import suite
from lab.cells import Cell


def main():
    cases = suite.load()
    if sys.argv[1:] == ["--list"]:
        json.dump([case.description() for case in cases.values()], sys.stdout)
    elif sys.argv[1:] == ["--differences"]:
        differences(cases)
    else:
        serve(cases)


def differences(cases):
    """Prints a table of where Umbel differs on purpose."""
    reasons = {}
    for case in cases.values():
        if case.differs:
            reasons.setdefault(case.differs, []).append(f"`{case.name}`")
    print("| difference | cases |\n|---|---|")
    for reason, names in reasons.items():
        print(f"| {reason} | {', '.join(names)} |")


def serve(cases):
    from lab.context import Theatre

    # What Celery or a case prints must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    writing = threading.Lock()
    theatre = Theatre(Cell.from_environment(), os.environ["COMPAT_SIDE"])

    def run(name):
        started = time.monotonic()
        failure = attempt(theatre, cases[name])
        answer = {"asked": name, "failure": failure, "seconds": time.monotonic() - started}
        with writing:
            print(json.dumps(answer), file=answers, flush=True)

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        for line in sys.stdin:
            pool.submit(run, line.strip())
    theatre.close()


def attempt(theatre, case):
    try:
        theatre.run(case)
    except BaseException:
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    main()
