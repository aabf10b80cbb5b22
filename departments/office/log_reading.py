"""Reads the log back: across rotations, live, and as lines for people. Imports nothing that is slow to import."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from departments.office.log_writer import generation

GENERATIONS_MAX = 100
LEVELS: Final[Mapping[str, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}
_CHUNK_BYTES = 1 << 20


class LogFollower:
    """Gives a log's lines in order, each once, however often the file is rotated meanwhile.

    It holds on to the file it reads (a rename doesn't take it away), reads it to its end, and only then goes on with
    the next newer one. What was rotated out of existence before it was read is gone; everything kept is given.

    Args:
        path: The log; it may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._rest = b""

    def poll(self) -> Iterator[str]:
        """The whole lines that have come since the last poll, without their ends."""
        if self._file < 0 and not self._open_next(None):
            return
        while True:
            yield from self._read_lines()
            inode = os.fstat(self._file).st_ino
            if _inode(self._path) in {inode, None}:
                return
            yield from self._read_lines()  # what was written between the reading and the rename
            if not self._open_next(inode):
                return

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read_lines(self) -> Iterator[str]:
        if os.fstat(self._file).st_size < os.lseek(self._file, 0, os.SEEK_CUR):
            os.lseek(self._file, 0, os.SEEK_SET)  # somebody truncated it
            self._rest = b""
        while chunk := os.read(self._file, _CHUNK_BYTES):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace")

    def _open_next(self, after_inode: int | None) -> bool:
        """Open the file that follows the one read; the oldest, where that is unknown or gone.

        Files only ever move to higher numbers. Looking from 0 upwards, a file that moves meanwhile is seen late or
        twice, never not at all, and the last one seen before ours is the one that follows it.
        """
        while True:
            found: tuple[int, int] | None = None
            for number in range(GENERATIONS_MAX + 1):
                inode = _inode(generation(self._path, number))
                if inode is not None and inode == after_inode:
                    break
                if inode is not None:
                    found = number, inode
            if found is None:
                return False
            try:
                file = os.open(generation(self._path, found[0]), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # rotated at this very moment: look again
            if os.fstat(file).st_ino != found[1]:
                os.close(file)
                continue
            self.close()
            self._file, self._rest = file, b""
            return True


def record_of(line: str) -> dict[str, Any] | None:
    """A line as its record; None where it isn't one (a line that a crash cut off)."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def readable(record: Mapping[str, Any], *, colour: bool) -> str:
    """A record as one line for people: time (UTC), level, department, run, sentence."""
    time = str(record.get("timestamp", ""))[:23].replace("T", " ")
    level = str(record.get("level", "info"))
    sentence = printable(str(record.get("message") or record.get("event") or ""))
    run = str(record.get("run_id") or "")[:9]
    line = f"{time:23} {level.upper():8.8} {record.get('department') or '-':10.10} {run:9} {sentence}"
    if "exception" in record:
        line += "\n" + "\n".join(f"    {printable(part)}" for part in str(record["exception"]).splitlines())
    if colour and level in _COLOURS:
        return f"\x1b[{_COLOURS[level]}m{line}\x1b[0m"
    return line


def printable(text: str) -> str:
    """Text with everything escaped that could move a terminal's cursor or hide what follows."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
