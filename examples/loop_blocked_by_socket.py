"""A shop on asyncio that asks its stock keeper through a synchronous socket.

The stock keeper is another process and takes 250 ms for an answer. An asyncio client would serve
the other visitors meanwhile; socket.recv stops the whole event loop.

Verdict: event-loop-blocked
Finding: blocked-event-loop
"""

import asyncio
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time

ANSWER_TIME = 0.25


class StockKeeper(socketserver.StreamRequestHandler):
    """The other process: answers every line with a number, slowly."""

    def handle(self):
        for article in self.rfile:
            time.sleep(ANSWER_TIME)
            self.wfile.write(b"%d\n" % (len(article) % 7))


def serve_stock():
    """Serves on a free port, told on stdout, until the parent closes stdin or dies."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), StockKeeper) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


class StockClient:
    """The synchronous client that was there before asyncio."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port))

    def available(self, article):
        self.connection.sendall(article.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            received = self.connection.recv(64)
            if not received:
                raise ConnectionError("the stock keeper has gone")
            answer += received
        return int(answer)


async def visitor(stock, basket):
    """Looks at one article after the other, with a moment to read in between."""
    while True:
        for article in basket:
            stock.available(article)
            await asyncio.sleep(0.1)


async def refresh_prices(interval):
    """Keeps the prices fresh, when it gets its turn."""
    while True:
        await asyncio.sleep(interval)


async def shop(port, seconds):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    stock = StockClient(port)
    background = [
        asyncio.ensure_future(task)
        for task in [
            visitor(stock, ["tea", "coffee", "sugar"]),
            visitor(stock, ["kettle", "cup"]),
            refresh_prices(0.05),
        ]
    ]
    print("ready", flush=True)

    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except asyncio.TimeoutError:
        pass
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    stock.connection.close()


def main(seconds):
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        asyncio.run(shop(int(keeper.stdout.readline()), seconds))


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve_stock()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
