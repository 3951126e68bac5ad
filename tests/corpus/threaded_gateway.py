"""A gateway on http.server with a thread for each connection; every request asks a slow inventory.

Twelve customers keep asking; each handler waits about 120 ms for the inventory service and then
answers at once. The threads spend their life waiting for the network, as such a gateway should.

Verdict: io-bound
Healthy: yes
"""
from __future__ import annotations

import asyncio
import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading

CUSTOMERS = 12
INVENTORY_TIME = 0.12


class Gateway(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    inventory_port = 0

    def setup(self):
        super().setup()
        self.inventory = http.client.HTTPConnection("127.0.0.1", self.inventory_port, timeout=5)

    def do_GET(self):
        self.inventory.request("GET", "/inventory" + self.path)
        found = json.loads(self.inventory.getresponse().read())
        body = json.dumps({"path": self.path, "left": found["left"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def finish(self):
        self.inventory.close()
        super().finish()

    def log_message(self, *_):
        pass


class GatewayServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A customer that hangs up is no error."""


async def inventory():
    async def answer(reader, writer):
        body = json.dumps({"left": 7}).encode()
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(INVENTORY_TIME)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def customers(port):
    async def customer(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            writer.write(b"GET /item/%d HTTP/1.1\r\nHost: shop\r\n\r\n" % number)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
    await asyncio.gather(*[customer(n) for n in range(CUSTOMERS)])


def leave_with_parent():
    sys.stdin.read()
    os._exit(0)


def child(*arguments):
    return subprocess.Popen([sys.executable, __file__] + list(arguments),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with child("--inventory") as backend:
        Gateway.inventory_port = int(backend.stdout.readline())
        with GatewayServer(("127.0.0.1", 0), Gateway) as server:
            stopper = threading.Timer(seconds, server.shutdown)
            stopper.daemon = True
            stopper.start()
            with child("--customers", str(server.server_address[1])):
                threading.Timer(0.5, print, args=("ready",), kwargs={"flush": True}).start()
                server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] in (["--inventory"], ["--customers"]):
        threading.Thread(target=leave_with_parent, daemon=True).start()
        asyncio.run(inventory() if sys.argv[1] == "--inventory" else customers(int(sys.argv[2])))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
