"""A FastAPI service on uvicorn whose handlers await a slow pricing service through httpx.

Fifteen clients are waiting at any time; each request waits 200 ms for the backend, and then sorts
and sums a few thousand numbers: 2 to 5 ms of computing, which is fine for an event loop.

Verdict: io-bound
Healthy: yes
Packages: fastapi, uvicorn, httpx
"""
from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading

CLIENTS = 15
BACKEND_TIME = 0.2


def build_app(backend):
    import contextlib

    import fastapi
    import httpx

    @contextlib.asynccontextmanager
    async def lifespan(app):
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(base_url=backend, limits=limits, timeout=5) as client:
            app.state.client = client
            yield

    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/quote/{product}")
    async def quote(product: str, count: int = 1):
        response = await app.state.client.get("/price/" + product)
        offers = response.json()["offers"]
        return {"product": product, "count": count, "total": best_total(offers, count)}

    return app


def best_total(offers, count):
    """The cheapest way to buy: the median of the best offers."""
    samples = sorted(price * (1 + n % 7 / 100) for n in range(1500) for price in offers)
    return round(samples[len(samples) // 20] * count, 2)


async def pricing():
    async def answer(reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(BACKEND_TIME)
                body = json.dumps({"offers": [random.uniform(5, 9) for _ in range(20)]}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def clients(port):
    async def client():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            writer.write(b"GET /quote/tea?count=3 HTTP/1.1\r\nHost: quotes\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"length: ")[1].split(b"\r")[0]))
            await asyncio.sleep(random.uniform(0.1, 0.6))
    await asyncio.gather(*[client() for _ in range(CLIENTS)])


def child(*arguments):
    return subprocess.Popen([sys.executable, __file__] + list(arguments),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def main(seconds):
    import uvicorn

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with child("--pricing") as backend, socket.create_server(("127.0.0.1", 0)) as listener:
        app = build_app("http://127.0.0.1:%d" % int(backend.stdout.readline()))
        server = uvicorn.Server(uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, loop="asyncio"))
        with child("--clients", str(listener.getsockname()[1])):
            for delay, action in ((2.0, lambda: print("ready", flush=True)),
                                  (seconds, lambda: setattr(server, "should_exit", True))):
                timer = threading.Timer(delay, action)
                timer.daemon = True
                timer.start()
            server.run(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1:2] in (["--pricing"], ["--clients"]):
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        asyncio.run(pricing() if sys.argv[1] == "--pricing" else clients(int(sys.argv[2])))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
