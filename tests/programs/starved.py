"""Computes on a CPU that it shares with a child that computes as well: each gets half of it."""

import os
import subprocess
import sys
import threading

NEIGHBOUR = """
import os, sys, threading
threading.Thread(target=lambda: sys.stdin.read() or os._exit(0), daemon=True).start()
while True:
    pass
"""


def compute():
    number = 0
    while True:
        number = (number * 5 + 1) & 0xFFFF


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    neighbour = subprocess.Popen([sys.executable, "-c", NEIGHBOUR], stdin=subprocess.PIPE)
    worker = threading.Thread(target=compute, daemon=True)
    worker.start()
    print("ready", flush=True)
    worker.join()
