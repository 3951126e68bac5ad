"""An asyncio service that moves its computing to threads, so as not to block the event loop.

The scoring of texts is pure Python: the four threads of the executor queue for the GIL, and the loop
that should answer pings has to queue with them. A ProcessPoolExecutor was what it wanted.

Verdict: gil-bound
Verdict without a GIL: cpu-bound
Healthy: no
"""
from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

THREADS = 4
CLIENTS = 8
WORDS = "good bad nice awful fine poor great slow fast rude kind dull".split()


def distance(left, right):
    """Levenshtein's edit distance."""
    previous = list(range(len(right) + 1))
    for row, a in enumerate(left, 1):
        current = [row]
        for column, b in enumerate(right, 1):
            current.append(min(previous[column] + 1, current[-1] + 1,
                               previous[column - 1] + (a != b)))
        previous = current
    return previous[-1]


@functools.lru_cache(maxsize=None)
def weight(word):
    return 1 + len(set(word))


def score(text):
    """How close each word is to one that we know."""
    total = 0
    for word in text.split():
        nearest = min(WORDS, key=lambda known: distance(word, known))
        total += weight(nearest)
    return total


class ScoringService:
    def __init__(self):
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="score")
        self.answered = 0

    async def connection(self, reader, writer):
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while True:
                line = await reader.readline()
                if not line:
                    break
                if line == b"ping\n":
                    writer.write(b"pong\n")
                    continue
                result = await loop.run_in_executor(self.pool, score, line.decode())
                self.answered += 1
                writer.write(b"%d\n" % result)
        writer.close()


async def serve(seconds):
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.call_later(seconds, stopped.set)
    service = ScoringService()
    server = await asyncio.start_server(service.connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clients = subprocess.Popen(
        [sys.executable, __file__, "--clients", str(port)], stdin=subprocess.PIPE)
    while service.answered < CLIENTS and not stopped.is_set():
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    await stopped.wait()
    clients.stdin.close()
    clients.wait()
    server.close()
    service.pool.shutdown(wait=False)


async def run_clients(port):
    async def client(number):
        dice = random.Random(number)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            if number == 0:
                await asyncio.sleep(0.1)
            words = ["".join(dice.choices("abdefgnor", k=8)) for _ in range(60)]
            writer.write(b"ping\n" if number == 0 else " ".join(words).encode() + b"\n")
            if not await reader.readline():
                return
    await asyncio.gather(*[client(n) for n in range(CLIENTS)])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--clients"]:
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        asyncio.run(run_clients(int(sys.argv[2])))
    else:
        asyncio.run(serve(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
