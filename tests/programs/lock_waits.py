"""Every kind of wait for a lock: a thread for each, named by it.

Says `{"waits": {name: {"tid", "kind", "object", "line", "timed", "owner", "owner_line"}}}` and
`ready` when all threads are blocked. The line is that of the wait, the owner the thread that has
the lock and its line the one that took it, as far as anything in memory tells them.
"""

import concurrent.futures
import json
import multiprocessing
import queue
import signal
import threading
import time

from settled import wait_until_settled

FOREVER = 3600.0
LONG = 500.0

lock = threading.Lock()
rlock = threading.RLock()
inner = threading.Lock()
condition = threading.Condition()
plain_condition = threading.Condition(threading.Lock())
event = threading.Event()
semaphore = threading.Semaphore(0)
bounded = threading.BoundedSemaphore(1)
barrier = threading.Barrier(3)
items = queue.Queue()
full = queue.Queue(1)
full.put(1)
simple = queue.SimpleQueue()
by_call = threading.Lock()
by_try = threading.Lock()
listed = [threading.Lock() for _ in range(3)]
between = multiprocessing.get_context("fork").Lock()
between.acquire()
executor = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="worker")


class Account:
    def __init__(self):
        self._lock = threading.Lock()

    def keep(self):
        with self._lock:
            time.sleep(FOREVER)

    def wait(self):
        with self._lock:
            pass


account = Account()


def deep(levels):
    if levels:
        return deep(levels - 1)
    time.sleep(FOREVER)


# Those that hold: the line that takes the lock is the first of the function.
def hold_lock():
    with lock:
        time.sleep(FOREVER)


def hold_rlock():
    with rlock:
        with rlock:
            deep(5)


def hold_two():
    with inner, listed[1]:
        try:
            deep(3)
        except ValueError:
            pass


def hold_bounded():
    with bounded:
        time.sleep(FOREVER)


def hold_condition():
    with plain_condition:
        time.sleep(FOREVER)


def hold_by_call():
    by_call.acquire()
    time.sleep(FOREVER)


def hold_by_try():
    by_try.acquire()
    try:
        time.sleep(FOREVER)
    finally:
        by_try.release()


# Those that wait: on the first line of the function.
def with_lock():
    with lock:
        pass


def acquire_lock():
    lock.acquire()


def acquire_lock_timed():
    lock.acquire(timeout=LONG)


def with_rlock():
    with rlock:
        pass


def acquire_rlock():
    rlock.acquire()


def wait_condition():
    with condition: condition.wait()  # noqa: E701


def get():
    items.get()


def get_timed():
    items.get(timeout=LONG)


def put():
    full.put(2)


def get_simple():
    simple.get()


def wait_event():
    event.wait()


def wait_event_timed():
    event.wait(LONG)


def acquire_semaphore():
    semaphore.acquire()


def with_bounded():
    with bounded:
        pass


def wait_barrier():
    barrier.wait()


def join_thread():
    sleeper.join()


def join_thread_timed():
    sleeper.join(LONG)


def wait_result():
    future.result()


def with_listed():
    with listed[1]:
        pass


def acquire_in_call():
    print(1, inner.acquire(True, LONG), 2)


def acquire_held_by_call():
    by_call.acquire()


def acquire_held_by_try():
    by_try.acquire()


def with_plain_condition():
    with plain_condition:
        pass


def with_process_lock():
    with between:
        pass


def acquire_in_comprehension():
    return [lock.acquire() for _ in range(2)]


def first_line(function):
    return function.__code__.co_firstlineno + 1


def start(function, name):
    thread = threading.Thread(target=function, name=name, daemon=True)
    thread.start()
    return thread


HOLDERS = [hold_lock, hold_rlock, hold_two, hold_bounded, hold_condition, hold_by_call, hold_by_try]

#: What waits, the kind, the object, whether for a limited time, and who holds it.
WAITS = [
    (with_lock, "Lock", lambda: lock, False, hold_lock),
    (acquire_lock, "Lock", lambda: lock, False, hold_lock),
    (acquire_lock_timed, "Lock", lambda: lock, True, hold_lock),
    (with_rlock, "RLock", lambda: rlock, False, hold_rlock),
    (acquire_rlock, "RLock", lambda: rlock, False, hold_rlock),
    (wait_condition, "Condition", lambda: condition, False, None),
    (get, "Queue.get", lambda: items, False, None),
    (get_timed, "Queue.get", lambda: items, True, None),
    (put, "Queue.put", lambda: full, False, None),
    (get_simple, "SimpleQueue", lambda: simple, False, None),
    (wait_event, "Event", lambda: event, False, None),
    (wait_event_timed, "Event", lambda: event, True, None),
    (acquire_semaphore, "Semaphore", lambda: semaphore, False, None),
    (with_bounded, "Semaphore", lambda: bounded, False, hold_bounded),
    (wait_barrier, "Barrier", lambda: barrier, False, None),
    (join_thread, "Thread.join", lambda: sleeper, False, "sleeper"),
    (join_thread_timed, "Thread.join", lambda: sleeper, True, "sleeper"),
    (wait_result, "Future.result", lambda: future, False, "worker_0"),
    (account.wait, "Lock", lambda: account._lock, False, account.keep),
    (with_listed, "Lock", lambda: listed[1], False, hold_two),
    (acquire_in_call, "Lock", lambda: inner, True, hold_two),
    (acquire_held_by_call, "Lock", lambda: by_call, False, hold_by_call),
    (acquire_held_by_try, "Lock", lambda: by_try, False, hold_by_try),
    (with_plain_condition, "Condition", lambda: plain_condition, False, hold_condition),
    (with_process_lock, "process lock", lambda: between, False, None),
    (acquire_in_comprehension, "Lock", lambda: lock, False, hold_lock),
]

# Threads inherit the mask, so that the signal ends the wait below and nothing else.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
future = executor.submit(time.sleep, FOREVER)
sleeper = start(lambda: time.sleep(FOREVER), "sleeper")
holders = [start(holder, holder.__name__) for holder in HOLDERS + [account.keep]]
wait_until_settled(lambda: [thread.native_id for thread in holders])
truth = {}
threads = []
for waiter, kind, awaited, timed, owner in WAITS:
    name = waiter.__name__
    thread = start(waiter, name)
    threads.append(thread)
    truth[name] = {
        "tid": thread.native_id,
        "kind": kind,
        "object": hex(id(awaited())),
        "line": first_line(waiter),
        "timed": timed,
        "owner": owner if owner is None or isinstance(owner, str) else owner.__name__,
        "owner_line": first_line(owner) if callable(owner) else None,
    }
wait_until_settled(lambda: [thread.native_id for thread in threads])
print(json.dumps({"waits": truth}))
print("ready", flush=True)
signal.sigtimedwait({signal.SIGTERM}, 120)
