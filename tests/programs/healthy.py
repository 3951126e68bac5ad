"""Programs full of locks that are well: `healthy.py pool|queues|logging`.

Says `ready` when it is at work, and works for two minutes at most.
"""

import concurrent.futures
import io
import logging
import queue
import signal
import sys
import threading
import time

FOREVER = 3600.0
first = threading.Lock()
second = threading.RLock()
condition = threading.Condition()


def start(function):
    threading.Thread(target=function, daemon=True).start()


def job(number):
    with first:
        with second:
            with condition:
                condition.notify_all()
            time.sleep(0.0005)
    return number


def pool():
    """Jobs that take two locks in one order, and a second executor that waits for the first's."""
    inner = concurrent.futures.ThreadPoolExecutor(4)
    outer = concurrent.futures.ThreadPoolExecutor(4)

    def ask(number):
        return inner.submit(job, number).result()

    def submit():
        while True:
            list(outer.map(ask, range(50)))

    start(submit)


def queues():
    """Producers and consumers, of which some wait for their turn by a condition."""
    work, done = queue.Queue(4), queue.SimpleQueue()

    def produce():
        while True:
            work.put(job(1))

    def consume():
        while True:
            done.put(work.get())
            with condition:
                condition.wait(0.001)

    def collect():
        while True:
            done.get()

    for role in [produce] * 4 + [consume] * 4 + [collect] * 2:
        start(role)


class SlowStream(io.TextIOBase):
    def write(self, text):
        time.sleep(0.0005)
        return len(text)


def logs():
    """Many threads at one handler's lock."""
    logging.basicConfig(stream=SlowStream(), level=logging.INFO)

    def log():
        while True:
            logging.info("a line")

    for _ in range(32):
        start(log)


# Threads inherit the mask, so that the signal ends the wait below and nothing else.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
{"pool": pool, "queues": queues, "logging": logs}[sys.argv[1]]()
print("ready", flush=True)
signal.sigtimedwait({signal.SIGTERM}, 120)
