"""CEO <-> Compliance: the whole plan against the rulebook, and the verdict."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from messages.message import RunMessage
from messages.plans import Trade
from messages.snapshots import HistoryRef, SnapshotRef
from messages.values import Funding, LegId, QtyOrZero, Record, TradingState, Usd, Utc


class Violation(Record):
    """One rule that one leg, or the plan (`leg` None), does not meet.

    Attributes:
        code: `POSITION_VALUE_BELOW_MIN`, ... ours, never the broker's.
        rule: The rule in words.
        figure: What was found; the text of a number, or what is missing.
        limit: The limit it was held against; None where the rule has none.
        file: The configuration file that holds the limit; None where the rule has none.
        key: Dotted key in that file.
    """

    code: str
    leg: LegId | None
    rule: str
    figure: str
    limit: str | None = None
    file: str | None = None
    key: str | None = None


class Stage(StrEnum):
    """When a review happens: before anything is sent, or at the gate on the fitted BUYs."""

    SUBMISSION = "submission"
    RECHECK = "recheck"


class Money(Record):
    """What the run may spend, and where the figure comes from. USD; see `departments/rulebook/money.py`.

    Attributes:
        proceeds_usd: Sum over the run's SELL executions (expected ones, at submission) of qty x price.
        cash_before_usd: Cash when selling began.
        cash_now_usd: Cash of the snapshot judged on.
        spent_usd: What the run's own BUYs have cost so far.
        funding: The policy.
    """

    funding: Funding
    proceeds_usd: Usd
    cash_before_usd: Usd
    cash_now_usd: Usd
    spent_usd: Usd = Decimal(0)


class Decision(StrEnum):
    """What became of a leg in a review or a fit."""

    KEEP = "keep"
    CUT = "cut"
    DROP = "drop"


class LegDecision(Record):
    """A leg after a review or a fit. `qty` is 0 when dropped; violations say why it was cut or dropped."""

    leg: LegId
    decision: Decision
    planned_qty: QtyOrZero
    qty: QtyOrZero
    violations: tuple[Violation, ...] = ()


class Today(Record):
    """What the firm has done and been told today, New York's day, by its own mail.

    Attributes:
        plans: Plans begun before this one.
        orders: Orders sent by other runs.
        approved_at: When this plan was approved, store's clock.
        asked_at: When this was asked, store's clock.
    """

    plans: Annotated[int, Field(ge=0)]
    orders: Annotated[int, Field(ge=0)]
    approved_at: Utc
    asked_at: Utc


class ReviewPlan(RunMessage):
    """Judge these legs on this snapshot.

    Attributes:
        review: Counts the run's reviews; the answer carries it back.
        trades: Every leg still to be sent, `qty` as it would be sent.
        money: None at submission (Compliance reckons with expected proceeds); the gate's figures at the recheck.
        history: As read when the run was received; None where no rule asked for one.
        today: None where it isn't known: then the rules that need it refuse.
        ahead: The snapshot is a forecast, asked while the SELLs are out; the gate judges anew.
    """

    review: int
    stage: Stage
    trades: tuple[Trade, ...]
    snapshot: SnapshotRef
    funding: Funding
    money: Money | None = None
    history: HistoryRef | None = None
    today: Today | None = None
    ahead: bool = False


class LossVerdict(Record):
    """What the limits on losses ask for, on the look that a review was made on.

    Attributes:
        state: REDUCING or HALTED.
        violations: Why, most severe first.
    """

    state: TradingState
    violations: Annotated[tuple[Violation, ...], Field(min_length=1)]


class PlanReviewed(RunMessage):
    """The verdict.

    Attributes:
        rejected: True: nothing may be sent; `violations` say why.
        legs: A decision for every leg asked about; SELLs are kept or, in a rejected plan, named.
        breaches: Limits that were broken before and that the plan doesn't worsen: reported, no reason to refuse.
        losses: None while every limit on losses holds.
    """

    review: int
    snapshot_id: str
    rejected: bool
    legs: tuple[LegDecision, ...]
    violations: tuple[Violation, ...] = ()
    breaches: tuple[Violation, ...] = ()
    losses: LossVerdict | None = None
