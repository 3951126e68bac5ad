"""A monitoring agent: APScheduler runs its checks, a heartbeat thread tells the collector that it lives.

The checks take a millisecond or so every two seconds. The heartbeat thread sleeps, the main thread
waits for the order to stop: an agent must not be noticed, and this one is not.

Verdict: idle
Healthy: yes
Packages: apscheduler
"""
from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HEARTBEAT_EVERY = 0.5
log = logging.getLogger("agent")


class Heartbeat(threading.Thread):
    """Sends a datagram now and then."""

    def __init__(self, address):
        super().__init__(name="heartbeat", daemon=True)
        self.address = address
        self.sent = 0

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while True:
                beat = {"host": socket.gethostname(), "pid": os.getpid(), "beat": self.sent}
                out.sendto(json.dumps(beat).encode(), self.address)
                self.sent += 1
                time.sleep(HEARTBEAT_EVERY)


class Checks:
    """The values that are reported, each with the latest reading."""

    def __init__(self):
        self.latest = {}

    def load_average(self):
        self.latest["load"] = os.getloadavg()

    def disk_space(self):
        usage = shutil.disk_usage("/")
        self.latest["disk"] = usage.free / usage.total
        if self.latest["disk"] < 0.01:
            log.warning("disk nearly full: %s", self.latest["disk"])

    def open_files(self):
        self.latest["files"] = len(os.listdir("/proc/self/fd"))


def collector():
    """The other side, in a process of its own: counts datagrams until stdin closes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=drain, args=(listener,), daemon=True).start()
        sys.stdin.read()


def drain(listener):
    while True:
        json.loads(listener.recv(2048).decode())


def main(seconds):
    from apscheduler.schedulers.background import BackgroundScheduler

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    command = [sys.executable, __file__, "--collector"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peer:
        port = int(peer.stdout.readline())
        Heartbeat(("127.0.0.1", port)).start()
        checks = Checks()
        scheduler = BackgroundScheduler()
        for check in (checks.load_average, checks.disk_space, checks.open_files):
            scheduler.add_job(check, "interval", seconds=2, id=check.__name__)
        scheduler.start()
        print("ready", flush=True)
        stop.wait(seconds)
        scheduler.shutdown(wait=False)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    if sys.argv[1:] == ["--collector"]:
        collector()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
