"""A FastAPI service whose async handler asks the post office's server with requests.

requests knows nothing of asyncio: while the post office thinks (180 ms), the event loop stands still,
and the other clients wait in line. httpx.AsyncClient, or a plain def, would put it right.

Verdict: event-loop-blocked
Healthy: no
Packages: fastapi, uvicorn, requests
"""
from __future__ import annotations

import asyncio
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

import fastapi
import requests
import uvicorn

CLIENTS = 5
POST_OFFICE_TIME = 0.18
app = fastapi.FastAPI()


class PostOffice(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(POST_OFFICE_TIME)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        body = json.dumps({"town": "Town of %s" % query["code"][0]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class AddressBook:
    """Completes addresses with what the post office knows."""

    def __init__(self, base):
        self.base = base

    def town_of(self, code):
        response = requests.get(self.base + "/towns", params={"code": code}, timeout=5)
        response.raise_for_status()
        return response.json()["town"]


@app.get("/complete/{code}")
async def complete(code: str, request: fastapi.Request):
    town = request.app.state.book.town_of(code)
    return {"code": code, "town": town}


@app.get("/health")
async def health():
    return {"ok": True}


async def run_clients(port):
    async def client(path):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path)
            await reader.read()
            writer.close()
            if path == b"/health":
                await asyncio.sleep(0.5)
    paths = [b"/complete/%05d" % (n * 7) for n in range(CLIENTS)] + [b"/health"]
    await asyncio.gather(*[client(path) for path in paths])


def post_office():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), PostOffice) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def child(*arguments):
    return subprocess.Popen([sys.executable, __file__] + list(arguments),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def later(delay, action):
    timer = threading.Timer(delay, action)
    timer.daemon = True
    timer.start()


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with child("--post-office") as backend, socket.create_server(("127.0.0.1", 0)) as listener:
        app.state.book = AddressBook("http://127.0.0.1:%d" % int(backend.stdout.readline()))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        with child("--clients", str(listener.getsockname()[1])):
            later(1.5, lambda: print("ready", flush=True))
            later(seconds, lambda: setattr(server, "should_exit", True))
            server.run(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1:2] in (["--post-office"], ["--clients"]):
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        post_office() if sys.argv[1] == "--post-office" else asyncio.run(run_clients(int(sys.argv[2])))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
