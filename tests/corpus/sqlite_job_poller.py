"""A worker that polls a table of jobs in sqlite four times a second.

Another process puts a job into the table about once a second; the job (the checksum of a short
text) takes no time worth mentioning. The worker sleeps between its looks.

Verdict: idle
Healthy: yes
"""
from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

POLL_EVERY = 0.25
SCHEMA = """
create table if not exists jobs (
    id integer primary key,
    payload text not null,
    state text not null default 'new',
    result text
)
"""
log = logging.getLogger("poller")


class JobStore:
    def __init__(self, path):
        self.connection = sqlite3.connect(path, timeout=5, isolation_level=None)
        self.connection.execute("pragma journal_mode=wal")
        self.connection.execute(SCHEMA)

    def put(self, payload):
        self.connection.execute("insert into jobs (payload) values (?)", (payload,))

    def claim(self):
        """The oldest new job, or None."""
        query = "select id, payload from jobs where state = 'new' order by id limit 1"
        row = self.connection.execute(query).fetchone()
        if row is None:
            return None
        self.connection.execute("update jobs set state = 'running' where id = ?", (row[0],))
        return row

    def finish(self, job_id, result):
        self.connection.execute(
            "update jobs set state = 'done', result = ? where id = ?", (result, job_id))

    def close(self):
        self.connection.close()


class Worker:
    def __init__(self, store):
        self.store = store
        self.done = 0

    def run(self, deadline):
        print("ready", flush=True)
        while time.monotonic() < deadline:
            job = self.store.claim()
            if job is None:
                time.sleep(POLL_EVERY)
                continue
            job_id, payload = job
            self.store.finish(job_id, hashlib.sha256(payload.encode()).hexdigest())
            self.done += 1
            log.info("job %d done", job_id)


def produce(path):
    """The program that orders the jobs."""
    threading.Thread(target=leave_with_parent, daemon=True).start()
    with contextlib.closing(JobStore(path)) as store:
        while True:
            store.put("invoice of %s" % time.ctime())
            time.sleep(1)


def leave_with_parent():
    sys.stdin.read()
    os._exit(0)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "jobs.db")
        with contextlib.closing(JobStore(path)) as store:
            command = [sys.executable, __file__, "--produce", path]
            with subprocess.Popen(command, stdin=subprocess.PIPE):
                Worker(store).run(time.monotonic() + seconds)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    if sys.argv[1:2] == ["--produce"]:
        produce(sys.argv[2])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
