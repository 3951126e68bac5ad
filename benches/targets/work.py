"""Does work when told to, and says how long it took: work.py DEPTH THREADS [IDLE].

Each line N on standard input is N units of work, shared by the threads that are not idle; the answer is a line with the
seconds on the clock.
"""

import sys
import threading
from queue import SimpleQueue
from time import perf_counter

from common import begin, descend, leaf, ready

UNIT = 100  # calls of leaf


def main(depth, threads, idle):
    begin()
    orders, done, never = SimpleQueue(), SimpleQueue(), threading.Event()

    def work():
        done.put(None)
        while True:
            for _ in range(orders.get() * UNIT):
                leaf()
            done.put(None)

    def wait():
        done.put(None)
        never.wait()

    workers = threads - 1 - idle
    for number in range(threads - 1):
        bottom = wait if number < idle else work
        threading.Thread(target=descend, args=(depth, bottom), daemon=True).start()
    for _ in range(threads - 1):
        done.get()
    ready()
    for line in sys.stdin:
        start = perf_counter()
        for _ in range(workers):
            orders.put(int(line) // workers)
        for _ in range(workers):
            done.get()
        print(perf_counter() - start, flush=True)


main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
