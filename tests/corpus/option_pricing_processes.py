"""Prices options by Monte Carlo in a ProcessPoolExecutor; this is the parent of the pool.

Two worker processes compute all the time; the parent hands out a batch of contracts, waits for the
results and adds them up. It has next to nothing to compute itself and waits for its children.

Verdict: io-bound
Healthy: yes
"""
from __future__ import annotations

import itertools
import math
import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor

PATHS = 120000
WORKERS = 2


class Option:
    """A European call."""

    def __init__(self, spot, strike, years, volatility, rate=0.02):
        self.spot = spot
        self.strike = strike
        self.years = years
        self.volatility = volatility
        self.rate = rate


def price(option, paths=PATHS):
    """The mean discounted payoff over many random paths (runs in a worker)."""
    dice = random.Random(int(option.strike * 1000))
    drift = (option.rate - option.volatility ** 2 / 2) * option.years
    spread = option.volatility * math.sqrt(option.years)
    total = 0.0
    for _ in range(paths):
        end = option.spot * math.exp(drift + spread * dice.gauss(0, 1))
        total += max(0.0, end - option.strike)
    return math.exp(-option.rate * option.years) * total / paths


def follow_parent(parent):
    """Initializer of a worker: it ends when its parent has."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def watch():
        while os.getppid() == parent:
            time.sleep(0.3)
        os._exit(0)
    threading.Thread(target=watch, daemon=True).start()


def contracts():
    for number in itertools.count():
        yield Option(100.0, 80.0 + number % 40, 0.25 + number % 8 / 4, 0.1 + number % 5 / 20)


def price_book(pool, seconds, batch=16):
    source = contracts()
    value = 0.0
    deadline = time.monotonic() + seconds
    for round_number in itertools.count():
        if time.monotonic() > deadline:
            return value
        book = list(itertools.islice(source, batch))
        prices = pool.map(price, book, chunksize=1)
        if round_number == 0:
            print("ready", flush=True)
        value += sum(prices)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    pool = ProcessPoolExecutor(WORKERS, initializer=follow_parent, initargs=(os.getpid(),))
    try:
        value = price_book(pool, seconds)
        print("book value %.2f" % value, file=sys.stderr)
    finally:
        workers = list((getattr(pool, "_processes", None) or {}).values())
        for worker in workers:
            worker.terminate()
        pool.shutdown(wait=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
