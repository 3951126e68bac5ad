"""Eight threads post entries to a remote ledger, with one global lock around the whole request.

The lock was meant for the sequence number, but is held while the ledger answers (70 ms). Seven of the
eight threads queue for it at any time: they could as well be one.

Verdict: lock-bound
Healthy: no
Packages: requests
"""
from __future__ import annotations

import http.server
import json
import logging
import queue
import signal
import subprocess
import sys
import threading
import time

import requests

THREADS = 8
LEDGER_TIME = 0.07
log = logging.getLogger("ledger")


class LedgerService(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        entry = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(LEDGER_TIME)
        body = json.dumps({"number": entry["number"], "state": "posted"}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def ledger_service():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), LedgerService) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


class Ledger:
    """Numbers the entries without a gap, and posts them."""

    _lock = threading.Lock()

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()
        self.number = 0

    def post(self, account, cents):
        with self._lock:
            self.number += 1
            entry = {"number": self.number, "account": account, "cents": cents}
            response = self.session.post(self.url, json=entry, timeout=10)
            response.raise_for_status()
            return response.json()["number"]


class Poster(threading.Thread):
    def __init__(self, ledger, payments, number):
        super().__init__(name="poster-%d" % number, daemon=True)
        self.ledger = ledger
        self.payments = payments
        self.posted = 0

    def run(self):
        while True:
            account, cents = self.payments.get()
            try:
                self.ledger.post(account, cents)
                self.posted += 1
            except requests.RequestException as error:
                log.error("payment of %s failed: %s", account, error)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, __file__, "--ledger"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
        ledger = Ledger("http://127.0.0.1:%d/entries" % int(service.stdout.readline()))
        payments = queue.Queue(maxsize=50)
        posters = [Poster(ledger, payments, number) for number in range(THREADS)]
        for poster in posters:
            poster.start()
        print("ready", flush=True)
        deadline = time.monotonic() + seconds
        account = 0
        while time.monotonic() < deadline:
            account += 1
            payments.put(("account-%d" % (account % 100), account * 5))
        log.warning("%d posted", sum(poster.posted for poster in posters))


if __name__ == "__main__":
    if sys.argv[1:] == ["--ledger"]:
        ledger_service()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
