"""The phases of a run: one dataclass each, holding only what is valid there. The transitions are in `execution.py`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from departments.executive.run import Run
from messages.reviews import Money
from messages.snapshots import Snapshot


class Outcome(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    REJECTED = "rejected"
    ABORTED = "aborted"
    EXPIRED = "expired"


class HoldReason(StrEnum):
    """Why a run is held.

    The first group lifts by itself when the missing fact arrives; the second waits for a person.
    """

    SELL_SHORTFALL = "sell_shortfall"
    SELL_TIMEOUT = "sell_timeout"
    CASH_NOT_SEEN = "cash_not_seen"
    SILENCE = "silence"
    BROKER_UNAVAILABLE = "broker_unavailable"
    CANCEL_STUCK = "cancel_stuck"

    HALTED = "halted"
    STRANGER = "stranger_order"
    REPLACED = "order_replaced"
    TRADE_BUST = "trade_bust"
    ACCOUNT_BLOCKED = "account_blocked"
    VERIFICATION_MISMATCH = "verification_mismatch"
    UNPROTECTED = "unprotected"
    DEAD_LETTER = "dead_letter"
    REPLAY_MISMATCH = "replay_mismatch"
    FOREIGN_ORDER = "foreign_order"
    OVERFILLED = "overfilled"
    INVARIANT_BROKEN = "invariant_broken"


LIFTS_BY_ITSELF = frozenset(
    {
        HoldReason.SELL_SHORTFALL,
        HoldReason.SELL_TIMEOUT,
        HoldReason.CASH_NOT_SEEN,
        HoldReason.SILENCE,
        HoldReason.BROKER_UNAVAILABLE,
        HoldReason.CANCEL_STUCK,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """Accepted; another run is before it."""

    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """Next in turn; the first look at the account is asked for."""

    run: Run
    ask: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewing:
    """Compliance judges the plan on `snapshot`."""

    run: Run
    review: int
    snapshot: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitingOpen:
    """The market is closed, or closes too soon. Trading was asked once and answers when it can be used."""

    run: Run
    ask: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Selling:
    """The SELLs are out.

    Attributes:
        proof: The ask whose snapshot is to prove that every SELL is terminal; None after one that did not.
        proving: All seem terminal: that snapshot is on its way.
        canceling: What was still open has been told to cancel: resize, or the operator's release.
    """

    run: Run
    proof: int | None = None
    proving: bool = False
    canceling: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Every SELL is terminal by REST; the money must be seen and the market open.

    Attributes:
        ask: The look that is asked for; None between two looks.
        wants: What the run is held for when `cash_wait_s` passes; None: it waits on (for the market).
    """

    run: Run
    ask: int | None
    wants: HoldReason | None = HoldReason.BROKER_UNAVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """Operations fits the BUYs to the money."""

    run: Run
    fit: int
    snapshot: Snapshot
    money: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Rechecking:
    """Compliance reviews the fitted BUYs against the same snapshot."""

    run: Run
    review: int
    snapshot: Snapshot
    money: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Buying:
    """The BUYs are out.

    Attributes:
        canceling: `buy_timeout_s` passed; what was still open has been told to cancel.
    """

    run: Run
    canceling: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """Nothing new is sent; what is open is cancelled and must be confirmed. People see it as `verifying`."""

    run: Run
    outcome: Outcome
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifying:
    """Positions, cash and orders are read once more.

    Attributes:
        ask: The look that is asked for; None between two looks.
    """

    run: Run
    outcome: Outcome
    reason: str | None
    ask: int | None
    last_try: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A decision or a fact is missing.

    Attributes:
        resume_to: Where it goes on; its own timers are dead while a person is waited for.
    """

    reason: HoldReason
    detail: str
    resume_to: "Phase"

    @property
    def run(self) -> Run:
        """The run, as the phase it resumes to knows it."""
        return self.resume_to.run


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Over: every order of the run is terminal by REST, or was never found and is watched on."""

    run: Run
    outcome: Outcome
    reason: str | None
    ended_at: datetime


Phase = (
    Queued
    | Received
    | Reviewing
    | AwaitingOpen
    | Selling
    | Gate
    | Fitting
    | Rechecking
    | Buying
    | Stopping
    | Verifying
    | Held
    | Ended
)

PHASE_NAMES: dict[type, str] = {
    Queued: "received",
    Received: "received",
    Reviewing: "reviewing",
    AwaitingOpen: "awaiting_open",
    Selling: "selling",
    Gate: "gate",
    Fitting: "fitting",
    Rechecking: "rechecking",
    Buying: "buying",
    Stopping: "verifying",
    Verifying: "verifying",
    Held: "held",
}


def phase_name(phase: Phase) -> str:
    """The phase as `firm status` shows it; an ended run shows its outcome."""
    return phase.outcome.value if isinstance(phase, Ended) else PHASE_NAMES[type(phase)]
