"""What exits are judged by, out of positions, entries, daily bars and the calendar. Pure.

What isn't known stays None: bars with a gap, or that end before the last day that is over, give no range and no
highest close; an entry that explains other shares than are held gives no day.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from departments.operations.volatility import atr_usd
from messages.new_york import day_in_new_york
from messages.snapshots import BarFacts, EntryFacts, HoldingFacts, PositionFacts, TradingDay


def holding_facts(
    positions: Iterable[PositionFacts],
    *,
    at: datetime,
    days: Sequence[TradingDay],
    bars: Iterable[BarFacts],
    entries: Iterable[EntryFacts],
) -> tuple[HoldingFacts, ...]:
    """Say of each position what is known.

    Args:
        positions: Those held.
        at: The broker's time.
        days: Trading days from some weeks ago to today, oldest first.
        bars: Daily bars, oldest first, today's among them or not.
        entries: Of positions whose executions are known.
    """
    explained = {entry.symbol: entry for entry in entries}
    by_symbol: dict[str, list[BarFacts]] = {}
    for bar in bars:
        by_symbol.setdefault(bar.symbol, []).append(bar)
    return tuple(
        _facts(position, explained, _closed(by_symbol.get(position.symbol, []), at, days), at, days)
        for position in positions
    )


def _facts(
    position: PositionFacts,
    explained: Mapping[str, EntryFacts],
    closed: tuple[BarFacts, ...] | None,
    at: datetime,
    days: Sequence[TradingDay],
) -> HoldingFacts:
    entry = explained.get(position.symbol)
    if entry is not None and entry.qty != position.qty:
        entry = None
    own_usd = None if entry is None else entry.avg_entry_price_usd
    average_usd = own_usd or position.avg_entry_price_usd
    known = HoldingFacts(
        symbol=position.symbol,
        avg_entry_price_usd=average_usd if average_usd > 0 else None,
        atr_usd=None if closed is None else atr_usd(closed),
    )
    if entry is None or not days:
        return known
    return known.model_copy(
        update={
            "entered_at": entry.entered_at,
            "trading_days": sum(entry.entered_on < one.day and one.opens_at <= at for one in days),
            "highest_close_usd": None if closed is None else _highest_close_usd(entry, closed),
        }
    )


def _highest_close_usd(entry: EntryFacts, closed: tuple[BarFacts, ...]) -> Decimal | None:
    """None where the bars begin after the entry and nobody else knows, and on the day of the entry itself."""
    closes = [bar.close_usd for bar in closed if bar.day >= entry.entered_on]
    if entry.highest_close_usd is not None:
        closes.append(entry.highest_close_usd)
    elif not closed or closed[0].day > entry.entered_on:
        return None
    return max(closes, default=None)


def _closed(bars: Sequence[BarFacts], at: datetime, days: Sequence[TradingDay]) -> tuple[BarFacts, ...] | None:
    """The bars of days that are over; None where one of those days has none. Today's may be missing: it is new."""
    if not bars or not days:
        return None
    over = {one.day for one in days if one.closes_at <= at}
    today = day_in_new_york(at)
    closed = tuple(bar for bar in bars if bar.day in over or bar.day < days[0].day)
    have = {bar.day for bar in closed}
    if any(day >= bars[0].day and day not in have and day != today for day in over):
        return None
    return closed
