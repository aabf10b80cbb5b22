"""A mailroom in memory that keeps the promises of the real one; `crash` takes back what was not durable.

It holds messages as objects (they are frozen) and commits only when somebody asks for durability or reads an inbox, so
a simulation chooses itself what a crash loses. The contract tests run against this and the SQL mailroom alike.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from messages.control import AbortRun, DeadLetter, ResumeTrading, state_after
from messages.envelope import Envelope, Outgoing
from messages.mailroom.port import (
    Counter,
    DoorFacts,
    HandledMail,
    LeaseHeld,
    LeaseLost,
    Mailroom,
    MailroomError,
    RunRow,
    StoreUnavailable,
)
from messages.message import Message
from messages.orders import GateOpened
from messages.plans import SubmitPlan
from messages.values import AccountName, Recipient, RunId, TradingState, sha256_hex

PAPER = AccountName("paper")


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeUnit:
    """What becomes durable together or not at all."""

    mail: tuple[Envelope, ...] = ()
    handled: HandledMail | None = None
    opens: RunRow | None = None
    opened_by: int | None = None
    closes: tuple[RunId, str, datetime] | None = None
    settings: tuple[str, str] | None = None
    letter: str | None = None
    aside: tuple[int, str] | None = None
    attempt_of: int | None = None


@dataclass
class FakeStore:
    """What is durable."""

    account: AccountName
    epoch: int = 0
    holder: str | None = None
    mail: dict[int, Envelope] = field(default_factory=dict)
    handled: list[HandledMail] = field(default_factory=list)
    handled_seqs: set[int] = field(default_factory=set)
    aside: dict[int, str] = field(default_factory=dict)
    runs: dict[RunId, RunRow] = field(default_factory=dict)
    opened_by: dict[RunId, int] = field(default_factory=dict)
    closed: set[RunId] = field(default_factory=set)
    settings: dict[str, str] = field(default_factory=dict)
    letters: dict[str, Envelope] = field(default_factory=dict)
    imported: set[str] = field(default_factory=set)
    wake: Callable[[], None] | None = None
    broken: bool = False

    def apply(self, unit: FakeUnit) -> None:
        """Make a unit durable."""
        for envelope in unit.mail:
            self.mail[envelope.seq] = envelope
        if unit.handled is not None:
            self.handled.append(unit.handled)
            self.handled_seqs.add(unit.handled.envelope.seq)
        if unit.opens is not None and unit.opened_by is not None:
            self.runs[unit.opens.run_id] = unit.opens
            self.opened_by[unit.opens.run_id] = unit.opened_by
        if unit.closes is not None:
            run_id, outcome, at = unit.closes
            if run_id not in self.closed and run_id in self.runs:
                self.runs[run_id] = replace(self.runs[run_id], closed_at=at, outcome=outcome)
            self.closed.add(run_id)
        if unit.settings is not None:
            self.settings[unit.settings[0]] = unit.settings[1]
        if unit.letter is not None:
            self.imported.add(unit.letter)
        if unit.aside is not None:
            self.aside[unit.aside[0]] = unit.aside[1]
        if unit.attempt_of is not None:
            before = self.mail[unit.attempt_of]
            self.mail[unit.attempt_of] = replace(before, attempts=before.attempts + 1)

    def new_letters(self) -> list[Envelope]:
        """Letters that are not imported, oldest first."""
        return [letter for message_id, letter in self.letters.items() if message_id not in self.imported]

    def unhandled_letters(self) -> list[Envelope]:
        """Letters that are not imported, or lie in an inbox, oldest first."""
        waiting = {self.mail[seq].message_id for seq in self.waiting()}
        return [
            letter
            for message_id, letter in self.letters.items()
            if message_id not in self.imported or message_id in waiting
        ]

    def as_stored(self, row: HandledMail) -> HandledMail:
        """With the attempts that were counted, as the journal's rows show them."""
        outgoing = tuple(self.mail[envelope.seq] for envelope in row.outgoing)
        return replace(row, envelope=self.mail[row.envelope.seq], outgoing=outgoing)

    def waiting(self) -> list[int]:
        """Mail that is neither handled nor put aside."""
        return [seq for seq in sorted(self.mail) if seq not in self.handled_seqs and seq not in self.aside]


