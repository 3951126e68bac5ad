"""A table of medians (or means): rows are targets, columns are tools, each cell holds the numbers of every run."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Callable

Numbers = dict[str, float]
"""What one run gave, by name."""
MISSING = "–"


def medians(runs: list[Numbers]) -> Numbers:
    """The median of each number over the runs."""
    return {key: median(run[key] for run in runs) for key in runs[0]}


def means(runs: list[Numbers]) -> Numbers:
    """The mean of each number over the runs: what is rare has a median of nothing."""
    return {key: fmean(run[key] for run in runs) for key in runs[0]}


@dataclass
class Grid:
    """One measure's results."""

    title: str
    note: str
    """What the numbers mean, with units."""
    show: Callable[[Numbers], str]
    """How what sums up a cell is written."""
    columns: list[str]
    corner: str = "target"
    summary: Callable[[list[Numbers]], Numbers] = medians
    cells: dict[str, dict[str, list[Numbers]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, row: str, column: str, **numbers: float) -> None:
        """Keeps the numbers of one run."""
        self.cells.setdefault(row, {}).setdefault(column, []).append(numbers)

    def fail(self, row: str, column: str, reason: object) -> None:
        """Keeps why a run has no numbers."""
        self.failures.append(f"{column}, {row}: {reason}")

    def markdown(self) -> str:
        """The table with its title, its note and its failures; a column without any number is left out."""
        columns = [name for name in self.columns if any(name in row for row in self.cells.values())]
        lines = [f"## {self.title}", "", self.note, ""]
        if columns:
            lines += [table([self.corner, *columns], [self._row(name, columns) for name in self.cells])]
        lines += [f"- failed: {first_line(failure)}" for failure in self.failures]
        return "\n".join(lines) + "\n"

    def _row(self, name: str, columns: list[str]) -> list[str]:
        runs = [self.cells[name].get(column) for column in columns]
        return [name, *(self.show(self.summary(cell)) if cell else MISSING for cell in runs)]


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, aligned."""
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
        for line in [header, rule, *rows]
    )


def first_line(text: str) -> str:
    """All that a list's item has room for."""
    return (text.splitlines() or [""])[0][:160]


def number(value: float) -> str:
    """Three digits that count: 0.04, 5.3, 48, 3,400."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def percent(share: float) -> str:
    """A share of 1 as per cent; a share that is not nothing never looks like it."""
    if 0 < share < 0.00005:
        return "<0.01 %"
    digits = 2 if 0 < share < 0.01 else 1 if share < 0.1 else 0
    return f"{100 * share:.{digits}f} %"
