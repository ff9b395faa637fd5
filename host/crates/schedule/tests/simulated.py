"""Runs Celery's own schedules under a simulated clock: what was asked comes as JSON, so does the answer."""

import json
import sys
from datetime import datetime, timedelta, timezone

from celery import Celery
from celery.schedules import crontab, schedule

asked = json.loads(sys.argv[1])


class Clock:
    now = None


def runs(entry, start):
    """Each moment at which `is_due` says yes, looked at when the answer before said to."""
    end = start + timedelta(days=asked["days"])
    found, last, Clock.now = [], start, start
    while True:
        due, wait = entry.is_due(last)
        if due:
            found.append(Clock.now.astimezone(timezone.utc).isoformat())
            last = Clock.now
            due, wait = entry.is_due(last)
            assert not due, f"{entry} is due again at once"
        Clock.now = (Clock.now.astimezone(timezone.utc) + timedelta(seconds=wait)).astimezone(entry.tz)
        if Clock.now > end:
            return found


def application(zone):
    app = Celery(set_as_current=False)
    app.conf.timezone = zone
    return app


def by_text(text, zone):
    entry = crontab.from_string(text)
    entry.app, entry.nowfun = application(zone), lambda: Clock.now
    return entry


def by_time(seconds):
    return schedule(seconds, nowfun=lambda: Clock.now, app=application("UTC"))


def all_from(text):
    start = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return {
        "crontabs": [runs(by_text(crontab, zone), start) for crontab, zone, _ in asked["crontabs"]],
        "intervals": [runs(by_time(every), start) for every in asked["intervals"]],
    }


json.dump([all_from(start) for start in asked["starts"]], sys.stdout)
