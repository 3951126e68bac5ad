"""What the images show: every thread stands still in a way of its own, and is named by it.

Says `ready` when all of them are at it, or will be without running any more Python. The names
take one, two and four bytes a character, which CPython stores differently.
"""

import asyncio
import socket
import threading
import time

FOREVER = 3600
WITHOUT_END = 1 << 60  # `sum` counts to it in C, and never gives the GIL away
DEPTH = 200  # more than a chunk of the data stack has room for


class Größe:
    def tief(self, rest):
        one, two, three = rest, rest, rest
        if rest:
            return self.tief(rest - 1)
        return next(self.zahlen(one + two + three))

    def zahlen(self, start):
        yield sum(range(start, WITHOUT_END))


def 計算する():
    Größe().tief(DEPTH)


def wait_for_gil():
    time.sleep(1)  # until the main thread has the GIL for good
    sum(range(WITHOUT_END))


def acquire(lock):
    lock.acquire()


def receive(connection):
    connection.recv(1)


def sleep():
    time.sleep(FOREVER)


async def 𐌰𐌱𐌲():
    time.sleep(FOREVER)


async def serve():
    await asyncio.sleep(0)
    await asyncio.gather(𐌰𐌱𐌲())


def start(name, function, *arguments):
    threading.Thread(target=function, args=arguments, name=name, daemon=True).start()


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    lock = threading.Lock()
    lock.acquire()
    start("lock", acquire, lock)
    start("näher am Netz", receive, client)
    start("眠る", sleep)
    start("𐌻𐍉𐍉𐍀", lambda: asyncio.run(serve()))
    time.sleep(0.5)
    start("gil", wait_for_gil)
    print("ready", flush=True)
    計算する()
    server.close()


main()
