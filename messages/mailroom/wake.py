"""How a letter wakes the daemon: one byte through a FIFO in FIRM_HOME, and a slow look as safety net.

A FIFO, not a socket: a socket's path may not be longer than 108 bytes. Losing a byte loses nothing, since the table is
the truth and is looked at anyway.
"""

import contextlib
import os
import select
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from messages.mailroom.port import MailroomError

WAKE_FILE = "firm.wake"
LOOK_INTERVAL_MS = 200


def ring(home: Path) -> None:
    """Wake the daemon, if one listens."""
    try:
        descriptor = os.open(home / WAKE_FILE, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return  # no daemon listens; it looks into the letterbox when it starts
    try:
        os.write(descriptor, b".")
    except BlockingIOError:
        return  # the pipe is full of wake-ups
    except OSError:
        return  # the daemon went away in between
    finally:
        os.close(descriptor)


class Listener:
    """A thread that calls `wake` when the bell rings or the change mark moves.

    Args:
        home: FIRM_HOME, where the FIFO lies.
        change_mark: Cheap; None: not to be had just now, look again later.
        wake: Called from the thread.
        failed: Called when `wake` raised: from then on nobody listens.
    """

    def __init__(
        self,
        home: Path,
        *,
        change_mark: Callable[[], Any],
        wake: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._change_mark = change_mark
        self._wake = wake
        self._failed = failed
        self._stopping = threading.Event()
        self._open = threading.Lock()
        self._closed = False
        self._own_read, self._own_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._fifo = _open_fifo(home / WAKE_FILE)
        self._thread = threading.Thread(target=self._run, name="mailroom-wake", daemon=True)
        self._thread.start()

    def nudge(self) -> None:
        """Call `wake` from the thread, soon."""
        with self._open, contextlib.suppress(BlockingIOError):
            if not self._closed:
                os.write(self._own_write, b".")

    def close(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        self.nudge()
        self._thread.join()
        with self._open:
            for descriptor in (self._own_read, self._own_write, self._fifo):
                if descriptor is not None and not self._closed:
                    os.close(descriptor)
            self._closed = True

    def _run(self) -> None:
        try:
            self._listen()
        except MailroomError as error:
            self._failed(error)
        except BaseException as error:
            self._failed(error)
            raise

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._own_read, select.POLLIN)
        if self._fifo is not None:
            poll.register(self._fifo, select.POLLIN)
        seen = None
        while not self._stopping.is_set():
            rung = poll.poll(LOOK_INTERVAL_MS)
            for descriptor, _ in rung:
                with contextlib.suppress(BlockingIOError):
                    os.read(descriptor, 4096)
            if self._stopping.is_set():
                return
            mark = self._change_mark()
            if rung or (mark is not None and mark != seen):
                seen = mark if mark is not None else seen
                self._wake()


def _open_fifo(path: Path) -> int | None:
    """Open the FIFO for reading and writing, so that it never comes to an end; None where there can't be one."""
    try:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        if not stat.S_ISFIFO(path.stat().st_mode):
            return None
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
