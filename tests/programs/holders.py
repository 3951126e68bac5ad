"""Six threads that take three locks in turn, and say in FILE which they have: `holders.py FILE`.

Of each thread two words of eight bytes: how often it changed, and the lock that it has, from 1 on; 0
is none, and a negative number that it is taking that lock or giving it back. Says `{"locks":
[address, ...], "threads": [tid, ...]}` and `ready`.
"""

import json
import mmap
import random
import struct
import sys
import threading
import time

THREADS = 6
locks = [threading.Lock() for _ in range(3)]
tids = {}
started = threading.Barrier(THREADS + 1)


def work(number, memory):
    random.seed(number)
    changes = 0

    def say(state):
        nonlocal changes
        changes += 1
        memory[number * 16 : number * 16 + 16] = struct.pack("<qq", changes, state)

    tids[number] = threading.get_native_id()
    started.wait()
    while True:
        lock = random.randrange(len(locks))
        say(-(lock + 1))
        with locks[lock]:
            say(lock + 1)
            if random.random() < 0.5:
                time.sleep(random.random() * 0.02)
            else:
                sum(range(random.randrange(20_000)))
            say(-(lock + 1))
        say(0)
        time.sleep(random.random() * 0.01)


with open(sys.argv[1], "w+b") as file:
    file.truncate(THREADS * 16)
    memory = mmap.mmap(file.fileno(), THREADS * 16)
for number in range(THREADS):
    threading.Thread(target=work, args=(number, memory), daemon=True).start()
started.wait()
print(json.dumps({"locks": [id(lock) for lock in locks], "threads": [tids[it] for it in range(THREADS)]}))
print("ready", flush=True)
time.sleep(600)
