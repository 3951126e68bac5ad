"""A loop of trio or gevent with five that sleep, and one that blocks it.

Arguments: `trio` or `gevent`, then `healthy`, `sleeps`, `computes` or `never_idle`.
"""

import sys
import time

PAUSE = 0.3
# Not 0: gevent gives fifty turns before it looks at its timers, which is a single block.
SHORT_PAUSE = 0.00001


def healthy():
    sum(range(10000))


def sleeps():
    time.sleep(0.2)


def computes():
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        sum(range(100))


def never_idle():
    time.sleep(0.2)


def run_trio(block, pause):
    import trio

    async def sleeper():
        while True:
            await trio.sleep(0.01)

    async def blocker():
        while True:
            block()
            await trio.sleep(pause)

    async def main():
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(sleeper)
            nursery.start_soon(blocker)
            print("ready", flush=True)

    trio.run(main)


def run_gevent(block, pause):
    import gevent

    def sleeper():
        while True:
            gevent.sleep(0.01)

    def blocker():
        while True:
            block()
            gevent.sleep(pause)

    greenlets = [gevent.spawn(sleeper) for _ in range(5)]
    greenlets.append(gevent.spawn(blocker))
    print("ready", flush=True)
    gevent.joinall(greenlets)


if __name__ == "__main__":
    kind, mode = sys.argv[1:]
    run = {"trio": run_trio, "gevent": run_gevent}[kind]
    run(globals()[mode], SHORT_PAUSE if mode == "never_idle" else PAUSE)
