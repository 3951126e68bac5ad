"""An order service on asyncio whose payment client waits between two tries with time.sleep.

One customer's declined card stops everybody: while the handler sleeps, no other order is taken,
no metric is counted and no heartbeat is sent.

Verdict: event-loop-blocked
Finding: blocked-event-loop
"""

import asyncio
import signal
import sys
import time

BACKOFF = 0.25


class PaymentClient:
    """Talks to the payment provider, whose first answer to a new card is always "try again"."""

    def __init__(self):
        self.seen = set()

    def charge(self, order):
        while not self.attempt(order):
            time.sleep(BACKOFF)

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
        while True:
            line = await reader.readline()
            if not line:
                break
            self.payments.charge(int(line))
            self.paid += 1
            writer.write(b"paid\n")
            await writer.drain()
        writer.close()


async def customer(port, orders, served):
    """Places one order after the other, with a short pause in between."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for order in orders:
            writer.write(b"%d\n" % order)
            await reader.readline()
            served.set()
            await asyncio.sleep(0.1)
    finally:
        writer.close()


async def heartbeat(interval):
    """Would tell the load balancer that this service is alive."""
    while True:
        await asyncio.sleep(interval)


async def metrics(service, interval):
    """Keeps the last minute's throughput."""
    history = []
    while True:
        history.append(service.paid)
        del history[:-60]
        await asyncio.sleep(interval)


async def main(seconds):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    service = OrderService()
    server = await asyncio.start_server(service.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    served = asyncio.Event()
    background = [
        asyncio.ensure_future(task)
        for task in [
            customer(port, range(0, 1_000_000, 2), served),
            customer(port, range(1, 1_000_000, 2), served),
            heartbeat(0.05),
            metrics(service, 0.2),
        ]
    ]
    await served.wait()
    print("ready", flush=True)

    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except asyncio.TimeoutError:
        pass
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
