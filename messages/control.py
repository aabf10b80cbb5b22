"""The operator's words, the clock's, and the house's own notices."""

from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, get_args

from pydantic import Field

from messages.message import AccountMessage, Message, RunMessage
from messages.reviews import Violation
from messages.values import LegId, PlanId, Record, RunId, TradingState, Utc, stricter


class FirmOpened(AccountMessage):
    """The daemon has started: whoever waits for a time of day finds out what it is. Written by the wiring."""


class HaltTrading(AccountMessage):
    """Nothing new leaves from now on; cancels still pass. Holds until resumed, restarts included.

    Attributes:
        violations: Of the limits on losses that ask for it; empty when it was not a limit that did.
    """

    reason: str
    by: str
    cancel_orders: bool = False
    violations: tuple[Violation, ...] = ()


class ReduceTrading(AccountMessage):
    """Only SELLs leave from now on, and cancels. Holds until resumed, restarts included; loosens no halt.

    Attributes:
        violations: As `HaltTrading.violations`.
    """

    reason: str
    by: str
    violations: tuple[Violation, ...] = ()


class ResumeTrading(AccountMessage):
    """Trade again; the halted run goes on where it was."""

    by: str


TradingWord = HaltTrading | ReduceTrading | ResumeTrading
"""All that changes an account's trading state."""
WORD_STATES: Mapping[type[Message], TradingState] = {
    HaltTrading: TradingState.HALTED,
    ReduceTrading: TradingState.REDUCING,
    ResumeTrading: TradingState.ACTIVE,
}
TRADING_WORDS: tuple[type[Message], ...] = get_args(TradingWord)


def state_after(words: Iterable[Message], state: TradingState = TradingState.ACTIVE) -> TradingState:
    """The trading state after these words, oldest first: a word restricts further or not at all; only a resume lifts.

    Args:
        words: Other messages among them mean nothing.
        state: Before them.
    """
    for word in words:
        said = WORD_STATES.get(type(word))
        if said is not None:
            state = said if said is TradingState.ACTIVE else stricter(state, said)
    return state


class ReleaseRun(RunMessage):
    """The operator lets a held run go on: with a sell shortfall that means as `resize`."""

    by: str


class AbortRun(RunMessage):
    """The operator ends a run: cancel, confirm, verify, end."""

    by: str


class OrdersSent(Record):
    """How many orders of a run were handed to Trading on one day, New York's."""

    day: date
    orders: Annotated[int, Field(ge=1)]


class DayTally(Record):
    """What the firm has done on one day, New York's by the store's clock.

    Attributes:
        plans: Plans begun.
        orders: Orders that runs which have ended handed to Trading.
    """

    day: date
    plans: Annotated[int, Field(ge=0)] = 0
    orders: Annotated[int, Field(ge=0)] = 0


class BeginRun(RunMessage):
    """The run is next: start it. The CEO writes this to itself.

    Attributes:
        tally: Of this day, before this run; None in mail from before the firm counted.
    """

    plan_id: PlanId
    tally: DayTally | None = None


class HaltRun(RunMessage):
    """The account is halted: hold this run. The CEO writes this to itself."""

    reason: str
    cancel_orders: bool


class ReduceRun(RunMessage):
    """The account is reducing: no BUY of this run leaves any more. The CEO writes this to itself."""

    reason: str
    by: str


class ResumeRun(RunMessage):
    """The account trades again. The CEO writes this to itself."""


class RunFinished(AccountMessage):
    """A run ended; the next one may begin. The CEO writes this to itself.

    Attributes:
        sent: Its orders, a day each.
    """

    ended_run_id: RunId
    outcome: str
    sent: tuple[OrdersSent, ...] = ()


class PlanQueued(AccountMessage):
    """A plan was accepted. The CEO writes this to itself; runs wait in this order.

    Attributes:
        nonce: Of the plan's approval; None in mail from before approvals were signed.
    """

    queued_run_id: RunId
    plan_id: PlanId
    nonce: str | None = None


class Deadline(StrEnum):
    """What a timer was set for. `MARKET_POLL` stands in older journals only."""

    APPROVAL = "approval"
    SELL_TIMEOUT = "sell_timeout"
    BUY_TIMEOUT = "buy_timeout"
    CASH_WAIT = "cash_wait"
    CASH_POLL = "cash_poll"
    MARKET_POLL = "market_poll"
    SILENCE = "silence"
    CANCEL_STUCK = "cancel_stuck"
    VERIFY_POLL = "verify_poll"
    VERIFY_WAIT = "verify_wait"
    PLACE_AGAIN = "place_again"
    RECONCILE = "reconcile"
    LOOK_UP = "look_up"
    SNAPSHOT_RETRY = "snapshot_retry"
    WATCH = "watch"


class DeadlinePassed(RunMessage):
    """A timer of a department to itself: mail with a due time.

    Attributes:
        token: The setter's count; a timer whose token is not current any more is stale and means nothing.
        leg: Where the timer is about one leg.
    """

    deadline: Deadline
    token: int
    leg: LegId | None = None
    due_at: Utc


class AccountDeadlinePassed(AccountMessage):
    """As `DeadlinePassed`, for matters that belong to no run."""

    deadline: Deadline
    token: int
    due_at: Utc


class DeadLetter(AccountMessage):
    """A message that nobody could handle was put aside, whole. People must look at it; its run is held.

    Attributes:
        dead_seq: The seq of the mail put aside.
        about_run: Its run; None where it belongs to none.
    """

    dead_seq: int
    recipient: str
    message_type: str
    about_run: RunId | None
    reason: str


class HoldRun(RunMessage):
    """A fact that forbids going on (a dead letter, a replay that differs, a broken invariant)."""

    reason: str
    detail: str
