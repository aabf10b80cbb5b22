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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from messages.mailroom.chain import digest, link
from messages.mailroom.database import Database
from messages.mailroom.port import LeaseLost, MailroomError, StoreUnavailable
from messages.mailroom.rows import MailRow

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


@dataclass(frozen=True, slots=True)
class HandledMark:
    """A row is handled: its place in the chain and the inputs of the fold."""

    seq: int
    handled_seq: int
    handled_at: str
    settings_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is committed together or not at all. `named_runs`: runs that mail here names for the first time."""

    mail: tuple[MailRow, ...] = ()
    documents: Mapping[str, str] = field(default_factory=dict)
    handled: HandledMark | None = None
    opens_run: Mapping[str, Any] | None = None
    closes_run: Mapping[str, Any] | None = None
    named_runs: tuple[tuple[str, int], ...] = ()
    letter: tuple[int, int] | None = None
    aside: tuple[int, str] | None = None
    attempt_of: int | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """Where the journal ends.

    Attributes:
        last_seq: The highest number given to mail, 0 in an empty journal.
        handled_seq: Length of the chain.
        chain: Its last link.
    """

    last_seq: int
    handled_seq: int
    chain: str


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
        committed: Callable[[list[Unit]], None],
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
        self._committed = committed
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
        batch = _Batch(self._head, self._digests)
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


class _Batch:
    """Some units made ready for one transaction: rows with their marks, links in order."""

    def __init__(self, head: Head, digests: dict[int, str]) -> None:
        self.documents: dict[str, str] = {}
        self._last_seq = head.last_seq
        self._handled_seq = head.handled_seq
        self._chain = head.chain
        self._digests = digests
        self._mail: dict[int, MailRow] = {}
        self._marks: list[Mapping[str, Any]] = []
        self._named: list[Mapping[str, Any]] = []
        self._opened: list[Mapping[str, Any]] = []
        self._closed: list[Mapping[str, Any]] = []
        self._letters: list[Mapping[str, Any]] = []
        self._aside: list[Mapping[str, Any]] = []
        self._attempts: list[Mapping[str, Any]] = []

    @property
    def head(self) -> Head:
        """The journal's end after this batch."""
        return Head(self._last_seq, self._handled_seq, self._chain)

    def add(self, unit: Unit) -> None:
        """Take one more unit, in order."""
        for row in unit.mail:
            self._mail[row.seq] = row
            self._digests[row.seq] = digest(row)
            self._last_seq = row.seq
        self.documents.update(unit.documents)
        if unit.handled is not None:
            self._add_link(unit.handled, unit.mail)
        self._named += [{"arg_run_id": run_id, "arg_first_seq": seq} for run_id, seq in unit.named_runs]
        if unit.opens_run is not None:
            self._opened.append(unit.opens_run)
        if unit.closes_run is not None:
            self._closed.append(unit.closes_run)
        if unit.letter is not None:
            self._letters.append({"arg_number": unit.letter[0], "arg_imported_seq": unit.letter[1]})
        if unit.aside is not None:
            self._digests.pop(unit.aside[0], None)
            self._aside.append({"arg_seq": unit.aside[0], "arg_reason": unit.aside[1]})
        if unit.attempt_of is not None:
            self._attempts.append({"arg_seq": unit.attempt_of})

    def write(self, database: Database, epoch: int, documents: Mapping[str, str]) -> None:
        """Write it all; the epoch first.

        Raises:
            LeaseLost: The store's epoch is not ours.
        """
        head = self.head
        moved = database.run(
            "advance",
            {
                "arg_epoch": epoch,
                "arg_last_seq": head.last_seq,
                "arg_handled_seq": head.handled_seq,
                "arg_chain": head.chain,
            },
        )
        if moved != 1:
            lose_lease(epoch)
        database.run_many("insert_document", [{"id": name, "body": text} for name, text in documents.items()])
        database.run_many("insert_mail", [row._asdict() for row in self._mail.values()])
        database.run_many("mark_handled", self._marks)
        database.run_many("name_run", self._named)
        database.run_many("open_run", self._opened)
        database.run_many("close_run", self._closed)
        database.run_many("mark_letter", self._letters)
        database.run_many("put_aside", self._aside)
        database.run_many("count_attempt", self._attempts)

    def _add_link(self, mark: HandledMark, outgoing: tuple[MailRow, ...]) -> None:
        self._chain = link(
            self._chain,
            handled_seq=mark.handled_seq,
            handled_at=mark.handled_at,
            settings_sha256=mark.settings_sha256,
            handled=self._digests.pop(mark.seq),
            outgoing=[self._digests[row.seq] for row in outgoing],
        )
        self._handled_seq = mark.handled_seq
        row = self._mail.get(mark.seq)
        if row is None:
            self._marks.append(
                {
                    "arg_seq": mark.seq,
                    "arg_handled_seq": mark.handled_seq,
                    "arg_handled_at": mark.handled_at,
                    "arg_settings_sha256": mark.settings_sha256,
                    "arg_chain": self._chain,
                }
            )
        else:
            self._mail[mark.seq] = row._replace(
                handled_seq=mark.handled_seq,
                handled_at=mark.handled_at,
                settings_sha256=mark.settings_sha256,
                chain=self._chain,
            )


def lose_lease(epoch: int) -> NoReturn:
    """Say that somebody else has the account.

    Raises:
        LeaseLost: Always.
    """
    raise LeaseLost(f"expected epoch {epoch} in the store: another daemon has taken the account over")
