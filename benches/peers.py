#!/usr/bin/env python3
"""Measures pyconc against py-spy, austin and CPython's Tachyon on this machine: python3 benches/peers.py

Needs Linux, Python 3.9 or later, the right to read other processes of yours (root where Yama restricts ptrace), and
cargo if pyconc is not built. py-spy and austin are installed by pip into an environment of their own. Any tool that is
missing is left out, and the table says so.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import Callable, Optional

from peers import cost, setup, truth
from peers.bench import Bench, Peer
from peers.grid import Grid
from peers.report import Outcome, merge, outcome
from peers.tools import Austin, Pyconc, PySpy, Tachyon, Tool, minor

HERE = Path(__file__).resolve().parent
TACHYON_PYTHON = "3.15"
MEASURES: dict[str, Callable[[Bench], list[Grid]]] = {
    "cost": cost.cpu_per_sample,
    "torn": truth.torn,
    "slowdown": cost.slow_down,
    "start": cost.first_stack,
    "memory": cost.memory,
    "gil": truth.gil_shares,
    "thousand": cost.thousand,
    "endurance": cost.endurance,
}


def main() -> int:
    """Returns 0, or 1 when a run failed."""
    options = arguments().parse_args()
    # A shell's background job ignores ^C and so would Tachyon, its grandchild; a handler here undoes that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tools, nonblocking, missing = find_tools(options.venv)
    pythons = setup.pythons()
    peers = pair(tools, pythons, options.python)
    beside = pair(nonblocking, pythons, options.python)
    setup.say("measured: " + ", ".join(peer.name for peer in peers + beside))
    for text in missing:
        setup.say(f"missing: {text}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="pyconc-bench-") as folder:
        bench = Bench(peers, beside, pythons, options.runs, options.seconds, options.long, Path(folder))
        for name in options.only or MEASURES:
            result = run(name, bench, tools, missing)
            if result:
                merge(options.results, list(MEASURES), {name: result})
                failed += len(result.failures)
    setup.say(f"{options.results.with_suffix('.md')} written, {failed} runs failed")
    return 1 if failed else 0


def run(name: str, bench: Bench, tools: list[Tool], missing: list[str]) -> Optional[Outcome]:
    """One measure; None if it is not asked for."""
    grids = MEASURES[name](bench)
    return outcome(grids, tools, missing, bench.runs, bench.seconds) if grids else None


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--only", action="append", choices=MEASURES, help="measure this only; may be repeated")
    add("--runs", type=int, default=5, help="runs of which the median is shown [%(default)s]")
    add("--seconds", type=float, default=2.0, help="length of a recording [%(default)s]")
    add("--quick", action=Quick, nargs=0, help="one run of half a second: does it work at all?")
    add("--long", type=float, default=0, metavar="SECONDS", help="also the endurance run, 600 for the full one")
    add("--python", help="version of Python for py-spy and austin [the newest that both support]")
    add("--venv", type=Path, default=HERE / ".venv", help="where py-spy and austin are installed [%(default)s]")
    add("--results", type=Path, default=HERE / "RESULTS.json", help="file to write, .md beside it [%(default)s]")
    return parser


class Quick(argparse.Action):
    """--quick sets two other options."""

    def __call__(self, parser: object, namespace: argparse.Namespace, *_: object) -> None:
        namespace.runs, namespace.seconds = 1, 0.5


def find_tools(venv: Path) -> tuple[list[Tool], list[Tool], list[str]]:
    """The tools of this machine, those that are measured beside them, and what is missing and why."""
    tools: list[Tool] = [Pyconc(setup.pyconc())]
    nonblocking: list[Tool] = []
    missing = []
    commands = setup.venv(venv)
    pyspy, austin = commands / "py-spy", setup.austin(commands)
    python = setup.pythons().get(TACHYON_PYTHON)
    if python:
        tools.append(Tachyon(python, TACHYON_PYTHON))
    else:
        missing.append(f"Tachyon: no python{TACHYON_PYTHON} on the PATH")
    if pyspy.exists():
        tools.append(PySpy(pyspy))
        nonblocking.append(PySpy(pyspy, nonblocking=True))
    else:
        missing.append("py-spy: pip did not install it")
    if austin:
        tools.append(Austin(austin))
    else:
        missing.append("austin: not installed, or it needs a newer C library; PYCONC_BENCH_LOADER may name its folder")
    return tools, nonblocking, missing


def pair(tools: list[Tool], pythons: dict[str, Path], wanted: Optional[str]) -> list[Peer]:
    """Each tool with the Python that it is measured on; pyconc with each that another is measured on.

    py-spy and austin have the newest Python that both support, Tachyon has its own.
    """
    newest = min(PySpy.newest, Austin.newest)
    common = [version for version in pythons if not version.endswith("t") and minor(version) <= newest]
    shared = wanted or max(common, key=minor, default="")
    peers = []
    for version in sorted({shared, TACHYON_PYTHON} & set(pythons), key=minor, reverse=True):
        for tool in tools:
            if tool.supports(version) and (version == shared or isinstance(tool, (Pyconc, Tachyon))):
                peers.append(Peer(tool, version, pythons[version]))
    return peers


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
