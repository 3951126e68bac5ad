"""The order service of loop_blocked_by_sleep.py, whose payment client now waits with asyncio.sleep.

While one customer's card is tried again, the loop serves all others. A payment that does not come
through is given up after a while.

Verdict: io-bound
Finding: none
Recommendation: keep
Measures: delay
"""

import asyncio
import itertools
import json
import signal
import sys
import time

BACKOFF = 0.25
PATIENCE = 5.0
BEAT = 0.01


class PaymentClient:
    """Talks to the payment provider, whose first answer to a new card is always "try again"."""

    def __init__(self):
        self.seen = set()

    async def charge(self, order):
        while not self.attempt(order):
            await asyncio.sleep(BACKOFF)

    def attempt(self, order):
        known = order in self.seen
        self.seen.add(order)
        return known


class OrderService:
    """Reads an order's number from each line and answers when it is paid."""

    def __init__(self):
        self.payments = PaymentClient()
        self.paid = 0

    async def handle(self, reader, writer):
        try:
            while True:
                line = await reader.readline()
                if not line:
                    break
                await asyncio.wait_for(self.payments.charge(int(line)), PATIENCE)
                self.paid += 1
                writer.write(b"paid\n")
                await writer.drain()
        except asyncio.CancelledError:
            pass  # the service ends
        finally:
            writer.close()


async def customer(port, orders, pause, served):
    """Places one order after the other, with a short pause in between."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for order in orders:
            writer.write(b"%d\n" % order)
            await asyncio.wait_for(reader.readline(), 2 * PATIENCE)
            served.set()
            await asyncio.sleep(pause)
    finally:
        writer.close()


async def heartbeat(late):
    """Would tell the load balancer that this service is alive; notes how late each beat is."""
    start = time.monotonic()
    for beat in itertools.count(1):
        due = start + beat * BEAT
        if time.monotonic() < due:
            await asyncio.sleep(due - time.monotonic())
        late.append(time.monotonic() - due)


async def main(seconds):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    service = OrderService()
    server = await asyncio.start_server(service.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    served, late = asyncio.Event(), []
    background = [
        asyncio.ensure_future(customer(port, range(0, 1_000_000, 2), 0.1, served)),
        asyncio.ensure_future(customer(port, range(1, 1_000_000, 2), 0.15, served)),
    ]
    await served.wait()
    print("ready", flush=True)

    start, before = time.monotonic(), service.paid
    background.append(asyncio.ensure_future(heartbeat(late)))
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except asyncio.TimeoutError:
        pass
    throughput = (service.paid - before) / (time.monotonic() - start)
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    server.close()
    delay = sum(late) / max(1, len(late))
    print(json.dumps({"delay": delay, "throughput": throughput}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
