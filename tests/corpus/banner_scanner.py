"""Checks with asyncio streams which services answer on a list of ports, and reads their banners.

Half of the ports are closed; the others send their banner after 50 to 400 ms, or never, which a
timeout of one second ends. A semaphore bounds the scan to 20 connections at a time.

Verdict: io-bound
Healthy: yes
Packages: rich
"""
from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from rich.console import Console
from rich.table import Table

PARALLEL = 20
PATIENCE = 1.0
SERVICES = 12


class Outcome:
    def __init__(self, port, state, banner="", took=0.0):
        self.port = port
        self.state = state
        self.banner = banner
        self.took = took


async def probe(port, permits):
    async with permits:
        began = time.monotonic()
        try:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection("127.0.0.1", port), PATIENCE)
        except OSError:
            return Outcome(port, "closed")
        try:
            banner = await asyncio.wait_for(reader.readline(), PATIENCE)
            return Outcome(port, "open", banner.decode().strip(), time.monotonic() - began)
        except asyncio.TimeoutError:
            return Outcome(port, "silent")
        finally:
            writer.close()


async def scan(ports):
    permits = asyncio.Semaphore(PARALLEL)
    return await asyncio.gather(*[probe(port, permits) for port in ports])


def report(outcomes):
    table = Table("port", "state", "banner", "ms")
    for outcome in outcomes:
        if outcome.state != "closed":
            table.add_row(str(outcome.port), outcome.state, outcome.banner,
                          "%.0f" % (outcome.took * 1000))
    Console(stderr=True).print(table)


async def services():
    """Twelve services with different manners."""
    async def greet(reader, writer, number):
        if number % 4 != 3:
            await asyncio.sleep(random.uniform(0.05, 0.4))
            writer.write(b"220 service-%d ready\r\n" % number)
        await reader.read()
        writer.close()

    ports = []
    for number in range(SERVICES):
        server = await asyncio.start_server(
            lambda r, w, number=number: greet(r, w, number), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await asyncio.Event().wait()


def closed_ports(count):
    """Ports that nobody listens on: bound for a moment, and free again."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def watch(ports, seconds):
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.call_later(seconds, stopped.set)
    print("ready", flush=True)
    outcomes = []
    while not stopped.is_set():
        outcomes = await scan(ports)
    report(outcomes)


def main(seconds):
    command = [sys.executable, __file__, "--services"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        open_ports = [int(port) for port in server.stdout.readline().split()]
        asyncio.run(watch(open_ports + closed_ports(SERVICES), seconds))


if __name__ == "__main__":
    if sys.argv[1:] == ["--services"]:
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        asyncio.run(services())
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
