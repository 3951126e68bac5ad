"""Six threads make reports with SQLAlchemy from an engine whose pool has a single connection.

Each report is a query of some 60 ms on sqlite. pool_size=1 without overflow lets one thread query
at a time; the other five wait in the pool's queue for the connection.

Verdict: lock-bound
Healthy: no
Packages: sqlalchemy
"""
from __future__ import annotations

import collections
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time

import sqlalchemy as sa
from sqlalchemy import pool

THREADS = 6
SALES = 120000
log = logging.getLogger("reports")
metadata = sa.MetaData()
sales = sa.Table(
    "sales", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("branch", sa.String(20)),
    sa.Column("day", sa.Integer),
    sa.Column("cents", sa.Integer),
)


def make_engine(path):
    return sa.create_engine(
        "sqlite:///" + path, poolclass=pool.QueuePool, pool_size=1, max_overflow=0,
        pool_timeout=30, connect_args={"check_same_thread": False})


def fill(engine):
    metadata.create_all(engine)
    dice = random.Random(12)
    rows = [
        {"branch": "branch-%d" % dice.randrange(20), "day": dice.randrange(365),
         "cents": dice.randrange(100, 90000)}
        for _ in range(SALES)
    ]
    with engine.begin() as connection:
        connection.execute(sales.insert(), rows)


class Reports:
    def __init__(self, engine):
        self.engine = engine
        self.made = collections.Counter()

    def best_days(self, branch):
        """The ten best days of a branch, compared with the days of all the others."""
        mine = sa.func.sum(sa.case((sales.c.branch == branch, sales.c.cents), else_=0))
        query = (
            sa.select(sales.c.day, mine, sa.func.count(), sa.func.avg(sales.c.cents))
            .group_by(sales.c.day)
            .order_by(mine.desc())
            .limit(10)
        )
        with self.engine.connect() as connection:
            return connection.execute(query).fetchall()

    def worker(self, number, deadline):
        while time.monotonic() < deadline:
            branch = "branch-%d" % (number * 3 + self.made[number] % 3)
            rows = self.best_days(branch)
            self.made[number] += 1
            log.debug("%s: best day %s", branch, rows[0][0])


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(os.path.join(folder, "sales.db"))
        fill(engine)
        reports = Reports(engine)
        deadline = time.monotonic() + seconds
        threads = [
            threading.Thread(target=reports.worker, args=(n, deadline), name="report-%d" % n,
                             daemon=True)
            for n in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        print("ready", flush=True)
        for thread in threads:
            thread.join()
        print(dict(reports.made), file=sys.stderr)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
