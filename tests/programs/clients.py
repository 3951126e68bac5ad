"""A client that waits for an answer that does not come.

Arguments: `httpx`, `aiohttp` or `streams`; `unlimited`, or `limited` to five minutes; `uvloop`, if
that is to run it. Says the port of the server that keeps silent, and then `ready`."""

import asyncio
import json
import sys
import threading
from socket import create_server

MINUTES = 300


def serve():
    """A server that accepts in a thread and never says a word."""
    listener = create_server(("127.0.0.1", 0))
    connections = []

    def accept():
        while True:
            connections.append(listener.accept())

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


async def by_httpx(url, limit):
    import httpx

    async with httpx.AsyncClient(timeout=limit) as client:
        await client.get(url)


async def by_aiohttp(url, limit):
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=limit, sock_read=None)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        async with session.get(url) as answer:
            await answer.read()


async def by_streams(url, limit):
    port = url.rsplit(":", 1)[1].strip("/")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    await asyncio.wait_for(reader.readline(), limit)


async def main(library, limit):
    port = serve()
    print(json.dumps({"port": port}), flush=True)
    ask = {"httpx": by_httpx, "aiohttp": by_aiohttp, "streams": by_streams}[library]
    client = asyncio.ensure_future(ask(f"http://127.0.0.1:{port}/", limit))
    await asyncio.sleep(0.5)
    print("ready", flush=True)
    await client


if __name__ == "__main__":
    library, kind = sys.argv[1:3]
    loop = asyncio.new_event_loop()
    if sys.argv[3:] == ["uvloop"]:
        import uvloop

        loop = uvloop.new_event_loop()
    loop.run_until_complete(main(library, MINUTES if kind == "limited" else None))
