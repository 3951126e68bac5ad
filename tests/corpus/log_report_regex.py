"""Reads the access logs of a web server and counts addresses, statuses and slow pages with a regex.

One thread, one core: matching some hundred thousand lines is what it is for. The logs were just
written and come from the page cache, so the disk plays no part.

Verdict: cpu-bound
Healthy: yes
"""
from __future__ import annotations

import argparse
import collections
import gzip
import os
import random
import re
import signal
import sys
import tempfile
import time

LINE = re.compile(
    r'(?P<ip>\d+\.\d+\.\d+\.\d+) - (?P<user>\S+) \[(?P<when>[^\]]+)\] '
    r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d{3}) (?P<size>\d+|-) '
    r'"(?P<agent>[^"]*)" (?P<seconds>\d+\.\d+)')
LINES_PER_FILE = 20000


def write_logs(folder, files=4):
    """Logs as they come from the servers: some of them compressed."""
    dice = random.Random(4)
    agents = ["Mozilla/5.0 (X11; Linux x86_64)", "curl/8.4", "Googlebot/2.1"]
    for number in range(files):
        name = os.path.join(folder, "access.log.%d" % number)
        opener, name = (gzip.open, name + ".gz") if number % 2 else (open, name)
        with opener(name, "wt") as log:
            for line in range(LINES_PER_FILE):
                log.write('10.0.%d.%d - - [21/Nov/2026:10:%02d:%02d] "GET /item/%d HTTP/1.1" %d %d '
                          '"%s" %.3f\n' % (
                              dice.randrange(4), dice.randrange(256), line // 60 % 60, line % 60,
                              dice.randrange(900), dice.choice([200, 200, 200, 304, 404, 500]),
                              dice.randrange(90000), dice.choice(agents), dice.expovariate(5)))


def read_lines(folder):
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        with (gzip.open if name.endswith(".gz") else open)(path, "rt") as log:
            yield from log


class Report:
    def __init__(self):
        self.statuses = collections.Counter()
        self.visitors = collections.Counter()
        self.slow = collections.defaultdict(list)
        self.unreadable = 0

    def add(self, line):
        match = LINE.match(line)
        if match is None:
            self.unreadable += 1
            return
        self.statuses[match["status"]] += 1
        self.visitors[match["ip"]] += 1
        seconds = float(match["seconds"])
        if seconds > 0.5:
            self.slow[match["path"].rsplit("/", 1)[0]].append(seconds)

    def __str__(self):
        top = ", ".join("%s (%d)" % pair for pair in self.visitors.most_common(3))
        return "statuses %s; top visitors %s; slow %s; %d unreadable" % (
            dict(self.statuses), top, {k: len(v) for k, v in self.slow.items()}, self.unreadable)


def main():
    parser = argparse.ArgumentParser(description="Statistics of access logs")
    parser.add_argument("seconds", type=float, nargs="?", default=30.0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder:
        write_logs(folder)
        deadline = time.monotonic() + options.seconds
        print("ready", flush=True)
        while time.monotonic() < deadline:
            report = Report()
            for line in read_lines(folder):
                report.add(line)
            print(report, file=sys.stderr)


if __name__ == "__main__":
    main()
