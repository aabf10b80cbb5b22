"""The daemon's mailroom over a SQL store. See `port.Mailroom` for what it promises, `writer.py` for how."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from messages.codec import Encoded, Undecodable, encode
from messages.control import AbortRun, DeadLetter, HaltTrading
from messages.envelope import Envelope, Outgoing
from messages.mailroom.connect import open_store
from messages.mailroom.database import Database
from messages.mailroom.founding import Start, start
from messages.mailroom.journal import Journal
from messages.mailroom.lease import Lease
from messages.mailroom.port import DoorFacts, HandledMail
from messages.mailroom.rows import LetterRow, MailRow, derived_id, mail_row, stamp
from messages.mailroom.wake import Listener
from messages.mailroom.writer import HandledMark, Unit, Writer
from messages.message import Message, RunMessage
from messages.values import AccountName, Recipient, RunId, sha256_hex

OWN_NAME = "mailroom"
"""The sender of dead letters."""


class SqlMailroom:
    """The mailroom of one account.

    Attributes:
        quarantined: Runs whose mail had to be quarantined when the store was opened: the firm must hold them.
    """

    def __init__(
        self,
        *,
        account: AccountName,
        home: Path,
        now: Callable[[], datetime],
        lease: Lease,
        database: Database,
        journal: Journal,
        begin: Start,
        lazy_commit_ms: int,
    ) -> None:
        self.quarantined = begin.quarantined
        self._account = account
        self._home = home
        self._now = now
        self._lease = lease
        self._database = database
        self._journal = journal
        self._epoch = begin.epoch
        self._inbox = {row.seq for row in begin.waiting}
        self._named_runs = set(begin.run_ids)
        self._opened_runs = set(begin.opened)
        self._settings: dict[str, str] = {}
        self._uncommitted_ids: dict[str, int] = {}
        self._uncommitted_stops: dict[int, Message] = {}
        self._own_mail: list[Envelope] = []
        self._listener: Listener | None = None
        self._closing = threading.Lock()
        self._writer = Writer(
            database,
            epoch=begin.epoch,
            head=begin.head,
            waiting=begin.waiting,
            lazy_commit_ms=lazy_commit_ms,
            committed=self._forget_uncommitted,
        )

    @classmethod
    def open(
        cls,
        *,
        url: str,
        home: Path,
        account: AccountName,
        now: Callable[[], datetime],
        lazy_commit_ms: int = 50,
        patience_s: float = 10.0,
    ) -> "SqlMailroom":
        """Take the lease and the store.

        Args:
            url: SQLAlchemy URL of the store.
            home: FIRM_HOME: the lease and the wake-up pipe lie here.
            account: Whose store it must be.
            now: The store's clock, aware.
            lazy_commit_ms: What nobody waits for is committed after so long.
            patience_s: How long other processes may keep the store busy before the writer gives up.

        Raises:
            LeaseHeld: Another daemon holds the account.
            StoreUnavailable: The store can't be opened.
        """
        lease = Lease.take(home, at=now())
        try:
            database = open_store(url, account=account, patience_s=patience_s)
            try:
                journal = Journal(database)
                begin = start(database, journal, at=now())
                return cls(
                    account=account,
                    home=home,
                    now=now,
                    lease=lease,
                    database=database,
                    journal=journal,
                    begin=begin,
                    lazy_commit_ms=lazy_commit_ms,
                )
            except BaseException:
                database.close()
                raise
        except BaseException:
            lease.release()
            raise

    @property
    def account(self) -> AccountName:
        """The account this mailroom writes for."""
        return self._account

    @property
    def epoch(self) -> int:
        """Our fencing token."""
        return self._epoch

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
        """See `port.Mailroom.record`."""
        encoded = [encode(mail.message) for mail in outgoing]
        handled_at = stamp(at)
        self._make_room()
        writer = self._writer
        with writer.lock:
            writer.check()
            if handled.seq not in self._inbox:
                raise AssertionError(f"expected mail {handled.seq} to be waiting, is unknown or handled already")
            if settings_sha256 not in self._settings:
                raise AssertionError(f"expected settings that are remembered, were {settings_sha256!r}")
            sender = handled.recipient.value
            envelopes = tuple(
                Envelope(
                    seq=seq,
                    message_id=f"{handled.seq}.{position}",
                    sender=sender,
                    recipient=mail.recipient,
                    sent_at=at,
                    message=mail.message,
                    causation_id=handled.seq,
                    position=position,
                    due_at=mail.due_at,
                )
                for position, (seq, mail) in enumerate(zip(range(writer.last_seq + 1, 1 << 62), outgoing))  # noqa: B905 - the numbers never end
            )
            unit = Unit(
                mail=tuple(
                    mail_row(envelope, words, message_id=None)
                    for envelope, words in zip(envelopes, encoded, strict=True)
                ),
                documents=_documents(encoded),
                handled=HandledMark(handled.seq, writer.handled_seq + 1, handled_at, settings_sha256),
                opens_run=None if opens_run is None else self._opening(opens_run, handled.seq, handled_at),
                closes_run=None if closes_run is None else _closing(closes_run, handled_at),
                named_runs=self._newly_named(
                    envelopes, [run[0] for run in (opens_run, closes_run) if run is not None], handled.seq
                ),
            )
            if closes_run is not None:
                self._opened_runs.add(closes_run[0])
            self._inbox.discard(handled.seq)
            self._take_in(unit, envelopes)
        return envelopes

    def receive(
        self, *, sender: str, recipient: Recipient, message: Message, at: datetime, message_id: str | None = None
    ) -> Envelope | None:
        """See `port.Mailroom.receive`."""
        encoded = encode(message)
        stamp(at)
        self._make_room()
        if message_id is None:
            with self._writer.lock:
                self._writer.check()
                return self._post(sender=sender, recipient=recipient, message=message, encoded=encoded, at=at)
        with self._database.lock:
            if self._seq_of(message_id) is not None:
                return None
            with self._writer.lock:
                self._writer.check()
                return self._post(
                    sender=sender, recipient=recipient, message=message, encoded=encoded, at=at, message_id=message_id
                )

    def import_letters(self, at: datetime) -> tuple[Envelope, ...]:
        """See `port.Mailroom.import_letters`. Dead letters that the mailroom wrote by itself come along."""
        self._make_room()
        with self._database.lock:
            for row in self._journal.new_letters():
                self._import(row, at)
            with self._writer.lock:
                imported, self._own_mail = self._own_mail, []
        return tuple(imported)

    def ensure_durable(self, seq: int) -> None:
        """See `port.Mailroom.ensure_durable`."""
        self._writer.ensure_durable(seq)

    def flush(self) -> None:
        """See `port.Mailroom.flush`."""
        self._writer.flush()

    def unhandled(self, recipient: Recipient) -> tuple[Envelope, ...]:
        """See `port.Mailroom.unhandled`."""
        with self._writer.settled():
            rows = self._journal.inbox(recipient)
        envelopes = []
        for row in rows:
            try:
                envelopes.append(self._journal.envelope(row, redelivered=True))
            except Undecodable as error:
                self._put_undecodable_aside(row, str(error))
        return tuple(envelopes)

    def handled(self, recipient: Recipient) -> Iterator[HandledMail]:
        """See `port.Mailroom.handled`."""
        self._writer.flush()
        yield from self._journal.fold(recipient, self._put_undecodable_aside)

    def count_attempt(self, envelope: Envelope) -> int:
        """See `port.Mailroom.count_attempt`."""
        with self._writer.lock:
            self._writer.check()
            if envelope.seq not in self._inbox:
                raise AssertionError(f"expected mail {envelope.seq} to be waiting, is unknown or handled already")
            self._writer.append(Unit(attempt_of=envelope.seq), last_seq=self._writer.last_seq)
        self._writer.flush()
        return int(self._database.read("attempts", {"arg_seq": envelope.seq})[0][0])

    def dead_letter(self, envelope: Envelope, *, reason: str, at: datetime) -> Envelope:
        """See `port.Mailroom.dead_letter`."""
        with self._writer.lock:
            self._writer.check()
            if envelope.seq not in self._inbox:
                raise AssertionError(f"expected mail {envelope.seq} to be waiting, is unknown or handled already")
            kind = type(envelope.message).__name__
            return self._put_aside(
                envelope.seq, envelope.recipient.value, kind, envelope.correlation_id, reason=reason, at=at
            )

    def remember_settings(self, sha256: str, document: str) -> None:
        """See `port.Mailroom.remember_settings`."""
        if sha256_hex(document.encode()) != sha256:
            raise AssertionError(f"expected a document with the hash {sha256}")
        with self._writer.lock:
            self._writer.check()
            if sha256 not in self._settings:
                self._settings[sha256] = document
                self._writer.append(Unit(documents={sha256: document}), last_seq=self._writer.last_seq)

    def settings_document(self, sha256: str) -> str:
        """See `port.Mailroom.settings_document`."""
        remembered = self._settings.get(sha256)
        return self._journal.document(sha256) if remembered is None else remembered

    def door(self, *, run_id: RunId, call_seq: int) -> DoorFacts:
        """See `port.Mailroom.door`. A halt or an abort that is recorded and not yet committed counts already."""
        with self._database.lock:
            row = self._database.read("door", {"arg_run_id": run_id, "arg_call_seq": call_seq})[0]
            epoch, letter, halted, abort_asked, run_closed, approval, gate, call_committed = row
            stops = tuple(self._uncommitted_stops.values())
        if letter is not None:
            halted = letter == HaltTrading.__name__
        return DoorFacts(
            epoch=epoch,
            halted=bool(halted) or any(isinstance(stop, HaltTrading) for stop in stops),
            abort_asked=bool(abort_asked)
            or any(isinstance(stop, AbortRun) and stop.run_id == run_id for stop in stops),
            run_closed=bool(run_closed),
            approval=self._evidence(approval),
            gate=self._evidence(gate),
            call_committed=bool(call_committed),
        )

    def on_letter(self, wake: Callable[[], None]) -> None:
        """See `port.Mailroom.on_letter`."""
        if self._listener is not None:
            raise AssertionError("expected one listener, was a second")
        self._listener = Listener(
            self._home, change_mark=self._database.change_mark, wake=wake, failed=self._writer.give_up
        )

    def on_failure(self, tell: Callable[[BaseException], None]) -> None:
        """See `port.Mailroom.on_failure`."""
        self._writer.on_failure(tell)

    def close(self) -> None:
        """See `port.Mailroom.close`. A second time does nothing."""
        with self._closing:
            try:
                if self._listener is not None:
                    self._listener.close()
                self._writer.close()
            finally:
                self._database.close()
                self._lease.release()

    def _make_room(self) -> None:
        if self._writer.is_full:
            self._writer.flush()

    def _take_in(self, unit: Unit, envelopes: Sequence[Envelope]) -> None:
        """Add a numbered unit to the writer's list; the caller holds the numbers' lock."""
        for envelope in envelopes:
            self._inbox.add(envelope.seq)
            if isinstance(envelope.message, HaltTrading | AbortRun):
                self._uncommitted_stops[envelope.seq] = envelope.message
        self._writer.append(unit, last_seq=envelopes[-1].seq if envelopes else self._writer.last_seq)

    def _post(
        self,
        *,
        sender: str,
        recipient: Recipient,
        message: Message,
        encoded: Encoded,
        at: datetime,
        message_id: str | None = None,
        letter: LetterRow | None = None,
        aside: tuple[int, str] | None = None,
    ) -> Envelope:
        """Number mail that no handled mail produced; the caller holds the numbers' lock."""
        seq = self._writer.last_seq + 1
        envelope = Envelope(
            seq=seq,
            message_id=derived_id(seq, None, 0) if message_id is None else message_id,
            sender=sender,
            recipient=recipient,
            sent_at=at,
            message=message,
        )
        if message_id is not None:
            self._uncommitted_ids[message_id] = seq
        row = mail_row(envelope, encoded, message_id=message_id)
        unit = Unit(
            mail=(row if letter is None else row._replace(documents=letter.documents),),
            documents=encoded.documents,
            named_runs=self._newly_named((envelope,), (), seq),
            letter=None if letter is None else (letter.number, seq),
            aside=aside,
        )
        self._take_in(unit, (envelope,))
        return envelope

    def _import(self, row: LetterRow, at: datetime) -> None:
        """Give one letter a number, unless the journal has it; the caller holds the database's lock."""
        earlier = self._seq_of(row.message_id)
        if earlier is not None:
            with self._writer.lock:
                self._writer.check()
                self._writer.append(Unit(letter=(row.number, earlier)), last_seq=self._writer.last_seq)
            return
        try:
            letter = self._journal.letter(row)
        except Undecodable as error:
            self._import_undecodable(row, str(error), at)
            return
        with self._writer.lock:
            self._writer.check()
            words = Encoded(row.type, row.version, row.body, {})
            envelope = self._post(
                sender=row.sender,
                recipient=letter.recipient,
                message=letter.message,
                encoded=words,
                at=letter.sent_at,
                message_id=row.message_id,
                letter=row,
            )
            self._own_mail.append(envelope)

    def _import_undecodable(self, row: LetterRow, reason: str, at: datetime) -> None:
        """Keep a letter that nobody can read as a dead letter."""
        with self._writer.lock:
            self._writer.check()
            seq = self._writer.last_seq + 1
            mail = MailRow(
                seq,
                row.message_id,
                None,
                0,
                row.sender,
                row.recipient,
                row.sent_at,
                None,
                row.run_id,
                row.type,
                row.version,
                row.body,
                row.documents,
            )
            self._uncommitted_ids[row.message_id] = seq
            self._writer.append(Unit(mail=(mail,), letter=(row.number, seq)), last_seq=seq)
            run_id = None if row.run_id is None else RunId(row.run_id)
            self._own_mail.append(self._put_aside(seq, row.recipient, row.type, run_id, reason=reason, at=at))

    def _put_undecodable_aside(self, row: MailRow, reason: str) -> None:
        """Make a dead letter of a row that this version can't read; the daemon gets it with the next letters."""
        with self._database.lock:
            if row.aside_reason is not None or self._seq_of(_dead_id(row.seq)) is not None:
                return
            run_id = None if row.run_id is None else RunId(row.run_id)
            with self._writer.lock:
                self._writer.check()
                dead = self._put_aside(row.seq, row.recipient, row.type, run_id, reason=reason, at=self._now())
                self._own_mail.append(dead)
        if self._listener is not None:
            self._listener.nudge()

    def _put_aside(
        self, seq: int, recipient: str, kind: str, run_id: RunId | None, *, reason: str, at: datetime
    ) -> Envelope:
        """Put mail aside and tell the CEO, as one unit; the caller holds the numbers' lock."""
        notice = DeadLetter(dead_seq=seq, recipient=recipient, message_type=kind, about_run=run_id, reason=reason)
        self._inbox.discard(seq)
        return self._post(
            sender=OWN_NAME,
            recipient=Recipient.EXECUTIVE,
            message=notice,
            encoded=encode(notice),
            at=at,
            message_id=_dead_id(seq),
            aside=(seq, reason),
        )

    def _seq_of(self, message_id: str) -> int | None:
        """The number of mail from outside, by its own id; the caller holds the database's lock."""
        uncommitted = self._uncommitted_ids.get(message_id)
        if uncommitted is not None:
            return uncommitted
        rows = self._database.read("mail_by_id", {"arg_message_id": message_id})
        return int(rows[0][0]) if rows else None

    def _newly_named(
        self, envelopes: Sequence[Envelope], also: Sequence[RunId], handled_seq: int
    ) -> tuple[tuple[str, int], ...]:
        """Runs that the register doesn't know yet, with the mail that names them first."""
        named = [(run_id, handled_seq) for run_id in also]
        named += [
            (envelope.message.run_id, envelope.seq)
            for envelope in envelopes
            if isinstance(envelope.message, RunMessage)
        ]
        fresh = []
        for run_id, seq in named:
            if run_id not in self._named_runs:
                self._named_runs.add(run_id)
                fresh.append((run_id, seq))
        return tuple(fresh)

    def _opening(self, opens_run: tuple[RunId, str, str], seq: int, at: str) -> Mapping[str, Any]:
        run_id, plan_id, plan_sha256 = opens_run
        if run_id in self._opened_runs:
            raise AssertionError(f"expected run {run_id} to be opened once")
        self._opened_runs.add(run_id)
        return {
            "arg_run_id": run_id,
            "arg_opened_by": seq,
            "arg_plan_id": plan_id,
            "arg_plan_sha256": plan_sha256,
            "arg_opened_at": at,
        }

    def _evidence(self, seq: int | None) -> Envelope | None:
        """Mail that the last door reads; what can't be read is no evidence."""
        if seq is None:
            return None
        try:
            return self._journal.at(seq)
        except Undecodable:
            return None

    def _forget_uncommitted(self, units: list[Unit]) -> None:
        """Called after a commit, with the database's lock held."""
        for unit in units:
            for row in unit.mail:
                self._uncommitted_stops.pop(row.seq, None)
                if row.message_id is not None:
                    self._uncommitted_ids.pop(row.message_id, None)


def _closing(closes_run: tuple[RunId, str], at: str) -> Mapping[str, Any]:
    return {"arg_run_id": closes_run[0], "arg_outcome": closes_run[1], "arg_closed_at": at}


def _documents(encoded: Sequence[Encoded]) -> Mapping[str, str]:
    documents: dict[str, str] = {}
    for words in encoded:
        documents.update(words.documents)
    return documents


def _dead_id(seq: int) -> str:
    return f"dead.{seq}"
