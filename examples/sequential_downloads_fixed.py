"""Downloads the pages of sequential_downloads.py's shop with asyncio, eight at a time.

The waits overlap, and no more than eight requests are ever in flight: the shop takes its 50 ms for
each page as before. Every request has a time limit; connections are kept, and closed at the end.

Verdict: io-bound
Finding: none
Recommendation: keep
Measures: throughput
"""

import asyncio
import contextlib
import http.server
import itertools
import json
import signal
import subprocess
import sys
import threading
import time

ANSWER_TIME = 0.05
IN_FLIGHT = 8
PATIENCE = 5.0


class Shop(http.server.BaseHTTPRequestHandler):
    """The server, in another process: thinks for a while, then sends a page."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and page in one segment

    def handle(self):
        with contextlib.suppress(ConnectionError):  # the visitor may leave at any time
            super().handle()

    def do_GET(self):
        time.sleep(ANSWER_TIME)
        page = b"<h1>%s</h1>" % self.path.encode() + b"<p>Lorem ipsum</p>" * 200
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_):
        """Keeps the terminal to the downloader."""


def serve_shop():
    """Serves on a free port, told on stdout, until the parent closes stdin or dies."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


async def download(connection, path):
    reader, writer = connection
    writer.write(b"GET %s HTTP/1.1\r\nHost: shop\r\n\r\n" % path.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().split(b"content-length:")[1].split()[0]
    return await reader.readexactly(int(length))


class Crawl:
    """Pages that are downloaded, with a bound on how many are at the same time."""

    def __init__(self, port):
        self.port = port
        self.numbers = itertools.count(1)
        self.pages = self.words = 0

    async def work(self):
        """One of those that share the numbers; has a connection of its own."""
        connection = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for number in self.numbers:
                page = download(connection, "/articles/%d" % number)
                self.words += (await asyncio.wait_for(page, PATIENCE)).count(b" ")
                self.pages += 1
        finally:
            connection[1].close()


async def crawl(port, seconds):
    """Pages a second."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    crawl = Crawl(port)
    workers = [asyncio.ensure_future(crawl.work()) for _ in range(IN_FLIGHT)]
    while crawl.pages < IN_FLIGHT:
        await asyncio.sleep(ANSWER_TIME)
    print("ready", flush=True)
    start, before = time.monotonic(), crawl.pages
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except asyncio.TimeoutError:
        pass
    throughput = (crawl.pages - before) / (time.monotonic() - start)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return throughput


def main(seconds):
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shop:
        throughput = asyncio.run(crawl(int(shop.stdout.readline()), seconds))
        print(json.dumps({"throughput": throughput}), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve_shop()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
