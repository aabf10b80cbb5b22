"""What every message is: frozen, closed, without behaviour, and either about one run or about the account."""

from typing import ClassVar

from messages.values import Record, RunId


class Message(Record):
    """A fact or a command that departments exchange.

    Attributes:
        VERSION: Raised when the stored form changes; the codec refuses versions it doesn't know.
    """

    VERSION: ClassVar[int] = 1


class AccountMessage(Message):
    """Mail of the account stream: always folded on start, belongs to no run."""


class RunMessage(Message):
    """Mail of one run: folded on start while the run is open.

    Attributes:
        run_id: The run it belongs to; also the envelope's correlation_id.
    """

    run_id: RunId
