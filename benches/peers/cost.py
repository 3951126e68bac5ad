"""What profiling costs: CPU of the profiler, slow-down of the target, time to the first stack, memory."""

from __future__ import annotations

import time
from functools import partial
from statistics import quantiles
from typing import Optional

from .bench import Bench, Peer, Program, counted, record, start_up
from .grid import Grid, Numbers, number, percent
from .processes import Child, Target
from .tools import Pyconc

DEPTH_10 = Program("1 thread, depth 10", "threads.py", (10, 1))
BUSY = Program("8 threads, depth 30", "threads.py", (30, 8), threads=8)
PROGRAMS = [
    DEPTH_10,
    Program("1 thread, depth 100", "threads.py", (100, 1)),
    BUSY,
    Program("50 threads, depth 20, 48 idle", "threads.py", (20, 50, 48), threads=50),
    Program("1 thread, depth 500", "threads.py", (500, 1)),
    Program("alternating chains of 31 calls", "alternating.py", (30, 20)),
]
IDLE_THOUSAND = Program("1,000 threads, 992 idle", "threads.py", (10, 1000, 992), threads=1000, extra=3)
MIB = 2**20
PIECES = 20


def cpu_per_sample(bench: Bench) -> list[Grid]:
    """CPU time of the profiler by sample: at its highest rate, and at 1 kHz where wake-ups tell."""
    columns = [peer.name for peer in bench.peers]
    highest = Grid(
        "CPU per sample, at the highest rate the tool reaches",
        "µs of the profiler's CPU for a sample of all threads of the process, (samples a second; rejected).\n"
        "What a recording at one sample a second takes is subtracted, so that attaching is not in it.",
        lambda cell: f"{number(cell['us'])} ({number(cell['rate'])}/s; {percent(cell['rejected'])})",
        columns,
    )
    slow = Grid(
        "CPU per sample at 1 kHz, wake-ups included",
        "µs of the profiler's CPU for a sample, (samples a second that were reached).",
        lambda cell: f"{number(cell['us'])} ({number(cell['rate'])}/s)",
        columns,
    )
    bench.measure(highest, PROGRAMS, partial(_cpu, bench, None))
    bench.measure(slow, [DEPTH_10], partial(_cpu, bench, 1000))
    return [highest, slow]


def _cpu(bench: Bench, rate: Optional[int], program: Program, peer: Peer, target: Target) -> Numbers:
    attaching = start_up(peer, program)
    # One sample a second: what is left is the cost of attaching, and of writing a recording.
    fixed = record(peer, target, 1, attaching, bench.output())
    output = bench.output()
    length = bench.seconds * (1 if rate is None else 3)
    ended = record(peer, target, rate, attaching + length, output)
    tally = counted(peer, program, ended, output)
    return {
        "us": (ended.cpu - fixed.cpu) * 1e6 / tally.samples,
        "rate": tally.samples / (tally.seconds or attaching + length),
        "rejected": tally.rejected,
    }


def slow_down(bench: Bench) -> list[Grid]:
    """How much longer the same work takes while it is sampled."""
    grid = Grid(
        "Slow-down of the target",
        "Time for a fixed amount of work while sampled, by the mean of the times just before and after. Each time\n"
        f"is the lower quartile of {PIECES} equal pieces, since what else the machine does only lengthens some.\n"
        "+0.0 % is no slow-down; the scatter of the rows at 100 Hz shows how exact this is.",
        lambda cell: f"{100 * (cell['ratio'] - 1):+.1f} %",
        [peer.name for peer in bench.peers],
    )
    for label, arguments in (("depth 10", (10, 2)), ("depth 100", (100, 2))):
        for rate in (100, 1_000, 10_000):
            program = Program(f"{label}, {rate:,} Hz", "work.py", arguments, threads=2)
            bench.measure(grid, [program], partial(_ratio, bench, rate))
    many = Program("160 threads, 8 work, 1,000 Hz", "work.py", (10, 160, 151), threads=160)
    bench.measure(grid, [many], partial(_ratio, bench, 1000))
    return [grid]


