"""The mailroom as departments see it: durable inboxes, one journal, one writer an account.

`Mailroom` is what the daemon uses (SQL store and pipelined writer behind it; a fake in the tests mirrors it).
`Counter` is what other processes use: they hand letters in and read; they never write into the journal.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from messages.envelope import Envelope, Outgoing
from messages.message import Message
from messages.values import AccountName, Recipient, RunId, TradingState


class MailroomError(Exception):
    """Something is wrong with the store; the text says what was expected and what came."""


class LeaseHeld(MailroomError):
    """Another daemon holds the account; the text names it (pid, host, since)."""


class LeaseLost(MailroomError):
    """Our epoch is not the current one: nothing may be committed or posted any more."""


class StoreUnavailable(MailroomError):
    """The store can't be opened, read or written."""


class JournalBroken(MailroomError):
    """A row's hash doesn't follow from the row before it; the text names the first bad seq."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandledMail:
    """One step of a department's fold.

    Attributes:
        envelope: What was handled.
        handled_at: The `now` that `handle` was given.
        settings_sha256: Names the settings that `handle` was given (see `Mailroom.settings_document`).
        outgoing: What it produced, in order of position, as recorded.
    """

    envelope: Envelope
    handled_seq: int
    handled_at: datetime
    settings_sha256: str
    outgoing: tuple[Envelope, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One line of the runs' register.

    Attributes:
        closed_at: None while the run is open.
        outcome: None while the run is open.
    """

    run_id: RunId
    plan_id: str
    plan_sha256: str
    opened_at: datetime
    closed_at: datetime | None
    outcome: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorFacts:
    """What the last door reads in ONE query, immediately before a POST leaves. Committed facts only.

    Attributes:
        epoch: The store's current epoch; must be ours.
        trading: What the words since the newest resume say, in the journal or still in the letterbox. One that
            restricts counts as soon as it is recorded, a resume once it is committed.
        abort_asked: An AbortRun for the run lies in the journal or the letterbox.
        run_closed: The run's row is closed.
        approval: The run's SubmitPlan mail; None if there is none.
        gate: The run's newest GateOpened mail; None while there is none.
        call_committed: The mail `call_seq` itself is durable.
    """

    epoch: int
    trading: TradingState
    abort_asked: bool
    run_closed: bool
    approval: Envelope | None
    gate: Envelope | None
    call_committed: bool


class Mailroom(Protocol):
    """The daemon's side. Thread-safe: actors, the broker desk, the stream and timers all call it.

    Order is kept in memory at once (`record` and `receive` give mail its number under one lock); durability follows:
    pending records are committed together, in order, when an *effect* waits (`ensure_durable`) or after
    `lazy_commit_ms`. A crash loses a suffix of what was recorded, never a hole, and nothing that an effect stood on.
    """

    @property
    def account(self) -> AccountName:
        """The account this mailroom writes for."""

    @property
    def epoch(self) -> int:
        """Our fencing token: one more than the last holder's."""

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
        """Note that `handled` was handled, and what came of it, as one unit.

        Args:
            handled: The mail; handling it twice is a bug of ours and fails an assertion.
            at: The `now` the handler used.
            settings_sha256: Must have been given to `remember_settings`.
            outgoing: In order; position is the index.
            closes_run: (run, outcome): its mail need not be folded any more.
            opens_run: (run, plan_id, plan_sha256): a new line of the register.

        Returns:
            The envelopes, numbered; the caller delivers them.

        Raises:
            LeaseLost: Somebody else has the account.
            StoreUnavailable: The writer died; the firm must stop.
        """

    def receive(
        self, *, sender: str, recipient: Recipient, message: Message, at: datetime, message_id: str | None = None
    ) -> Envelope | None:
        """Take in mail from outside the fold: stream frames, dead letters. None if `message_id` is there already."""

    def import_letters(self, at: datetime) -> tuple[Envelope, ...]:
        """Move every letter that other processes handed in (`Counter.post`) into the journal; each exactly once."""

    def ensure_durable(self, seq: int) -> None:
        """Block until everything recorded up to and including mail `seq` is committed."""

    def flush(self) -> None:
        """Block until everything recorded so far is committed."""

    def unhandled(self, recipient: Recipient) -> tuple[Envelope, ...]:
        """What lies in an inbox, in order of seq, timers included; `redelivered` is set."""

    def handled(self, recipient: Recipient) -> Iterator[HandledMail]:
        """The fold: handled mail of the account stream and of open runs, in order of handled_seq."""

    def count_attempt(self, envelope: Envelope) -> int:
        """Count one more attempt, in a commit of its own, before a message is handled for the second time."""

    def dead_letter(self, envelope: Envelope, *, reason: str, at: datetime) -> Envelope:
        """Put a message aside, whole, and write `DeadLetter` to the CEO in the same transaction (returned)."""

    def remember_settings(self, sha256: str, document: str) -> None:
        """Keep a settings document (JSON) by its hash: replay needs it."""

    def settings_document(self, sha256: str) -> str:
        """Give a settings document back. Raises KeyError."""

    def last_settings(self) -> str | None:
        """The settings document that mail was handled under last; None while none was."""

    def door(self, *, run_id: RunId, call_seq: int) -> DoorFacts:
        """Read what the last door judges by, in one query."""

    def on_letter(self, wake: Callable[[], None]) -> None:
        """Call `wake` from a thread of the mailroom's whenever a letter may have come (at most 250 ms late)."""

    def on_failure(self, tell: Callable[[BaseException], None]) -> None:
        """Call `tell` once if the writer dies: the firm must stop, loudly."""

    def close(self) -> None:
        """Flush, stop the writer, give the lease back."""


class Counter(Protocol):
    """The public's side, for the commands: works whether a daemon runs or not, imports quickly."""

    def post(self, *, message_id: str, recipient: Recipient, message: Message, at: datetime) -> bool:
        """Hand a letter in; durable on return; wakes the daemon. False if `message_id` was handed in before."""

    def letters(self) -> tuple[Envelope, ...]:
        """Letters whose effect `history` does not show yet, oldest first (seq is the letterbox's own).

        They lie in the letterbox, or in the journal unhandled: whatever was handed in is here, or in the history.
        """

    def runs(self) -> tuple[RunRow, ...]:
        """The register, newest last."""

    def history(self, recipient: Recipient, *, run_id: RunId | None, after: int = 0) -> Iterator[HandledMail]:
        """What a department handled of one run (closed ones too), or of the account stream, after a handled_seq."""

    def dead_letters(self) -> tuple[tuple[Envelope | None, str], ...]:
        """What was put aside, with reasons; the envelope is None where it can't even be decoded."""

    def settings_document(self, sha256: str) -> str:
        """As `Mailroom.settings_document`."""

    def holder(self) -> str | None:
        """Who holds the account (pid, host, since), as a sentence; None if no daemon runs."""

    def verify_chain(self) -> int:
        """Check the journal's hash chain from the first row. Returns the rows checked; raises `JournalBroken`."""

    def close(self) -> None:
        """Close the store."""
