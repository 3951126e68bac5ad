"""What all targets share: a bounded life, a line `ready`, a bottomless stack, a little work."""

import os
import signal
import sys


def begin():
    """Makes sure that no target outlives its harness: SIGALRM ends it after the limit, in seconds."""
    signal.alarm(int(os.environ.get("PYCONC_BENCH_LIMIT", "120")))
    sys.setrecursionlimit(10_000)


def ready():
    """Says that all threads are where they belong."""
    print("ready", flush=True)


def leaf():
    """About 2 µs of Python: the innermost frame comes and goes, as it does in most programs."""
    for _ in range(100):
        pass


def descend(depth, bottom):
    """Calls `bottom` with `depth` frames of this function below it."""
    if depth > 1:
        return descend(depth - 1, bottom)
    return bottom()
