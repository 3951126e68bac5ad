"""A notebook's cell: pandas' rows walked with iterrows and grouped in dictionaries.

Where one groupby would do, the cell builds a Series for each row and adds up in Python. It is bound
to one core, and computes a hundred times more than it needs to.

Verdict: cpu-bound
Healthy: no
Packages: pandas, numpy
"""
from __future__ import annotations

import collections
import os
import signal
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

ROWS = 20000

# %% the data


def load_sales():
    dice = np.random.default_rng(5)
    return pd.DataFrame({
        "region": dice.choice(["north", "south", "east", "west"], ROWS),
        "product": dice.choice(["tea", "coffee", "cocoa"], ROWS),
        "month": dice.integers(1, 13, ROWS),
        "units": dice.integers(1, 50, ROWS),
        "price": dice.uniform(1, 20, ROWS).round(2),
    })


# %% turnover by region and product


def turnover(sales):
    totals = collections.defaultdict(float)
    counts = collections.Counter()
    for _, row in sales.iterrows():
        key = row["region"], row["product"]
        totals[key] += row["units"] * row["price"]
        counts[key] += row["units"]
    return {key: (total, total / counts[key]) for key, total in totals.items()}


# %% the best month of every product


def best_months(sales):
    months = collections.defaultdict(lambda: collections.defaultdict(float))
    for _, row in sales.iterrows():
        months[row["product"]][row["month"]] += row["units"] * row["price"]
    return {
        product: max(by_month, key=by_month.get)
        for product, by_month in months.items()
    }


# %% a table for the report


def as_table(totals):
    lines = ["%-8s %-8s %12s %8s" % ("region", "product", "turnover", "mean")]
    for (region, product), (total, mean) in sorted(totals.items()):
        lines.append("%-8s %-8s %12.2f %8.2f" % (region, product, total, mean))
    return "\n".join(lines)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sales = load_sales()
    deadline = time.monotonic() + seconds
    print("ready", flush=True)
    while time.monotonic() < deadline:
        print(as_table(turnover(sales)), file=sys.stderr)
        print(best_months(sales), file=sys.stderr)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
