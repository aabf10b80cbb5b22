"""Positions to leave or to keep, in figures that one can reckon with in one's head."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from departments.operations.exits import ExitAsk
from messages.snapshots import (
    ClockFacts,
    HoldingFacts,
    PlannedLevels,
    PositionFacts,
    Snapshot,
    TradingDay,
)
from tests.builders.portfolio import NOW, Figure, asset, held, quote, snapshot

OPEN = ClockFacts(
    at=NOW,
    is_open=True,
    next_open=datetime(2025, 11, 11, 14, 30, tzinfo=UTC),
    next_close=datetime(2025, 11, 10, 21, 0, tzinfo=UTC),
)
"""Monday, November 10, 2025, 10:09 in New York."""


def position(symbol: str, qty: Figure = 20, price: Figure | None = 100, *, entry: Figure = 100, **more: Any) -> Any:
    """A position of $2,000 that neither gained nor lost."""
    return held(symbol, qty, price, **more).model_copy(update={"avg_entry_price_usd": Decimal(entry)})


def holding(symbol: str, **known: Any) -> HoldingFacts:
    """Entered three trading days ago at 100, highest close 100, an average range of 2; some figures changed."""
    facts: dict[str, Any] = {
        "entered_at": datetime(2025, 11, 5, 15, 0, tzinfo=UTC),
        "trading_days": 3,
        "avg_entry_price_usd": Decimal(100),
        "highest_close_usd": Decimal(100),
        "atr_usd": Decimal(2),
    }
    return HoldingFacts(symbol=symbol, **{**facts, **known})


def levels(symbol: str, *, stop: str | None = None, target: str | None = None, score: str | None = None) -> Any:
    """What the plan that bought it said."""
    return PlannedLevels(
        symbol=symbol,
        bought_at=datetime(2025, 11, 5, 15, 0, tzinfo=UTC),
        stop_loss_usd=None if stop is None else Decimal(stop),
        take_profit_usd=None if target is None else Decimal(target),
        score=None if score is None else Decimal(score),
    )


def look(positions: Iterable[PositionFacts], *, equity: Figure = 100_000, **more: Any) -> Snapshot:
    """A whole look with the market open: each position is active and quoted at its price."""
    positions = tuple(positions)
    quotes = {one.symbol: quote(one.symbol, one.current_price_usd) for one in positions}
    quotes |= {one.symbol: one for one in more.pop("quotes", ())}
    assets = {one.symbol: asset(one.symbol) for one in positions} | {one.symbol: one for one in more.pop("assets", ())}
    clock = more.pop("clock", OPEN)
    seen = snapshot(
        (), equity=equity, cash=0, positions=positions, quotes=quotes.values(), assets=assets.values(), **more
    )
    return seen.model_copy(update={"clock": clock})


def ask(
    positions: Iterable[PositionFacts],
    holdings: Iterable[HoldingFacts] | None = None,
    *,
    plans: Iterable[PlannedLevels] = (),
    scores: Mapping[str, Decimal] | None = None,
    **more: Any,
) -> ExitAsk:
    """What is judged: every position is a `holding` unless told otherwise."""
    positions = tuple(positions)
    known = tuple(holding(one.symbol) for one in positions) if holdings is None else tuple(holdings)
    return ExitAsk(
        account="paper",
        snapshot=look(positions, **more),
        holdings=known,
        levels={one.symbol: one for one in plans},
        scores=scores or {},
    )


def trading_day(day: date, *, half: bool = False) -> TradingDay:
    """A trading day in winter: 9:30 to 16:00 in New York, to 13:00 if it is half a day."""
    opens = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
    return TradingDay(day=day, opens_at=opens, closes_at=opens + timedelta(hours=3.5 if half else 6.5))


def weekdays(first: date, last: date, *, without: Iterable[date] = (), half: Iterable[date] = ()) -> Any:
    """Trading days between two days, both included: Mondays to Fridays but for some."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return tuple(trading_day(day, half=day in half) for day in days if day.weekday() < 5 and day not in set(without))
