"""Tasks that wait for each other in a circle, and some that only look like it.

Says `ready` when all of them are where they will stay.
"""

import asyncio

FOREVER = 600


async def transfer(first, second):
    async with first:
        await let_all_run()
        async with second:
            pass


async def take_again(lock):
    async with lock:
        async with lock:
            pass


async def child(lock):
    async with lock:
        pass


async def parent(lock, start):
    async with lock:
        await start(child(lock), "child")


async def hold(lock):
    async with lock:
        await asyncio.sleep(FOREVER)


async def wait_for_lock(condition):
    """Has given its lock back while it waits, although its block still runs."""
    async with condition:
        await condition.wait()


async def let_all_run():
    for _ in range(100):
        await asyncio.sleep(0)


async def main():
    loop = asyncio.get_running_loop()
    keep = []

    def start(coroutine, name):
        task = loop.create_task(coroutine)
        task.set_name(name)
        keep.append(task)
        return task

    one, two, busy, condition = asyncio.Lock(), asyncio.Lock(), asyncio.Lock(), asyncio.Condition()
    start(transfer(one, two), "transfer-1")
    start(transfer(two, one), "transfer-2")
    start(transfer(busy, one), "victim")
    start(take_again(asyncio.Lock()), "again")
    start(parent(asyncio.Lock(), start), "parent")
    start(hold(busy), "holder")
    for name in ("waiter-1", "waiter-2"):
        start(wait_for_lock(condition), name)
    await let_all_run()
    await let_all_run()
    print("ready", flush=True)
    await asyncio.sleep(FOREVER)


asyncio.run(main())
