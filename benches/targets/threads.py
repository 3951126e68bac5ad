"""Threads that compute or wait at a given depth: threads.py DEPTH THREADS [IDLE]; the main thread is one of them."""

import sys
import threading

from common import begin, descend, leaf, ready


def main(depth, threads, idle):
    begin()
    placed = threading.Semaphore(0)
    never = threading.Event()

    def compute():
        placed.release()
        while True:
            leaf()

    def wait():
        placed.release()
        never.wait()

    for number in range(threads - 1):
        bottom = wait if number < idle else compute
        threading.Thread(target=descend, args=(depth, bottom), daemon=True).start()
    for _ in range(threads - 1):
        placed.acquire()
    ready()
    descend(depth, compute)


main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