def _ratio(bench: Bench, rate: int, program: Program, peer: Peer, target: Target) -> Numbers:
    target.ask(100)
    units = int(1000 * bench.seconds / PIECES / target.ask(1000)[0])
    before = _work(target, units)
    with Child(peer.tool.record(target.pid, rate, bench.output())) as child:
        time.sleep(start_up(peer, program))
        during = _work(target, units)
        child.interrupt()
    after = _work(target, units)
    return {"ratio": during / ((before + after) / 2)}


def _work(target: Target, units: int) -> float:
    return quantiles((target.ask(units)[0] for _ in range(PIECES)), n=4)[0]


def first_stack(bench: Bench) -> list[Grid]:
    """From the start of the command to its end, which shows one stack."""
    grid = Grid(
        "Start to first stack",
        "ms on the clock for `pyconc dump`, `py-spy dump`, `austin --where` and `profiling.sampling dump`.",
        lambda cell: f"{number(cell['ms'])} ms",
        [peer.name for peer in bench.peers],
    )

    def measure(_program: Program, peer: Peer, target: Target) -> Numbers:
        with Child(peer.tool.first_stack(target.pid, bench.output())) as child:
            return {"ms": child.finish(30).wall * 1000}

    return [bench.measure(grid, [DEPTH_10], measure)]


def memory(bench: Bench) -> list[Grid]:
    """The profiler's largest resident set, and the size of its recording."""
    grid = Grid(
        "Memory and recording",
        f"MiB of the largest resident set in {bench.seconds * 5:g} s at 1 kHz, (bytes of recording by sample of a\n"
        "thread; py-spy and Tachyon keep no times, only sums of stacks).",
        lambda cell: f"{number(cell['rss'] / MIB)} MiB ({number(cell['bytes'])} B)",
        [peer.name for peer in bench.peers],
    )

    def measure(program: Program, peer: Peer, target: Target) -> Numbers:
        output = bench.output()
        ended = record(peer, target, 1000, start_up(peer, program) + 5 * bench.seconds, output)
        samples = counted(peer, program, ended, output).samples * program.threads
        return {"rss": ended.peak_rss, "bytes": output.stat().st_size / max(1, samples)}

    return [bench.measure(grid, [BUSY], measure)]


def thousand(bench: Bench) -> list[Grid]:
    """What a thousand threads cost at 100 Hz."""
    grid = Grid(
        "1,000 threads at 100 Hz",
        "Share of one CPU that the profiler uses, (samples a second that were reached).",
        lambda cell: f"{percent(cell['share'])} ({number(cell['rate'])}/s)",
        [peer.name for peer in bench.peers],
    )

    def measure(program: Program, peer: Peer, target: Target) -> Numbers:
        numbers = _cpu(bench, 100, program, peer, target)
        return {"share": numbers["us"] * numbers["rate"] / 1e6, "rate": numbers["rate"]}

    return [bench.measure(grid, [IDLE_THOUSAND], measure)]


def endurance(bench: Bench) -> list[Grid]:
    """Whether pyconc's memory grows at 10,000 samples a second."""
    grid = Grid(
        f"Endurance: 10,000 samples a second for {bench.long:.0f} s",
        "MiB resident after a tenth of the time and at the end; the rate, and bytes by sample of a thread.",
        lambda cell: f"{number(cell['start'] / MIB)} to {number(cell['end'] / MIB)} MiB "
        f"({number(cell['rate'])}/s; {number(cell['bytes'])} B)",
        [peer.name for peer in bench.peers],
    )
    if not bench.long:
        return []

    def measure(program: Program, peer: Peer, _target: Target) -> Numbers:
        output = bench.output()
        with Target(peer.python, program.file, *program.arguments, limit=bench.long + 120) as target:
            with Child(peer.tool.record(target.pid, 10_000, output)) as child:
                time.sleep(bench.long / 10)
                start = child.rss()
                time.sleep(bench.long * 9 / 10)
                end = child.rss()
                ended = child.interrupt()
        samples = counted(peer, program, ended, output).samples
        size = output.stat().st_size / max(1, samples * program.threads)
        return {"start": start, "end": end, "rate": samples / bench.long, "bytes": size}

    ours = [peer for peer in bench.peers if isinstance(peer.tool, Pyconc)]
    return [bench.measure(grid, [DEPTH_10], measure, ours[:1], runs=1)]
