"""An ETL job: reads orders from CSV, checks and converts them, writes JSON lines through gzip.

A generator pipeline in one thread. Reading and writing files of a few megabytes takes no time beside
parsing dates and decimals and compressing; the job is limited by what one thread computes.

Verdict: cpu-bound
Healthy: yes
"""
from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time

ROWS = 20000
RATES = {"EUR": decimal.Decimal("1"), "USD": decimal.Decimal("0.92"), "GBP": decimal.Decimal("1.17")}


class Rejected(Exception):
    """A row that the warehouse would not take."""


def make_input(path):
    dice = random.Random(11)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order", "customer", "date", "amount", "currency", "note"])
        for number in range(ROWS):
            day = datetime.date(2025, 1, 1) + datetime.timedelta(days=dice.randrange(365))
            writer.writerow([
                number, "C%05d" % dice.randrange(3000), day.isoformat(),
                "%.2f" % dice.uniform(-3, 900), dice.choice(["EUR", "USD", "GBP", "???"]),
                " ".join(dice.choice(["gift", "urgent", "fragile", ""]) for _ in range(4))])


def extract(path):
    with open(path, newline="") as file:
        yield from csv.DictReader(file)


def convert(row):
    try:
        amount = decimal.Decimal(row["amount"]) * RATES[row["currency"]]
    except (KeyError, decimal.InvalidOperation) as error:
        raise Rejected("currency or amount") from error
    if amount <= 0:
        raise Rejected("amount")
    day = datetime.datetime.strptime(row["date"], "%Y-%m-%d").date()
    return {
        "order": int(row["order"]),
        "customer": row["customer"],
        "week": "%d-W%02d" % day.isocalendar()[:2],
        "euros": str(amount.quantize(decimal.Decimal("0.01"))),
        "tags": sorted(set(row["note"].split())),
    }


def transform(rows, rejects):
    for row in rows:
        try:
            yield convert(row)
        except Rejected as reason:
            rejects.append((row["order"], str(reason)))


def load(records, path):
    count = 0
    with gzip.open(path, "wt", compresslevel=6) as target:
        for record in records:
            target.write(json.dumps(record, sort_keys=True) + "\n")
            count += 1
    return count


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "orders.csv")
        make_input(source)
        print("ready", flush=True)
        deadline = time.monotonic() + seconds
        for number in itertools.count():
            rejects = []
            target = os.path.join(folder, "orders-%d.jsonl.gz" % (number % 3))
            count = load(transform(extract(source), rejects), target)
            print("%d loaded, %d rejected" % (count, len(rejects)), file=sys.stderr)
            if time.monotonic() > deadline:
                break


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
