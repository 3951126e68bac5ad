"""Does one thing wrong with its tasks, which its argument names; `healthy` does none of it, `quiet`
all of what leaves the loop time for the rest.

Says `ready` when it is in trouble, or about to get into it, and goes on until it is ended."""

import asyncio
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

kept = set()
forgotten = []


def start(coroutine, name=None):
    task = asyncio.get_running_loop().create_task(coroutine)
    if name:
        task.set_name(name)
    return task


def keep(coroutine, name=None):
    task = start(coroutine, name)
    kept.add(task)
    task.add_done_callback(kept.discard)
    return task


async def forever():
    while True:
        await asyncio.sleep(0.05)


async def background():
    await asyncio.sleep(3600)


async def orphan():
    start(background(), "orphan")


async def fail():
    await asyncio.sleep(0.01)
    raise ValueError("broken")


async def sibling():
    try:
        await asyncio.gather(fail(), background())
    except ValueError:
        pass


async def unretrieved():
    async def later():
        await asyncio.sleep(3)
        raise KeyError("lost")

    kept.add(start(later(), "fails"))


async def swallow():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


async def swallowed():
    task = keep(swallow(), "stubborn")
    await asyncio.sleep(0.01)
    task.cancel()


async def silent(reader, writer):
    await asyncio.sleep(3600)
    writer.close()


async def ask(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello\n")
    await reader.readline()


async def no_deadline():
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    keep(server.serve_forever())
    keep(ask(server.sockets[0].getsockname()[1]), "client")


async def leaky():
    async def leak():
        event = asyncio.Event()
        await event.wait()

    async def requests():
        while True:
            keep(leak())
            await asyncio.sleep(0.02)

    keep(requests(), "requests")


async def crawl(count, permits=None):
    semaphore = asyncio.Semaphore(permits or count)

    async def fetch():
        async with semaphore:
            await asyncio.sleep(3600)

    await asyncio.gather(*[fetch() for _ in range(count)])


async def fan_out():
    keep(crawl(300), "crawler")


async def deadlock():
    first, second = asyncio.Lock(), asyncio.Lock()

    async def transfer(one, other):
        async with one:
            await asyncio.sleep(0.01)
            async with other:
                pass

    keep(transfer(first, second), "there")
    keep(transfer(second, first), "back")


def compute():
    while True:
        sum(range(1000))


async def starved():
    for _ in range(3):
        threading.Thread(target=compute, daemon=True).start()

    async def serve():
        while True:
            await asyncio.sleep(0.001)

    for _ in range(20):
        keep(serve())


async def busy():
    def hold():
        end = asyncio.get_running_loop().time() + 4
        while asyncio.get_running_loop().time() < end:
            sum(range(1000))

    async def holds():
        while True:
            await asyncio.sleep(0.1)
            hold()

    keep(holds(), "greedy")


class Service:
    def __init__(self):
        self.jobs = asyncio.Queue()

    async def produce(self):
        while True:
            self.jobs.put_nowait("item")
            await asyncio.sleep(0.002)

    async def consume(self):
        while True:
            await self.jobs.get()
            await asyncio.sleep(0.02)


async def grow():
    service = Service()
    keep(service.produce())
    keep(service.consume())


async def saturate():
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(2)

    async def ask():
        while True:
            await loop.run_in_executor(pool, sum, range(2000000))

    for _ in range(12):
        keep(ask())


async def jobs():
    """Five jobs for two workers, none of which ends."""
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(2, "worker")
    for number in range(5):
        job = loop.run_in_executor(pool, threading.Event().wait)
        keep(asyncio.wait_for(job, 3600), f"job-{number}")


async def refuse(reader, writer):
    writer.close()


async def connect(port):
    connection = socket.socket()
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    forgotten.append(connection)


async def refusing_server():
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    keep(server.serve_forever())
    return server.sockets[0].getsockname()[1]


async def unclosed():
    port = await refusing_server()

    async def forget():
        while True:
            await connect(port)
            await asyncio.sleep(0.05)

    keep(forget())


async def healthy():
    """Everything in good order."""
    queue = asyncio.Queue(10)
    lock = asyncio.Lock()

    async def produce():
        number = 0
        while True:
            number += 1
            await queue.put(number)
            await asyncio.sleep(0.002)

    async def consume():
        while True:
            await queue.get()
            async with lock:
                await asyncio.sleep(0.001)

    async def echo(reader, writer):
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            writer.write(b"hello\n")
            await asyncio.wait_for(reader.readline(), 5)
            await asyncio.sleep(0.02)

    async def batches():
        semaphore = asyncio.Semaphore(5)

        async def job():
            async with semaphore:
                await asyncio.sleep(0.005)

        while True:
            await asyncio.gather(*[job() for _ in range(200)])

    async def cancels():
        while True:
            task = start(background())
            await asyncio.sleep(0.01)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass

    async def fails():
        while True:
            await asyncio.gather(fail(), return_exceptions=True)
            await asyncio.sleep(0.02)

    async def gathers_failed():
        await asyncio.gather(fail(), background(), return_exceptions=True)

    async def waits_for_failed():
        await asyncio.wait({start(fail()), start(background())})

    async def pool():
        items = asyncio.Queue(200)

        async def work():
            while True:
                await items.get()
                await asyncio.sleep(0.5)

        async def feed():
            while True:
                await items.put("item")

        await asyncio.gather(feed(), *[work() for _ in range(150)])

    async def offloads():
        loop = asyncio.get_running_loop()
        while True:
            await loop.run_in_executor(None, sum, range(20000))
            await asyncio.sleep(0.05)

    async def idle(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"once\n")
        await reader.readline()
        await asyncio.sleep(3600)
        writer.close()

    refusing = await refusing_server()
    for _ in range(8):  # A pool, whose peer has closed what was idle.
        await connect(refusing)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for coroutine in (produce(), consume(), consume(), batches(), cancels(), fails(), offloads()):
        keep(coroutine)
    for coroutine in (gathers_failed(), waits_for_failed(), pool()):
        keep(coroutine)
    for _ in range(5):
        keep(talk(port))
        keep(idle(port))
    keep(server.serve_forever())


QUIET = (
    deadlock,
    swallowed,
    unretrieved,
    no_deadline,
    orphan,
    sibling,
    grow,
    leaky,
    fan_out,
    unclosed,
)


async def quiet():
    for trouble in QUIET:
        await trouble()


TROUBLES = {
    "async-deadlock": deadlock,
    "cancel-swallowed": swallowed,
    "exception-never-retrieved": unretrieved,
    "healthy": healthy,
    "executor-saturated": saturate,
    "jobs": jobs,
    "loop-starved-by-gil": starved,
    "no-deadline": no_deadline,
    "orphan-task": orphan,
    "queue-growing": grow,
    "quiet": quiet,
    "sibling-of-failed-gather": sibling,
    "task-leak": leaky,
    "task-never-yields": busy,
    "unbounded-fan-out": fan_out,
    "unclosed-client": unclosed,
}


async def main():
    await TROUBLES[sys.argv[1]]()
    await asyncio.sleep(0.1)
    print("ready", flush=True)
    await forever()


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    if sys.argv[2:] == ["uvloop"]:
        import uvloop

        loop = uvloop.new_event_loop()
    loop.run_until_complete(main())
