"""The parcel service of leak_on_shutdown.py, which owns its threads and ends them when it ends.

Whoever waits four seconds waits on an Event. When the service is told to end, it sets the Event
and joins all threads, which takes milliseconds; what they had to do for their parcels is left to
the next start.

Verdict: idle
Finding: none
Recommendation: keep
Measures: shutdown
"""

import asyncio
import atexit
import itertools
import json
import signal
import sys
import threading
import time

DELIVERY = 4.0
PATIENCE = 5.0
PAUSE = 0.2


class Parcels:
    """Reads a parcel's number from each line, and follows it."""

    def __init__(self):
        self.sent = self.arrived = 0
        self.ending = threading.Event()
        self.threads = set()

    def follow(self, parcel):
        if not self.ending.wait(DELIVERY):
            self.arrived += 1
        self.threads.discard(threading.current_thread())

    def start(self, parcel):
        name = "parcel-%d" % parcel
        thread = threading.Thread(target=self.follow, args=(parcel,), name=name)
        self.threads.add(thread)
        thread.start()
        self.sent += 1

    def close(self):
        """Ends all threads; none is left."""
        self.ending.set()
        for thread in list(self.threads):
            thread.join(PATIENCE)

    async def handle(self, reader, writer):
        try:
            while True:
                line = await reader.readline()
                if not line:
                    break
                self.start(int(line))
                writer.write(b"sent\n")
                await writer.drain()
        except asyncio.CancelledError:
            pass  # the service ends
        finally:
            writer.close()


async def customer(port, served):
    """Sends one parcel after the other, with a short pause in between."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for parcel in itertools.count():
            writer.write(b"%d\n" % parcel)
            await asyncio.wait_for(reader.readline(), 2 * PATIENCE)
            served.set()
            await asyncio.sleep(PAUSE)
    finally:
        writer.close()


async def serve(parcels, seconds):
    """Serves until it is told to end; the moment when it was, and parcels a second until then."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(parcels.handle, "127.0.0.1", 0)
    served = asyncio.Event()
    visits = asyncio.ensure_future(customer(server.sockets[0].getsockname()[1], served))
    await served.wait()
    print("ready", flush=True)

    start, before = time.monotonic(), parcels.sent
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except asyncio.TimeoutError:
        pass
    told = time.monotonic()
    visits.cancel()
    await asyncio.gather(visits, return_exceptions=True)
    server.close()
    return told, (parcels.sent - before) / (told - start)


def report(told, throughput):
    """The very last: threads that are no daemons have ended by now."""
    numbers = {"shutdown": time.monotonic() - told, "throughput": throughput}
    print(json.dumps(numbers), flush=True)


def main(seconds):
    parcels = Parcels()
    try:
        told, throughput = asyncio.run(serve(parcels, seconds))
    finally:
        parcels.close()
    atexit.register(report, told, throughput)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
