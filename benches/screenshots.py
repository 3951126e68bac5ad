#!/usr/bin/env python3
"""Makes README's pictures of the live screen: python3 benches/screenshots.py

Runs pyconc on an example in a terminal of tmux and draws what is on it. Needs Linux, tmux, the package rich, and cargo if
pyconc is not built.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console

from pairs import EXAMPLES, Example, Running
from peers import setup

WIDTH, HEIGHT = 100, 30
SETTLED = 12  # seconds, a whole window
SHOTS = [
    ("top-overview", "loop_blocked_by_cpu", "1"),
    ("top-threads", "gil_four_threads", "2"),
    ("top-flame", "loop_blocked_by_http", "4"),
]
PICTURE = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>{styles} .{unique_id}-matrix {{ font-family: ui-monospace, monospace; font-size: {char_height}px; line-height: {line_height}px; }}</style>
<defs>{lines}</defs>
<rect width="100%" height="100%" rx="6" fill="#1b1f24"/>
<g transform="translate(9, 9)" class="{unique_id}-matrix">{backgrounds}{matrix}</g>
</svg>
"""


def main() -> int:
    """Writes a picture for each shot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--pyconc", type=Path, help="the program [the release build, made if it is missing]")
    options = parser.parse_args()
    folder = Path(__file__).resolve().parent / "screenshots"
    folder.mkdir(exist_ok=True)
    pyconc = options.pyconc or setup.pyconc()
    for name, example, key in SHOTS:
        with tempfile.TemporaryDirectory(prefix="examples-") as place:
            # Where this repository is, is nobody's business.
            script = Path(shutil.copy(EXAMPLES / f"{example}.py", place))
            with Running(Example(script, Path(sys.executable)), 600) as running:
                screen = shoot(pyconc, running.pid, key)
                running.end()
                running.numbers(0)
        (folder / f"{name}.svg").write_text(draw(screen))
        setup.say(f"{name}.svg")
    return 0


def shoot(pyconc: Path, pid: int, key: str) -> str:
    """What is on the screen after a while, with its colours."""
    with tempfile.TemporaryDirectory() as folder:
        tmux = ["tmux", "-f", "/dev/null", "-S", f"{folder}/socket"]
        size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
        command = ["env", "LC_ALL=C.UTF-8", "COLORTERM=truecolor", str(pyconc), "top", str(pid)]
        subprocess.run([*tmux, "-u", "new-session", "-d", *size, *command], check=True)
        try:
            time.sleep(SETTLED)
            subprocess.run([*tmux, "send-keys", key], check=True)
            time.sleep(1)
            shown = subprocess.run([*tmux, "capture-pane", "-e", "-p", "-N"], check=True, capture_output=True, text=True)
        finally:
            subprocess.run([*tmux, "kill-server"], check=False)
    return shown.stdout


def draw(screen: str) -> str:
    """The screen as an SVG that loads nothing."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in AnsiDecoder().decode(screen.rstrip("\n")):
        console.print(line, no_wrap=True, overflow="crop", crop=True)
    return console.export_svg(title="", code_format=PICTURE)


if __name__ == "__main__":
    sys.exit(main())
