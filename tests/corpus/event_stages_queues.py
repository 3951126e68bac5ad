"""A pipeline of three stages with two threads each and bounded queues: parse, enrich, aggregate.

Each stage is pure Python that handles batches of events. Six threads want the GIL at the same time,
and one has it: the pipeline is as fast as one thread would be, or slower.

Verdict: gil-bound
Verdict without a GIL: cpu-bound
Healthy: no
"""
from __future__ import annotations

import collections
import json
import logging
import queue
import random
import signal
import sys
import threading
import time

BATCH = 400
THREADS_PER_STAGE = 2
log = logging.getLogger("pipeline")


def generate_batch(dice):
    return [
        "ts=%d;user=%d;page=/p/%d;ms=%d" % (
            1700000000 + n, dice.randrange(2000), dice.randrange(90), dice.randrange(3000))
        for n in range(BATCH)
    ]


def parse(lines):
    events = []
    for line in lines:
        event = {}
        for field in line.split(";"):
            name, value = field.split("=", 1)
            event[name] = int(value) if value.isdigit() else value
        events.append(event)
    return events


def enrich(events):
    for event in events:
        event["slow"] = event["ms"] > 2000
        event["hour"] = event["ts"] // 3600 % 24
        event["segment"] = sum(ord(letter) for letter in event["page"]) * event["user"] % 13
        event["key"] = "%(hour)02d/%(segment)d%(page)s" % event
    return events


class Aggregate:
    def __init__(self):
        self.lock = threading.Lock()
        self.by_key = collections.Counter()

    def __call__(self, events):
        local = collections.Counter()
        worst = {}
        for event in events:
            local[event["key"]] += 1
            worst[event["page"]] = max(worst.get(event["page"], 0), event["ms"])
            if event["slow"]:
                local[json.dumps({"slow": event["page"], "hour": event["hour"]})] += 1
        with self.lock:
            self.by_key.update(local)


class Stage:
    """Some threads that take batches from one queue, and put results into the next."""

    def __init__(self, name, work, source, target=None):
        self.work = work
        self.source = source
        self.target = target
        for number in range(THREADS_PER_STAGE):
            label = "%s-%d" % (name, number)
            threading.Thread(target=self.run, name=label, daemon=True).start()

    def run(self):
        while True:
            result = self.work(self.source.get())
            if self.target is not None:
                self.target.put(result)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    raw, parsed, enriched = (queue.Queue(maxsize=8) for _ in range(3))
    aggregate = Aggregate()
    Stage("parse", parse, raw, parsed)
    Stage("enrich", enrich, parsed, enriched)
    Stage("aggregate", aggregate, enriched)
    batches = [generate_batch(random.Random(n)) for n in range(30)]
    deadline = time.monotonic() + seconds
    print("ready", flush=True)
    number = 0
    while time.monotonic() < deadline:
        raw.put(batches[number % len(batches)])
        number += 1
    log.info("%d batches, %d keys", number, len(aggregate.by_key))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
