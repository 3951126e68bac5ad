"""A pool of asyncio workers, bounded by a semaphore, that asks a cache through a synchronous client.

Each lookup takes the cache about 25 ms: too short to be called a freeze, but all of it is spent on
the event loop in recv(), and there is one lookup after the other. The twelve workers take turns.

Verdict: event-loop-blocked
Healthy: no
"""
from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading

WORKERS = 12
PARALLEL = 6
CACHE_TIME = 0.025
log = logging.getLogger("notify")


class CacheClient:
    """A client in the style of memcached's: blocking, and simple."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.buffer = b""

    def get(self, key):
        self.socket.sendall(b"get %s\n" % key.encode())
        while b"\n" not in self.buffer:
            received = self.socket.recv(4096)
            if not received:
                raise ConnectionError("the cache has gone")
            self.buffer += received
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)


class Notifier:
    def __init__(self, cache, mail_port):
        self.cache = cache
        self.mail_port = mail_port
        self.permits = asyncio.Semaphore(PARALLEL)
        self.sent = 0

    async def send(self, user, text):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.mail_port)
        writer.write(json.dumps({"to": user["mail"], "text": text}).encode() + b"\n")
        await reader.readline()
        writer.close()
        self.sent += 1

    async def notify(self, number):
        user = self.cache.get("user:%d" % number)
        if user["wants_mail"]:
            await self.send(user, "There is news for you")

    async def worker(self, queue):
        while True:
            number = await queue.get()
            async with self.permits:
                await self.notify(number)
            queue.task_done()


async def work(cache_port, mail_port, seconds):
    notifier = Notifier(CacheClient(cache_port), mail_port)
    queue = asyncio.Queue(maxsize=100)
    me = asyncio.current_task()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, me.cancel)
    loop.call_later(seconds, me.cancel)
    workers = [asyncio.ensure_future(notifier.worker(queue)) for _ in range(WORKERS)]
    loop.call_later(1.0, lambda: print("ready", flush=True))
    number = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await queue.put(number)
            number += 1
    for worker in workers:
        worker.cancel()
    print("%d sent" % notifier.sent, file=sys.stderr)


async def services():
    async def cache(reader, writer):
        while await reader.readline():
            await asyncio.sleep(CACHE_TIME)
            writer.write(b'{"mail": "a@example.org", "wants_mail": true}\n')
        writer.close()

    async def mail(reader, writer):
        await reader.readline()
        writer.write(b"250 accepted\n")
        writer.close()

    servers = [await asyncio.start_server(each, "127.0.0.1", 0) for each in (cache, mail)]
    print(*[server.sockets[0].getsockname()[1] for server in servers], flush=True)
    await asyncio.Event().wait()


def main(seconds):
    command = [sys.executable, __file__, "--services"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        ports = [int(port) for port in process.stdout.readline().split()]
        asyncio.run(work(ports[0], ports[1], seconds))


if __name__ == "__main__":
    if sys.argv[1:] == ["--services"]:
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        asyncio.run(services())
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
