"""Whether profiles are right: stacks that never were, and shares of the GIL against what the threads counted."""

from __future__ import annotations

import time
from functools import partial

from .bench import Bench, Peer, Program, attempt, counted, start_up
from .grid import Grid, Numbers, means, percent
from .processes import Child, Target
from .setup import say
from .tools import Pyconc, Stack

TORN = [
    Program("two 30-deep chains, 20 µs a leaf", "alternating.py", (30, 20)),
    Program("two 30-deep chains, 2 ms a leaf", "alternating.py", (30, 2000)),
    Program("flip, about 1 µs", "flip.py", ()),
]
SPINNERS = 4


def torn(bench: Bench) -> list[Grid]:
    """How many of the stacks in a profile never were."""
    peers = bench.peers + bench.nonblocking
    grid = Grid(
        "Stacks that never were, at 1 kHz",
        "Share of the stacks in the profile which mix two chains of calls or lack a link of one; (share of the\n"
        "samples that the tool itself rejected). Means of the runs.",
        lambda cell: f"{percent(cell['torn'])} ({percent(cell['rejected'])})",
        [peer.name for peer in peers],
        summary=means,
    )
    return [bench.measure(grid, TORN, partial(_torn, bench), peers)]


def _torn(bench: Bench, program: Program, peer: Peer, target: Target) -> Numbers:
    output = bench.output()
    with Child(peer.tool.record_stacks(target.pid, 1000, output)) as child:
        ended = child.interrupt_after(start_up(peer, program) + 3 * bench.seconds)
    depth = program.arguments[0] if program.arguments else 1
    stacks = peer.tool.stacks(output)
    total = sum(stacks.values())
    if not total:
        raise ValueError("the profile has no stacks")
    wrong = sum(count for stack, count in stacks.items() if not possible(stack, depth))
    rejected = counted(peer, program, ended, output).rejected
    return {"torn": wrong / total, "rejected": rejected, "stacks": total}


def possible(stack: Stack, depth: int) -> bool:
    """Whether a stack is <module>, main, and an unbroken beginning of one chain; what is no function is left out."""
    names = [name for name in stack if name == "<module>" or not name.startswith("<")]
    chains = (
        ["<module>", "main", *(f"{name}_{number:02}" for number in range(depth)), f"{name}_leaf"]
        for name in "ab"
    )
    return any(names == chain[: len(names)] for chain in chains) and names[:1] == ["<module>"]


def gil_shares(bench: Bench) -> list[Grid]:
    """pyconc's shares of four spinners against their own counts, on every Python found that has a GIL."""
    grid = Grid(
        "GIL shares, four spinners",
        "Each spinner's share of all turns that the four counted is the truth, about 25 %. Shown is how far the\n"
        "share of samples in which it runs is from that at most, and the share in which it wants the GIL from the\n"
        "rest, about 75 %. In percentage points, at 1 kHz.",
        lambda cell: f"{100 * cell['running']:.1f} / {100 * cell['waiting']:.1f} points",
        ["pyconc, running / wants the GIL"],
        corner="Python",
    )
    tool = next(peer.tool for peer in bench.peers if isinstance(peer.tool, Pyconc))
    assert isinstance(tool, Pyconc)
    for run in range(bench.runs):
        for version, python in bench.pythons.items():
            if not version.endswith("t"):
                say(f"{grid.title}: {version}, run {run + 1}")
                program = Program(version, "shares.py", (SPINNERS,), threads=SPINNERS + 1)
                peer = Peer(tool, version, python, column=grid.columns[0])
                attempt(grid, program, peer, partial(_shares, bench))
    return [grid]


def _shares(bench: Bench, program: Program, peer: Peer, target: Target) -> Numbers:
    assert isinstance(peer.tool, Pyconc)
    output = bench.output()
    with Child(peer.tool.record(target.pid, 1000, output)) as child:
        time.sleep(0.05)
        before = target.ask("counts")
        time.sleep(3 * bench.seconds)
        after = target.ask("counts")
        child.interrupt()
    turns = [end - start for start, end in zip(before, after)]
    threads = peer.tool.report(output)["threads"]
    spinners = sorted((thread for thread in threads if thread["cpu_seconds"] > 0.1), key=lambda thread: thread["tid"])
    if len(spinners) != SPINNERS:
        raise ValueError(f"{len(spinners)} spinners in the report")
    running, waiting = [], []
    for thread, turn in zip(spinners, turns):
        truth = turn / sum(turns)
        running.append(abs(thread["tags"].get("running", 0) / thread["samples"] - truth))
        waiting.append(abs(thread["tags"].get("gil-contended", 0) / thread["samples"] - (1 - truth)))
    return {"running": max(running), "waiting": max(waiting)}
