"""The ground truth for tasks: two loops in two threads, each with a task of every kind.

    tasks.py [uvloop]

Says what the loops and their tasks are, as JSON, and `ready`; then both loops stand still in the
function `hold`, so that what was said stays true.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
import types

FOREVER = 3600
KEEP = []


async def sleep_for(seconds):
    await asyncio.sleep(seconds)


async def outer():
    await middle()


async def middle():
    prefix = "local variables are no obstacle"
    await inner(prefix)


async def inner(_):
    await asyncio.sleep(FOREVER)


async def get(queue):
    await queue.get()


async def put(queue):
    await queue.put(1)


async def join(queue):
    await queue.join()


async def acquire(lock):
    async with lock:
        pass


async def hold_and_sleep(lock):
    async with lock:
        await asyncio.sleep(FOREVER)


async def wait_for_event(event):
    await event.wait()


async def wait_for_condition(condition):
    async with condition:
        await condition.wait()


async def gather():
    await asyncio.gather(sleep_for(FOREVER), outer())


async def gather_nested():
    await asyncio.gather(asyncio.gather(sleep_for(FOREVER), sleep_for(FOREVER)), outer())


async def limit():
    await asyncio.wait_for(sleep_for(FOREVER), 2 * FOREVER)


async def shield():
    await asyncio.shield(sleep_for(FOREVER))


async def wait_for_first():
    await asyncio.wait({asyncio.ensure_future(sleep_for(FOREVER))})


async def generate():
    for number in range(2):
        if number:
            await asyncio.sleep(FOREVER)
        yield number


async def iterate(generator):
    async for _ in generator:
        pass


@contextlib.asynccontextmanager
async def managed():
    yield
    await asyncio.sleep(0)


async def in_context():
    async with managed():
        await asyncio.sleep(FOREVER)


async def in_executor(event):
    await asyncio.get_running_loop().run_in_executor(None, event.wait)


@types.coroutine
def old_style(future):
    yield from future


async def await_old_style(future):
    await old_style(future)


class Awaitable:
    def __init__(self, future):
        self.future = future

    def __await__(self):
        return (yield from self.future)


async def await_object(future):
    await Awaitable(future)


async def await_future(future):
    await future


async def read(reader):
    await reader.readline()


async def receive(connection):
    await asyncio.get_running_loop().sock_recv(connection, 1)


async def stubborn():
    while True:
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            pass


async def await_task(task):
    await task


async def group():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleep_for(FOREVER))
        tasks.create_task(outer())


async def timeout():
    async with asyncio.timeout(FOREVER):
        await sleep_for(2 * FOREVER)


def chain(awaitable):
    """The functions and lines of an await chain, outermost first, as Python itself tells them."""
    links = []
    while awaitable is not None:
        if type(awaitable).__name__ == "async_generator_asend":
            # Which does not tell its generator; a frame does that awaits it.
            awaitable = frame.f_locals["generator"]
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaitable, kind + "_frame", None)
            if frame is not None:
                links.append([frame.f_code.co_name, frame.f_lineno])
                further = {"gi": "gi_yieldfrom"}.get(kind, kind + "_await")
                awaitable = getattr(awaitable, further)
                break
        else:
            break
    return links


def state(task, current):
    waiter = task._fut_waiter
    if task.done():
        return "done"
    if task is current:
        return "running"
    if task._must_cancel or (hasattr(task, "cancelling") and task.cancelling()):
        return "cancelling"
    return "ready" if waiter is None or waiter.done() else "waiting"


def awaiters(task):
    """Those that CPython itself names; None where it does not."""
    if not hasattr(asyncio, "future_add_to_awaited_by"):
        return None
    return sorted(hex(id(awaiter)) for awaiter in task._asyncio_awaited_by or ())


def tell(loop):
    current = asyncio.current_task(loop)
    tasks = {}
    for task in asyncio.all_tasks(loop):
        tasks[hex(id(task))] = {
            "name": task.get_name(),
            "state": state(task, current),
            "chain": chain(task.get_coro()),
            "cancel_requests": task.cancelling() if hasattr(task, "cancelling") else None,
            "awaited_by": awaiters(task),
        }
    return {
        "tid": threading.get_native_id(),
        "current": hex(id(current)),
        "ready": len(loop._ready) if hasattr(loop, "_ready") else None,
        "tasks": tasks,
    }


async def main(told, released):
    loop = asyncio.get_running_loop()

    def start(coroutine, name):
        task = loop.create_task(coroutine)
        task.set_name(name)
        KEEP.append(task)
        return task

    queue, full = asyncio.Queue(), asyncio.Queue(1)
    lock, condition = asyncio.Lock(), asyncio.Condition()
    full.put_nowait(0)
    semaphore = asyncio.Semaphore(1)
    for _ in range(3):
        start(sleep_for(FOREVER), "sleep")
    start(outer(), "nested")
    start(get(queue), "queue.get")
    start(put(full), "queue.put")
    start(join(full), "queue.join")
    start(hold_and_sleep(lock), "lock.holder")
    start(acquire(lock), "lock.waiter")
    start(hold_and_sleep(semaphore), "semaphore.holder")
    start(acquire(semaphore), "semaphore.waiter")
    start(wait_for_event(asyncio.Event()), "event")
    start(wait_for_condition(condition), "condition")
    start(gather(), "gather")
    start(gather_nested(), "gather.nested")
    start(limit(), "wait_for")
    start(shield(), "shield")
    start(wait_for_first(), "wait")
    start(iterate(generate()), "async for")
    start(in_context(), "context")
    start(in_executor(released), "executor")
    start(await_old_style(loop.create_future()), "types.coroutine")
    start(await_object(loop.create_future()), "__await__")
    start(await_future(loop.create_future()), "future")
    near, far = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=near)
    start(read(reader), "stream")
    left, right = socket.socketpair()
    left.setblocking(False)
    start(receive(left), "socket")
    KEEP.extend((far, right, writer))
    swallows = start(stubborn(), "stubborn")
    start(await_task(swallows), "await task")
    if hasattr(asyncio, "TaskGroup"):
        start(group(), "group")
        start(timeout(), "timeout")
    await let_all_run()
    swallows.cancel()
    await let_all_run()
    start(sleep_for(1), "not begun")
    asked = start(sleep_for(1), "cancelled before it began")
    asked.cancel()
    hold(told, tell(loop), released)


async def let_all_run():
    """No task here takes as many steps to get where it waits."""
    for _ in range(100):
        await asyncio.sleep(0)


def hold(told, truth, released):
    told.append(truth)
    released.wait()


def run(*arguments):
    asyncio.run(main(*arguments))


if __name__ == "__main__":
    if sys.argv[1:] == ["uvloop"]:
        import uvloop

        uvloop.install()
    told, released = [], threading.Event()
    threading.Thread(target=run, args=(told, released), name="side", daemon=True).start()

    def announce():
        while len(told) < 2:
            released.wait(0.01)
        print(json.dumps(told), flush=True)
        print("ready", flush=True)
        released.wait(600)
        os._exit(0)

    threading.Thread(target=announce, daemon=True).start()
    run(told, released)
