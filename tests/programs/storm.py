"""A storm of calls below coroutines: requests that each compute by recursion on an event loop.

Says `ready` and goes on until it is ended.
"""

import asyncio


def fibonacci(number):
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)


async def handler():
    return fibonacci(24)


async def request():
    return await handler()


async def main():
    print("ready", flush=True)
    while True:
        await asyncio.get_running_loop().create_task(request())
        await asyncio.sleep(0.005)


asyncio.run(main())
