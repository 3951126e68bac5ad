"""Mirrors the tiles of a map with requests and a pool of eight threads.

The tile server takes 150 ms for a tile. Eight downloads are under way at any time, and no more
than sixteen are queued: a well-built client that is limited by the server it asks.

Verdict: io-bound
Healthy: yes
Packages: requests
"""
from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

ANSWER_TIME = 0.15
PARALLEL = 8
TILE = os.urandom(40000)


async def tile_server():
    async def answer(reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(ANSWER_TIME)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
                             b"Content-Length: %d\r\n\r\n" % len(TILE) + TILE)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


class TileMirror:
    """Downloads tiles into a folder; each thread keeps a session of its own."""

    def __init__(self, base, folder):
        self.base = base
        self.folder = folder
        self.local = threading.local()

    def session(self):
        import requests

        if not hasattr(self.local, "session"):
            self.local.session = requests.Session()
        return self.local.session

    def fetch(self, x, y):
        url = "%s/12/%d/%d.png" % (self.base, x, y)
        response = self.session().get(url, timeout=10)
        response.raise_for_status()
        path = os.path.join(self.folder, "tile-%d.png" % ((x * 64 + y) % 100))
        with open(path, "wb") as file:
            file.write(response.content)
        return len(response.content)


def mirror_area(mirror, seconds):
    tiles = ((x, y) for x in itertools.count() for y in range(64))
    deadline = time.monotonic() + seconds
    received = 0
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="tile") as pool:
        pending = {pool.submit(mirror.fetch, *next(tiles)) for _ in range(2 * PARALLEL)}
        try:
            while time.monotonic() < deadline:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                if not received:
                    print("ready", flush=True)
                received += sum(job.result() for job in done)
                pending |= {pool.submit(mirror.fetch, *next(tiles)) for _ in done}
        finally:
            for job in pending:
                job.cancel()
    return received


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, __file__, "--tiles"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        port = int(server.stdout.readline())
        with tempfile.TemporaryDirectory() as folder:
            mirror_area(TileMirror("http://127.0.0.1:%d" % port, folder), seconds)


if __name__ == "__main__":
    if sys.argv[1:] == ["--tiles"]:
        asyncio.run(tile_server())
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
