"""Asks a weather service for the forecast of many towns with httpx, at most ten at a time.

A semaphore bounds the requests under way, a timeout bounds each. The service takes between 100 and
300 ms; what the client does with an answer takes next to nothing. A well-built asyncio client.

Verdict: io-bound
Healthy: yes
Packages: httpx
"""
from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import threading
import time

PARALLEL = 10
TOWNS = ["Aachen", "Bern", "Cork", "Dijon", "Essen", "Faro", "Graz", "Hull", "Izmir", "Jena"]


class Forecasts:
    def __init__(self, client):
        self.client = client
        self.permits = asyncio.Semaphore(PARALLEL)
        self.warmest = {}
        self.failures = 0

    async def of(self, town, day):
        async with self.permits:
            response = await self.client.get("/forecast", params={"town": town, "day": day})
        if response.status_code != 200:
            self.failures += 1
            return
        degrees = response.json()["degrees"]
        self.warmest[town] = max(degrees, self.warmest.get(town, -99))

    async def of_day(self, day):
        await asyncio.gather(*[self.of(town, day) for town in TOWNS * 2])


async def weather_service():
    async def answer(reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(random.uniform(0.1, 0.3))
                body = json.dumps({"degrees": random.randint(-10, 35)}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             b"Content-Length: %d\r\n\r\n" % len(body) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def main(seconds):
    import httpx

    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    service = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--service",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    base = "http://127.0.0.1:%d" % int(await service.stdout.readline())
    deadline = time.monotonic() + seconds
    try:
        async with httpx.AsyncClient(base_url=base, timeout=httpx.Timeout(5.0)) as client:
            forecasts = Forecasts(client)
            day = 0
            while time.monotonic() < deadline:
                await forecasts.of_day(day)
                if day == 0:
                    print("ready", flush=True)
                day += 1
            print(forecasts.warmest, file=sys.stderr)
    except asyncio.CancelledError:
        pass
    finally:
        service.stdin.close()
        await service.wait()


def leave_with_parent():
    def watch():
        sys.stdin.read()
        os._exit(0)
    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    if sys.argv[1:] == ["--service"]:
        leave_with_parent()
        asyncio.run(weather_service())
    else:
        asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