class FakeMailroom(Mailroom):
    """See `messages.mailroom.port.Mailroom`."""

    def __init__(self, account: AccountName = PAPER, *, store: FakeStore | None = None) -> None:
        self.store = FakeStore(account) if store is None else store
        if self.store.account != account:
            raise StoreUnavailable(f"expected a store of {account!r}, was one of {self.store.account!r}")
        if self.store.holder is not None:
            raise LeaseHeld(f"expected the store to be free, is held by {self.store.holder}")
        self.store.epoch += 1
        self.store.holder = f"fake {self.store.epoch}"
        self.quarantined: tuple[RunId, ...] = ()
        self._epoch = self.store.epoch
        self._lock = threading.RLock()
        self._pending: list[FakeUnit] = []
        self._inbox = set(self.store.waiting())
        self._last_seq = max(self.store.mail, default=0)
        self._last_handled = len(self.store.handled)
        self._message_ids = {envelope.message_id: envelope.seq for envelope in self.store.mail.values()}
        self._taken = set(self.store.imported)
        self._opened = {*self.store.runs, *self.store.closed}
        self._settings: dict[str, str] = {}
        self._failure: MailroomError | None = None
        self._tells: list[Callable[[BaseException], None]] = []

    @property
    def account(self) -> AccountName:
        return self.store.account

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def pending_units(self) -> int:
        """How many recorded units are not durable yet."""
        return len(self._pending)

    def crash(self, keep_units: int = 0) -> "FakeMailroom":
        """Die as with SIGKILL and come back: of what was pending only the first `keep_units` units were committed."""
        with self._lock:
            for unit in self._pending[:keep_units]:
                self.store.apply(unit)
            self._pending = []
            self._failure = StoreUnavailable("the mailroom has crashed")
            self.store.holder = None
            self.store.wake = None
        return FakeMailroom(self.store.account, store=self.store)

    def counter(self) -> "FakeCounter":
        """The public's side of the same store."""
        return FakeCounter(self.store)

    def record(
        self,
        *,
        handled: Envelope,
        at: datetime,
        settings_sha256: str,
        outgoing: Sequence[Outgoing],
        closes_run: tuple[RunId, str] | None = None,
        opens_run: tuple[RunId, str, str] | None = None,
    ) -> tuple[Envelope, ...]:
        _aware(at)
        with self._lock:
            self._check()
            self._check_waiting(handled.seq)
            if settings_sha256 not in self._settings:
                raise AssertionError(f"expected settings that are remembered, were {settings_sha256!r}")
            if opens_run is not None and opens_run[0] in self._opened:
                raise AssertionError(f"expected run {opens_run[0]} to be opened once")
            envelopes = tuple(
                Envelope(
                    seq=self._last_seq + 1 + position,
                    message_id=f"{handled.seq}.{position}",
                    sender=handled.recipient.value,
                    recipient=mail.recipient,
                    sent_at=at,
                    message=mail.message,
                    causation_id=handled.seq,
                    position=position,
                    due_at=mail.due_at,
                )
                for position, mail in enumerate(outgoing)
            )
            self._last_handled += 1
            self._opened |= {run[0] for run in (opens_run, closes_run) if run is not None}
            self._append(
                FakeUnit(
                    mail=envelopes,
                    handled=HandledMail(
                        envelope=replace(handled, redelivered=False),
                        handled_seq=self._last_handled,
                        handled_at=at,
                        settings_sha256=settings_sha256,
                        outgoing=envelopes,
                    ),
                    opens=None if opens_run is None else _opened_row(opens_run, at),
                    opened_by=handled.seq,
                    closes=None if closes_run is None else (*closes_run, at),
                )
            )
            self._inbox.discard(handled.seq)
        return envelopes

    def receive(
        self, *, sender: str, recipient: Recipient, message: Message, at: datetime, message_id: str | None = None
    ) -> Envelope | None:
        _aware(at)
        with self._lock:
            self._check()
            if message_id in self._message_ids:
                return None
            return self._post(sender=sender, recipient=recipient, message=message, at=at, message_id=message_id)

    def import_letters(self, at: datetime) -> tuple[Envelope, ...]:
        _aware(at)
        imported: list[Envelope] = []
        with self._lock:
            self._check()
            for letter in self.store.new_letters():
                if letter.message_id in self._taken:
                    continue
                self._taken.add(letter.message_id)
                if letter.message_id in self._message_ids:
                    self._append(FakeUnit(letter=letter.message_id))
                    continue
                imported.append(
                    self._post(
                        sender=letter.sender,
                        recipient=letter.recipient,
                        message=letter.message,
                        at=letter.sent_at,
                        message_id=letter.message_id,
                        letter=letter.message_id,
                    )
                )
        return tuple(imported)

    def ensure_durable(self, seq: int) -> None:
        with self._lock:
            self._check()
            if seq > self._last_seq:
                raise AssertionError(f"expected a seq up to {self._last_seq}, was {seq}")
            if seq not in self.store.mail:
                self._commit()

    def flush(self) -> None:
        with self._lock:
            self._check()
            self._commit()

    def unhandled(self, recipient: Recipient) -> tuple[Envelope, ...]:
        with self._lock:
            self.flush()
            rows = (self.store.mail[seq] for seq in self.store.waiting())
            return tuple(replace(row, redelivered=True) for row in rows if row.recipient == recipient)

    def handled(self, recipient: Recipient) -> Iterator[HandledMail]:
        with self._lock:
            self.flush()
            rows = [
                self.store.as_stored(row)
                for row in self.store.handled
                if row.envelope.recipient == recipient
                and row.envelope.seq not in self.store.aside
                and row.envelope.correlation_id not in self.store.closed
            ]
        yield from rows

    def count_attempt(self, envelope: Envelope) -> int:
        with self._lock:
            self._check()
            self._check_waiting(envelope.seq)
            self._append(FakeUnit(attempt_of=envelope.seq))
            self._commit()
            return self.store.mail[envelope.seq].attempts

    def dead_letter(self, envelope: Envelope, *, reason: str, at: datetime) -> Envelope:
        _aware(at)
        with self._lock:
            self._check()
            self._check_waiting(envelope.seq)
            self._inbox.discard(envelope.seq)
            notice = DeadLetter(
                dead_seq=envelope.seq,
                recipient=envelope.recipient.value,
                message_type=type(envelope.message).__name__,
                about_run=envelope.correlation_id,
                reason=reason,
            )
            return self._post(
                sender="mailroom",
                recipient=Recipient.EXECUTIVE,
                message=notice,
                at=at,
                message_id=f"dead.{envelope.seq}",
                aside=(envelope.seq, reason),
            )

    def remember_settings(self, sha256: str, document: str) -> None:
        if sha256_hex(document.encode()) != sha256:
            raise AssertionError(f"expected a document with the hash {sha256}")
        with self._lock:
            self._check()
            if sha256 not in self._settings:
                self._settings[sha256] = document
                self._append(FakeUnit(settings=(sha256, document)))

    def settings_document(self, sha256: str) -> str:
        with self._lock:
            return self._settings[sha256] if sha256 in self._settings else self.store.settings[sha256]

    def last_settings(self) -> str | None:
        with self._lock:
            self.flush()
            handled = self.store.handled
            return self.settings_document(handled[-1].settings_sha256) if handled else None

    def door(self, *, run_id: RunId, call_seq: int) -> DoorFacts:
        with self._lock:
            store = self.store
            self._check_broken()
            pending = [envelope.message for unit in self._pending for envelope in unit.mail]
            of_run = [mail for mail in store.mail.values() if mail.correlation_id == run_id]
            whole = [mail for mail in of_run if mail.seq not in store.aside]
            plans = [mail for mail in whole if isinstance(mail.message, SubmitPlan)]
            opener = [mail for mail in plans if mail.seq == store.opened_by.get(run_id)]
            gates = [mail for mail in whole if isinstance(mail.message, GateOpened)]
            asked = [*of_run, *store.new_letters()]
            return DoorFacts(
                epoch=store.epoch,
                trading=state_after([word for word in pending if not isinstance(word, ResumeTrading)], _trading(store)),
                abort_asked=any(_aborts(message, run_id) for message in [*(mail.message for mail in asked), *pending]),
                run_closed=run_id in store.closed,
                approval=_evidence([*opener, *plans][:1]),
                gate=_evidence(gates[-1:]),
                call_committed=call_seq in store.mail,
            )

    def on_letter(self, wake: Callable[[], None]) -> None:
        self.store.wake = wake

    def on_failure(self, tell: Callable[[BaseException], None]) -> None:
        with self._lock:
            if self._failure is None:
                self._tells.append(tell)
                return
        tell(self._failure)

    def close(self) -> None:
        with self._lock:
            if self._failure is None:
                self._commit()
                self._failure = StoreUnavailable("the mailroom is closed")
                self.store.holder = None
                self.store.wake = None

    def _post(
        self,
        *,
        sender: str,
        recipient: Recipient,
        message: Message,
        at: datetime,
        message_id: str | None,
        letter: str | None = None,
        aside: tuple[int, str] | None = None,
    ) -> Envelope:
        seq = self._last_seq + 1
        envelope = Envelope(
            seq=seq,
            message_id=f"@{seq}" if message_id is None else message_id,
            sender=sender,
            recipient=recipient,
            sent_at=at,
            message=message,
        )
        self._append(FakeUnit(mail=(envelope,), letter=letter, aside=aside))
        return envelope

    def _append(self, unit: FakeUnit) -> None:
        for envelope in unit.mail:
            self._inbox.add(envelope.seq)
            self._last_seq = envelope.seq
            if envelope.causation_id is None:
                self._message_ids[envelope.message_id] = envelope.seq
        self._pending.append(unit)

    def _commit(self) -> None:
        failure: MailroomError | None = None
        if self.store.broken:
            failure = StoreUnavailable("the store is broken")
        elif self.store.epoch != self._epoch:
            failure = LeaseLost(f"expected epoch {self._epoch} in the store, was {self.store.epoch}")
        if failure is None:
            for unit in self._pending:
                self.store.apply(unit)
            self._pending = []
        elif self._pending:
            self._failure = failure
            tells, self._tells = self._tells, []
            for tell in tells:
                tell(failure)
            raise failure

    def _check(self) -> None:
        if self._failure is not None:
            raise type(self._failure)(str(self._failure)) from self._failure

    def _check_broken(self) -> None:
        if self.store.broken:
            raise StoreUnavailable("the store is broken")

    def _check_waiting(self, seq: int) -> None:
        if seq not in self._inbox:
            raise AssertionError(f"expected mail {seq} to be waiting, is unknown or handled already")


