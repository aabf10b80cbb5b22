"""The lease of an account on one machine: an operating-system lock on a file in FIRM_HOME.

The lock belongs to the open file, so it is free the moment its holder dies, however it dies. What stands in the file is
only there to be read by people. The epoch in the store is the fence behind it (see `writer.py`).
"""

import fcntl
import os
import socket
import time
from datetime import datetime
from pathlib import Path

from messages.mailroom.connect import make_folder
from messages.mailroom.port import LeaseHeld, StoreUnavailable
from messages.mailroom.rows import stamp

LEASE_FILE = "firm.lease"
PROBES_LAST_S = 0.25
"""`holder` tries the lock for an instant; whoever wants the lease looks again for this long, seconds."""


class Lease:
    """A held lease."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, home: Path, *, at: datetime) -> "Lease":
        """Take the lease.

        Raises:
            LeaseHeld: Another process has it; the text names it.
            StoreUnavailable: The file can't be made.
        """
        make_folder(home)
        path = home / LEASE_FILE
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"{path}: {error.strerror}") from error
        deadline = time.monotonic() + PROBES_LAST_S
        while not _try_lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                held_by = _read(descriptor)
                os.close(descriptor)
                raise LeaseHeld(f"expected {home} to be free, is held by {held_by}")
            time.sleep(0.005)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()} since {stamp(at)}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def holder(home: Path) -> str | None:
    """Say who holds the lease (pid, host, since), None if nobody does. Takes the lock for an instant to find out.

    Raises:
        StoreUnavailable: The file can't be read.
    """
    path = home / LEASE_FILE
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from error
    try:
        return None if _try_lock(descriptor, fcntl.LOCK_SH) else _read(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> str:
    return os.pread(descriptor, 500, 0).decode(errors="replace").strip() or "a process that hasn't said its name yet"
