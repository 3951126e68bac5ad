"""Counts the stock of forty shops with trio, one shop after the other.

The code is asynchronous in its words alone: a for loop awaits each answer (90 ms) before it asks the
next shop. Nothing else runs meanwhile; a nursery with a limit would be many times faster.

Verdict: io-bound
Healthy: no
Packages: trio
"""
from __future__ import annotations

import json
import os
import random
import signal
import socketserver
import subprocess
import sys
import threading
import time

SHOPS = 40
ANSWER_TIME = 0.09


class ShopService(socketserver.StreamRequestHandler):
    """Answers {"shop": 7} with its stock, a line for a line."""

    def handle(self):
        for line in self.rfile:
            question = json.loads(line)
            time.sleep(ANSWER_TIME)
            stock = {name: random.randint(0, 90) for name in ("apples", "pears", "plums")}
            answer = {"shop": question["shop"], "stock": stock}
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Visitors may go as they please."""


def serve_shops():
    with Server(("127.0.0.1", 0), ShopService) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        os._exit(0)


class ShopClient:
    def __init__(self, stream):
        self.stream = stream
        self.buffer = b""

    async def stock_of(self, shop):
        await self.stream.send_all(json.dumps({"shop": shop}).encode() + b"\n")
        while b"\n" not in self.buffer:
            received = await self.stream.receive_some(4096)
            if not received:
                raise ConnectionError("the service has hung up")
            self.buffer += received
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)["stock"]


async def take_stock(client):
    total = {}
    for shop in range(SHOPS):
        stock = await client.stock_of(shop)
        for name, count in stock.items():
            total[name] = total.get(name, 0) + count
    return total


async def inventory(port, seconds):
    import trio

    async def stop_on_signal(scope):
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                scope.cancel()

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_on_signal, nursery.cancel_scope)
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                client = ShopClient(stream)
                await client.stock_of(0)
                print("ready", flush=True)
                while True:
                    print(await take_stock(client), file=sys.stderr)


def main(seconds):
    import trio

    command = [sys.executable, __file__, "--shops"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        trio.run(inventory, int(server.stdout.readline()), seconds)


if __name__ == "__main__":
    if sys.argv[1:] == ["--shops"]:
        serve_shops()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
