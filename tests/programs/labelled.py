"""The ground truth: every thread does one thing only, and is named by it.

    labelled.py waits|more|gil|python [SECONDS]

Says `{"threads": {name: tid}}` and `ready` when all threads are at it. After SECONDS (60), or on
SIGTERM, says what the threads measured of themselves and ends:
`{"truth": {name: {"cpu": share of its time on a CPU, "queued": share of it ready without one,
"blocked": share of it in blocking steps}}}`.
"""

import asyncio
import fcntl
import hashlib
import json
import logging.handlers
import multiprocessing
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from settled import wait_until_settled

FOREVER = 3600.0
STEP = 0.5
GAP = 0.01

PEER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""
CHILD = "import sys; sys.stdin.read()"


def has_gil():
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def schedstat(tid):
    """What the kernel gave a thread: nanoseconds on a CPU and in run queues, and turns."""
    with open("/proc/self/task/%d/schedstat" % tid) as file:
        return [int(field) for field in file.read().split()]


class Labelled:
    """A thread named by what it does, and what it measured of itself."""

    def __init__(self, name, work, *arguments):
        self.name = name
        self.work = work
        self.arguments = arguments
        self.steps = (0.0, 1.0)  # seconds in blocking steps, seconds in all
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)

    def run(self):
        self.work(self, *self.arguments)

    def clocks(self):
        clock = time.pthread_getcpuclockid(self.thread.ident)
        _, queued, _ = schedstat(self.thread.native_id)
        return time.clock_gettime(clock), queued / 1e9, time.monotonic()

    def start_measuring(self):
        self.began = self.clocks()

    def truth(self):
        cpu, queued, wall = (now - then for now, then in zip(self.clocks(), self.began))
        blocked, spent = self.steps
        return {"cpu": cpu / wall, "queued": queued / wall, "blocked": blocked / spent}


def sleep(_):
    time.sleep(FOREVER)


def read_socket(_, connection):
    connection.recv(1)


def read_pipe(_, descriptor):
    os.read(descriptor, 1)


def wait_for_lock(_, lock):
    lock.acquire()


def wait_for_child(_, child):
    child.wait()


def connect(_, address):
    with socket.socket() as connection:
        connection.connect(address)


def receive(_, datagrams):
    """What a look-up of a name does: it polls a socket for the server's answer."""
    datagrams.settimeout(FOREVER)
    datagrams.recv(1)


def accept(_, listener):
    while True:
        listener.accept()


def lock_file(_, file):
    fcntl.flock(file, fcntl.LOCK_EX)


def get_item(_, items):
    items.get()


def listen_to_log(_, records):
    listener = logging.handlers.QueueListener(records)
    listener._monitor()


def select_nothing(_):
    select.select([], [], [], FOREVER)


def hash_buffer(_, buffer):
    while True:
        hashlib.sha256(buffer).digest()


def spin(_):
    number = 0
    while True:
        number = (number * 5 + 1) & 0xFFFF


def run_idle_loop(_):
    asyncio.run(asyncio.sleep(FOREVER))


def run_blocked_loop(self):
    async def block():
        blocked, began = 0.0, time.monotonic()
        while True:
            before = time.monotonic()
            time.sleep(STEP)
            blocked += time.monotonic() - before
            await asyncio.sleep(GAP)
            self.steps = (blocked, time.monotonic() - began)

    asyncio.run(block())


def start_peer(program):
    """A child that ends when this process does: its stdin closes."""
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def full_listener():
    """A listener that takes no more connections, and those that fill it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    for _ in range(2):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(listener.getsockname())
        waiting.append(connection)
    return listener, waiting


def more_waits():
    listener, waiting = full_listener()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    datagrams.connect(silent.getsockname())
    folder = tempfile.TemporaryDirectory()
    fifo = os.path.join(folder.name, "fifo")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR)
    mine, theirs = (open(os.path.join(folder.name, "lock"), "w") for _ in range(2))
    fcntl.flock(mine, fcntl.LOCK_EX)
    return [
        Labelled("connect", connect, listener.getsockname()),
        Labelled("datagram", receive, datagrams),
        Labelled("accept", accept, socket.create_server(("127.0.0.1", 0))),
        Labelled("fifo", read_pipe, reader),
        Labelled("flock", lock_file, theirs),
        Labelled("process-queue", get_item, multiprocessing.get_context("fork").Queue()),
        Labelled("select", select_nothing),
        Labelled("consumer", get_item, queue.Queue()),
        Labelled("consumer-in-c", get_item, queue.SimpleQueue()),
        Labelled("log-listener", listen_to_log, queue.Queue()),
    ], [listener, waiting, silent, folder, mine]


def waits():
    peer = start_peer(PEER)
    connection = socket.create_connection(("127.0.0.1", int(peer.stdout.readline())))
    reader, writer = os.pipe()
    held = threading.Lock()
    held.acquire()
    return [
        Labelled("sleep", sleep),
        Labelled("socket", read_socket, connection),
        Labelled("pipe", read_pipe, reader),
        Labelled("lock", wait_for_lock, held),
        Labelled("child", wait_for_child, start_peer(CHILD)),
        Labelled("native", hash_buffer, bytes(64 << 20)),
        Labelled("idle-loop", run_idle_loop),
        Labelled("blocked-loop", run_blocked_loop),
    ], [peer, writer]


def gil():
    """Threads that want the GIL; where there is none, as many as have a CPU each."""
    count = 4 if has_gil() else min(2, len(os.sched_getaffinity(0)))
    return [Labelled("gil-%d" % number, spin) for number in range(count)], []


def python():
    return [Labelled("python", spin)], []


def to_be_blocked(threads):
    """The threads that are to be blocked; one that still wants the GIL runs every 5 ms to ask."""
    busy = {"native", "python", "blocked-loop"}
    return [
        each.thread.native_id
        for each in threads
        if each.name not in busy and not each.name.startswith("gil")
    ]


def main(mode, seconds):
    # Threads inherit the mask, so that the signal ends the wait below and nothing else.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threads, keep = {"waits": waits, "more": more_waits, "gil": gil, "python": python}[mode]()
    for each in threads:
        each.thread.start()
    wait_until_settled(lambda: to_be_blocked(threads))
    for each in threads:
        each.start_measuring()
    print(json.dumps({"threads": {each.name: each.thread.native_id for each in threads}}))
    print("ready", flush=True)

    signal.sigtimedwait({signal.SIGTERM}, seconds)
    print(json.dumps({"truth": {each.name: each.truth() for each in threads}}), flush=True)
    del keep
    os._exit(0)  # the threads are blocked for good


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
