"""Books orders in eight threads that hold one lock while they ask the price list.

The price list is another process and takes 20 ms for an answer. The lock is there for the account
book, which takes microseconds; but whoever has it waits for the network, and seven wait for the
lock: eight threads do the work of one.

Verdict: lock-bound
Finding: lock-held-across-io
Recommendation: reduce-lock-scope
Measures: throughput
"""

import itertools
import json
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time

ANSWER_TIME = 0.02
THREADS = 8
PATIENCE = 5.0


class PriceList(socketserver.StreamRequestHandler):
    """The other process: answers every line, an article, with its price, after a while."""

    def handle(self):
        for article in self.rfile:
            time.sleep(ANSWER_TIME)
            self.wfile.write(b"%d\n" % (100 + len(article)))


def serve_prices():
    """Serves on a free port, told on stdout, until the parent closes stdin or dies."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), PriceList) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


class Book:
    """The accounts, and how many orders were booked on them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.accounts = {}
        self.orders = 0

    def order(self, prices, article):
        """Books one order; `prices` is the thread's connection to the price list."""
        with self.lock:
            prices.write(b"%s\n" % article)
            prices.flush()
            price = int(prices.readline())
            self.accounts[article] = self.accounts.get(article, 0) + price
            self.orders += 1


class Shop:
    """Eight threads that take orders."""

    def __init__(self, port):
        self.port = port
        self.stopped = False
        self.book = Book()
        self.started = threading.Barrier(THREADS + 1)
        self.threads = [
            threading.Thread(target=self.work, name="order-%d" % number)
            for number in range(THREADS)
        ]

    def work(self):
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            prices = connection.makefile("rwb")
            self.started.wait()
            for article in itertools.cycle([b"tea", b"coffee", b"sugar"]):
                if self.stopped:
                    break
                self.book.order(prices, article)

    def run(self, seconds):
        """Orders a second."""
        for thread in self.threads:
            thread.start()
        self.started.wait()
        start = time.monotonic()
        print("ready", flush=True)
        try:
            self.threads[0].join(seconds)
        except SystemExit:
            pass
        throughput = self.book.orders / (time.monotonic() - start)
        self.stopped = True
        for thread in self.threads:
            thread.join()
        return throughput


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as prices:
        port = int(prices.stdout.readline())
        print(json.dumps({"throughput": Shop(port).run(seconds)}), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve_prices()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
