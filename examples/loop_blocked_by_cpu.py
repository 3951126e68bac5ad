"""A search service on asyncio that ranks its answers on the event loop, in pure Python.

Ranking compares the query with every title of the catalogue (edit distance). It takes hundreds of
milliseconds in which nobody else is served: the loop needs the work to run in another process.

Verdict: event-loop-blocked
Finding: blocked-event-loop
"""

import asyncio
import itertools
import signal
import sys

WORDS = "lock socket thread future queue signal buffer context event barrier".split()
TITLES = [" ".join(words) for words in itertools.product(WORDS, repeat=4)]


def edit_distance(a, b):
    """The number of letters to insert, delete or replace to get from `a` to `b`."""
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
        above = row
    return above[-1]


def rank(query, limit=5):
    return sorted(TITLES, key=lambda title: edit_distance(query, title))[:limit]


async def handle(reader, writer):
    """Answers each line, a query, with the titles that are most like it."""
    while True:
        query = await reader.readline()
        if not query:
            break
        titles = rank(query.decode().strip())
        writer.write("; ".join(titles).encode() + b"\n")
        await writer.drain()
    writer.close()


async def visitor(port, queries, served):
    """Searches, reads for a moment, searches again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for query in itertools.cycle(queries):
            writer.write(query.encode() + b"\n")
            await reader.readline()
            served.set()
            await asyncio.sleep(0.1)
    finally:
        writer.close()


async def expire_sessions(interval):
    """Forgets visitors who have left."""
    while True:
        await asyncio.sleep(interval)


async def main(seconds):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    served = asyncio.Event()
    background = [
        asyncio.ensure_future(task)
        for task in [
            visitor(port, ["thread lock", "future of queues"], served),
            visitor(port, ["buffered sockets"], served),
            expire_sessions(0.05),
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
