"""Asks a slow backend with one thread for each request that is in flight: two hundred of them.

The backend takes 300 ms for an answer, and each thread does nothing but wait for it. The waits
overlap, so that tasks would be no faster; but a task takes kilobytes where a thread takes a stack,
and does not have to be switched to by the kernel.

Verdict: io-bound
Finding: none
Recommendation: asyncio
Measures: throughput
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

ANSWER_TIME = 0.3
IN_FLIGHT = 200
PATIENCE = 5.0


async def answer(reader, writer):
    """The backend, in another process: answers every line after a while."""
    try:
        while True:
            line = await reader.readline()
            if not line:
                break
            await asyncio.sleep(ANSWER_TIME)
            writer.write(line)
            await writer.drain()
    except (ConnectionError, asyncio.CancelledError):
        pass  # the client has gone, or the parent has
    finally:
        writer.close()


async def serve():
    """Serves on a free port, told on stdout, until the parent closes stdin or dies."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=IN_FLIGHT)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def resident_mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Client:
    """Sends request after request from each of its threads."""

    def __init__(self, port):
        self.port = port
        self.stopped = False
        self.answers = [0] * IN_FLIGHT
        self.connected = threading.Barrier(IN_FLIGHT + 1)
        self.threads = [
            threading.Thread(target=self.work, args=(number,), name="request-%d" % number)
            for number in range(IN_FLIGHT)
        ]

    def work(self, number):
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            file = connection.makefile("rb")
            self.connected.wait()
            time.sleep(ANSWER_TIME * number / IN_FLIGHT)  # not all at the same moment
            while not self.stopped:
                connection.sendall(b"article %d\n" % number)
                if not file.readline():
                    raise ConnectionError("the backend has gone")
                self.answers[number] += 1

    def run(self, seconds):
        for thread in self.threads:
            thread.start()
        self.connected.wait()
        numbers = {}
        try:
            time.sleep(2 * ANSWER_TIME)
            print("ready", flush=True)
            start, before = time.monotonic(), sum(self.answers)
            try:
                self.threads[0].join(seconds)
            except SystemExit:
                pass
            answers, elapsed = sum(self.answers) - before, time.monotonic() - start
            numbers = {"throughput": answers / elapsed}
            numbers.update(threads=threading.active_count(), rss_mib=resident_mib())
        finally:
            self.stopped = True
            for thread in self.threads:
                thread.join()
        return numbers


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as backend:
        port = int(backend.stdout.readline())
        print(json.dumps(Client(port).run(seconds)), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        asyncio.run(serve())
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
