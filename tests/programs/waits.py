"""Every kind of wait in the kernel: a thread for each, named by it.

Says `{"waits": {name: {"tid", "syscalls", "timeout", "left", "child", "watches", "state", "fifo",
"role", "others"}}}` and `ready` when all threads are blocked. `timeout` is the limit that the call was
given in seconds, `left` what at most is left of it, `others` the processes at the other end.

The children end when this program does: each waits for the end of a pipe that only it writes.
"""

import fcntl
import json
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from settled import wait_until_settled

SLEEPS = ["clock_nanosleep", "select", "pselect6"]
POLLS = ["poll", "ppoll"]
SELECTS = ["select", "pselect6"]

#: What each child does before it waits for the end; its arguments follow.
CHILD = """
import fcntl, os, socket, sys
kept = []
if sys.argv[1] == "serve":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    for _ in range(2):
        kept.append(listener.accept())
    listener.close()
elif sys.argv[1] == "open":
    kept.append(os.open(sys.argv[2], os.O_WRONLY))
elif sys.argv[1] == "lock":
    kept.append(open(sys.argv[2], "r+"))
    fcntl.lockf(kept[0], fcntl.LOCK_EX, 100, 200)
print("ready", flush=True)
sys.stdin.read()
"""


def child(*arguments, **options):
    """Starts a child; gives it when it has said that it is ready, or a number before."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    return process, process.stdout.readline().strip()


def stay(lifeline, own_end, queue):
    """The work of a forked child."""
    os.close(own_end)
    os.read(lifeline, 1)


def full_backlog():
    """A listener that accepts nothing, with as many connections as it has room for, and more."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    callers = [socket.socket() for _ in range(4)]
    for caller in callers:
        caller.setblocking(False)
        caller.connect_ex(listener.getsockname())
    return listener, callers


def flock(file):
    with open(file.name) as again:
        fcntl.flock(again, fcntl.LOCK_EX)


def lockf(file):
    fcntl.lockf(file, fcntl.LOCK_EX, 10, 250)


def poll(number):
    poller = select.poll()
    poller.register(number)
    poller.poll()


# Before there is anything else that it would inherit.
queue = multiprocessing.get_context("fork").Queue()
lifeline, own_end = os.pipe()
forked = multiprocessing.get_context("fork").Process(
    target=stay, args=(lifeline, own_end, queue), daemon=True
)
forked.start()
# Threads inherit the mask, so that the signal ends the wait below and nothing else.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

own = os.getpid()
folder = tempfile.mkdtemp()
server, port = child("serve")
plain, limited = [socket.create_connection(("127.0.0.1", int(port))) for _ in range(2)]
server.stdout.readline()
limited.settimeout(500)
listener, callers = full_backlog()
late = socket.socket()
idle_listener = socket.create_server(("127.0.0.1", 0))
reader, writer = os.pipe()
pipe_writer, _ = child("stay", pass_fds=[writer])
os.close(writer)
fifo = os.path.join(folder, "fifo")
os.mkfifo(fifo)
fifo_reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
fifo_writer, _ = child("open", fifo)
os.set_blocking(fifo_reader, True)
os.unlink(fifo)
near, far = socket.socketpair()
pair_holder, _ = child("stay", pass_fds=[far.fileno()])
far.close()
locked = tempfile.NamedTemporaryFile(dir=folder, delete=False)
fcntl.flock(locked, fcntl.LOCK_EX)
ranged = tempfile.NamedTemporaryFile(dir=folder, delete=False)
range_holder, _ = child("lock", ranged.name)
awaited, _ = child("stay")
one, two = os.pipe(), os.pipe()
epoll = select.epoll()
epoll.register(one[0])
epoll.register(two[0])
lock = threading.Lock()
lock.acquire()

#: What waits, and the truth about it.
WAITS = {
    "sleep": (lambda: time.sleep(3000), {"syscalls": SLEEPS}),
    "tcp": (
        lambda: plain.recv(1),
        {
            "syscalls": ["recvfrom"],
            "state": "ESTABLISHED",
            "role": "connected",
            "others": [server.pid],
        },
    ),
    "tcp_timeout": (
        lambda: limited.recv(1),
        {
            "syscalls": POLLS,
            "timeout": 500,
            "watches": ["socket to 127.0.0.1:%s" % port],
            "state": "ESTABLISHED",
            "role": "connected",
            "others": [server.pid],
        },
    ),
    "tcp_connect": (
        lambda: late.connect(listener.getsockname()),
        {"syscalls": ["connect"], "state": "SYN_SENT", "role": "listens", "others": [own]},
    ),
    "accept": (idle_listener.accept, {"syscalls": ["accept", "accept4"], "state": "LISTEN"}),
    "pipe": (
        lambda: os.read(reader, 1),
        {"syscalls": ["read"], "role": "writes", "others": [pipe_writer.pid]},
    ),
    "fifo": (
        lambda: os.read(fifo_reader, 1),
        {
            "syscalls": ["read"],
            "fifo": fifo + " (deleted)",
            "role": "writes",
            "others": [fifo_writer.pid],
        },
    ),
    "socketpair": (
        lambda: near.recv(1),
        {"syscalls": ["recvfrom"], "role": "connected", "others": [pair_holder.pid]},
    ),
    "flock": (
        lambda: flock(locked),
        {"syscalls": ["flock"], "role": "locks", "others": [own]},
    ),
    "lockf": (
        lambda: lockf(ranged),
        {"syscalls": ["fcntl"], "role": "locks", "others": [range_holder.pid]},
    ),
    "child": (awaited.wait, {"syscalls": ["wait4"], "child": awaited.pid}),
    "queue": (
        queue.get,
        {"syscalls": ["read"], "role": "writes", "others": [own, forked.pid]},
    ),
    "select": (lambda: select.select([], [], [], 400), {"syscalls": SELECTS, "timeout": 400}),
    "epoll": (
        lambda: epoll.poll(300),
        {
            "syscalls": ["epoll_wait", "epoll_pwait"],
            "timeout": 300,
            "watches": ["pipe", "pipe"],
            "role": "writes",
            "others": [own, own],
        },
    ),
    "lock_timeout": (lambda: lock.acquire(timeout=200), {"syscalls": ["futex"], "left": 200}),
}
if sys.version_info >= (3, 11):
    WAITS["sleep"][1]["left"] = 3000
else:
    WAITS["sleep"][1]["timeout"] = 3000
if hasattr(os, "pidfd_open"):
    pidfd = os.pidfd_open(awaited.pid)
    truth = {"syscalls": POLLS, "child": awaited.pid, "watches": ["process"]}
    WAITS["pidfd"] = (lambda: poll(pidfd), truth)

said = {}
for name, (wait, truth) in WAITS.items():
    thread = threading.Thread(target=wait, name=name, daemon=True)
    thread.start()
    said[name] = dict(truth, tid=thread.native_id)
wait_until_settled(lambda: [truth["tid"] for truth in said.values()])
os.unlink(locked.name)
os.unlink(ranged.name)
os.rmdir(folder)
print(json.dumps({"waits": said}))
print("ready", flush=True)
signal.sigtimedwait({signal.SIGTERM}, 120)
