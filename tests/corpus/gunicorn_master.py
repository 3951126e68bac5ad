"""A Flask application under gunicorn (two gthread workers), seen from the master process.

The workers answer some requests a second; the master only watches over them, once a second.
Whoever attaches to the master sees an idle process, and that is as it should be.

Verdict: idle
Healthy: yes
Packages: gunicorn, flask
"""
from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time

WORKERS = 2
REQUESTS_PER_SECOND = 20
shoppers = []


def build_app():
    from flask import Flask, jsonify, request

    app = Flask("shop")
    stock = {"tea": 14, "coffee": 3, "cocoa": 0}

    @app.get("/stock/<item>")
    def show_stock(item):
        if item not in stock:
            return jsonify(error="no such item"), 404
        return jsonify(item=item, left=stock[item], currency=request.args.get("currency", "EUR"))

    @app.get("/health")
    def health():
        return "ok"

    return app


def start_shoppers(arbiter):
    """gunicorn's hook: the sockets are open, the workers are about to start."""
    port = arbiter.LISTENERS[0].sock.getsockname()[1]
    command = [sys.executable, __file__, "--shoppers", str(port)]
    shoppers.append(subprocess.Popen(command, stdin=subprocess.PIPE))
    threading.Timer(1.5, print, args=("ready",), kwargs={"flush": True}).start()


def stop_shoppers(arbiter):
    for process in shoppers:
        process.stdin.close()
        process.wait()


def serve(seconds):
    from gunicorn.app.base import BaseApplication

    class Shop(BaseApplication):
        def load_config(self):
            settings = {
                "bind": "127.0.0.1:0", "workers": WORKERS, "worker_class": "gthread", "threads": 4,
                "loglevel": "error", "graceful_timeout": 1, "when_ready": start_shoppers,
                "on_exit": stop_shoppers, "control_socket_disable": True,
            }
            for name, value in settings.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self):
            return build_app()

    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    Shop().run()


def shop(port):
    """The customers: a request now and then, each on a connection of its own."""
    threading.Thread(target=leave_with_parent, daemon=True).start()
    paths = ["/stock/tea", "/stock/coffee?currency=USD", "/stock/gold", "/health"]
    while True:
        for path in paths:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", path)
                connection.getresponse().read()
            except OSError:
                time.sleep(0.2)
            finally:
                connection.close()
            time.sleep(1 / REQUESTS_PER_SECOND)


def leave_with_parent():
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--shoppers"]:
        shop(int(sys.argv[2]))
    else:
        duration = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
        sys.argv[1:] = []
        serve(duration)
