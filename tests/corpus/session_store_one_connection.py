"""An asyncio server that looks sessions up in a remote store over one single connection.

The store needs 60 ms for an answer, and an asyncio.Lock around the only connection lets one question
be asked at a time: twenty clients queue for it. The loop itself is free; it waits for the store.

Verdict: io-bound
Healthy: no
"""
from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading

CLIENTS = 20
STORE_TIME = 0.06
log = logging.getLogger("sessions")


class Store:
    """The remote store, with a "pool" of one connection."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.lock = asyncio.Lock()

    @classmethod
    async def connect(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def get(self, key):
        async with self.lock:
            self.writer.write(b"GET %s\n" % key)
            line = await asyncio.wait_for(self.reader.readline(), 10)
        return json.loads(line)


class SessionServer:
    def __init__(self, store):
        self.store = store
        self.lookups = 0

    async def connection(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            while True:
                token = await reader.readline()
                if not token:
                    break
                session = await self.store.get(token.strip())
                self.lookups += 1
                writer.write(b"%s\n" % session["user"].encode())
        writer.close()


async def serve(store_port, seconds):
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.call_later(seconds, stopped.set)
    sessions = SessionServer(await Store.connect(store_port))
    server = await asyncio.start_server(sessions.connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clients = subprocess.Popen(
        [sys.executable, __file__, "--clients", str(port)], stdin=subprocess.PIPE)
    while sessions.lookups < 5 and not stopped.is_set():
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    await stopped.wait()
    clients.stdin.close()
    clients.wait()
    server.close()


async def remote_store():
    async def answer(reader, writer):
        while await reader.readline():
            await asyncio.sleep(STORE_TIME)
            writer.write(b'{"user": "ada", "roles": ["admin"]}\n')
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def clients(port):
    async def client(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            writer.write(b"token-%d\n" % number)
            if not await reader.readline():
                return
    await asyncio.gather(*[client(n) for n in range(CLIENTS)])


def main(seconds):
    command = [sys.executable, __file__, "--store"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as store:
        asyncio.run(serve(int(store.stdout.readline()), seconds))


if __name__ == "__main__":
    if sys.argv[1:2] in (["--store"], ["--clients"]):
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        asyncio.run(remote_store() if sys.argv[1] == "--store" else clients(int(sys.argv[2])))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
