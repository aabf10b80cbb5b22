"""Mail as rows, and back. Pure; column order here is column order everywhere."""

from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from messages.codec import Encoded, decode
from messages.envelope import Envelope
from messages.message import Message
from messages.snapshots import Document
from messages.values import Recipient, RunId


class MailRow(NamedTuple):
    """One row of `mail`; the columns are described in `schema.py`."""

    seq: int
    message_id: str | None
    cause_seq: int | None
    position: int
    sender: str
    recipient: str
    sent_at: str
    due_at: str | None
    run_id: str | None
    type: str
    version: int
    body: str
    documents: str
    attempts: int = 0
    handled_seq: int | None = None
    handled_at: str | None = None
    settings_sha256: str | None = None
    chain: str | None = None
    aside_reason: str | None = None


class LetterRow(NamedTuple):
    """One row of `letters`, without the mark of its import."""

    number: int
    message_id: str
    sender: str
    recipient: str
    sent_at: str
    run_id: str | None
    type: str
    version: int
    body: str
    documents: str


_RECIPIENTS = {recipient.value: recipient for recipient in Recipient}
MAIL_COLUMNS = MailRow._fields
LETTER_COLUMNS = LetterRow._fields


def stamp(at: datetime) -> str:
    """Write an instant down: ISO-8601, UTC, microseconds.

    Raises:
        ValueError: The time is naive.
    """
    if at.tzinfo is None:
        raise ValueError(f"expected an aware time, was {at.isoformat()}")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def instant(text: str) -> datetime:
    """Read an instant back."""
    return datetime.fromisoformat(text)


def mail_row(envelope: Envelope, encoded: Encoded, *, sent_at: str, message_id: str | None) -> MailRow:
    """Make the row of new mail.

    Args:
        envelope: The mail, numbered.
        encoded: Its message.
        sent_at: Its time, as `stamp` writes it; mail of one handling shares it.
        message_id: The poster's own id; None where the id is derived from the numbers.
    """
    return MailRow(
        envelope.seq,
        message_id,
        envelope.causation_id,
        envelope.position,
        envelope.sender,
        envelope.recipient.value,
        sent_at,
        None if envelope.due_at is None else stamp(envelope.due_at),
        envelope.correlation_id,
        encoded.type,
        encoded.version,
        encoded.body,
        " ".join(sorted(encoded.documents)),
    )


def derived_id(seq: int, cause_seq: int | None, position: int) -> str:
    """Name mail that brought no id along: `CAUSE.POSITION`, or `@SEQ` where it has no cause."""
    return f"@{seq}" if cause_seq is None else f"{cause_seq}.{position}"


def envelope_of(row: MailRow, message: Message, *, redelivered: bool = False) -> Envelope:
    """Put a decoded message back into its envelope."""
    return Envelope(
        seq=row.seq,
        message_id=row.message_id if row.message_id is not None else derived_id(row.seq, row.cause_seq, row.position),
        sender=row.sender,
        recipient=_RECIPIENTS.get(row.recipient) or Recipient(row.recipient),
        sent_at=instant(row.sent_at),
        message=message,
        causation_id=row.cause_seq,
        position=row.position,
        due_at=None if row.due_at is None else instant(row.due_at),
        attempts=row.attempts,
        redelivered=redelivered,
    )


def message_of(
    row: MailRow | LetterRow, load: Callable[[str], str], read: MutableMapping[str, Document] | None = None
) -> Message:
    """Decode a row's message.

    Raises:
        Undecodable: See `codec.decode`.
    """
    return decode(row.type, row.version, row.body, load, read)


def letter_row(
    *, message_id: str, recipient: Recipient, encoded: Encoded, at: datetime, run_id: RunId | None
) -> LetterRow:
    """Make the row of a letter; its number is given by the store."""
    return LetterRow(
        0,
        message_id,
        "operator",
        recipient.value,
        stamp(at),
        run_id,
        encoded.type,
        encoded.version,
        encoded.body,
        " ".join(sorted(encoded.documents)),
    )


def mail_rows(rows: Sequence[tuple[Any, ...]]) -> list[MailRow]:
    """Give the driver's tuples their names."""
    return [MailRow._make(row) for row in rows]
