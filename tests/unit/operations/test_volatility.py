"""Wilder's average true range, reckoned by hand."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from departments.operations.candidates import Candidate
from departments.operations.volatility import atr_usd, true_range_usd, with_atr
from messages.snapshots import BarFacts

FIRST = date(2025, 8, 1)


def bar(number: int, high: str, low: str, close: str, symbol: str = "AA") -> BarFacts:
    figures = {name: Decimal(text) for name, text in (("high_usd", high), ("low_usd", low), ("close_usd", close))}
    day = FIRST + timedelta(days=number)
    return BarFacts(symbol=symbol, day=day, open_usd=Decimal(close), volume=Decimal(1000), **figures)


@pytest.mark.parametrize(
    ("before", "expected"),
    [("10.50", "1.00"), ("12.00", "2.00"), ("9.00", "2.00")],
    ids=["within the day", "opened lower", "opened higher"],
)
def test_a_true_range_spans_the_close_before(before, expected):
    assert true_range_usd(bar(1, "11", "10", "10.5"), Decimal(before)) == Decimal(expected)


def test_the_mean_of_the_first_ranges_is_smoothed_by_each_further_one():
    """Ranges 2, 4 and 6 over two days: (2 + 4) / 2 = 3, then (3 x 1 + 6) / 2 = 4.5."""
    bars = [bar(0, "10", "10", "10"), bar(1, "11", "9", "10"), bar(2, "12", "8", "10"), bar(3, "13", "7", "10")]

    assert atr_usd(bars[:3], days=2) == Decimal("3.0000")
    assert atr_usd(bars, days=2) == Decimal("4.5000")


def test_fourteen_ranges_need_fifteen_bars():
    bars = [bar(number, "10.3", "10", "10.1") for number in range(15)]

    assert atr_usd(bars) == Decimal("0.3000")
    assert atr_usd(bars[1:]) is None
    assert atr_usd([]) is None


def test_what_does_not_move_has_no_average_to_weigh_by():
    assert atr_usd([bar(number, "10", "10", "10") for number in range(60)]) is None


@pytest.mark.parametrize(
    "bars",
    [
        [bar(1, "2", "1", "1"), bar(0, "2", "1", "1")],
        [bar(1, "2", "1", "1"), bar(1, "2", "1", "1")],
        [bar(0, "2", "1", "1"), bar(1, "2", "1", "1", symbol="BB")],
    ],
    ids=["newest first", "a day twice", "two symbols"],
)
def test_bars_that_are_no_row_of_days_are_refused(bars):
    with pytest.raises(ValueError, match="oldest first"):
        atr_usd(bars, days=1)


def test_only_candidates_without_an_average_get_one_and_only_from_bars_of_now():
    length = {"AA": 60, "BB": 60, "OLD": 51, "FEW": 0}
    bars = [bar(number, "10.3", "10", "10.1", symbol) for symbol in length for number in range(length[symbol])]
    candidates = (*(Candidate(symbol=symbol) for symbol in ("AA", "OLD", "FEW", "NONE")),)
    given = Candidate(symbol="BB", atr_usd=Decimal(2))

    found = with_atr((*candidates, given), bars, FIRST + timedelta(days=58))
    later = with_atr(candidates, bars, FIRST + timedelta(days=66))

    assert [one.atr_usd for one in found] == [Decimal("0.3000"), None, None, None, Decimal(2)]
    assert [one.atr_usd for one in later] == [Decimal("0.3000"), None, None, None]
    assert [one.symbol for one in found] == ["AA", "OLD", "FEW", "NONE", "BB"]
