"""Finds the primes of pool_of_crumbs.py in a pool that gets its numbers by the hundred.

A chunk is work for milliseconds, against which its way to a worker and back is nothing; there are
still enough chunks in a batch for all workers to be busy to its end.

Verdict: io-bound
Finding: none
Recommendation: keep
Measures: throughput
"""

import concurrent.futures
import itertools
import json
import multiprocessing
import os
import signal
import sys
import threading
import time

BATCH = 8000
CHUNK = 500
FIRST = 100_000_007


def is_prime(number):
    """By trial division."""
    if number % 2 == 0:
        return False
    for divisor in range(3, int(number**0.5) + 1, 2):
        if number % divisor == 0:
            return False
    return True


def begin_worker():
    """In each worker: leaves SIGTERM to the parent, and ends with it, however that ended."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


class Sieve:
    """Goes through the same odd numbers again and again."""

    def __init__(self, pool):
        self.pool = pool
        self.stopped = False
        signal.signal(signal.SIGTERM, self.stop)

    def stop(self, *_):
        self.stopped = True

    def primes(self):
        """How many primes there are in a batch."""
        numbers = range(FIRST, FIRST + 2 * BATCH, 2)
        return sum(self.pool.map(is_prime, numbers, timeout=60, chunksize=CHUNK))

    def run(self, seconds):
        """Numbers a second."""
        found = self.primes()  # starts the workers
        print("ready", flush=True)
        start = time.monotonic()
        for batches in itertools.count(1):
            if self.primes() != found:
                raise ValueError("a prime is not what it was")
            elapsed = time.monotonic() - start
            if self.stopped or elapsed > seconds:
                return batches * BATCH / elapsed


def main(seconds):
    workers = len(os.sched_getaffinity(0))
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, spawn, begin_worker) as pool:
        print(json.dumps({"throughput": Sieve(pool).run(seconds)}), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
