"""What an account looked like before: past executions and daily closes. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from paper_alpaca import hours
from paper_alpaca.figures import ZERO
from paper_alpaca.orders import Side

ORDER_TYPES: Final = frozenset({"market", "limit", "stop", "stop_limit", "trailing_stop"})
_STAMPED: Final = time(20)  # a day's close bears the time at which its last session ends
_PERIOD: Final = re.compile(r"([1-9][0-9]{0,3})([DWMA])\Z")
_UNITS: Final = {"W": 7, "M": 30, "A": 365}


@dataclass(frozen=True, slots=True, kw_only=True)
class PastFill:
    """An execution before the account began here. Its effect is in the account's cash and positions already.

    Attributes:
        order: Names the order; executions of one name are parts of it.
        order_type: As of an order.
        submitted_at: When the order was placed.
    """

    order: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    at: datetime
    order_type: str
    submitted_at: datetime


@dataclass(frozen=True, slots=True)
class Close:
    """What the account was worth when a day's trading ended, USD."""

    day: date
    equity: Decimal


def last_close(closes: Sequence[Close], today: date) -> Decimal | None:
    """Return the equity at the newest close before today that is told; None where none is."""
    return next((close.equity for close in reversed(closes) if close.day < today), None)


def daily_equity(
    closes: Sequence[Close], *, begun_with: Decimal, equity: Decimal, today: date, first: date, last: date
) -> Iterator[tuple[datetime, Decimal]]:
    """Yield (stamp, equity) of the trading days from `first` to `last`, none after today.

    Today has the equity of the moment. A past day that isn't told closed as the one before it; days before the first
    that is told are before the account was funded: zero. Where no day is told, all closed as the account begins here.

    Args:
        closes: The days that are told, oldest first.
        begun_with: Equity that the account begins with.
        equity: Equity now.
        today: New York's day.
        first: The first day wanted.
        last: The last day wanted.
    """
    for session in hours.sessions(first, min(last, today)):
        if session.day == today:
            value = equity
        elif not closes:
            value = begun_with
        else:
            told = last_close(closes, session.day + timedelta(days=1))
            value = ZERO if told is None else told
        yield session.opens.replace(hour=_STAMPED.hour, minute=0), value


def days_back(period: str, last: date) -> date | None:
    """Return the first day of a period such as 1D, 2W, 1M, 1A that ends on `last`; None for no such period.

    Days are trading days and count from the close before them, the other units are calendar time.
    """
    match = _PERIOD.match(period)
    if match is None:
        return None
    number, unit = int(match[1]), match[2]
    if unit != "D":
        return last - timedelta(days=number * _UNITS[unit])
    day, left = last, number
    while left:
        day -= timedelta(days=1)
        left -= hours.is_trading_day(day)
    return day
