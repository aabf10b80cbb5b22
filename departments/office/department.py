"""What a department is: a name, an empty state, and one pure function.

`handle(state, message, now, settings) -> Handled` decides everything; the actor around it (`actor.py`) only receives,
records, logs and tells. A department's state is the left fold of `handle` over the mail it has handled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from messages.envelope import Envelope, Outgoing
from messages.values import Recipient, RunId

StateT = TypeVar("StateT")


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the log: a constant dotted event and its fields. The sentence for people comes from `logs.py`."""

    event: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Handled(Generic[StateT]):
    """What handling one message gives.

    Attributes:
        opens_run: (run, plan_id, plan_sha256) when the CEO accepts a plan.
        closes_run: (run, outcome) when the CEO ends one.
    """

    state: StateT
    outgoing: tuple[Outgoing, ...] = ()
    notes: tuple[Note, ...] = ()
    opens_run: tuple[RunId, str, str] | None = None
    closes_run: tuple[RunId, str] | None = None


class Department(Protocol[StateT]):
    """One department. Pure: no clock, no I/O, no logging, no randomness."""

    @property
    def name(self) -> Recipient:
        """Where its mail goes."""

    def initial(self) -> StateT:
        """The state before any mail."""

    def handle(self, state: StateT, envelope: Envelope, now: datetime, settings: Any) -> Handled[StateT]:
        """Handle one message. Total over what can arrive: late and doubled mail changes nothing."""
