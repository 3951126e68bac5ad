"""Comes to its end, and something keeps it from that, or nothing does: the argument says which."""

import asyncio
import multiprocessing
import os
import socket
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


def sleep_for_ever():
    time.sleep(3600)  # stuck


def live_with(pid):
    """What a child does that must not outlive the program, which need not be its parent."""
    while os.path.exists("/proc/%d" % pid):
        time.sleep(0.05)
    # Returning would leave a pool's worker waiting for its next job.
    os._exit(0)


def compute(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def threads():
    threading.Thread(target=sleep_for_ever, name="stuck").start()
    threading.Thread(target=sleep_for_ever, name="daemon", daemon=True).start()


def executor():
    ThreadPoolExecutor(2, thread_name_prefix="stuck").submit(sleep_for_ever)


def process_pool():
    ProcessPoolExecutor(1).submit(live_with, os.getpid())


def children():
    multiprocessing.Process(target=live_with, args=[os.getpid()]).start()


def queue():
    # It stays when this returns: a queue that is gone has closed its pipe.
    global unread
    unread = multiprocessing.Queue()
    unread.put("x" * 10_000_000)


async def job_in_thread():
    asyncio.get_running_loop().run_in_executor(None, sleep_for_ever)


def default_executor():
    asyncio.run(job_in_thread())


async def stubborn():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


async def leave_task():
    asyncio.create_task(stubborn())
    await asyncio.sleep(0)


def task():
    asyncio.run(leave_task())  # loop


def joins():
    thread = threading.Thread(target=sleep_for_ever)
    thread.start()
    thread.join()


def pool_in_use():
    with ThreadPoolExecutor(2) as pool:
        pool.submit(sleep_for_ever)


def consume():
    while True:
        compute(0.01)


def serve():
    listener = socket.create_server(("127.0.0.1", 0))
    while True:
        listener.accept()


def design():
    threading.Thread(target=consume, name="worker").start()
    threading.Thread(target=serve, name="server").start()


def daemon():
    threading.Thread(target=sleep_for_ever, daemon=True).start()
    threading.Event().wait()


def quick():
    """Ends as it should, again and again: nothing of it takes half a second."""
    for _ in range(5):
        asyncio.run(asyncio.wait_for(asyncio.sleep(0.1), 1))
    ThreadPoolExecutor(2).submit(compute, 0.1)
    threading.Thread(target=compute, args=[0.1]).start()


def save():
    time.sleep(3600)  # left


def left():
    threading.Thread(target=save, name="saver", daemon=True).start()
    compute(0.5)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("ready", flush=True)
