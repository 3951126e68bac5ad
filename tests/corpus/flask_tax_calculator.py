"""A Flask application on werkzeug's threaded server that computes instalment plans in pure Python.

Six clients ask without a pause, so six threads compute at a time and queue for the GIL. More
processes (gunicorn --workers) would use more cores; more threads make every answer slower.

Verdict: gil-bound
Verdict without a GIL: cpu-bound
Healthy: no
Packages: flask
"""
from __future__ import annotations

import decimal
import http.client
import logging
import os
import signal
import subprocess
import sys
import threading

from flask import Flask, jsonify, request
from werkzeug.serving import make_server

CLIENTS = 6
app = Flask("instalments")


class Plan:
    """The instalments of a loan, month by month."""

    def __init__(self, amount, yearly_rate, months):
        self.amount = amount
        self.monthly_rate = yearly_rate / 12
        self.months = months

    def instalment(self):
        """Found by bisection: what must be paid each month so that nothing is left."""
        low, high = 0.0, self.amount
        for _ in range(60):
            middle = (low + high) / 2
            if self.rest(middle) > 0:
                low = middle
            else:
                high = middle
        return high

    def rest(self, instalment):
        debt = self.amount
        for _ in range(self.months):
            debt += debt * self.monthly_rate - instalment
        return debt

    def table(self):
        debt, instalment = self.amount, self.instalment()
        for month in range(1, self.months + 1):
            interest = debt * self.monthly_rate
            debt += interest - instalment
            yield month, money(interest), money(debt)


def money(value):
    return str(decimal.Decimal(value).quantize(decimal.Decimal("0.01")))


@app.get("/plan")
def show_plan():
    amount = float(request.args.get("amount", "1000"))
    rate = float(request.args.get("rate", "0.04"))
    plans = {}
    for years in range(10, 41, 5):
        plan = Plan(amount, rate, 12 * years)
        plans[years] = {"instalment": money(plan.instalment()), "table": list(plan.table())}
    return jsonify(plans)


def client(port):
    path = "/plan?amount=250000&rate=0.037"
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except OSError:
            return
        finally:
            connection.close()


def run_clients(port):
    for _ in range(CLIENTS):
        threading.Thread(target=client, args=(port,), daemon=True).start()
    sys.stdin.read()
    os._exit(0)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.daemon_threads = True
    command = [sys.executable, __file__, "--clients", str(server.server_port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE):
        for delay, action in ((1.0, lambda: print("ready", flush=True)),
                              (seconds, server.shutdown)):
            timer = threading.Timer(delay, action)
            timer.daemon = True
            timer.start()
        server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--clients"]:
        run_clients(int(sys.argv[2]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
