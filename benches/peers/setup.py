"""Finds or makes what is measured: pyconc, Python interpreters, py-spy and austin, a loader that austin can use."""

from __future__ import annotations

import glob
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator, Optional

ROOT = Path(__file__).resolve().parents[2]
LOADER_DEFAULT = "/opt/pythons/*/lib"
LOADER = "ld-linux-*.so.*"
BUILD_LIMIT, QUERY_LIMIT = 1800, 60  # seconds


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def pyconc() -> Path:
    """The release build, made by cargo if it is missing."""
    binary = ROOT / "target" / "release" / "pyconc"
    if not binary.exists():
        say("building pyconc")
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True, timeout=BUILD_LIMIT)
    return binary


def venv(folder: Path) -> Path:
    """The folder of commands of an environment with py-spy and austin, made if it is missing."""
    commands = folder / "bin"
    if not all((commands / tool).exists() for tool in ("py-spy", "austin")):
        say(f"installing py-spy and austin into {folder}")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=BUILD_LIMIT)
        pip = [str(commands / "python"), "-m", "pip", "install", "--quiet", "py-spy", "austin-dist"]
        if subprocess.run(pip, timeout=BUILD_LIMIT).returncode != 0:
            say("pip could not install them all; what is missing is left out")
    return commands


def answer(*command: object) -> Optional[str]:
    """What a command prints on standard output, None if it fails."""
    try:
        run = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=QUERY_LIMIT
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() if run.returncode == 0 else None


def austin(commands: Path) -> Optional[list[str]]:
    """The command line that starts austin; through the loader of a newer C library where this machine's is too old."""
    binary = commands / "austin"
    if answer(binary, "--version"):
        return [str(binary)]
    for folder in sorted(glob.glob(os.environ.get("PYCONC_BENCH_LOADER", LOADER_DEFAULT)), reverse=True):
        for loader in glob.glob(f"{folder}/{LOADER}"):
            command = [loader, "--library-path", folder, str(binary)]
            if answer(*command, "--version"):
                return command
    return None


def pythons() -> dict[str, Path]:
    """Interpreters from 3.8 on by version, like 3.14 or 3.13t: of the PATH, of pyenv, and of /opt/pythons."""
    found: dict[str, Path] = {}
    for path in _candidates():
        version = answer(
            path, "-c", "import sys; print('%d.%d' % sys.version_info[:2] + getattr(sys, 'abiflags', ''))"
        )
        if version and re.fullmatch(r"3\.([89]|\d\d)t?", version) and path.name == f"python{version}":
            found.setdefault(version, path)
    return found


def _candidates() -> Iterator[Path]:
    patterns = ["/opt/pythons/*/bin/python3.*", str(Path.home() / ".pyenv/versions/*/bin/python3.*")]
    for pattern in patterns:
        yield from map(Path, sorted(glob.glob(pattern), reverse=True))
    for minor in range(8, 20):
        for suffix in ("", "t"):
            path = shutil.which(f"python3.{minor}{suffix}")
            if path:
                yield Path(path)


def machine() -> dict[str, str]:
    """What the figures depend on, and anybody needs to compare theirs."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "CPU": model,
        "CPUs": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
    }
