"""Finds primes in a pool of processes that gets its numbers one at a time.

To try a number takes 30 microseconds; to pickle it, to send it through a queue, to send the answer
back and to wake whoever waits for it takes several times that, mostly in this process. The workers
wait for work, and the pool is slower than a loop would be.

Verdict: cpu-bound
Finding: gil-contention
Recommendation: larger-chunks
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
        return sum(self.pool.map(is_prime, numbers, timeout=60))

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
