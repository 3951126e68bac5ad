"""The profilers: how each is told to record, and how its output is counted, by one definition for all.

A *sample* is one look at all threads of the process. A tool that counts threads is divided by their number. Samples
that the tool itself rejected do not count; their share is told beside.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from . import mojo
from .setup import answer

Stack = tuple[str, ...]
"""Functions, outermost first."""
MAX_RATE = 1_000_000
"""Samples a second that stand for "as many as possible" where a tool has no word for it."""


@dataclass(frozen=True)
class Tally:
    """What a recording holds."""

    samples: float
    """Samples of the whole process that were kept."""
    rejected: float
    """Share of those tried that the tool rejected, 0 to 1."""
    seconds: float = 0
    """How long it sampled, 0 where the tool does not say."""


class Tool(ABC):
    """A profiler."""

    name: str
    version: str
    start_up = 0.4
    """Seconds within which it attaches to a process with few threads, on a busy machine too."""

    @abstractmethod
    def supports(self, python: str) -> bool:
        """Whether it reads that version of Python, like 3.14."""

    @abstractmethod
    def record(self, pid: int, rate: Optional[int], output: Path) -> list[str]:
        """The command that records all threads, idle ones too, until ^C; without a rate as fast as it can."""

    @abstractmethod
    def tally(self, output: Path, text: str, threads: int) -> Tally:
        """Counts a recording, by what the tool printed and wrote."""

    @abstractmethod
    def first_stack(self, pid: int, output: Path) -> list[str]:
        """The command that ends as soon as it has a stack."""

    def record_stacks(self, pid: int, rate: int, output: Path) -> list[str]:
        """The command that records for `stacks`."""
        return self.record(pid, rate, output)

    @abstractmethod
    def stacks(self, output: Path) -> Counter[Stack]:
        """How often each stack was recorded, functions only."""


class Pyconc(Tool):
    """This project's."""

    name = "pyconc"

    def __init__(self, binary: Path) -> None:
        self.binary = str(binary)
        self.version = (answer(binary, "--version") or "?").split()[-1]

    def supports(self, python: str) -> bool:
        return True

    def record(self, pid: int, rate: Optional[int], output: Path) -> list[str]:
        return [self.binary, "record", "-r", str(rate or "max"), "-o", f"{output}", "-f", "pyconc", str(pid)]

    def report(self, output: Path) -> dict[str, Any]:
        """The report of a recording."""
        report: dict[str, Any] = json.loads(answer(self.binary, "report", "-f", "json", output) or "{}")
        return report

    def tally(self, output: Path, text: str, threads: int) -> Tally:
        quality = self.report(output)["quality"]
        return Tally(quality["thread_samples"] / threads, quality["rejected_share"], quality["seconds"])

    def first_stack(self, pid: int, output: Path) -> list[str]:
        return [self.binary, "dump", str(pid)]

    def stacks(self, output: Path) -> Counter[Stack]:
        folded = answer(self.binary, "export", "-f", "folded", "--idle", "--function", "-o", "-", output)
        return parse_folded(folded or "")


class PySpy(Tool):
    """py-spy, which stops the process for each sample, or with --nonblocking does not."""

    newest = 14

    def __init__(self, binary: Path, nonblocking: bool = False) -> None:
        self.binary = str(binary)
        self.name = "py-spy nonbl." if nonblocking else "py-spy"
        self.version = (answer(binary, "--version") or "?").split()[-1]
        self.options = ["--nonblocking"] if nonblocking else []

    def supports(self, python: str) -> bool:
        return python.isascii() and not python.endswith("t") and minor(python) <= self.newest

    def record(self, pid: int, rate: Optional[int], output: Path) -> list[str]:
        command = [self.binary, "record", "--pid", str(pid), "--rate", str(rate or MAX_RATE), "--idle"]
        return command + ["--function", "--format", "raw", "--output", f"{output}", *self.options]

    def tally(self, output: Path, text: str, threads: int) -> Tally:
        counts = re.search(r"Samples: (\d+) Errors: (\d+)", text)
        if not counts:
            raise ValueError(f"py-spy did not say its samples: {text[-300:]}")
        samples, errors = int(counts[1]) / threads, int(counts[2])
        return Tally(samples, errors / max(1, samples + errors))

    def first_stack(self, pid: int, output: Path) -> list[str]:
        return [self.binary, "dump", "--pid", str(pid), *self.options]

    def stacks(self, output: Path) -> Counter[Stack]:
        return parse_folded(output.read_text())


