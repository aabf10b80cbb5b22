"""What a person approves: the plan, its trades, the approval, and the letter that hands them in."""

from datetime import date
from enum import StrEnum

from messages.message import RunMessage
from messages.values import (
    AccountName,
    Funding,
    LegId,
    OrderType,
    PlanId,
    Price,
    Qty,
    Record,
    SellShortfall,
    Side,
    Symbol,
    TimeInForce,
    Usd,
    Utc,
)


class Mode(StrEnum):
    """Paper or live money."""

    PAPER = "paper"
    LIVE = "live"


class Trade(Record):
    """One leg of a plan, as approved.

    Attributes:
        leg: `S01`, `S02` ... for SELLs, `B01` ... for BUYs, numbered in file order.
        qty: Shares, > 0. For a BUY the upper bound of what may be bought.
        reference_price_usd: USD per share when the plan was made.
        score: Higher is bought first; None goes last.
        atr_usd: Average true range over 14 days, USD per share.
        earnings_date: When the company reports next, New York's day.
    """

    leg: LegId
    symbol: Symbol
    side: Side
    qty: Qty
    reference_price_usd: Price
    order_type: OrderType = OrderType.MARKET
    limit_price_usd: Price | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    sector: str | None = None
    score: Usd | None = None
    stop_loss_usd: Price | None = None
    take_profit_usd: Price | None = None
    atr_usd: Price | None = None
    earnings_date: date | None = None


def usual_time_in_force(side: Side, *, protected: bool) -> TimeInForce:
    """How long an order stands where its plan doesn't say: a protected BUY till canceled, for its exits share it."""
    return TimeInForce.GTC if protected and side is Side.BUY else TimeInForce.DAY


class Plan(Record):
    """A plan as its file says it.

    Attributes:
        plan_sha256: SHA-256 of the file's bytes, 64 hex digits.
        sell_shortfall: None: the configured policy counts.
        funding: None: the configured policy counts.
        expires_at: None: only the approval's own expiry counts.
        trades: In file order.
    """

    plan_id: PlanId
    account: AccountName
    plan_sha256: str
    sell_shortfall: SellShortfall | None = None
    funding: Funding | None = None
    expires_at: Utc | None = None
    trades: tuple[Trade, ...]


class Approval(Record):
    """A person's yes to exactly these bytes, on this account, until then.

    Attributes:
        approved_by: A name that `allowed_signers` knows.
        nonce: Random text; one that is seen a second time is a replay.
        rules_sha256: Names the policy that was in force (`Settings.rules_sha256`).
        orders_sha256: Names the plan as it was read from those bytes and shown to the person.
        signature: SSH signature over all of the above, its base64 on one line.

    An approval in which one of the last three is None covers nothing.
    """

    plan_sha256: str
    account: AccountName
    mode: Mode = Mode.PAPER
    approved_by: str
    approved_at: Utc
    expires_at: Utc
    nonce: str
    rules_sha256: str | None = None
    orders_sha256: str | None = None
    signature: str | None = None


class SubmitPlan(RunMessage):
    """Put an approved plan into the CEO's inbox. The plan is executed from these bytes, not from the file."""

    plan: Plan
    approval: Approval
    plan_text: str
