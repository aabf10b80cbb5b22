"""The public's side of the mailroom: hand letters in and read, from any process, a daemon beside or not."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from messages.codec import Undecodable, encode
from messages.envelope import Envelope
from messages.mailroom import lease
from messages.mailroom.connect import open_store
from messages.mailroom.database import Database
from messages.mailroom.journal import Journal
from messages.mailroom.port import HandledMail, MailroomError, RunRow
from messages.mailroom.rows import MailRow, letter_row
from messages.mailroom.wake import ring
from messages.message import Message, RunMessage
from messages.values import AccountName, Recipient, RunId


class SqlCounter:
    """The counter of one account's store. See `port.Counter`."""

    def __init__(self, database: Database, *, home: Path) -> None:
        self._database = database
        self._journal = Journal(database)
        self._home = home

    @classmethod
    def open(cls, *, url: str, home: Path, account: AccountName, patience_s: float = 5.0) -> "SqlCounter":
        """Open the store; make it if it isn't there.

        Args:
            url: SQLAlchemy URL of the store.
            home: FIRM_HOME.
            account: Whose store it must be.
            patience_s: How long other processes may keep the store busy before we give up.

        Raises:
            StoreUnavailable: The store can't be opened, or belongs to another account.
        """
        return cls(open_store(url, account=account, patience_s=patience_s), home=home)

    def post(self, *, message_id: str, recipient: Recipient, message: Message, at: datetime) -> bool:
        """See `port.Counter.post`."""
        encoded = encode(message)
        run_id = message.run_id if isinstance(message, RunMessage) else None
        row = letter_row(message_id=message_id, recipient=recipient, encoded=encoded, at=at, run_id=run_id)
        letter = {f"arg_{name}": value for name, value in row._asdict().items() if name != "number"}

        def work(database: Database) -> bool:
            database.run_many(
                "insert_document", [{"id": name, "body": text} for name, text in encoded.documents.items()]
            )
            return database.run("insert_letter", letter) == 1

        is_new = self._database.transact(work)
        ring(self._home)
        return is_new

    def letters(self) -> tuple[Envelope, ...]:
        """See `port.Counter.letters`. One that can't be read is among the dead letters."""
        envelopes = []
        for row in self._journal.unhandled_letters():
            try:
                envelopes.append(self._journal.letter(row))
            except Undecodable:
                continue
        return tuple(envelopes)

    def runs(self) -> tuple[RunRow, ...]:
        """See `port.Counter.runs`."""
        return self._journal.runs()

    def history(self, recipient: Recipient, *, run_id: RunId | None, after: int = 0) -> Iterator[HandledMail]:
        """See `port.Counter.history`.

        Raises:
            MailroomError: A row can't be read by this version.
        """
        return self._journal.history(recipient, run_id=run_id, after=after, note=_refuse)

    def dead_letters(self) -> tuple[tuple[Envelope | None, str], ...]:
        """See `port.Counter.dead_letters`."""
        dead: list[tuple[Envelope | None, str]] = []
        for row in self._journal.aside():
            reason = row.aside_reason or ""
            try:
                dead.append((self._journal.envelope(row), reason))
            except Undecodable:
                dead.append((None, f"mail {row.seq} to {row.recipient}: {reason}"))
        for letter in self._journal.new_letters():
            try:
                self._journal.letter(letter)
            except Undecodable as error:
                dead.append((None, f"letter {letter.number} to {letter.recipient}: {error}"))
        return tuple(dead)

    def settings_document(self, sha256: str) -> str:
        """See `port.Counter.settings_document`."""
        return self._journal.document(sha256)

    def holder(self) -> str | None:
        """See `port.Counter.holder`."""
        return lease.holder(self._home)

    def verify_chain(self) -> int:
        """See `port.Counter.verify_chain`."""
        return self._journal.verify()

    def close(self) -> None:
        """See `port.Counter.close`."""
        self._database.close()


def _refuse(row: MailRow, reason: str) -> None:
    raise MailroomError(f"mail {row.seq} can't be read: {reason}")
