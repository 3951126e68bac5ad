"""Computes the SHA-256 of all files below a folder, with one thread for each CPU (and two more).

hashlib releases the GIL for blocks as large as these, so the threads hash at the same time on all
CPUs. The files are in the page cache. This is what threads are good at.

Verdict: native-parallel
Healthy: yes
Packages: click
"""
from __future__ import annotations

import hashlib
import os
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import click

BLOCK = 1 << 20


def make_tree(folder, folders=4, files=5):
    """Some photographs' worth of bytes."""
    noise = os.urandom(BLOCK)
    for number in range(folders):
        below = os.path.join(folder, "album-%d" % number)
        os.makedirs(below)
        for picture in range(files):
            with open(os.path.join(below, "img-%03d.raw" % picture), "wb") as file:
                for block in range(8):
                    file.write(bytes([number, picture, block]) + noise)


class Manifest:
    """The digests that were found, and which files are alike."""

    def __init__(self):
        self.digests = {}
        self.bytes = 0
        self.lock = threading.Lock()

    def add(self, path, digest, size):
        with self.lock:
            self.digests.setdefault(digest, set()).add(path)
            self.bytes += size

    def duplicates(self):
        return [sorted(paths) for paths in self.digests.values() if len(paths) > 1]


def digest_of(path):
    digest = hashlib.sha256()
    size = 0
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while True:
            count = file.readinto(buffer)
            if not count:
                return digest.hexdigest(), size
            digest.update(view[:count])
            size += count


def files_below(folder):
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            yield os.path.join(place, name)


def hash_tree(folder, pool, manifest):
    def work(path):
        manifest.add(path, *digest_of(path))
    for _ in pool.map(work, list(files_below(folder))):
        pass


@click.command()
@click.argument("seconds", type=float, default=30.0)
@click.option("--threads", default=(os.cpu_count() or 1) + 2, show_default=True)
def main(seconds, threads):
    """Hashes a tree of files over and over for SECONDS."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder:
        make_tree(folder)
        manifest = Manifest()
        deadline = time.monotonic() + seconds
        with ThreadPoolExecutor(threads, thread_name_prefix="hash") as pool:
            print("ready", flush=True)
            while time.monotonic() < deadline:
                hash_tree(folder, pool, manifest)
        click.echo("%d MB, %d duplicates" % (
            manifest.bytes >> 20, len(manifest.duplicates())), err=True)


if __name__ == "__main__":
    main()
