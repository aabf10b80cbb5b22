"""What the portfolio database keeps beside fills: plain rows, money and times as text. Pure.

The fields of a row are the columns of its table, in order; `firm export` shows them under the same names.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal


class BooksError(Exception):
    """Something is wrong with the portfolio database, or with what it is made of; the text is one line."""


def instant_text(at: datetime) -> str:
    """ISO-8601, UTC, always to the microsecond, so that text sorts as time does."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def figure_text(figure: Decimal) -> str:
    """A figure as it was told, without an exponent."""
    return f"{figure:f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as the CEO's mail tells it. USD.

    Attributes:
        outcome: None while it goes on.
        reason: Why it is held, or how it ended.
        legs: How many the plan has.
        legs_filled: How many of them were filled whole.
        verified: `yes` or `no`; None while it is not verified.
    """

    run_id: str
    plan_id: str
    plan_sha256: str
    account: str
    phase: str
    outcome: str | None
    reason: str | None
    sell_shortfall: str
    funding: str
    approved_by: str
    accepted_at: str
    started_at: str | None
    ended_at: str | None
    legs: int
    legs_filled: int
    proceeds: str
    spent: str
    cash_before: str | None
    cash_after: str | None
    implementation_shortfall: str
    verified: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order that the firm placed, or that Alpaca made out of one of ours (a bracket's stop)."""

    order_id: str
    client_order_id: str
    run_id: str
    leg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRecord:
    """A look at the account that the journal keeps: who isn't named was not held.

    Attributes:
        at: Broker's time.
        held: Symbols, with a space before, between and behind.
    """

    run_id: str
    at: str
    held: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBooked:
    """All that is kept of one run."""

    run: RunRecord
    orders: tuple[OrderRecord, ...]
    looks: tuple[LookRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSince:
    """A position and its entry, as the database has it.

    Attributes:
        entered_at: Broker's time; None: unknown.
        entry_day: The trading day of that; None: unknown.
        unknown_because: None where it is known.
    """

    symbol: str
    qty: Decimal
    entered_at: datetime | None
    entry_day: date | None
    unknown_because: str | None
