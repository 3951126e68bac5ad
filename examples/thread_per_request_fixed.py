"""Asks the slow backend of thread_per_request.py with asyncio: two hundred tasks, and one thread.

As many requests are in flight as before, each with its time limit, so that as many are answered;
what is saved is the memory of the threads, and the kernel's work of switching to them.

Verdict: io-bound
Finding: none
Recommendation: keep
Measures: throughput
"""

import asyncio
import json
import os
import signal
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


async def cancelled(tasks):
    """Ends tasks. Before Python 3.12 `wait_for` loses a cancellation that comes with the answer: it is asked again."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        pending = (await asyncio.wait(pending, timeout=1))[1]
    await asyncio.gather(*tasks, return_exceptions=True)


class Client:
    """Sends request after request from each of its tasks."""

    def __init__(self, port):
        self.port = port
        self.answers = [0] * IN_FLIGHT

    async def work(self, number):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await asyncio.sleep(ANSWER_TIME * number / IN_FLIGHT)  # not all at the same moment
            while True:
                writer.write(b"article %d\n" % number)
                if not await asyncio.wait_for(reader.readline(), PATIENCE):
                    raise ConnectionError("the backend has gone")
                self.answers[number] += 1
        finally:
            writer.close()

    async def run(self, seconds):
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        tasks = [asyncio.ensure_future(self.work(number)) for number in range(IN_FLIGHT)]
        await asyncio.sleep(4 * ANSWER_TIME)
        print("ready", flush=True)
        start, before = time.monotonic(), sum(self.answers)
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except asyncio.TimeoutError:
            pass
        answers, elapsed = sum(self.answers) - before, time.monotonic() - start
        numbers = {"throughput": answers / elapsed}
        numbers.update(threads=threading.active_count(), rss_mib=resident_mib())
        await cancelled(tasks)
        return numbers


def main(seconds):
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as backend:
        port = int(backend.stdout.readline())
        print(json.dumps(asyncio.run(Client(port).run(seconds))), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        asyncio.run(serve())
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
