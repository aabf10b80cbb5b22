"""Reading the store: rows become envelopes again. Used on both sides, by the daemon and by the commands."""

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from messages.codec import Undecodable
from messages.envelope import Envelope
from messages.mailroom.chain import FIRST_LINK, Break, Step, follow
from messages.mailroom.database import Database
from messages.mailroom.port import HandledMail, JournalBroken, RunRow
from messages.mailroom.rows import LetterRow, MailRow, envelope_of, instant, mail_rows, message_of
from messages.mailroom.units import Head
from messages.message import Message
from messages.snapshots import Document
from messages.values import Recipient, RunId, sha256_hex

KEPT_MESSAGES = 5_000
KEPT_DOCUMENTS = 50
ROWS_A_LOOK = 1_000
"""How many rows of the chain are checked at a time."""

NoteUndecodable = Callable[[MailRow, str], None]


class Journal:
    """What the store says. Mail never changes once written, so decoded messages are kept by their number."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._messages: dict[int, Message] = {}
        self._documents: dict[str, str] = {}
        self._read: dict[str, Document] = {}
        self._envelopes: dict[int, Envelope] = {}
        self._keeping = threading.Lock()

    def document(self, name: str) -> str:
        """Give a document by its hash.

        Raises:
            KeyError: There is none.
            Undecodable: It doesn't have the hash it is kept under.
        """
        found = self._documents.get(name)
        if found is None:
            rows = self._database.read("document", {"arg_id": name})
            if not rows:
                raise KeyError(name)
            found = str(rows[0][0])
            if sha256_hex(found.encode()) != name:
                raise Undecodable(f"document {name}: expected to have the hash it is kept under, has another")
            self._keep(self._documents, name, found, KEPT_DOCUMENTS)
        return found

    def envelope(self, row: MailRow, *, redelivered: bool = False, keep: bool = True) -> Envelope:
        """Read mail.

        Args:
            row: The mail.
            redelivered: As `Envelope.redelivered`.
            keep: Whether the message is wanted again: a fold meets it as one department's output, another's input.

        Raises:
            Undecodable: This version can't.
        """
        message = self._messages.get(row.seq)
        if message is None:
            message = message_of(row, self.document, self._read)
            self._forget_documents()
            if keep:
                self._keep(self._messages, row.seq, message, KEPT_MESSAGES)
        try:
            return envelope_of(row, message, redelivered=redelivered)
        except ValueError as error:
            raise Undecodable(f"mail {row.seq}: {error}") from error

    def letter(self, row: LetterRow) -> Envelope:
        """Read a letter that lies in the letterbox; `seq` is the letterbox's own number.

        Raises:
            Undecodable: This version can't.
        """
        message = message_of(row, self.document)
        try:
            return Envelope(
                seq=row.number,
                message_id=row.message_id,
                sender=row.sender,
                recipient=Recipient(row.recipient),
                sent_at=instant(row.sent_at),
                message=message,
            )
        except ValueError as error:
            raise Undecodable(f"letter {row.number}: {error}") from error

    def new_letters(self) -> list[LetterRow]:
        """Letters that are not imported, oldest first."""
        return [LetterRow._make(row) for row in self._database.read("new_letters")]

    def unhandled_letters(self) -> list[LetterRow]:
        """Letters that are not imported, or lie in an inbox, oldest first."""
        return [LetterRow._make(row) for row in self._database.read("unhandled_letters")]

    def at(self, seq: int) -> Envelope | None:
        """The mail with this number, kept once read (so without its attempts); None where there is none.

        Raises:
            Undecodable: This version can't read it.
        """
        found = self._envelopes.get(seq)
        if found is None:
            rows = mail_rows(self._database.read("mail", {"arg_seq": seq}))
            if not rows:
                return None
            found = self.envelope(rows[0]._replace(attempts=0), keep=False)
            self._keep(self._envelopes, seq, found, KEPT_DOCUMENTS)
        return found

    def waiting(self) -> list[MailRow]:
        """Every row that is neither handled nor put aside, inbox by inbox."""
        return mail_rows(self._database.read("waiting"))

    def inbox(self, recipient: Recipient) -> list[MailRow]:
        """As `waiting`, of one recipient, by seq."""
        return mail_rows(self._database.read("inbox", {"arg_recipient": recipient.value}))

    def fold(self, recipient: Recipient, note: NoteUndecodable) -> Iterator[HandledMail]:
        """Handled mail of the account stream and of open runs. What can't be read is noted and left out."""
        yield from self._handled("fold", {"arg_recipient": recipient.value}, note)

    def history(
        self, recipient: Recipient, *, run_id: RunId | None, after: int, note: NoteUndecodable
    ) -> Iterator[HandledMail]:
        """Handled mail of one run, or of the account stream, after a place in the chain."""
        parameters = {"arg_recipient": recipient.value, "arg_run_id": run_id, "arg_after": after}
        yield from self._handled("history", parameters, note)

    def runs(self) -> tuple[RunRow, ...]:
        """The register: runs that were opened, newest last."""
        return tuple(
            RunRow(
                run_id=RunId(run_id),
                plan_id=plan_id,
                plan_sha256=plan_sha256,
                opened_at=instant(opened_at),
                closed_at=None if closed_at is None else instant(closed_at),
                outcome=outcome,
            )
            for run_id, plan_id, plan_sha256, opened_at, closed_at, outcome in self._database.read("runs")
            if plan_id is not None
        )

    def head(self) -> Head:
        """Where the journal says it ends."""
        _, _, _, last_seq, handled_seq, chain = self._database.read("store")[0]
        return Head(last_seq, handled_seq, chain)

    def aside(self) -> list[MailRow]:
        """What was put aside, by seq."""
        return mail_rows(self._database.read("aside"))

    def verify(self) -> int:
        """Check the whole chain, every document it refers to, and that nothing is missing at the end.

        Returns:
            The rows checked.

        Raises:
            JournalBroken: Something doesn't follow; the text names the first bad seq.
        """
        with self._database.lock:
            head = self.head()
            highest = self._database.read("highest_seq")[0][0] or 0
        link = FIRST_LINK
        checked: set[str] = set()
        for first in range(1, head.handled_seq + 1, ROWS_A_LOOK):
            last = min(first + ROWS_A_LOOK - 1, head.handled_seq)
            steps = self.steps(first, last)
            found = follow(link, first=first, last=last, steps=steps)
            if isinstance(found, Break):
                raise JournalBroken(describe(found))
            link = found
            self._check_documents(steps, checked)
        if link != head.chain:
            raise JournalBroken(f"handled row {head.handled_seq}: expected the chain to end in the store's last link")
        if highest < head.last_seq:
            raise JournalBroken(f"mail {head.last_seq}: expected in the journal, which ends with {highest}")
        return head.handled_seq

    def steps(self, first: int, last: int) -> list[Step]:
        """Handled rows from one place in the chain to another, with what came of each."""
        parameters = {"arg_after": first - 1, "arg_upto": last}
        with self._database.lock:
            rows = mail_rows(self._database.read("steps", parameters))
            outgoing = _by_cause(self._database.read("steps_outgoing", parameters))
        return [Step(row, outgoing.get(row.seq, ())) for row in rows]

    def _check_documents(self, steps: Sequence[Step], checked: set[str]) -> None:
        for step in steps:
            for row in (step.row, *step.outgoing):
                for name in row.documents.split():
                    if name in checked:
                        continue
                    try:
                        self.document(name)
                    except (KeyError, Undecodable) as error:
                        raise JournalBroken(f"mail {row.seq}: document {name} is missing or changed") from error
                    checked.add(name)

    def _keep(self, kept: dict[Any, Any], key: Any, value: Any, limit: int) -> None:
        """Remember a value, forgetting the oldest past the limit."""
        with self._keeping:
            kept[key] = value
            if len(kept) > limit:
                del kept[next(iter(kept))]

    def _forget_documents(self) -> None:
        """Keep the newest few of those that were read."""
        if len(self._read) > KEPT_DOCUMENTS:
            with self._keeping:
                for name in list(self._read)[:-KEPT_DOCUMENTS]:
                    self._read.pop(name, None)

    def _handled(self, name: str, parameters: dict[str, Any], note: NoteUndecodable) -> Iterator[HandledMail]:
        with self._database.lock:
            rows = mail_rows(self._database.read(name, parameters))
            outgoing = _by_cause(self._database.read(f"{name}_outgoing", parameters))
        for row in rows:
            try:
                envelope = self.envelope(row)
            except Undecodable as error:
                note(row, str(error))
                continue
            produced = []
            for result in outgoing.get(row.seq, ()):
                try:
                    produced.append(self.envelope(result))
                except Undecodable as error:
                    note(result, str(error))
            yield HandledMail(
                envelope=envelope,
                handled_seq=row.handled_seq or 0,
                handled_at=instant(row.handled_at or ""),
                settings_sha256=row.settings_sha256 or "",
                outgoing=tuple(produced),
            )


def describe(found: Break) -> str:
    """A break as a sentence that names the first bad seq."""
    return f"the journal's chain breaks at its row {found.handled_seq}: {found.what}"


def _by_cause(rows: list[Any]) -> dict[int, list[MailRow]]:
    """Group outgoing mail, sorted by cause and position."""
    grouped = groupby(mail_rows(rows), key=lambda row: row.cause_seq or 0)
    return {cause: list(group) for cause, group in grouped}
