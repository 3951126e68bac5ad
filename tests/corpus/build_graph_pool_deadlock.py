"""Builds targets in a pool of four threads, in which each target waits for those it depends on.

The targets submit their dependencies to the same pool and wait for the results. Once four targets
wait at the same time, no thread is left for what they wait for: the build has come to a stop.

Verdict: deadlocked
Healthy: no
"""
from __future__ import annotations

import hashlib
import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

THREADS = 4
DEPENDENCIES = {
    "app": ["ui", "core", "net"],
    "server": ["core", "net", "db"],
    "tools": ["core", "db"],
    "tests": ["app", "server"],
    "ui": ["core"],
    "net": ["core"],
    "db": ["core"],
    "core": [],
}
log = logging.getLogger("build")


class Builder:
    """Remembers the future of each target, so that none is built twice."""

    def __init__(self):
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="build")
        self.futures = {}
        self.lock = threading.Lock()
        self.events = 0

    def want(self, target):
        with self.lock:
            if target not in self.futures:
                self.futures[target] = self.pool.submit(self.build, target)
            return self.futures[target]

    def build(self, target):
        self.events += 1
        log.info("building %s", target)
        self.configure(target)
        parts = [self.want(name).result() for name in DEPENDENCIES[target]]
        self.events += 1
        return self.link(target, parts)

    @staticmethod
    def configure(target):
        """Looks at the compiler's version, say."""
        time.sleep(0.05)
        return {"target": target, "flags": ["-O2"]}

    @staticmethod
    def link(target, parts):
        digest = hashlib.sha256(target.encode())
        for part in parts:
            digest.update(part)
        return digest.digest()


def wait_until_stuck(builder, futures, deadline):
    last = -1
    while time.monotonic() < deadline:
        if all(future.done() for future in futures):
            return False
        if builder.events == last:
            return True
        last = builder.events
        time.sleep(0.5)
    return False


def main(seconds):
    # Threads that wait for each other could not be joined: the process leaves without them.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    deadline = time.monotonic() + seconds
    builder = Builder()
    targets = [builder.want(name) for name in ("tests", "app", "server", "tools")]
    stuck = wait_until_stuck(builder, targets, deadline)
    log.info("stuck: %s", stuck)
    print("ready", flush=True)
    threading.Timer(max(0.0, deadline - time.monotonic()), os._exit, args=(0,)).start()
    for target in targets:
        log.info("%s", target.result().hex())


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
