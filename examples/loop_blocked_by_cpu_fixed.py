"""The search service of loop_blocked_by_cpu.py, which now ranks its answers in another process.

A ProcessPoolExecutor does the work on the CPUs that the loop leaves it, in a process of its own
because pure Python in a thread would take the GIL from the loop. The pool ends with the service.

Verdict: io-bound
Finding: none
Recommendation: keep
Measures: delay
"""

import asyncio
import concurrent.futures
import itertools
import json
import multiprocessing
import os
import signal
import sys
import threading
import time

WORDS = "lock socket thread future queue signal buffer context event barrier".split()
TITLES = [" ".join(words) for words in itertools.product(WORDS, repeat=4)]
BEAT = 0.01
PATIENCE = 10.0


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


def begin_worker():
    """In each worker: leaves SIGTERM to the service, and ends with it, however that ended."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    service = multiprocessing.parent_process()
    threading.Thread(target=lambda: (service.join(), os._exit(1)), daemon=True).start()


def workers():
    """A pool on all CPUs but the one of the event loop."""
    spawn = multiprocessing.get_context("spawn")
    count = max(1, len(os.sched_getaffinity(0)) - 1)
    return concurrent.futures.ProcessPoolExecutor(count, spawn, begin_worker)


class Search:
    """Answers each line, a query, with the titles that are most like it."""

    def __init__(self, pool):
        self.pool = pool
        self.answered = 0

    async def rank(self, query):
        ranking = asyncio.get_running_loop().run_in_executor(self.pool, rank, query)
        return await asyncio.wait_for(ranking, PATIENCE)

    async def handle(self, reader, writer):
        try:
            while True:
                query = await reader.readline()
                if not query:
                    break
                titles = await self.rank(query.decode().strip())
                writer.write("; ".join(titles).encode() + b"\n")
                await writer.drain()
                self.answered += 1
        except asyncio.CancelledError:
            pass  # the service ends
        finally:
            writer.close()


async def visitor(port, queries, pause, served):
    """Searches, reads for a moment, searches again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for query in itertools.cycle(queries):
            writer.write(query.encode() + b"\n")
            await asyncio.wait_for(reader.readline(), 2 * PATIENCE)
            served.set()
            await asyncio.sleep(pause)
    finally:
        writer.close()


async def expire_sessions(late):
    """Forgets visitors who have left, every 10 ms; notes how late it gets its turn."""
    start = time.monotonic()
    for beat in itertools.count(1):
        due = start + beat * BEAT
        if time.monotonic() < due:
            await asyncio.sleep(due - time.monotonic())
        late.append(time.monotonic() - due)


async def serve(pool, seconds):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    search = Search(pool)
    server = await asyncio.start_server(search.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    served, late = asyncio.Event(), []
    background = [
        asyncio.ensure_future(visitor(port, ["thread lock", "future of queues"], 0.1, served)),
        asyncio.ensure_future(visitor(port, ["buffered sockets"], 0.15, served)),
    ]
    await served.wait()
    print("ready", flush=True)

    start, before = time.monotonic(), search.answered
    background.append(asyncio.ensure_future(expire_sessions(late)))
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except asyncio.TimeoutError:
        pass
    throughput = (search.answered - before) / (time.monotonic() - start)
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    server.close()
    delay = sum(late) / max(1, len(late))
    print(json.dumps({"delay": delay, "throughput": throughput}), flush=True)


def main(seconds):
    with workers() as pool:
        asyncio.run(serve(pool, seconds))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
