"""Checks the integrity of a store in threads, one per CPU (from two to four).

hashlib releases the GIL while it hashes a large buffer, so that the threads use all CPUs at once.
Nothing is to be gained from processes here: this is how it should look.

Verdict: native-parallel
Finding: none
Recommendation: keep
Measures: throughput
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time

MEGABYTE = 1 << 20
BLOB = 16 * MEGABYTE


def usable_cpus():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Checker:
    """Hashes the store's blobs again and again and compares them with the first result."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.stopped = False
        count = min(4, max(2, usable_cpus()))
        self.checked = [0] * count
        self.started = threading.Barrier(count + 1)
        self.threads = [
            threading.Thread(target=self.check, args=(number,), name="check-%d" % number)
            for number in range(count)
        ]

    def check(self, number):
        blob = bytes([number]) * BLOB
        expected = hashlib.sha256(blob).digest()
        self.started.wait()
        deadline = time.monotonic() + self.seconds
        while not self.stopped and time.monotonic() < deadline:
            if hashlib.sha256(blob).digest() != expected:
                raise ValueError("blob %d is damaged" % number)
            self.checked[number] += 1

    def run(self):
        """Blobs a second."""
        for thread in self.threads:
            thread.start()
        self.started.wait()
        start = time.monotonic()
        print("ready", flush=True)
        try:
            self.join()
        except SystemExit:
            self.stopped = True
            self.join()
        return sum(self.checked) / (time.monotonic() - start)

    def join(self):
        for thread in self.threads:
            thread.join()


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(json.dumps({"throughput": Checker(seconds).run()}), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
