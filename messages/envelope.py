"""How mail is addressed and how it is kept apart from what it says."""

from dataclasses import dataclass
from datetime import datetime

from messages.message import Message, RunMessage
from messages.values import Recipient, RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One piece of mail in the journal.

    Attributes:
        seq: Its number in the journal; later mail has a higher one.
        message_id: `CAUSE.POSITION` for derived mail, the poster's own id for mail from outside; unique.
        sender: A recipient's name, or `operator`, `stream`.
        sent_at: Store's clock, UTC.
        causation_id: seq of the mail whose handling produced it; None for mail from outside.
        position: Place in the cause's output, from 0.
        due_at: Not to be delivered before; None: at once.
        attempts: How often it was taken up again after a crash.
    """

    seq: int
    message_id: str
    sender: str
    recipient: Recipient
    sent_at: datetime
    message: Message
    causation_id: int | None = None
    position: int = 0
    due_at: datetime | None = None
    attempts: int = 0
    redelivered: bool = False

    @property
    def correlation_id(self) -> RunId | None:
        """The run, or None for mail of the account stream."""
        return self.message.run_id if isinstance(self.message, RunMessage) else None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Mail that handling a message produces, before it has a number.

    Attributes:
        due_at: None: at once.
    """

    recipient: Recipient
    message: Message
    due_at: datetime | None = None
