"""Reads MOJO, austin's output: a stream of events of one byte and their data. Only what stacks need is kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Optional

METADATA, STACK, FRAME, INVALID, REF, KERNEL, GC, IDLE, TIME, MEMORY, STRING, STRING_REF, REPEAT = range(1, 14)


class Reader:
    """Numbers and strings at a position that moves on."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        """Six bits and a sign in the first byte, seven in each other; the top bit says that there is another."""
        byte = self.byte()
        value, shift = byte & 0x3F, 6
        negative = byte & 0x40
        while byte & 0x80:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
        return -value if negative else value

    def string(self) -> str:
        end = self.data.index(0, self.at)
        text = self.data[self.at : end].decode(errors="replace")
        self.at = end + 1
        return text


def tail(path: Path) -> dict[str, str]:
    """The last metadata, among them `count` and `errors`, without reading the stacks."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 400))
        data = file.read()
    found = {}
    for key in ("count", "duration", "errors"):
        at = data.rfind(b"\x01" + key.encode() + b"\0")
        if at >= 0:
            found[key] = data[at + len(key) + 2 :].split(b"\0", 1)[0].decode()
    return found


def stacks(path: Path) -> Counter[tuple[str, ...]]:
    """How often each stack was seen, outermost function first, but for those that austin marks as invalid."""
    reader = Reader(path.read_bytes())
    if reader.data[:3] != b"MOJ":
        raise ValueError(f"{path} is not MOJO")
    reader.at = 3
    version = reader.number()
    names: dict[int, str] = {1: "?"}
    frames: dict[int, str] = {}
    counts: Counter[tuple[str, ...]] = Counter()
    stack: Optional[list[str]] = None
    last: dict[str, list[str]] = {}
    thread, valid = "", True

    def flush() -> None:
        if stack and valid:
            counts[tuple(stack)] += 1
            last[thread] = stack

    while reader.at < len(reader.data):
        event = reader.byte()
        if event == METADATA:
            reader.string(), reader.string()
        elif event == STACK:
            flush()
            reader.number()
            if version >= 3:
                reader.number()
            thread, stack, valid = reader.string(), [], True
        elif event == FRAME:
            key, _, scope, _ = (reader.number() for _ in range(4))
            if version >= 2:
                for _ in range(3):
                    reader.number()
            frames[key] = names.get(scope, "?")
        elif event == REF and stack is not None:
            stack.append(frames.get(reader.number(), "?"))
        elif event == INVALID:
            valid = False
        elif event == KERNEL:
            reader.string()
        elif event in (TIME, MEMORY):
            reader.number()
        elif event == STRING:
            key = reader.number()
            names[key] = reader.string()
        elif event == STRING_REF:
            reader.number()
        elif event == REPEAT:
            stack = list(last.get(thread, []))
        elif event not in (GC, IDLE):
            raise ValueError(f"event {event} at byte {reader.at - 1} of {path} is not known")
    flush()
    return counts
