#!/usr/bin/env python3
"""Asks `pyconc compare` what it must and must not find: python3 benches/compare.py [aa] [power] [pairs]

aa: recordings of programs that do the same all the time, compared with each other; each difference that is told is
wrong. power: a program that computes for a tenth of its time more than another one; that has to be told. pairs: the
examples before and after the advice was followed; each but those with nothing to gain has to be improved. Needs Linux,
Python 3.9 or later, and cargo if pyconc is not built.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pairs import END_AFTER, GRACE, Example, Pair, PairError, Running, pairs
from peers import setup
from peers.grid import table

UNCHANGED = {"gil_four_threads", "lock_convoy", "loop_blocked_by_cpu", "sequential_downloads", "thread_per_request"}
BURN = """
import random, sys, time
share = float(sys.argv[1])
def compute(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(200))
print("ready", flush=True)
while True:
    # No rhythm: one that fits the sampler's would make samples alike.
    cycle = random.uniform(0.005, 0.035)
    compute(cycle * share)
    time.sleep(cycle * (1 - share))
"""
LENGTH = 10  # seconds of a recording
SHARES = 0.3, 0.4  # of the time that computes


def main() -> int:
    """Returns 0, or 1 when too much is found that is not there, or too little that is."""
    options = arguments().parse_args()
    pyconc = options.pyconc or setup.pyconc()
    parts = {"aa": same, "power": shifted, "pairs": advised}
    with tempfile.TemporaryDirectory() as folder:
        wrong = [parts[part](pyconc, Path(folder), options) for part in options.parts or parts]
    return 1 if any(wrong) else 0


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("parts", nargs="*", choices=["aa", "power", "pairs"], help="what to ask [all]")
    add("--pyconc", type=Path, help="the program to ask [the release build, made if it is missing]")
    add("--python", type=Path, default=Path(sys.executable), help="interpreter of the programs [this one]")
    add("--names", nargs="*", default=sorted(UNCHANGED), help="programs to compare with themselves [some]")
    add("--runs", type=int, default=10, help="recordings of each program [%(default)s]")
    add("--seconds", type=int, default=LENGTH, help="length of a recording [%(default)s]")
    return parser


def same(pyconc: Path, folder: Path, options: argparse.Namespace) -> bool:
    """Compares what did not change: half of the recordings are of one run, the others of another."""
    rows, all_wrong, all_asked = [], 0, 0
    for pair in pairs(options.names, options.python):
        files = []
        for run in range(2):
            with Running(pair.before, 1e6) as running:
                for number in range(options.runs // 2):
                    file = folder / f"{pair.name}-{run}-{number}.pyconc"
                    record(pyconc, running.pid, file, options.seconds)
                    files.append(file)
        told = [compare(pyconc, *two) for two in itertools.combinations(files, 2)]
        wrong = [one for one in told if one["outcome"] != "unchanged"]
        all_wrong, all_asked = all_wrong + len(wrong), all_asked + len(told)
        rows.append([pair.name, str(len(told)), str(len(wrong)), "; ".join(sorted({why(one) for one in wrong}))[:90]])
        setup.say(" ".join(rows[-1]))
    print(table(["program", "comparisons", "told to differ", "by"], rows))
    print(f"\n{all_wrong} of {all_asked} comparisons of a program with itself tell a difference.\n")
    return all_wrong > 0.05 * all_asked


def why(one: dict[str, Any]) -> str:
    """What is told to differ."""
    changed = [change["id"] for change in one["changes"] if change["significant"]]
    return ", ".join(changed) or "; ".join(one["better"] + one["worse"])


def shifted(pyconc: Path, folder: Path, options: argparse.Namespace) -> bool:
    """Compares programs that compute for different shares of their time."""
    sides: list[list[Path]] = []
    for share in SHARES:
        process = subprocess.Popen(
            [options.python, "-c", BURN, str(share)], stdout=subprocess.PIPE, start_new_session=True
        )
        try:
            assert process.stdout and process.stdout.readline() == b"ready\n"
            side = [folder / f"burn-{share}-{number}.pyconc" for number in range(options.runs)]
            for file in side:
                record(pyconc, process.pid, file, options.seconds)
            sides.append(side)
        finally:
            process.kill()
            process.communicate()
    told = [compare(pyconc, one, other) for one in sides[0] for other in sides[1]]
    found = [
        one for one in told if any(it["id"] == "cause-python" and it["significant"] for it in one["changes"])
    ]
    covered = [
        one
        for one in told
        for it in one["changes"]
        if it["id"] == "cause-python" and it["low"] <= SHARES[1] - SHARES[0] <= it["high"]
    ]
    print(f"A shift by {SHARES[1] - SHARES[0]:.0%} of the time is found in {len(found)} of {len(told)} comparisons of ", end="")
    print(f"{options.seconds} s; {len(covered)} intervals hold it.\n")
    return len(found) < 0.95 * len(told)


def advised(pyconc: Path, folder: Path, options: argparse.Namespace) -> bool:
    """Compares the examples with their twins."""
    rows, wrong = [], False
    for pair in pairs([], options.python):
        try:
            files = [watch(pyconc, pair, example, folder) for example in (pair.before, pair.after)]
        except PairError as error:
            setup.say(f"failed: {error}")
            wrong = True
            continue
        one = compare(pyconc, *files)
        expected = "unchanged" if pair.before.says("Recommendation") == "keep" else "improved"
        wrong |= one["outcome"] != expected and not (expected == "unchanged" and not one["worse"])
        advice = one["advice"] or {}
        followed = {True: "yes", False: "no", None: ""}[advice.get("followed")]
        reason = (one["better"] + one["worse"] + [one["sentence"]])[0]
        rows.append([pair.name, one["outcome"], followed, reason])
        setup.say(" ".join(rows[-1]))
    print(table(["pair", "told", "advice followed", "because"], rows))
    return wrong


def watch(pyconc: Path, pair: Pair, example: Example, folder: Path) -> Path:
    """A recording of a running example. Where its end is measured, that is in it as well."""
    file = folder / f"{example.path.stem}.pyconc"
    with Running(example, 600) as running:
        recording = start(pyconc, running.pid, file, LENGTH)
        if pair.metric == "shutdown":
            time.sleep(END_AFTER)
            running.end()
        finish(recording)
        running.end()
        running.numbers(0)
    return file


def record(pyconc: Path, pid: int, file: Path, seconds: int) -> None:
    """Makes a recording."""
    finish(start(pyconc, pid, file, seconds))


def start(pyconc: Path, pid: int, file: Path, seconds: int) -> subprocess.Popen[bytes]:
    """Begins a recording."""
    command = [pyconc, "record", "-d", str(seconds), "-o", file, "--pid", str(pid)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def finish(recording: subprocess.Popen[bytes]) -> None:
    """Waits for its end."""
    try:
        errors = recording.communicate(timeout=LENGTH + GRACE)[1]
    except subprocess.TimeoutExpired:
        recording.kill()
        recording.communicate()
        raise PairError("pyconc did not end") from None
    if recording.returncode != 0:
        raise PairError(f"pyconc failed: {errors.decode(errors='replace')[-500:]}")


def compare(pyconc: Path, before: Path, after: Path) -> dict[str, Any]:
    """What pyconc says of two recordings."""
    command = [pyconc, "compare", "-f", "json", before, after]
    told = subprocess.run(command, capture_output=True, timeout=GRACE, check=False)
    if told.returncode != 0:
        raise PairError(f"pyconc failed: {told.stderr.decode(errors='replace')[-500:]}")
    comparison: dict[str, Any] = json.loads(told.stdout)
    return comparison


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
