"""Deadlocks of all kinds: `deadlocks.py KIND` makes one.

Says `{"pid": where it is, "rings": [[names of the threads that wait for each other], ...], "lines":
[line, ...]}` (the lines are those that wait, of the first ring) and `ready` when it is there.
"""

import concurrent.futures
import contextlib
import json
import os
import signal
import sys
import threading

from settled import wait_until_settled

a = threading.Lock()
b = threading.Lock()
both = threading.Barrier(2)
all_three = threading.Barrier(3)


class Account:
    def __init__(self):
        self.lock = threading.Lock()


def start(name, function, *arguments):
    thread = threading.Thread(target=function, name=name, args=arguments, daemon=True)
    thread.start()
    return thread


def line_after(function, lines):
    return function.__code__.co_firstlineno + lines


def transfer(source, target):
    with source.lock:
        both.wait()
        with target.lock:
            pass


def crossed():
    one, two = Account(), Account()
    start("one", transfer, one, two)
    start("two", transfer, two, one)
    return [["one", "two"]], [line_after(transfer, 3)] * 2


condition = threading.Condition()
rlock = threading.RLock()


def condition_then_rlock():
    with condition:
        all_three.wait()
        with rlock:
            pass


def rlock_then_lock():
    with rlock:
        all_three.wait()
        take(a)


def take(lock):
    with lock:
        pass


def lock_then_condition():
    with a:
        all_three.wait()
        with condition:
            pass


def ring():
    start("c", condition_then_rlock)
    start("r", rlock_then_lock)
    start("l", lock_then_condition)
    lines = [
        line_after(condition_then_rlock, 3),
        line_after(take, 1),
        line_after(lock_then_condition, 3),
    ]
    return [["c", "r", "l"]], lines


def twice():
    with a:
        with a:
            pass


def itself():
    start("self", twice)
    return [["self"]], [line_after(twice, 2)]


def futures():
    pool = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="pair")
    jobs = {}
    submitted = threading.Event()

    def wait_for(other):
        submitted.wait()
        return jobs[other].result()

    jobs["x"] = pool.submit(wait_for, "y")
    jobs["y"] = pool.submit(wait_for, "x")
    submitted.set()
    return [["pair_0", "pair_1"]], [line_after(wait_for, 2)] * 2


def executor():
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="only")

    def outer():
        return pool.submit(pow, 2, 3).result()

    pool.submit(outer)
    return [["only_0"]], [line_after(outer, 1)]


def joins():
    threads = {}
    known = threading.Event()

    def join(other):
        known.wait()
        threads[other].join()

    for name, other in (("x", "y"), ("y", "x")):
        threads[name] = start(name, join, other)
    known.set()
    return [["x", "y"]], [line_after(join, 2)] * 2


def orphan():
    """The thread that took the lock ends while the other lives, whose ident is therefore new."""
    taken = threading.Event()

    def wait():
        taken.wait()
        rlock.acquire()

    start("heir", wait)
    owner = start("owner", rlock.acquire)
    owner.join()
    taken.set()
    return [["heir"]], [line_after(wait, 2)]


@contextlib.contextmanager
def guarded(lock):
    with lock:
        yield


def by_manager():
    with guarded(a):
        both.wait()
        with b:
            pass


def by_stack():
    with contextlib.ExitStack() as stack:
        stack.enter_context(b)
        both.wait()
        a.acquire()


def managers():
    start("manager", by_manager)
    start("stack", by_stack)
    return [["manager", "stack"]], [line_after(by_manager, 3), line_after(by_stack, 4)]


def transfer_by_call(source, target):
    source.lock.acquire()
    try:
        both.wait()
        target.lock.acquire()
        try:
            pass
        finally:
            target.lock.release()
    finally:
        source.lock.release()


def called():
    one, two = Account(), Account()
    start("one", transfer_by_call, one, two)
    start("two", transfer_by_call, two, one)
    return [["one", "two"]], [line_after(transfer_by_call, 4)] * 2


def abandoned():
    """As `orphan`, with a lock that does not know its owner."""
    taken = threading.Event()

    def wait():
        taken.wait()
        with b:
            pass

    start("heir", wait)
    owner = start("owner", b.acquire)
    owner.join()
    taken.set()
    return [["heir"]], [line_after(wait, 2)]


@contextlib.contextmanager
def taken(lock):
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def by_taking(mine, other):
    with taken(mine):
        both.wait()
        with other:
            pass


def takers():
    start("one", by_taking, a, b)
    start("two", by_taking, b, a)
    return [["one", "two"]], [line_after(by_taking, 3)] * 2


def forked():
    """A child that was forked while another thread had the lock, which exists no more in it."""
    held = threading.Event()

    def hold():
        with a:
            held.set()
            signal.pause()

    def use():
        with a:
            pass

    start("owner", hold)
    held.wait()
    child = os.fork()
    if not child:
        signal.alarm(120)
        use()
    return [["MainThread"]], [line_after(use, 1)], child


def others(process):
    own = str(threading.get_native_id())
    return [tid for tid in os.listdir("/proc/%d/task" % process) if tid != own]


# Threads inherit the mask, so that the signal ends the wait below and nothing else.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
rings, lines, *child = globals()[sys.argv[1]]()
process = child[0] if child else os.getpid()
wait_until_settled(lambda: others(process), process)
print(json.dumps({"pid": process, "rings": rings, "lines": lines}))
print("ready", flush=True)
signal.sigtimedwait({signal.SIGTERM}, 120)
