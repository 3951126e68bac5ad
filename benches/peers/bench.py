"""What every measure works with: who is measured on which Python, how often, and one recording, made and counted."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Optional

from .grid import Grid, Numbers
from .processes import BenchError, Child, Finished, Target
from .setup import say
from .tools import Tally, Tool

ATTEMPTS = 3


@dataclass(frozen=True)
class Peer:
    """A tool, and the Python that it is measured on."""

    tool: Tool
    version: str
    python: Path
    column: str = ""
    """Title of its column, if not its own name."""

    @property
    def name(self) -> str:
        return self.column or f"{self.tool.name} {self.version}"


@dataclass(frozen=True)
class Program:
    """A target: a file of `targets/`, its arguments, and how many threads it has."""

    label: str
    file: str
    arguments: tuple[int, ...]
    threads: int = 1
    extra: float = 0
    """Seconds that tools need more than usually to attach to it."""


Measure = Callable[[Program, Peer, Target], Numbers]
"""Gives the numbers of one run."""


@dataclass(frozen=True)
class Bench:
    """Who is measured, and how."""

    peers: list[Peer]
    nonblocking: list[Peer]
    """More peers, of interest where a tool may stop the target or not."""
    pythons: dict[str, Path]
    runs: int
    seconds: float
    """Length of a recording, less the time to attach."""
    long: float
    """Seconds of the endurance run, 0 for none."""
    folder: Path

    def measure(
        self,
        grid: Grid,
        programs: Iterable[Program],
        measure: Measure,
        peers: Optional[list[Peer]] = None,
        runs: int = 0,
    ) -> Grid:
        """Measures each program with each peer in turn, run after run: what disturbs the machine disturbs all."""
        for program in programs:
            for run in range(runs or self.runs):
                for peer in peers or self.peers:
                    say(f"{grid.title}: {program.label}, {peer.name}, run {run + 1}")
                    attempt(grid, program, peer, measure)
        return grid

    def output(self) -> Path:
        """A file name for a recording, not used yet."""
        return Path(tempfile.mkdtemp(dir=self.folder)) / "recording"


def attempt(grid: Grid, program: Program, peer: Peer, measure: Measure) -> None:
    """One run on a new target. What fails is tried again, since py-spy --nonblocking does not always attach."""
    for _ in range(ATTEMPTS):
        try:
            with Target(peer.python, program.file, *program.arguments) as target:
                grid.add(program.label, peer.name, **measure(program, peer, target))
            return
        except (BenchError, OSError, LookupError, ArithmeticError, ValueError) as error:
            reason = error
            say(f"  failed: {error}")
    grid.fail(program.label, peer.name, reason)


def start_up(peer: Peer, program: Program) -> float:
    """Seconds after which the tool surely samples; every recording lasts this much longer."""
    return peer.tool.start_up + program.extra


def record(peer: Peer, target: Target, rate: Optional[int], seconds: float, output: Path) -> Finished:
    """A recording of `seconds`, counted from the start of the command."""
    with Child(peer.tool.record(target.pid, rate, output)) as child:
        return child.interrupt_after(seconds)


def counted(peer: Peer, program: Program, ended: Finished, output: Path) -> Tally:
    """What the recording holds, by the same definition for all."""
    return peer.tool.tally(output, ended.text, program.threads)

