"""The ground truth of garbage collection: a program that collects a good part of the time, or never.

    collects.py collects|never

Says `ready` and works until SIGTERM; then says `{"share": time in collections by time}`, as its own
`gc.callbacks` measured it.
"""

import gc
import json
import signal
import sys
import time


class Stopwatch:
    """Adds up the time between the start and the stop of collections."""

    def __init__(self):
        self.seconds = 0.0
        self.started = 0.0

    def __call__(self, phase, _info):
        if phase == "start":
            self.started = time.perf_counter()
        else:
            self.seconds += time.perf_counter() - self.started


def compute():
    return sum(number * number for number in range(20_000))


def build():
    return len([[number] for number in range(1_000)])


def main():
    collects = sys.argv[1] == "collects"
    alive = [{"key": [number]} for number in range(100_000)]
    stopwatch = Stopwatch()
    gc.callbacks.append(stopwatch)
    if not collects:
        gc.disable()
    begun = time.perf_counter()

    # An exception from the handler would get lost where it interrupts a collection's callback.
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    print("ready", flush=True)
    rounds = 0
    while alive and not ended:
        compute()
        build()
        rounds += 1
        if collects and rounds % 20 == 0:
            gc.collect()
    print(json.dumps({"share": stopwatch.seconds / (time.perf_counter() - begun)}), flush=True)


main()
