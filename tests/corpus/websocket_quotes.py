"""A websockets server: traders ask for quotes, which the exchange behind it gives after 150 ms.

Ten traders keep one connection each and ask as soon as they have an answer. The server forwards each
question over asyncio streams, a connection for each trader, and waits for the exchange.

Verdict: io-bound
Healthy: yes
Packages: websockets
"""
from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading

TRADERS = 10
EXCHANGE_TIME = 0.15


class QuoteServer:
    def __init__(self, exchange_port):
        self.exchange_port = exchange_port
        self.served = 0

    async def session(self, websocket):
        """A trader's connection, from greeting to farewell."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.exchange_port)
        try:
            async for message in websocket:
                symbol = json.loads(message)["symbol"]
                writer.write(symbol.encode() + b"\n")
                price = await asyncio.wait_for(reader.readline(), 5)
                await websocket.send(json.dumps({"symbol": symbol, "price": float(price)}))
                self.served += 1
        finally:
            writer.close()


async def serve(exchange_port, seconds):
    from websockets.asyncio.server import serve as serve_websockets

    quotes = QuoteServer(exchange_port)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.call_later(seconds, stopped.set)
    async with serve_websockets(quotes.session, "127.0.0.1", 0, close_timeout=0.5) as server:
        port = list(server.sockets)[0].getsockname()[1]
        traders = subprocess.Popen(
            [sys.executable, __file__, "--traders", str(port)], stdin=subprocess.PIPE)
        while quotes.served < TRADERS and not stopped.is_set():
            await asyncio.sleep(0.05)
        print("ready", flush=True)
        await stopped.wait()
        traders.stdin.close()
        traders.wait()
    print("%d quotes" % quotes.served, file=sys.stderr)


async def exchange():
    async def answer(reader, writer):
        while await reader.readline():
            await asyncio.sleep(EXCHANGE_TIME)
            writer.write(b"%.2f\n" % random.uniform(10, 400))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def trade(port):
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async def trader(symbol):
        async with connect("ws://127.0.0.1:%d" % port) as websocket:
            while True:
                await websocket.send(json.dumps({"symbol": symbol}))
                json.loads(await websocket.recv())

    with contextlib.suppress(ConnectionClosed):
        await asyncio.gather(*[trader("SYM%d" % n) for n in range(TRADERS)])


def main(seconds):
    command = [sys.executable, __file__, "--exchange"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as backend:
        asyncio.run(serve(int(backend.stdout.readline()), seconds))


if __name__ == "__main__":
    if sys.argv[1:2] in (["--exchange"], ["--traders"]):
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        asyncio.run(exchange() if sys.argv[1] == "--exchange" else trade(int(sys.argv[2])))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
