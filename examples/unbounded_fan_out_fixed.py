"""Fetches the records of unbounded_fan_out.py, fifty at a time: as many as the backend works on.

A semaphore bounds the requests in flight, so that each is answered at once and its time limit is
that of its work, not of a queue. As many records are fetched as before.

Verdict: io-bound
Finding: none
Recommendation: keep
Measures: in_flight
"""

import asyncio
import json
import signal
import subprocess
import sys
import time

ANSWER_TIME = 0.1
WORKERS = 50
WAVE = 1000
IN_FLIGHT = 50
PATIENCE = 5.0


class Backend:
    """The other process: works on some requests at a time, and counts how many are here."""

    def __init__(self):
        self.workers = asyncio.Semaphore(WORKERS)
        self.here = self.most = 0

    async def handle(self, reader, writer):
        try:
            while True:
                line = await reader.readline()
                if not line:
                    break
                self.here += 1
                self.most = max(self.most, self.here)
                async with self.workers:
                    await asyncio.sleep(ANSWER_TIME)
                self.here -= 1
                writer.write(line)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the parent has
        finally:
            writer.close()


async def serve():
    """Serves on a free port, told on stdout, until the parent closes stdin; tells its count."""
    backend = Backend()
    server = await asyncio.start_server(backend.handle, "127.0.0.1", 0, backlog=WAVE)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(backend.most, flush=True)


class Client:
    """Fetches records over connections that are kept; opens one more when none is free."""

    def __init__(self, port):
        self.port = port
        self.free = []
        self.permits = asyncio.Semaphore(IN_FLIGHT)
        self.fetched, self.latency = 0, 0.0

    async def fetch(self, number):
        async with self.permits:
            await asyncio.wait_for(self.request(number), PATIENCE)

    async def request(self, number):
        connection = self.free.pop() if self.free else await self.connect()
        reader, writer = connection
        start = time.monotonic()
        writer.write(b"record %d\n" % number)
        if not await reader.readline():
            raise ConnectionError("the backend has gone")
        self.free.append(connection)
        self.fetched += 1
        self.latency += time.monotonic() - start

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def fetch_all(self):
        while True:
            await asyncio.gather(*[self.fetch(number) for number in range(WAVE)])


async def run(port, seconds):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = Client(port)
    fetching = asyncio.ensure_future(client.fetch_all())
    while client.fetched < WAVE:
        await asyncio.sleep(ANSWER_TIME)
    print("ready", flush=True)
    start, before, client.latency = time.monotonic(), client.fetched, 0.0
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except asyncio.TimeoutError:
        pass
    fetched = client.fetched - before
    fetching.cancel()
    await asyncio.gather(fetching, return_exceptions=True)
    return fetched / (time.monotonic() - start), client.latency / max(1, fetched)


def main(seconds):
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as backend:
        throughput, latency = asyncio.run(run(int(backend.stdout.readline()), seconds))
        most = int(backend.communicate(timeout=10)[0])
    numbers = {"in_flight": most, "throughput": throughput, "latency": latency}
    print(json.dumps(numbers), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        asyncio.run(serve())
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
