#!/usr/bin/env python3
"""Follows pyconc's advice for each pair of examples and measures what it gains: python3 benches/pairs.py

NAME.py in examples/ has a problem, NAME_fixed.py does what pyconc recommends against it, and both say what they
achieved. The predicted gain is what the report of NAME.py says; the measured one compares both without a profiler, in
turns. Needs Linux, Python 3.9 or later, and cargo if pyconc is not built. The pair that leaves the GIL behind needs a
free-threaded Python and its sibling of the same version with a GIL; without them it is left out, and that is told.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Iterator, Optional

from peers import setup
from peers.grid import MISSING, table

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FIXED = "_fixed"
RECORDING = 6  # seconds
END_AFTER = 2  # seconds of the recording, where the end is what is measured
READY_LIMIT, GRACE = 60.0, 30.0  # seconds
TURNS = 2
WIDEST = 2.0  # high / low of a prediction that is of use
OUTSIDE = 1  # so many gains may be outside of their predictions
NOTHING = (0.8, 1.25)  # where nothing is to be gained: what a measurement may deviate
SEVERITIES = ["info", "warning", "error"]
SPIN = """
import time
count, end = 0, time.perf_counter() + 0.4
while time.perf_counter() < end:
    count += 1
print(count)
"""

Numbers = dict[str, float]
"""What a program says that it achieved, by metric."""


class PairError(Exception):
    """A program or pyconc did not do its part."""


@dataclass(frozen=True)
class Metric:
    """How a gain follows from what both programs achieved."""

    ratio: bool
    more: bool
    """Whether more is better."""
    unit: str

    def gain(self, before: float, after: float) -> float:
        """How many times better the second is, or by how much."""
        good, bad = (after, before) if self.more else (before, after)
        if not self.ratio:
            return good - bad
        return good / bad if bad else float("inf")

    def show(self, low: float, high: Optional[float] = None) -> str:
        """A gain, or an interval of gains, for the table."""
        ends = [low] if high is None else [low, high]
        return " – ".join(f"{end:.3g}" for end in ends) + " " + self.unit


METRICS = {
    "throughput": Metric(True, True, "×"),
    "delay": Metric(False, False, "s"),
    "in_flight": Metric(True, False, "× fewer"),
    "shutdown": Metric(False, False, "s"),
    "working": Metric(False, True, "threads"),
}


@dataclass(frozen=True)
class Example:
    """A program, and what its docstring says of it."""

    path: Path
    python: Path

    def says(self, key: str) -> str:
        """The rest of a line like `Measures: throughput`."""
        found = re.search(rf"^{key}: (.*)$", self.path.read_text(), re.MULTILINE)
        if not found:
            raise PairError(f"{self.path.name} does not say {key}")
        return found[1].strip()


class Running:
    """An example in its steady state. It ends its children itself, also when it is killed."""

    def __init__(self, example: Example, seconds: float) -> None:
        self.example = example
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [example.python, example.path, f"{seconds:g}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            start_new_session=True,  # ^C reaches the harness only, which then ends it
        )
        self.pid = self._process.pid

    def __enter__(self) -> Running:
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], READY_LIMIT)[0] or stdout.readline() != b"ready\n":
            self.__exit__()
            raise PairError(f"{self.example.path.name} did not get ready")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()

    def end(self) -> None:
        """Asks it to end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def numbers(self, seconds: float) -> Numbers:
        """What it measured, once it has ended; for that it has so many seconds, and some more."""
        name = self.example.path.name
        try:
            output = self._process.communicate(timeout=seconds + GRACE)[0]
        except subprocess.TimeoutExpired:
            raise PairError(f"{name} did not end") from None
        lines = output.decode().splitlines()
        if self._process.returncode != 0 or not lines:
            self._errors.seek(0)
            raise PairError(f"{name} failed: {self._errors.read().decode(errors='replace')[-500:]}")
        numbers: Numbers = json.loads(lines[-1])
        return numbers


