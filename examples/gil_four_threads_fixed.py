"""The Mandelbrot set of gil_four_threads.py, rendered by a pool of processes, one for each CPU.

Each process has a GIL of its own. Every task is a quarter of the picture, large enough for its
way to another process and back to be no matter, and few of them are under way at a time.

Verdict: io-bound
Finding: none
Recommendation: keep
Measures: throughput
"""

import collections
import concurrent.futures
import itertools
import json
import multiprocessing
import os
import signal
import sys
import threading
import time

WIDTH, HEIGHT, DEPTH = 240, 160, 100
PARTS = 4
PATIENCE = 60.0


def escape_time(c):
    """After how many steps the orbit of `c` leaves the circle of radius 2."""
    z = 0j
    for step in range(DEPTH):
        z = z * z + c
        if z.real * z.real + z.imag * z.imag > 4.0:
            return step
    return DEPTH


def render_row(y):
    imaginary = (y / HEIGHT - 0.5) * 2.0
    return [escape_time(complex((x / WIDTH - 0.5) * 3.0 - 0.7, imaginary)) for x in range(WIDTH)]


def render_part(number):
    """Every fourth row; a worker does what one of the threads did."""
    return [render_row(y) for y in range(number, HEIGHT, PARTS)]


def begin_worker():
    """In each worker: leaves SIGTERM to the parent, and ends with it, however that ended."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


class Renderer:
    """Renders the picture again and again, with two parts under way for each worker."""

    def __init__(self, pool, workers):
        self.numbers = itertools.cycle(range(PARTS))
        self.under_way = collections.deque()
        self.pool = pool
        for _ in range(2 * workers):
            self.submit()

    def submit(self):
        self.under_way.append(self.pool.submit(render_part, next(self.numbers)))

    def render(self):
        """The next part that is finished."""
        part = self.under_way.popleft().result(PATIENCE)
        self.submit()
        return part

    def run(self, seconds):
        """Rows a second."""
        for _ in list(self.under_way):
            self.render()  # until all workers are at work
        rows, start = 0, time.monotonic()
        print("ready", flush=True)
        try:
            while time.monotonic() < start + seconds:
                rows += len(self.render())
        except SystemExit:
            pass
        elapsed = time.monotonic() - start
        for part in self.under_way:
            part.cancel()
        return rows / elapsed


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    workers = len(os.sched_getaffinity(0))
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, spawn, begin_worker) as pool:
        print(json.dumps({"throughput": Renderer(pool, workers).run(seconds)}), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
