"""A worker of a message queue, in the manner of celery's solo pool: one job after the other.

Each job asks the tax office's service for a receipt, which takes 200 ms. Jobs come in at twice the
speed at which they are done, so the backlog grows, while the worker does nothing but wait.

Verdict: io-bound
Healthy: no
"""
from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

TAX_OFFICE_TIME = 0.2
JOBS_PER_SECOND = 10
log = logging.getLogger("worker")


class LineConnection:
    """Lines of JSON over a socket, one question and one answer at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rwb")

    def ask(self, **question):
        self.file.write(json.dumps(question).encode() + b"\n")
        self.file.flush()
        return json.loads(self.file.readline())

    def close(self):
        self.file.close()
        self.socket.close()


class Worker:
    def __init__(self, broker, tax_office):
        self.broker = broker
        self.tax_office = tax_office
        self.done = 0

    def handle(self, job):
        receipt = self.tax_office.ask(invoice=job["invoice"], amount=job["amount"])
        if receipt["status"] != "ok":
            log.error("invoice %s refused", job["invoice"])
        self.broker.ask(ack=job["invoice"])
        self.done += 1

    def run(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            reply = self.broker.ask(take=1)
            if reply["backlog"] > 1000:
                log.warning("backlog: %d", reply["backlog"])
            self.handle(reply["job"])
            if self.done == 2:
                print("ready", flush=True)


async def services():
    """The broker and the tax office, in one other process."""
    started = time.monotonic() - 5
    taken = [0]

    async def broker(reader, writer):
        while True:
            question = json.loads(await reader.readline() or b"null")
            if question is None:
                return writer.close()
            reply = {"ok": True}
            if "take" in question:
                taken[0] += 1
                made = int((time.monotonic() - started) * JOBS_PER_SECOND)
                reply = {"backlog": made - taken[0], "job": {"invoice": taken[0], "amount": 99}}
            writer.write(json.dumps(reply).encode() + b"\n")

    async def tax_office(reader, writer):
        while await reader.readline():
            await asyncio.sleep(TAX_OFFICE_TIME)
            writer.write(json.dumps({"status": "ok", "number": taken[0]}).encode() + b"\n")
        writer.close()

    servers = [await asyncio.start_server(s, "127.0.0.1", 0) for s in (broker, tax_office)]
    print(*[server.sockets[0].getsockname()[1] for server in servers], flush=True)
    await asyncio.Event().wait()


def leave_with_parent():
    sys.stdin.read()
    os._exit(0)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, __file__, "--services"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        broker, tax_office = map(LineConnection, map(int, process.stdout.readline().split()))
        Worker(broker, tax_office).run(seconds)


if __name__ == "__main__":
    if sys.argv[1:] == ["--services"]:
        threading.Thread(target=leave_with_parent, daemon=True).start()
        asyncio.run(services())
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
