"""A parcel service on asyncio that starts a thread for each parcel and forgets it.

Each thread looks after four seconds whether its parcel has arrived. When the service is told to
end, its loop ends at once; but the interpreter waits for all threads that are no daemons, and each
of them sleeps its four seconds to the end.

Verdict: idle
Finding: blocks-shutdown
Recommendation: close-on-shutdown
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
PAUSE = 0.2


class Parcels:
    """Reads a parcel's number from each line, and follows it."""

    def __init__(self):
        self.sent = self.arrived = 0

    def follow(self, parcel):
        time.sleep(DELIVERY)
        self.arrived += 1

    async def handle(self, reader, writer):
        try:
            while True:
                line = await reader.readline()
                if not line:
                    break
                name = "parcel-%d" % int(line)
                threading.Thread(target=self.follow, args=(int(line),), name=name).start()
                self.sent += 1
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
            await reader.readline()
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
    told, throughput = asyncio.run(serve(Parcels(), seconds))
    atexit.register(report, told, throughput)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