class FakeCounter(Counter):
    """See `messages.mailroom.port.Counter`."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store

    def post(self, *, message_id: str, recipient: Recipient, message: Message, at: datetime) -> bool:
        _aware(at)
        if self._store.broken:
            raise StoreUnavailable("the store is broken")
        if message_id in self._store.letters:
            return False
        self._store.letters[message_id] = Envelope(
            seq=len(self._store.letters) + 1,
            message_id=message_id,
            sender="operator",
            recipient=recipient,
            sent_at=at,
            message=message,
        )
        if self._store.wake is not None:
            self._store.wake()
        return True

    def letters(self) -> tuple[Envelope, ...]:
        return tuple(self._store.unhandled_letters())

    def runs(self) -> tuple[RunRow, ...]:
        opened = self._store.opened_by
        return tuple(sorted(self._store.runs.values(), key=lambda row: (row.opened_at, opened[row.run_id])))

    def history(self, recipient: Recipient, *, run_id: RunId | None, after: int = 0) -> Iterator[HandledMail]:
        for row in tuple(self._store.handled):
            envelope = row.envelope
            asked = (envelope.recipient, envelope.correlation_id) == (recipient, run_id) and row.handled_seq > after
            if asked and envelope.seq not in self._store.aside:
                yield self._store.as_stored(row)

    def dead_letters(self) -> tuple[tuple[Envelope | None, str], ...]:
        return tuple((self._store.mail[seq], reason) for seq, reason in sorted(self._store.aside.items()))

    def settings_document(self, sha256: str) -> str:
        return self._store.settings[sha256]

    def holder(self) -> str | None:
        return self._store.holder

    def verify_chain(self) -> int:
        return len(self._store.handled)

    def close(self) -> None:
        """Nothing is held open."""


def _aware(at: datetime) -> None:
    if at.tzinfo is None:
        raise ValueError(f"expected an aware time, was {at.isoformat()}")


def _opened_row(opens_run: tuple[RunId, str, str], at: datetime) -> RunRow:
    run_id, plan_id, plan_sha256 = opens_run
    return RunRow(run_id=run_id, plan_id=plan_id, plan_sha256=plan_sha256, opened_at=at, closed_at=None, outcome=None)


def _trading(store: FakeStore) -> TradingState:
    """What the words in the journal say, and then the letters; a resume that was put aside says nothing."""
    journal = (
        mail.message
        for seq, mail in sorted(store.mail.items())
        if not (isinstance(mail.message, ResumeTrading) and seq in store.aside)
    )
    return state_after((letter.message for letter in store.new_letters()), state_after(journal))


def _evidence(found: list[Envelope]) -> Envelope | None:
    """What the door shows; how often it was taken up is not part of it."""
    return replace(found[0], attempts=0) if found else None


def _aborts(message: Message, run_id: RunId) -> bool:
    return isinstance(message, AbortRun) and message.run_id == run_id