@dataclass(frozen=True)
class Report:
    """What pyconc says of a program."""

    verdict: str
    model: str
    gain: Optional[tuple[float, float]]
    metric: Optional[str]
    finding: str
    severity: str
    """Of the gravest finding, or nothing."""

    @classmethod
    def of(cls, report: dict[str, Any]) -> Report:
        """The few things of a report that count here."""
        recommendation = report["recommendation"]
        gain = recommendation["gain"]
        worst = max(report["findings"], key=lambda it: SEVERITIES.index(it["severity"]), default={})
        return cls(
            report["verdict"]["workload"],
            recommendation["model"],
            (gain["low"], gain["high"]) if gain else None,
            gain["metric"].replace("-", "_") if gain else None,
            worst.get("id", ""),
            worst.get("severity", ""),
        )

    @property
    def gravity(self) -> int:
        """From -1 for no finding at all to 2."""
        return SEVERITIES.index(self.severity) if self.severity else -1

    def gravest(self) -> str:
        """The gravest finding in words."""
        return f"{self.severity}: {self.finding}" if self.severity else "none"


@dataclass(frozen=True)
class Pair:
    """A program, and the same with the advice followed."""

    name: str
    before: Example
    after: Example

    @property
    def metric(self) -> str:
        """The name of what is compared."""
        return self.before.says("Measures")


@dataclass(frozen=True)
class Result:
    """Whether the advice for a pair was right."""

    pair: Pair
    before: Report
    after: Report
    measured: float

    @property
    def predicted(self) -> Optional[tuple[float, float]]:
        """The predicted gain; where all is rightly kept it is none, within what measurements deviate."""
        if self.before.gain and self.before.metric == self.pair.metric:
            return self.before.gain
        return NOTHING if self.before.model == self.promised == "keep" else None

    @property
    def promised(self) -> str:
        """The recommendation that the docstring names."""
        return self.pair.before.says("Recommendation")

    @property
    def inside(self) -> bool:
        """Whether the measured gain is one of those predicted."""
        return self.predicted is not None and self.predicted[0] <= self.measured <= self.predicted[1]

    @property
    def width(self) -> float:
        """High by low."""
        low, high = self.predicted or (0.0, 0.0)
        return high / low if low > 0 else float("inf")

    def wrong(self) -> list[str]:
        """What is wrong besides a gain that is outside, of which there may be one."""
        found = []
        if self.before.model != self.promised:
            found.append(f"{self.before.model} is recommended instead of {self.promised}")
        if self.width > WIDEST:
            found.append("the prediction is too wide, or there is none")
        if self.after.model != "keep" and self.after.gravity >= self.before.gravity:
            found.append(f"the fixed one is neither kept nor less grave: {self.after.model}, {self.after.gravest()}")
        return found

    def row(self) -> list[str]:
        """Its row of the table."""
        metric, predicted = METRICS[self.pair.metric], self.predicted
        return [
            self.pair.name,
            self.before.verdict,
            self.before.model + ("" if self.before.model == self.promised else f" (not {self.promised})"),
            f"{metric.show(*predicted)} ({self.width:.2g})" if predicted else MISSING,
            metric.show(self.measured),
            "yes" if self.inside else "**no**",
            f"{self.after.verdict}, {self.after.model}, {self.after.severity or 'no finding'}",
        ]


HEADER = ["pair", "verdict", "recommended", "predicted (high / low)", "measured", "inside", "after the change"]


def main() -> int:
    """Returns 0, or 1 when a recommendation or too many predictions were wrong."""
    options = arguments().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    pyconc = options.pyconc or setup.pyconc()
    results: list[Result] = []
    scales: list[float] = []
    failed = 0
    for pair in pairs(options.names, options.python):
        try:
            results.append(measure(pair, pyconc, options.seconds, scales))
        except (PairError, OSError, ValueError, KeyError) as error:
            setup.say(f"  failed: {error!r}")
            failed += 1
    print(table(HEADER, [result.row() for result in results]))
    wrong = [(result, what) for result in results for what in result.wrong()]
    outside = sum(not result.inside for result in results)
    print(f"\n{len(results)} pairs, {outside} outside, {failed} failed.")
    if scales:
        spread = f"{min(scales):.1f} to {max(scales):.1f}"
        print(f"Meanwhile {cpus()} processes at once did {spread} times the work of one on this machine.")
    for result, what in wrong:
        setup.say(f"{result.pair.name}: {what}")
    return 1 if wrong or failed or outside > OUTSIDE else 0


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="pairs to measure [all]")
    add("--pyconc", type=Path, help="the program to judge [the release build, made if it is missing]")
    add("--seconds", type=float, default=8.0, help="length of a run without profiler [%(default)s]")
    add("--python", type=Path, default=Path(sys.executable), help="interpreter of the examples [this one]")
    return parser


