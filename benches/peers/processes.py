"""Child processes: bounded in time, their use of CPU and memory known, none left behind."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Union

TARGETS = Path(__file__).resolve().parent.parent / "targets"
GRACE = 60.0
"""Seconds that a profiler has to write its output once it was told to stop."""
LIMIT = 120.0
"""Seconds that a target lives at most."""

Argument = Union[str, Path]


class BenchError(Exception):
    """A tool or a target did not do its part."""


@dataclass(frozen=True)
class Finished:
    """How a child ended."""

    text: str
    """All that it printed."""
    cpu: float
    """Seconds of CPU, of user and system, start and end included."""
    wall: float
    """Seconds on the clock."""
    peak_rss: int
    """Bytes of the largest resident set."""


class Child:
    """A child process in a session of its own, so that ^C reaches the harness only, which then ends it."""

    def __init__(self, command: Sequence[Argument]) -> None:
        self._output = tempfile.TemporaryFile()
        self.command = [str(part) for part in command]
        self._start = time.perf_counter()
        self._peak = 0
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._ending = os.pidfd_open(self.pid)  # readable once it has ended
        self._interrupted = False

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        self._output.close()
        os.close(self._ending)

    def interrupt_after(self, seconds: float) -> Finished:
        """Lets it run, counted from its start, then ends it as ^C does and waits for it."""
        ended = self._wait_until(self._start + seconds)
        if ended is None:
            return self.interrupt()
        return ended

    def interrupt(self) -> Finished:
        """Does what ^C does, and waits for its end."""
        self._interrupted = True
        if self._process.returncode is None:
            os.kill(self.pid, signal.SIGINT)
        return self.finish(GRACE)

    def finish(self, timeout: float) -> Finished:
        """Waits for its end, for `timeout` seconds at most."""
        ended = self._wait_until(time.perf_counter() + timeout)
        if ended is None:
            raise BenchError(f"did not end within {timeout:.0f} s: {' '.join(self.command)}")
        return ended

    def rss(self) -> int:
        """Bytes resident now."""
        return _status_bytes(self.pid, "VmRSS")

    def _wait_until(self, deadline: float) -> Optional[Finished]:
        while True:
            self._peak = max(self._peak, _status_bytes(self.pid, "VmHWM"))
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                return self._ended(status, usage)
            remaining = deadline - time.perf_counter()
            if remaining <= 0:
                return None
            select.select([self._ending], [], [], min(remaining, 0.02))

    def _ended(self, status: int, usage: resource.struct_rusage) -> Finished:
        wall = time.perf_counter() - self._start
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        self._output.seek(0)
        text = self._output.read().decode(errors="replace")
        # After ^C some return other codes (austin 254); whether they wrote a recording is seen when it is read.
        if code < 0 or code > 0 and not self._interrupted:
            raise BenchError(f"exit code {code}: {' '.join(self.command)}\n{text[-2000:]}")
        return Finished(text, usage.ru_utime + usage.ru_stime, wall, self._peak_rss(usage))

    def _peak_rss(self, usage: resource.struct_rusage) -> int:
        # Linux carries ru_maxrss over exec: a child's begins at the size of this harness, and counts only beyond it.
        # VmHWM begins anew, but cannot be read once the process has ended.
        carried = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        exact = usage.ru_maxrss * 1024 if usage.ru_maxrss > carried else 0
        return max(self._peak, exact)


class Target:
    """A program of `targets/`, ready to be sampled."""

    def __init__(self, python: Path, program: str, *args: object, limit: float = LIMIT) -> None:
        self._process = subprocess.Popen(
            [str(python), str(TARGETS / program), *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "PYCONC_BENCH_LIMIT": str(int(limit))},
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._limit = limit

    def __enter__(self) -> "Target":
        try:
            line = self._line(30)
            if line != "ready":
                raise BenchError(f"target said {line!r} instead of ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass

    def ask(self, question: object) -> list[float]:
        """Sends a line and returns the numbers of the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{question}\n")
        return [float(word) for word in self._line(self._limit).split()]

    def _line(self, timeout: float) -> str:
        assert self._process.stdout is not None
        # One answer a question: nothing can be left in the buffer that select does not see.
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            raise BenchError(f"target was silent for {timeout:.0f} s")
        return self._process.stdout.readline().strip()


def _status_bytes(pid: int, field: str) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0
