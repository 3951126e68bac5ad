"""Fetches listings from a web site and parses them with html.parser: wait, compute, wait, compute.

A listing takes the site 60 ms to send, and this program about as long to parse. One thread does both
in turn, so it waits half of the time and computes the other half; the two could overlap.

Verdict: mixed
Healthy: no
Packages: requests
"""
from __future__ import annotations

import collections
import html.parser
import http.server
import random
import signal
import statistics
import subprocess
import sys
import threading
import time

import requests

SITE_TIME = 0.06
OFFERS = 1500


def listing(seed):
    dice = random.Random(seed)
    rows = "".join(
        '<tr class="offer"><td class="name"><a href="/o/%d">Flat %d</a></td>'
        '<td class="rooms">%d</td><td class="price">%d</td></tr>\n' % (
            n, n, dice.randint(1, 6), dice.randint(300, 3000)) for n in range(OFFERS))
    return ("<html><body><h1>Flats</h1><table>%s</table></body></html>" % rows).encode()


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pages = [listing(seed) for seed in range(3)]

    def do_GET(self):
        time.sleep(SITE_TIME)
        body = random.choice(self.pages)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def site():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


class OfferParser(html.parser.HTMLParser):
    """Collects the offers of a page, each a dictionary."""

    def __init__(self):
        super().__init__()
        self.offers = []
        self.field = None

    def handle_starttag(self, tag, attributes):
        kind = dict(attributes).get("class")
        if kind == "offer":
            self.offers.append({})
        elif tag == "td":
            self.field = kind

    def handle_endtag(self, tag):
        if tag == "td":
            self.field = None

    def handle_data(self, data):
        if self.field and self.offers:
            self.offers[-1][self.field] = data


def prices_by_rooms(text):
    parser = OfferParser()
    parser.feed(text)
    prices = collections.defaultdict(list)
    for offer in parser.offers:
        prices[int(offer["rooms"])].append(int(offer["price"]))
    return {rooms: statistics.median(values) for rooms, values in prices.items()}


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, __file__, "--site"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        base = "http://127.0.0.1:%d" % int(process.stdout.readline())
        waited = computed = 0.0
        deadline = time.monotonic() + seconds
        with requests.Session() as session:
            print("ready", flush=True)
            while time.monotonic() < deadline:
                began = time.monotonic()
                text = session.get(base + "/flats", timeout=10).text
                received = time.monotonic()
                prices_by_rooms(text)
                waited += received - began
                computed += time.monotonic() - received
        print("waited %.1f s, computed %.1f s" % (waited, computed), file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:] == ["--site"]:
        site()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