class Austin(Tool):
    """austin, which counts samples of threads and writes each one."""

    name = "austin"
    newest = 14

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.version = (answer(*command, "--version") or "?").split()[-1]

    def supports(self, python: str) -> bool:
        return not python.endswith("t") and minor(python) <= self.newest

    def record(self, pid: int, rate: Optional[int], output: Path) -> list[str]:
        interval = max(1, MAX_RATE // (rate or MAX_RATE))  # µs
        return [*self.command, "--interval", f"{interval}us", "--output", f"{output}", "--pid", str(pid)]

    def tally(self, output: Path, text: str, threads: int) -> Tally:
        metadata = mojo.tail(output)
        errors, count = map(int, metadata["errors"].split("/"))
        return Tally((count - errors) / threads, errors / max(1, count), int(metadata["duration"]) / 1e6)

    def first_stack(self, pid: int, output: Path) -> list[str]:
        return [*self.command, "--where", str(pid)]

    def stacks(self, output: Path) -> Counter[Stack]:
        return mojo.stacks(output)


class Tachyon(Tool):
    """CPython's own `profiling.sampling`, which attaches to its own version only."""

    name = "Tachyon"
    start_up = 2.0

    def __init__(self, python: Path, version: str) -> None:
        self.python, self.own = str(python), version
        self.version = (answer(python, "--version") or "?").split()[-1]

    def supports(self, python: str) -> bool:
        return python == self.own

    def _attach(self, pid: int, rate: int, output: Path, form: str) -> list[str]:
        command = [self.python, "-m", "profiling.sampling", "attach", "--all-threads"]
        return command + ["--sampling-rate", str(rate), form, "--output", f"{output}", str(pid)]

    def record(self, pid: int, rate: Optional[int], output: Path) -> list[str]:
        # Of its formats, those which aggregate are cheapest, collapsed among them.
        return self._attach(pid, rate or MAX_RATE, output, "--collapsed")

    def tally(self, output: Path, text: str, threads: int) -> Tally:
        captured = re.search(r"Captured ([\d,.]+) samples? in ([\d.]+) seconds", text)
        errors = re.search(r"Error rate: ([\d.]+)", text)
        if not captured or not errors:
            raise ValueError(f"Tachyon did not say its samples: {text[-300:]}")
        rejected = float(errors[1]) / 100
        samples = float(captured[1].replace(",", "")) * (1 - rejected)
        return Tally(samples, rejected, float(captured[2]))

    def first_stack(self, pid: int, output: Path) -> list[str]:
        return [self.python, "-m", "profiling.sampling", "dump", str(pid)]

    def stacks(self, output: Path) -> Counter[Stack]:
        return parse_folded(output.read_text())


def minor(python: str) -> int:
    """The 14 of 3.14."""
    return int(python.split(".")[1].rstrip("t"))


def parse_folded(text: str) -> Counter[Stack]:
    """Reads lines `frame;frame;frame COUNT`; of a frame the function is kept, of a thread's line its frame not."""
    counts: Counter[Stack] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = (function(frame) for frame in stack.split(";"))
        counts[tuple(frame for frame in frames if frame)] += int(count)
    return counts


def function(frame: str) -> str:
    """The function of `file.py:function:12` (Tachyon) or `function (file.py:12)` (the others)."""
    if frame.startswith(("tid:", "thread ", "[thread ")):
        return ""
    if " (" in frame:
        return frame.split(" (", 1)[0]
    return frame.split(":")[1] if frame.count(":") >= 2 else frame
