"""A status page served with aiohttp to dashboards that keep their connections open.

Eighty dashboards are connected; each asks for the status every ten seconds. Nearly all of the time
there is no request at all: the server is idle, however many sockets it holds.

Verdict: idle
Healthy: yes
Packages: aiohttp
"""
from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time

DASHBOARDS = 80
REFRESH = 10.0


class StatusBoard:
    """What is known of the services, and since when."""

    def __init__(self):
        self.started = time.time()
        self.services = {"billing": "up", "search": "up", "mail": "degraded"}
        self.hits = 0

    async def show(self, request):
        from aiohttp import web

        self.hits += 1
        body = {"uptime": time.time() - self.started, "services": self.services}
        return web.json_response(body)


async def serve(seconds):
    from aiohttp import web

    board = StatusBoard()
    app = web.Application()
    app.router.add_get("/status", board.show)
    runner = web.AppRunner(app, keepalive_timeout=60.0, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.call_later(seconds, stopped.set)
    dashboards = subprocess.Popen(
        [sys.executable, __file__, "--dashboards", str(port)], stdin=subprocess.PIPE)
    try:
        while board.hits < DASHBOARDS and not stopped.is_set():
            await asyncio.sleep(0.05)
        print("ready", flush=True)
        await stopped.wait()
    finally:
        dashboards.stdin.close()
        await runner.cleanup()
        dashboards.wait()


async def dashboard(port, first_delay):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        await asyncio.sleep(first_delay)
        first_delay = REFRESH


async def run_dashboards(port):
    jobs = [dashboard(port, random.uniform(0.5, REFRESH)) for _ in range(DASHBOARDS)]
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        await asyncio.gather(*jobs)


def leave_with_parent():
    """Ends this process when the parent closes our stdin, or dies."""
    def watch():
        sys.stdin.read()
        os._exit(0)
    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--dashboards"]:
        leave_with_parent()
        asyncio.run(run_dashboards(int(sys.argv[2])))
    else:
        asyncio.run(serve(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
