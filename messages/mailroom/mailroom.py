"""The daemon's mailroom over a SQL store. See `port.Mailroom` for what it promises, `writer.py` for how."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from messages.codec import Encoded, Undecodable, encode
from messages.control import AbortRun
from messages.envelope import Envelope, Outgoing
from messages.mailroom.connect import open_store
from messages.mailroom.database import Database
from messages.mailroom.founding import Start, start
from messages.mailroom.journal import Journal
from messages.mailroom.lease import Lease
from messages.mailroom.numbering import Numbers, dead_id
from messages.mailroom.port import DoorFacts, HandledMail
from messages.mailroom.rows import LetterRow, MailRow
from messages.mailroom.trading_state import Newest, trading_state
from messages.mailroom.units import Unit
from messages.mailroom.wake import Listener
from messages.mailroom.writer import Writer
from messages.message import Message
from messages.values import AccountName, Recipient, RunId, sha256_hex


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
        self._settings: dict[str, str] = {}
        self._own_mail: list[Envelope] = []
        self._listener: Listener | None = None
        self._closing = threading.Lock()
        self._writer = Writer(
            database,
            epoch=begin.epoch,
            head=begin.head,
            waiting=begin.waiting,
            lazy_commit_ms=lazy_commit_ms,
        )
        self._numbers = Numbers(self._writer, begin)

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
            lazy_commit_ms: Sets the pace of commits that nobody waits for; see `writer.py`.
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
        self._make_room()
        with self._writer.lock:
            self._writer.check()
            if settings_sha256 not in self._settings:
                raise AssertionError(f"expected settings that are remembered, were {settings_sha256!r}")
            return self._numbers.handle(
                handled,
                at=at,
                settings_sha256=settings_sha256,
                outgoing=outgoing,
                encoded=encoded,
                opens_run=opens_run,
                closes_run=closes_run,
            )

    def receive(
        self, *, sender: str, recipient: Recipient, message: Message, at: datetime, message_id: str | None = None
    ) -> Envelope | None:
        """See `port.Mailroom.receive`."""
        encoded = encode(message)
        self._make_room()
        if message_id is None:
            with self._writer.lock:
                self._writer.check()
                return self._numbers.post(sender=sender, recipient=recipient, message=message, encoded=encoded, at=at)
        with self._database.lock:
            if self._seq_of(message_id) is not None:
                return None
            with self._writer.lock:
                self._writer.check()
                return self._numbers.post(
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
            self._numbers.check_waiting(envelope.seq)
            self._writer.append(Unit(attempt_of=envelope.seq), last_seq=self._writer.last_seq)
        self._writer.flush()
        return int(self._database.read("attempts", {"arg_seq": envelope.seq})[0][0])

    def dead_letter(self, envelope: Envelope, *, reason: str, at: datetime) -> Envelope:
        """See `port.Mailroom.dead_letter`."""
        with self._writer.lock:
            self._writer.check()
            self._numbers.check_waiting(envelope.seq)
            kind = type(envelope.message).__name__
            return self._numbers.put_aside(
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

    def last_settings(self) -> str | None:
        """See `port.Mailroom.last_settings`."""
        self._writer.flush()
        rows = self._database.read("last_settings")
        return self.settings_document(rows[0][0]) if rows else None

    def door(self, *, run_id: RunId, call_seq: int) -> DoorFacts:
        """See `port.Mailroom.door`. What stops something counts already when it is recorded and not yet committed."""
        with self._database.lock:
            row = self._database.read("door", {"arg_run_id": run_id, "arg_call_seq": call_seq})[0]
            epoch, *words, abort_asked, run_closed, approval, gate, call_committed = row
            stops = tuple(self._numbers.uncommitted_stops.values())
        return DoorFacts(
            epoch=epoch,
            trading=trading_state(Newest(*words[:3]), Newest(*words[3:]), stops),
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
            with self._writer.lock:
                self._writer.check()
                self._own_mail.append(self._numbers.post_unreadable(row, reason=str(error), at=at))
            return
        with self._writer.lock:
            self._writer.check()
            words = Encoded(row.type, row.version, row.body, {})
            envelope = self._numbers.post(
                sender=row.sender,
                recipient=letter.recipient,
                message=letter.message,
                encoded=words,
                at=letter.sent_at,
                message_id=row.message_id,
                letter=row,
            )
            self._own_mail.append(envelope)

    def _put_undecodable_aside(self, row: MailRow, reason: str) -> None:
        """Make a dead letter of a row that this version can't read; the daemon gets it with the next letters."""
        with self._database.lock:
            if row.aside_reason is not None or self._seq_of(dead_id(row.seq)) is not None:
                return
            run_id = None if row.run_id is None else RunId(row.run_id)
            with self._writer.lock:
                self._writer.check()
                self._own_mail.append(
                    self._numbers.put_aside(row.seq, row.recipient, row.type, run_id, reason=reason, at=self._now())
                )
        if self._listener is not None:
            self._listener.nudge()

    def _seq_of(self, message_id: str) -> int | None:
        """The number of mail from outside, by its own id; the caller holds the database's lock."""
        uncommitted = self._numbers.uncommitted_ids.get(message_id)
        if uncommitted is not None:
            return uncommitted
        rows = self._database.read("mail_by_id", {"arg_message_id": message_id})
        return int(rows[0][0]) if rows else None

    def _evidence(self, seq: int | None) -> Envelope | None:
        """Mail that the last door reads; what can't be read is no evidence."""
        if seq is None:
            return None
        try:
            return self._journal.at(seq)
        except Undecodable:
            return None
