"""A command that copies the orders of a shop by following the server's cursors, with retries.

Every page tells the cursor of the next one, so no two requests can overlap: waiting is in the nature
of the protocol. Now and then the server is overloaded (503) and the client backs off for a moment.

Verdict: io-bound
Healthy: yes
Packages: httpx, typer
"""
from __future__ import annotations

import http.server
import json
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

import httpx
import typer

PAGE = 50
ANSWER_TIME = 0.12


class OrdersApi(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        cursor = int(query.get("cursor", ["0"])[0])
        if random.random() < 0.05:
            return self.send(503, {"error": "try again later"})
        time.sleep(ANSWER_TIME)
        orders = [{"id": cursor + n, "total": random.randint(5, 500)} for n in range(PAGE)]
        return self.send(200, {"orders": orders, "next": cursor + PAGE})

    def send(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve_orders():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OrdersApi) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


class OrdersClient:
    def __init__(self, client, attempts=6):
        self.client = client
        self.attempts = attempts
        self.retries = 0

    def page(self, cursor):
        for attempt in range(self.attempts):
            response = self.client.get("/orders", params={"cursor": cursor})
            if response.status_code != 503:
                response.raise_for_status()
                return response.json()
            self.retries += 1
            time.sleep(random.uniform(0.5, 1.0) * 0.1 * 2 ** attempt)
        raise RuntimeError("the shop does not answer")

    def orders(self):
        cursor = 0
        while True:
            page = self.page(cursor)
            for order in page["orders"]:
                yield order
            cursor = page["next"]


def sync(seconds: float = typer.Argument(30.0)):
    """Copies orders for SECONDS."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, __file__, "--orders"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        base = "http://127.0.0.1:%d" % int(server.stdout.readline())
        with httpx.Client(base_url=base, timeout=10) as http_client:
            client = OrdersClient(http_client)
            deadline = time.monotonic() + seconds
            turnover = 0
            for count, order in enumerate(client.orders()):
                turnover += order["total"]
                if count == PAGE:
                    print("ready", flush=True)
                if time.monotonic() > deadline:
                    break
        typer.echo("turnover %d, %d retries" % (turnover, client.retries), err=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--orders"]:
        serve_orders()
    else:
        cli = typer.Typer(add_completion=False)
        cli.command()(sync)
        cli()
