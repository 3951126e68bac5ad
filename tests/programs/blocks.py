"""Blocks its event loop in known ways and lengths, and says afterwards when each block began, how
long it lasted, which task it was and which call. Argument: `uvloop`, or none."""

import asyncio
import fcntl
import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

LENGTHS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
truth = []


def sleep(seconds):
    time.sleep(seconds)


def compute(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(100))


def receive(seconds):
    near, far = socket.socketpair()
    near.settimeout(seconds)
    with near, far:
        try:
            near.recv(1)
        except socket.timeout:
            pass


def lock(seconds):
    held = threading.Lock()
    held.acquire()
    held.acquire(timeout=seconds)


def child(seconds):
    subprocess.run(["sleep", str(seconds)], check=True)


def file(seconds):
    with tempfile.TemporaryFile() as held, open("/proc/self/fd/%d" % held.fileno()) as wanted:
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(seconds, fcntl.flock, (held, fcntl.LOCK_UN)).start()
        fcntl.flock(wanted, fcntl.LOCK_EX)


CALLS = {call.__name__: call for call in (sleep, compute, receive, lock, child, file)}


def block(how, name, seconds, task):
    started = time.monotonic()
    CALLS[name](seconds)
    truth.append(
        dict(how=how, call=name, start=started, seconds=time.monotonic() - started, task=task)
    )


async def step(name, seconds):
    block("step", name, seconds, asyncio.current_task().get_name())
    await asyncio.sleep(0)


async def chain(name, seconds):
    for _ in range(2):
        block("chain", name, seconds, asyncio.current_task().get_name())
        await asyncio.sleep(0)


async def nested(name, seconds):
    async def inner():
        block("nested", name, seconds, asyncio.current_task().get_name())

    await asyncio.sleep(0)
    await inner()


async def main():
    loop = asyncio.get_running_loop()
    order = [(name, seconds) for name in CALLS for seconds in LENGTHS]
    random.Random(7).shuffle(order)
    for number, (name, seconds) in enumerate(order):
        done = loop.create_future()

        def callback():
            block("callback", name, seconds, None)
            done.set_result(None)

        loop.call_soon(callback)
        await done
        await asyncio.sleep(0.025)
        for make in (step, nested, chain):
            task = loop.create_task(make(name, seconds))
            task.set_name(f"{make.__name__}-{number}")
            await task
            await asyncio.sleep(0.025)
    print(json.dumps(truth), flush=True)


if __name__ == "__main__":
    print("ready", flush=True)
    if sys.argv[1:] == ["uvloop"]:
        import uvloop

        event_loop = uvloop.new_event_loop()
    else:
        event_loop = asyncio.new_event_loop()
    input()
    event_loop.run_until_complete(main())
    input()
