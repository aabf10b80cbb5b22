"""Executions, as figures."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from messages.snapshots import FillFacts
from messages.values import OrderId, Side

OPENED = datetime(2025, 11, 10, 14, 30, tzinfo=UTC)
"""A Monday's opening."""
_numbers = count(1)


def fill(
    qty: int | str,
    at: datetime | int = 0,
    *,
    symbol: str = "AAA",
    price: int | str = 10,
    activity_id: str | None = None,
    order_id: str | None = None,
) -> FillFacts:
    """One execution: `qty` below zero is a SELL; `at` may be minutes after the opening."""
    number = next(_numbers)
    shares = Decimal(qty)
    return FillFacts(
        activity_id=activity_id or f"20251110093000000::{number:08}",
        order_id=OrderId(order_id or f"order-{number}"),
        symbol=symbol,
        side=Side.BUY if shares > 0 else Side.SELL,
        qty=abs(shares),
        price_usd=Decimal(price),
        at=at if isinstance(at, datetime) else OPENED + timedelta(minutes=at),
        order_type="unknown",
    )


def story(*quantities: int | str, symbol: str = "AAA") -> tuple[FillFacts, ...]:
    """Executions a minute apart."""
    return tuple(fill(qty, minute, symbol=symbol) for minute, qty in enumerate(quantities))


def total(fills: Iterable[FillFacts]) -> Decimal:
    """Shares that fills add up to."""
    return sum((one.qty if one.side is Side.BUY else -one.qty for one in fills), Decimal(0))
