"""Downloads the pages of a shop one after the other.

Every page takes the server about 50 ms, and the program waits for each before it asks for the
next. The waits could overlap: asyncio, or a few threads, would fetch many pages at a time.

Verdict: io-bound
Finding: sequential-io
Recommendation: asyncio
Measures: throughput
"""

import contextlib
import http.client
import http.server
import itertools
import json
import signal
import subprocess
import sys
import threading
import time

ANSWER_TIME = 0.05


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


def download(connection, path):
    connection.request("GET", path)
    return connection.getresponse().read()


def crawl(connection, seconds):
    """Pages a second."""
    download(connection, "/")
    print("ready", flush=True)
    start = time.monotonic()
    pages = words = 0
    try:
        for number in itertools.count(1):
            words += download(connection, "/articles/%d" % number).count(b" ")
            pages += 1
            if time.monotonic() > start + seconds:
                break
    except SystemExit:
        pass
    return pages / (time.monotonic() - start)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shop:
        port = int(shop.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection):
            print(json.dumps({"throughput": crawl(connection, seconds)}), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve_shop()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
