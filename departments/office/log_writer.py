"""Carries log records off the hot path: a bounded queue, one thread, a file that rotates by size.

`put` costs the caller an append. The thread renders records and writes them straight to the file, without a buffer of
its own, so that a line is in the file within some 30 ms and survives a killed process. When the queue is full, or
the disk is, lines are lost and counted; the count is written as soon as there is room. The journal has every fact.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

CAPACITY_RECORDS = 100_000
BATCH_MAX = 1_000
BURST_S = 0.03
"""How long a first line waits for those that follow it."""
MAX_BYTES = 20 * 1024 * 1024
KEEP_FILES = 5

Record = Mapping[str, Any]


def generation(path: Path, number: int) -> Path:
    """The file a log had `number` rotations ago; 0 is the one being written."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


class LogWriter:
    """Writes records to `path`, in the order in which they were put.

    Args:
        path: The log; rotated ones are `path.1` (newest) to `path.KEEP`.
        render: Record -> one line without its end; called on the writer's thread.
        lost: How many lines were lost -> the record that says so.
        echo: Also given every record, after it was written; for a console.
        max_bytes: A file is rotated before it would grow larger.
        keep_files: Rotated files to keep.
        capacity_records: Records waiting beyond this are lost.

    Raises:
        OSError: The file can't be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        render: Callable[[Record], str],
        lost: Callable[[int], Record],
        echo: Callable[[Record], None] | None = None,
        max_bytes: int = MAX_BYTES,
        keep_files: int = KEEP_FILES,
        capacity_records: int = CAPACITY_RECORDS,
    ) -> None:
        self._path = path
        self._render = render
        self._lost_record = lost
        self._echo = echo
        self._max_bytes = max_bytes
        self._keep_files = keep_files
        self._capacity_records = capacity_records
        self._queue: SimpleQueue[Record | threading.Event] = SimpleQueue()
        self._lost = 0
        self._lock = threading.Lock()
        self._stopping = False
        self._hurry = threading.Event()
        self._complained = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._size = _open(path)
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> None:
        """Hand a record over; never blocks. The caller must not change it afterwards."""
        if self._stopping or self._queue.qsize() >= self._capacity_records:
            with self._lock:
                self._lost += 1
            return
        self._queue.put(record)

    def flush(self, timeout_s: float = 10) -> bool:
        """Wait until everything put before is written. False if that took longer than `timeout_s`."""
        if not self._thread.is_alive():
            return self._queue.empty()
        reached = threading.Event()
        self._queue.put(reached)
        self._hurry.set()
        return reached.wait(timeout_s)

    def stop(self, timeout_s: float = 10) -> bool:
        """Write what was put, then end the thread and close the file. False if that took longer than `timeout_s`."""
        self._stopping = True
        self._queue.put(threading.Event())
        self._hurry.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        return True

    def _run(self) -> None:
        while not (self._stopping and self._queue.empty()):
            self._write(self._batch())

    def _batch(self) -> list[Record | threading.Event]:
        """What waits, at least one item, at most `BATCH_MAX`.

        A burst is let pass first: rendering lines takes the interpreter from those who caused them.
        """
        batch = [self._queue.get()]
        if not isinstance(batch[0], threading.Event):
            self._hurry.wait(BURST_S)
        try:
            while len(batch) < BATCH_MAX:
                batch.append(self._queue.get_nowait())
        except Empty:
            pass
        return batch

    def _write(self, batch: list[Record | threading.Event]) -> None:
        records = [item for item in batch if not isinstance(item, threading.Event)]
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            records.append(self._lost_record(lost))
        lines = [self._line(record) for record in records]
        try:
            self._append(lines)
        except OSError as error:
            with self._lock:
                self._lost += lost + len(lines)
            self._complain(error)
        if self._echo is not None:
            for record in records:
                self._show(self._echo, record)
        for item in batch:
            if isinstance(item, threading.Event):
                self._hurry.clear()
                item.set()

    def _line(self, record: Record) -> str:
        try:
            return self._render(record) + "\n"
        except Exception as error:  # noqa: BLE001 - a value that can't be written must not end the log
            said = f"A line was lost: {type(error).__name__}"
            return f'{{"level": "error", "event": "log.unprintable", "message": "{said}"}}\n'

    def _show(self, echo: Callable[[Record], None], record: Record) -> None:
        try:
            echo(record)
        except Exception:  # noqa: BLE001 - a console that went away must not end the log
            self._echo = None

    def _append(self, lines: list[str]) -> None:
        """Write lines, rotating where the file would grow too large. Each file holds whole lines."""
        pending: list[bytes] = []
        pending_bytes = 0
        for line in lines:
            data = line.encode("utf-8", "backslashreplace")
            grown = self._size + pending_bytes
            if grown and grown + len(data) > self._max_bytes:
                self._write_whole(b"".join(pending))
                self._rotate()
                pending, pending_bytes = [], 0
            pending.append(data)
            pending_bytes += len(data)
        self._write_whole(b"".join(pending))

    def _write_whole(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            written = os.write(self._file, left)
            self._size += written
            left = left[written:]

    def _rotate(self) -> None:
        for number in range(self._keep_files, 0, -1):
            older = generation(self._path, number - 1)
            if older.exists():
                older.replace(generation(self._path, number))
        fresh, size = _open(self._path)
        os.close(self._file)
        self._file, self._size = fresh, size

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            sys.stderr.write(
                f"{self._path}: the log can't be written ({error.strerror}); the firm goes on without it\n"
            )


def _open(path: Path) -> tuple[int, int]:
    """Open for appending; a line that a crash cut off is ended first. Returns the descriptor and the size."""
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        size += os.write(file, b"\n")
    return file, size
