"""Backs a folder up into a zip-like archive, its blocks compressed by threads (as pigz does).

zlib.compress works without the GIL, so the three compressing threads keep all CPUs busy. The main
thread reads the blocks, keeps their order and writes what comes back.

Verdict: native-parallel
Healthy: yes
"""
from __future__ import annotations

import collections
import os
import random
import signal
import struct
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

THREADS = 3
BLOCK = 512 * 1024


def write_documents(folder, count=6):
    dice = random.Random(9)
    words = [bytes(dice.choices(b"abcdefghijklmnop", k=dice.randint(2, 9))) for _ in range(3000)]
    for number in range(count):
        with open(os.path.join(folder, "document-%d.txt" % number), "wb") as file:
            for _ in range(12):
                file.write(b" ".join(dice.choices(words, k=40000)))


def blocks_of(path):
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            yield block


def compress(block):
    """One block, with its checksum; runs in a thread of the pool."""
    return zlib.compress(block, 7), zlib.crc32(block), len(block)


class Archive:
    HEADER = struct.Struct("<III")

    def __init__(self, path):
        self.file = open(path, "wb")
        self.raw = 0
        self.packed = 0

    def write(self, packed, checksum, size):
        self.file.write(self.HEADER.pack(len(packed), checksum, size) + packed)
        self.raw += size
        self.packed += len(packed)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


class Backup:
    """Keeps some blocks ahead of the writer, but not the whole folder."""

    def __init__(self, pool, ahead=2 * THREADS):
        self.pool = pool
        self.ahead = ahead

    def run(self, folder, archive):
        pending = collections.deque()
        for name in sorted(os.listdir(folder)):
            for block in blocks_of(os.path.join(folder, name)):
                pending.append(self.pool.submit(compress, block))
                if len(pending) > self.ahead:
                    archive.write(*pending.popleft().result())
        while pending:
            archive.write(*pending.popleft().result())


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as target:
        write_documents(source)
        deadline = time.monotonic() + seconds
        with ThreadPoolExecutor(THREADS, thread_name_prefix="deflate") as pool:
            backup = Backup(pool)
            print("ready", flush=True)
            while time.monotonic() < deadline:
                with Archive(os.path.join(target, "backup.z")) as archive:
                    backup.run(source, archive)
                print("%d -> %d bytes" % (archive.raw, archive.packed), file=sys.stderr)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
