"""How far a share moves in a day, out of daily bars, pure.

Source: J. Welles Wilder, New Concepts in Technical Trading Systems (1978): true range, and its smoothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise

from departments.operations.candidates import Candidate
from messages.snapshots import BarFacts

ATR_DAYS = 14
NEWEST_WITHIN = timedelta(days=7)
"""Bars that end longer ago tell of another time: the share has not traded since."""
ATR_STEP = Decimal("0.0001")
"""What an ATR is rounded to, USD a share, half to even."""


def true_range_usd(bar: BarFacts, close_before_usd: Decimal) -> Decimal:
    """The span of a day's prices and the close before it, USD a share."""
    return max(bar.high_usd, close_before_usd) - min(bar.low_usd, close_before_usd)


def atr_usd(bars: Sequence[BarFacts], days: int = ATR_DAYS) -> Decimal | None:
    """Wilder's average true range, USD a share.

    The mean of the first `days` true ranges, then each further one with a weight of 1/`days`. The first bar only gives
    a close to begin with.

    Args:
        bars: One symbol's daily bars, oldest first, a bar a day.
        days: The average's length, >= 1.

    Returns:
        None where there are fewer than `days` + 1 bars, and where nothing moves: nothing can be weighed by zero.

    Raises:
        ValueError: The bars are of several symbols, or not in the order of their days.
    """
    if len({bar.symbol for bar in bars}) > 1 or any(a.day >= b.day for a, b in pairwise(bars)):
        raise ValueError("expected one symbol's bars, oldest first, a bar a day")
    ranges = [true_range_usd(bar, before.close_usd) for before, bar in pairwise(bars)]
    if len(ranges) < days:
        return None
    average_usd = sum(ranges[:days], Decimal(0)) / days
    for one in ranges[days:]:
        average_usd += (one - average_usd) / days
    return average_usd.quantize(ATR_STEP, ROUND_HALF_EVEN) or None


def with_atr(candidates: Iterable[Candidate], bars: Iterable[BarFacts], today: date) -> tuple[Candidate, ...]:
    """Candidates with the average true range that their file doesn't give; one whose bars don't tell it stays without.

    Args:
        candidates: In any order, kept.
        bars: Of all symbols, each one's oldest first.
        today: In New York.
    """
    by_symbol: dict[str, list[BarFacts]] = {}
    for bar in bars:
        by_symbol.setdefault(bar.symbol, []).append(bar)
    return tuple(
        replace(one, atr_usd=atr_usd(found))
        if one.atr_usd is None
        and (found := by_symbol.get(one.symbol)) is not None
        and today - found[-1].day <= NEWEST_WITHIN
        else one
        for one in candidates
    )
