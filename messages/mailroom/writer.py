"""The pipelined writer: order at once, durability in prefixes.

Whoever records gets numbers in memory, under one lock, and goes on. What was recorded waits in a list of units. Whoever
needs durability commits the whole list in one transaction, for itself and for everybody before it, so that there is no
hand-over between threads on the way to a POST. What nobody waits for is committed by a thread of the writer's once it
is quiet, or after four times `lazy_commit_ms`. A crash therefore loses a suffix of the units, never a hole.

Each commit first moves the store's head on, *if the epoch is still ours*: a stale writer commits nothing.

Locks, in this order: the database's (one transaction or read at a time), then the writer's own (numbers, pending list).
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from messages.mailroom.chain import digest
from messages.mailroom.database import Database
from messages.mailroom.port import MailroomError, StoreUnavailable
from messages.mailroom.rows import MailRow
from messages.mailroom.units import Batch, Head, Unit

UNITS_A_COMMIT = 2_000
"""The most that one transaction holds."""
KNOWN_DOCUMENTS = 10_000
"""How many ids of stored documents are remembered."""
QUIET_FRACTION = 0.2
"""Of `lazy_commit_ms`: what nobody waits for is committed once nothing was recorded for this long."""
LONGEST_DELAYS = 4
"""Times `lazy_commit_ms`: it is committed then however busy it is."""
PENDING_LIMIT = 10_000
"""Whoever records past this many waiting units commits them first."""


class Writer:
    """Numbers, pending units and commits. One a store.

    Attributes:
        lock: The numbers' lock; hold it from reading `last_seq` until `append`.
        last_seq: Highest number given.
        handled_seq: Last place in the chain given.
        durable_seq: Highest number committed.
    """

    def __init__(
        self,
        database: Database,
        *,
        epoch: int,
        head: Head,
        waiting: Iterable[MailRow],
        lazy_commit_ms: int,
    ) -> None:
        self.lock = threading.RLock()
        self.last_seq = head.last_seq
        self.handled_seq = head.handled_seq
        self.durable_seq = head.last_seq
        self._database = database
        self._epoch = epoch
        self._head = head
        self._digests = {row.seq: digest(row) for row in waiting}
        self._known_documents: set[str] = set()
        self._committed: Callable[[list[Unit]], None] = lambda _units: None
        self._pending: list[Unit] = []
        self._appended = 0
        self._written = 0
        self._pending_since_s = 0.0
        self._last_append_s = 0.0
        self._failure: MailroomError | None = None
        self._untold: MailroomError | None = None
        self._tells: list[Callable[[BaseException], None]] = []
        self._closing = False
        self._stirred = threading.Condition(self.lock)
        self._lazy_commit_s = lazy_commit_ms / 1000
        self._thread = threading.Thread(target=self._commit_lazily, name="mailroom-writer", daemon=True)
        self._thread.start()

    def after_commit(self, call: Callable[[list[Unit]], None]) -> None:
        """Call this after each commit, with the database's lock held."""
        self._committed = call

    def check(self) -> None:
        """Raise if nothing can be written any more.

        Raises:
            LeaseLost: Somebody else has the account.
            StoreUnavailable: A commit failed, or the mailroom is closed.
        """
        if self._failure is not None:
            raise type(self._failure)(str(self._failure)) from self._failure

    def append(self, unit: Unit, *, last_seq: int) -> None:
        """Add a unit; the caller holds `lock` and has numbered it from `last_seq` on."""
        if not self._pending:
            self._pending_since_s = time.monotonic()
            self._stirred.notify()
        self._last_append_s = time.monotonic()
        self._pending.append(unit)
        self._appended += 1
        self.last_seq = last_seq
        if unit.handled is not None:
            self.handled_seq = unit.handled.handled_seq

    @property
    def is_full(self) -> bool:
        """Too much waits: commit before recording more."""
        return len(self._pending) >= PENDING_LIMIT

    def ensure_durable(self, seq: int) -> None:
        """Return when everything up to and including mail `seq` is committed."""
        self.check()
        if seq <= self.durable_seq:
            return
        if seq > self.last_seq:
            raise AssertionError(f"expected a seq up to {self.last_seq}, was {seq}")
        with self._telling(), self._database.lock:
            while seq > self.durable_seq:
                self._commit()

    def flush(self) -> None:
        """Return when everything recorded before the call is committed."""
        with self._telling(), self._database.lock:
            self.check()
            target = self._appended
            while self._written < target:
                self._commit()

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Hold everything still with nothing pending: what is read inside is all there is."""
        with self._telling(), self._database.lock:
            self.flush()
            with self.lock:
                while self._pending:
                    self._commit()
                yield

    def on_failure(self, tell: Callable[[BaseException], None]) -> None:
        """Call `tell` once when writing has become impossible; at once if it has."""
        with self.lock:
            failure = self._failure
            if failure is None:
                self._tells.append(tell)
        if failure is not None:
            tell(failure)

    def give_up(self, error: BaseException) -> None:
        """Commit nothing any more: something that the mailroom can't do without has died."""
        with self._telling():
            self._fail(StoreUnavailable(f"the mailroom can't go on: {type(error).__name__}: {error}"))

    def close(self) -> None:
        """Flush and stop.

        Raises:
            MailroomError: What was still waiting could not be committed.
        """
        try:
            if self._failure is None:
                self.flush()
        finally:
            with self.lock:
                self._closing = True
                if self._failure is None:
                    self._failure = StoreUnavailable("the mailroom is closed")
                self._stirred.notify_all()
            if threading.current_thread() is not self._thread:
                self._thread.join()

    def _commit(self) -> None:
        """Commit the oldest pending units; the caller holds the database's lock."""
        with self.lock:
            self.check()
            units = self._pending[:UNITS_A_COMMIT]
            del self._pending[:UNITS_A_COMMIT]
        if not units:
            return
        try:
            head = self._write(units)
        except MailroomError as error:
            self._fail(error)
            self.check()
        except BaseException as error:
            self._fail(StoreUnavailable(f"the writer died: {type(error).__name__}: {error}"))
            raise
        else:
            self._head = head
            self._written += len(units)
            self._committed(units)
            self.durable_seq = head.last_seq

    def _write(self, units: list[Unit]) -> Head:
        batch = Batch(self._head, self._digests)
        for unit in units:
            batch.add(unit)
        new_documents = {name: text for name, text in batch.documents.items() if name not in self._known_documents}
        self._database.transact(lambda database: batch.write(database, self._epoch, new_documents))
        if len(self._known_documents) > KNOWN_DOCUMENTS:
            self._known_documents.clear()  # only a memory of what need not be written again
        self._known_documents.update(new_documents)
        return batch.head

    def _fail(self, error: MailroomError) -> None:
        with self.lock:
            if self._failure is None:
                self._failure = self._untold = error
            self._stirred.notify_all()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell of a failure once no lock of ours is held any more."""
        try:
            yield
        finally:
            if self._untold is not None:
                with self.lock:
                    error, self._untold = self._untold, None
                    tells, self._tells = self._tells, []
                for tell in tells:
                    tell(error)

    def _commit_lazily(self) -> None:
        while self._wait_until_overdue():
            with suppress(MailroomError), self._telling(), self._database.lock:
                self._commit()  # a failure is told through on_failure, and to everybody who waits

    def _wait_until_overdue(self) -> bool:
        """Wait until what is pending has been left alone for a while, or waits too long; False: stop.

        A burst is left to whoever needs it durable: a commit in its midst would only hold its threads up.
        """
        with self.lock:
            while not self._closing and self._failure is None:
                if not self._pending:
                    self._stirred.wait()
                    continue
                now_s = time.monotonic()
                quiet_at_s = self._last_append_s + self._lazy_commit_s * QUIET_FRACTION
                left_s = min(quiet_at_s, self._pending_since_s + self._lazy_commit_s * LONGEST_DELAYS) - now_s
                if left_s <= 0:
                    return True
                self._stirred.wait(left_s)
        return False
