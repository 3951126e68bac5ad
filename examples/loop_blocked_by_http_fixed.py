"""The web shop of loop_blocked_by_http.py, which asks its stock keeper with asyncio's streams now.

While the stock keeper takes its 150 ms, the loop serves the others. Each request has a time limit.
With a library that has no asynchronous variant, asyncio.to_thread would do.

Verdict: io-bound
Finding: none
Recommendation: keep
Measures: delay
"""

import asyncio
import http.server
import itertools
import json
import signal
import subprocess
import sys
import threading
import time

ANSWER_TIME = 0.15
BEAT = 0.01
PATIENCE = 5.0


class StockKeeper(http.server.BaseHTTPRequestHandler):
    """The other process: tells slowly how much there is of an article."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment for an answer

    def do_GET(self):
        time.sleep(ANSWER_TIME)
        amount = b"%d" % (len(self.path) % 7)
        self.send_response(200)
        self.send_header("Content-Length", str(len(amount)))
        self.end_headers()
        self.wfile.write(amount)

    def log_message(self, *_):
        """Keeps the terminal to the shop."""


def serve_stock():
    """Serves on a free port, told on stdout, until the parent closes stdin or dies."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), StockKeeper) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


class Stock:
    """Asks the stock keeper; each visitor has one."""

    answers = 0

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def available(self, article):
        amount = int(await asyncio.wait_for(self.get("/" + article), PATIENCE))
        Stock.answers += 1
        return amount

    async def get(self, path):
        self.writer.write(b"GET %s HTTP/1.1\r\nHost: stock\r\n\r\n" % path.encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = head.lower().split(b"content-length:")[1].split()[0]
        return await self.reader.readexactly(int(length))

    def close(self):
        self.writer.close()


async def visitor(port, basket, pause, served):
    """Looks at one article after the other, with a moment to read in between."""
    stock = await Stock.connect(port)
    try:
        for article in itertools.cycle(basket):
            await stock.available(article)
            served.set()
            await asyncio.sleep(pause)
    finally:
        stock.close()


async def refresh_prices(late):
    """Keeps the prices fresh, every 10 ms; notes how late it gets its turn."""
    start = time.monotonic()
    for beat in itertools.count(1):
        due = start + beat * BEAT
        if time.monotonic() < due:
            await asyncio.sleep(due - time.monotonic())
        late.append(time.monotonic() - due)


async def shop(port, seconds):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    served, late = asyncio.Event(), []
    background = [
        asyncio.ensure_future(visitor(port, ["tea", "coffee", "sugar"], 0.1, served)),
        asyncio.ensure_future(visitor(port, ["kettle", "cup"], 0.05, served)),
    ]
    await served.wait()
    print("ready", flush=True)

    start, before = time.monotonic(), Stock.answers
    background.append(asyncio.ensure_future(refresh_prices(late)))
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except asyncio.TimeoutError:
        pass
    throughput = (Stock.answers - before) / (time.monotonic() - start)
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    delay = sum(late) / max(1, len(late))
    print(json.dumps({"delay": delay, "throughput": throughput}), flush=True)


def main(seconds):
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        asyncio.run(shop(int(keeper.stdout.readline()), seconds))


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve_stock()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
