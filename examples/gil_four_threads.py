"""Renders the Mandelbrot set in four threads, in pure Python.

Only one thread at a time runs Python, so that four threads are no faster than one: at any moment
three of them want the GIL. Processes, or a free-threaded build, would use the other CPUs.

Verdict: gil-bound
Finding: gil-contention
Recommendation: processes
Verdict without a GIL: cpu-bound
Measures: throughput
"""

import json
import signal
import sys
import threading
import time

WIDTH, HEIGHT, DEPTH = 240, 160, 100
THREADS = 4


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


class Renderer:
    """Renders the picture again and again; each thread takes every fourth row."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.stopped = False
        self.rows = [0] * THREADS
        self.started = threading.Barrier(THREADS + 1)
        self.threads = [
            threading.Thread(target=self.render, args=(number,), name="render-%d" % number)
            for number in range(THREADS)
        ]

    def render(self, number):
        self.started.wait()
        deadline = time.monotonic() + self.seconds
        while True:
            for y in range(number, HEIGHT, THREADS):
                if self.stopped or time.monotonic() > deadline:
                    return
                render_row(y)
                self.rows[number] += 1

    def run(self):
        """Rows a second."""
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
        return sum(self.rows) / (time.monotonic() - start)

    def join(self):
        for thread in self.threads:
            thread.join()


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(json.dumps({"throughput": Renderer(seconds).run()}), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
