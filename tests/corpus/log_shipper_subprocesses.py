"""Nightly rotation of logs: for each host a pipeline of two child processes, dump | compress.

The parent starts the pipelines, two at a time in a pool, and waits until the children have ended;
all the computing is done by them. The parent could not be faster: it is waiting for children.

Verdict: io-bound
Healthy: yes
"""
from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

PIPELINES = 2
LINES = 60000


def dump(host):
    """Stage one: writes the log of a host to stdout."""
    dice = random.Random(host)
    out = sys.stdout
    try:
        for number in range(LINES):
            out.write("%s %06d GET /item/%d %d\n" % (
                host, number, dice.randrange(5000), dice.choice([200, 200, 304, 404])))
        out.flush()
    except BrokenPipeError:
        os._exit(1)


def compress(path):
    """Stage two: compresses stdin into a file."""
    press = zlib.compressobj(9)
    with open(path, "wb") as target:
        for block in iter(lambda: sys.stdin.buffer.read(65536), b""):
            target.write(press.compress(block))
        target.write(press.flush())


class Rotation:
    def __init__(self, folder):
        self.folder = folder
        self.bytes_written = 0

    def ship(self, host):
        """dump HOST | compress FILE, as a shell would run it."""
        path = os.path.join(self.folder, host + ".log.z")
        me = [sys.executable, __file__]
        source = subprocess.Popen(me + ["--dump", host], stdout=subprocess.PIPE)
        sink = subprocess.Popen(me + ["--compress", path], stdin=source.stdout)
        source.stdout.close()
        codes = sink.wait(), source.wait()
        if any(codes):
            raise RuntimeError("%s: a stage of the pipeline failed: %s" % (host, codes))
        return host, os.path.getsize(path)

    def run(self, seconds):
        hosts = ("web-%02d" % (n % 40) for n in itertools.count())
        deadline = time.monotonic() + seconds
        with ThreadPoolExecutor(PIPELINES, thread_name_prefix="pipeline") as pool:
            pending = {pool.submit(self.ship, next(hosts)) for _ in range(PIPELINES)}
            print("ready", flush=True)
            while pending:
                done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                self.bytes_written += sum(job.result()[1] for job in done)
                if time.monotonic() < deadline:
                    pending |= {pool.submit(self.ship, next(hosts)) for _ in done}


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder:
        rotation = Rotation(folder)
        rotation.run(seconds)
        print("%d bytes kept" % rotation.bytes_written, file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--dump"]:
        dump(sys.argv[2])
    elif sys.argv[1:2] == ["--compress"]:
        compress(sys.argv[2])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
