"""A web server with one good handler and one for each way to block its loop.

Arguments: `fastapi` or `aiohttp`, then `asyncio` or `uvloop`. Says its port as JSON, then `ready`.
"""

import asyncio
import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests


class Backend(BaseHTTPRequestHandler):
    """A peer that takes its time."""

    def do_GET(self):
        time.sleep(0.15)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def serve_backend():
    backend = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    return backend.server_address[1]


BACKEND = serve_backend()
ROWS = """with recursive n(i) as (select 1 union all select i + 1 from n where i < 1500000)
    select count(*) from n where i % 7 = 3"""


async def healthy():
    await asyncio.sleep(0.002)
    return {"rows": [number * number for number in range(20)]}


async def fetches():
    answer = requests.get(f"http://127.0.0.1:{BACKEND}/", timeout=5)
    return {"status": answer.status_code}


async def sleeps():
    time.sleep(0.15)
    return {}


async def naps():
    """Blocks for less than the threshold."""
    time.sleep(0.025)
    return {}


async def queries():
    with sqlite3.connect(":memory:") as database:
        return {"count": database.execute(ROWS).fetchone()}


async def spawns():
    subprocess.run(["sleep", "0.15"], check=True)
    return {}


def total(limit):
    return sum(number * number for number in range(limit))


async def computes():
    return {"total": total(3_000_000)}


HANDLERS = [healthy, fetches, sleeps, naps, queries, spawns, computes]


def listener():
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", 0))
    server.listen(128)
    return server


def serve_fastapi(server, loop):
    import uvicorn
    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(_):
        print("ready", flush=True)
        yield

    app = FastAPI(lifespan=lifespan)
    for handler in HANDLERS:
        app.get(f"/{handler.__name__}")(handler)

    config = uvicorn.Config(app, loop=loop, log_level="warning")
    uvicorn.Server(config).run(sockets=[server])


def serve_aiohttp(server, loop):
    from aiohttp import web

    app = web.Application()
    for handler in HANDLERS:

        async def answer(_, handler=handler):
            return web.json_response(await handler())

        app.router.add_get(f"/{handler.__name__}", answer)

    async def started(_):
        print("ready", flush=True)

    app.on_startup.append(started)
    event_loop = asyncio.new_event_loop()
    if loop == "uvloop":
        import uvloop

        event_loop = uvloop.new_event_loop()
    web.run_app(app, sock=server, loop=event_loop, print=None)


if __name__ == "__main__":
    kind, loop = sys.argv[1:]
    server = listener()
    print(json.dumps({"port": server.getsockname()[1]}), flush=True)
    {"fastapi": serve_fastapi, "aiohttp": serve_aiohttp}[kind](server, loop)
