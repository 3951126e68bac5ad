"""The cell of a notebook: requests.get for each day and currency, in a for loop.

The service of the bank needs 80 ms for an answer, and the loop asks for one rate after the other,
on a new connection each time. Nothing overlaps: ten threads would be done ten times as soon.

Verdict: io-bound
Healthy: no
Packages: requests
"""
from __future__ import annotations

import datetime
import http.server
import json
import signal
import statistics
import subprocess
import sys
import threading
import time

CURRENCIES = ["USD", "JPY", "GBP", "CHF", "SEK"]


class Bank(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.08)
        _, day, currency = self.path.split("/")
        rate = 1 + (hash((day, currency)) % 1000) / 1000
        body = json.dumps({"day": day, "currency": currency, "rate": rate}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def bank():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bank) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


# --- the notebook ---------------------------------------------------------------------------

def get_rate(base_url, day, currency):
    import requests

    response = requests.get("%s/%s/%s" % (base_url, day.isoformat(), currency), timeout=10)
    response.raise_for_status()
    return response.json()["rate"]


def collect(base_url, seconds):
    rates = {currency: [] for currency in CURRENCIES}
    day = datetime.date(2021, 1, 1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for currency in CURRENCIES:
            rates[currency].append(get_rate(base_url, day, currency))
        day += datetime.timedelta(days=1)
        if len(rates["USD"]) == 1:
            print("ready", flush=True)
    return rates


def describe(rates):
    return {
        currency: {"mean": statistics.mean(values), "spread": statistics.pstdev(values)}
        for currency, values in rates.items() if values
    }


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, __file__, "--bank"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        port = int(process.stdout.readline())
        rates = collect("http://127.0.0.1:%d" % port, seconds)
        print(json.dumps(describe(rates), indent=1), file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:] == ["--bank"]:
        bank()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
