"""Keeps results: every run in RESULTS.json, medians in RESULTS.md. A measure that was not run again keeps its old."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .grid import Grid, table
from .setup import machine
from .tools import Tool

HEAD = """# pyconc and its peers

Made by `python3 benches/peers.py`; every run is in [RESULTS.json](RESULTS.json). Tools take turns on the same
machine, each on a new target; cells are medians. The number behind a tool's name is the Python of its target:
Tachyon, which is `profiling.sampling` of Python 3.15, reads only its own version, and austin none newer than 3.14.
A – was not measured.

A sample is one look at all threads of the process, whatever a tool itself counts; what it rejected does not count.

"""
HARNESS_LOAD = 1  # beyond one CPU for the target and one for the tool
BUSY = """
**The machine was busy with other work**: times are too long, and the target often stood still while it was sampled,
which makes stacks cheap and exact. Compare tools, and do not quote these figures.
"""


@dataclass(frozen=True)
class Outcome:
    """What one measure gave, and under which circumstances."""

    sections: list[str]
    """Markdown."""
    runs: list[dict[str, Any]]
    """The numbers of every run, by row and column."""
    conditions: dict[str, str]
    """Date, machine, tools, and how long and how often."""
    failures: list[str] = field(default_factory=list)


def outcome(grids: list[Grid], tools: list[Tool], missing: list[str], runs: int, seconds: float) -> Outcome:
    """Results with what they depend on."""
    conditions = {
        **machine(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "load": f"{os.getloadavg()[0]:.1f}",
        "tools": ", ".join(f"{tool.name} {tool.version}" for tool in tools),
        "missing": "; ".join(missing),
        "runs": f"{runs} of {seconds:g} s",
    }
    cells = [{"title": grid.title, "cells": grid.cells} for grid in grids]
    failures = [failure for grid in grids for failure in grid.failures]
    return Outcome([grid.markdown() for grid in grids], cells, conditions, failures)


def merge(path: Path, order: list[str], fresh: dict[str, Outcome]) -> None:
    """Writes RESULTS.json and RESULTS.md, with those measures renewed that are fresh."""
    kept: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    kept.update({name: asdict(outcome) for name, outcome in fresh.items()})
    kept = {name: kept[name] for name in order if name in kept}
    path.write_text(json.dumps(kept, indent=1) + "\n")
    path.with_suffix(".md").write_text(HEAD + _conditions(kept) + "".join(_sections(kept)))


def _conditions(kept: dict[str, dict[str, Any]]) -> str:
    names = ["CPU", "CPUs", "memory", "kernel", "tools", "missing"]
    lines = []
    for name in names:
        values = sorted({outcome["conditions"][name] for outcome in kept.values()} - {""})
        if values:
            lines.append([name, " / ".join(values)])
    measured = table(["measure", "measured", "runs", "load after"], [
        [name, conditions["date"], conditions["runs"], conditions["load"]]
        for name, conditions in ((name, outcome["conditions"]) for name, outcome in kept.items())
    ])
    busy = any(
        float(conditions["load"]) > int(conditions["CPUs"]) + HARNESS_LOAD
        for conditions in (outcome["conditions"] for outcome in kept.values())
    )
    return table(["", ""], lines) + "\n\n" + measured + "\n" + (BUSY if busy else "")


def _sections(kept: dict[str, dict[str, Any]]) -> list[str]:
    return ["\n" + section for outcome in kept.values() for section in outcome["sections"]]