def pairs(names: list[str], python: Path) -> Iterator[Pair]:
    """The pairs asked for, or all, in alphabetical order; those that lack an interpreter are left out."""
    known = [path.stem[: -len(FIXED)] for path in sorted(EXAMPLES.glob(f"*{FIXED}.py"))]
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.exit(f"no such pair: {', '.join(unknown)}; there are {', '.join(known)}")
    for name in names or known:
        before, after = EXAMPLES / f"{name}.py", EXAMPLES / f"{name}{FIXED}.py"
        pythons: Optional[tuple[Path, Path]] = (python, python)
        if re.search(r"^Python: free-threaded$", after.read_text(), re.MULTILINE):
            pythons = siblings()
        if pythons:
            yield Pair(name, Example(before, pythons[0]), Example(after, pythons[1]))
        else:
            setup.say(f"missing: {name} needs a free-threaded Python and one of its version with a GIL")


def siblings() -> Optional[tuple[Path, Path]]:
    """The newest version of which there is a build with a GIL and one without."""
    found = setup.pythons()
    both = [version for version in found if not version.endswith("t") and f"{version}t" in found]
    newest = max(both, key=lambda version: int(version.split(".")[1]), default=None)
    return (found[newest], found[f"{newest}t"]) if newest else None


def measure(pair: Pair, pyconc: Path, seconds: float, scales: list[float]) -> Result:
    """Asks pyconc about both programs, then runs them in turns without it."""
    setup.say(f"{pair.name}: reports")
    before, after = report(pair, pair.before, pyconc), report(pair, pair.after, pyconc)
    setup.say(f"  before: {before}")
    setup.say(f"  after:  {after}")
    achieved: dict[Example, list[float]] = {pair.before: [], pair.after: []}
    for turn in range(TURNS):
        for example, numbers in achieved.items():
            with Running(example, seconds) as running:
                said = running.numbers(seconds)
            numbers.append(said[pair.metric])
            scales.append(scale())
            setup.say(f"  {example.path.stem}: {json.dumps(said)}, the CPUs {scales[-1]:.2f}")
    gain = METRICS[pair.metric].gain(*(median(numbers) for numbers in achieved.values()))
    return Result(pair, before, after, gain)


def report(pair: Pair, example: Example, pyconc: Path) -> Report:
    """What pyconc says of a running example. Where its end is measured, that is watched as well."""
    command = [pyconc, "report", "-f", "json", "-d", str(RECORDING), "--pid"]
    with Running(example, 10 * READY_LIMIT) as running:
        pyconc_runs = subprocess.Popen(
            [*command, str(running.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            if pair.metric == "shutdown":
                time.sleep(END_AFTER)
                running.end()
            output, errors = pyconc_runs.communicate(timeout=RECORDING + GRACE)
        except subprocess.TimeoutExpired:
            raise PairError(f"pyconc did not end on {example.path.name}") from None
        finally:
            if pyconc_runs.poll() is None:
                pyconc_runs.kill()
                pyconc_runs.communicate()
        running.end()
        running.numbers(0)
    if pyconc_runs.returncode != 0:
        raise PairError(f"pyconc on {example.path.name}: {errors.decode(errors='replace')[-500:]}")
    return Report.of(json.loads(output))


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def scale() -> float:
    """How much more work processes on all CPUs do than one: less than their number where others use the machine."""
    alone, together = _spin(1), _spin(cpus())
    return together / alone


def _spin(count: int) -> int:
    command = [sys.executable, "-c", SPIN]
    spinning = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]
    return sum(int(process.communicate()[0]) for process in spinning)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
