"""Downloads the pages of a shop one after the other.

Every page takes the server about 50 ms, and the program waits for each before it asks for the
next. The waits could overlap: asyncio, or a few threads, would fetch many pages at a time.

Verdict: io-bound
Finding: sequential-io
"""

import contextlib
import http.client
import http.server
import itertools
import signal
import subprocess
import sys
import threading
import time

ANSWER_TIME = 0.05


class Shop(http.server.BaseHTTPRequestHandler):
    """The server, in another process: thinks for a while, then sends a page."""

    protocol_version = "HTTP/1.1"

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
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


def download(connection, path):
    connection.request("GET", path)
    return connection.getresponse().read()


def crawl(connection, seconds):
    deadline = time.monotonic() + seconds
    words = 0
    for number in itertools.count(1):
        page = download(connection, "/articles/%d" % number)
        words += page.count(b" ")
        if number == 1:
            print("ready", flush=True)
        if time.monotonic() > deadline:
            return words


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shop:
        port = int(shop.stdout.readline())
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            crawl(connection, seconds)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve_shop()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
