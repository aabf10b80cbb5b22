"""What is known of a position, and what is not made up: days held, the highest close, the average range."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from departments.operations.holdings import holding_facts
from messages.snapshots import BarFacts, EntryFacts
from tests.builders.exits import position, weekdays

TODAY = date(2025, 11, 10)
AT = datetime(2025, 11, 10, 15, 9, tzinfo=UTC)
DAYS = weekdays(date(2025, 9, 12), date(2025, 11, 20))
PAST = [one.day for one in DAYS if one.day < TODAY]


def bar(day, close="100"):
    price = Decimal(close)
    return BarFacts(
        symbol="AA",
        day=day,
        open_usd=price,
        high_usd=price + 1,
        low_usd=price - 1,
        close_usd=price,
        volume=Decimal(1),
    )


BARS = [bar(day) for day in PAST[-20:]]


def facts(*, at=AT, days=DAYS, bars=BARS, entry=None, qty=20, **known):
    entries = (
        [] if entry is None else [EntryFacts(symbol="AA", qty=Decimal(20), entered_on=entry, entered_at=AT, **known)]
    )
    (one,) = holding_facts([position("AA", qty, entry=95)], at=at, days=days, bars=bars, entries=entries)
    return one


def test_trading_days_are_counted_from_the_day_after_the_entry_to_today():
    """Entered on a Thursday: Friday is one, Monday two."""
    assert facts(entry=date(2025, 11, 6)).trading_days == 2
    assert facts(entry=TODAY).trading_days == 0
    assert facts(entry=date(2025, 11, 6), at=AT - timedelta(hours=1)).trading_days == 1


def test_a_holiday_is_no_trading_day():
    without = weekdays(date(2025, 9, 12), date(2025, 11, 20), without=[date(2025, 11, 7)])

    assert facts(entry=date(2025, 11, 6), days=without).trading_days == 1


def test_the_highest_close_is_that_since_the_entry():
    bars = [*BARS[:10], bar(PAST[-10], "130"), *BARS[11:15], bar(PAST[-5], "120"), *BARS[16:]]

    assert facts(entry=PAST[-5], bars=bars).highest_close_usd == 120
    assert facts(entry=PAST[-6], bars=bars).highest_close_usd == 120
    assert facts(entry=PAST[-10], bars=bars).highest_close_usd == 130


def test_a_close_of_today_doesnt_count_before_it_is_one():
    bars = [*BARS, bar(TODAY, "200")]

    assert facts(entry=PAST[-3], bars=bars).highest_close_usd == 100
    assert facts(entry=PAST[-3], bars=bars, at=AT + timedelta(hours=8)).highest_close_usd == 200
    assert facts(entry=PAST[-3], at=AT + timedelta(hours=8)).highest_close_usd == 100


def test_on_the_day_of_the_entry_there_is_no_close_yet():
    assert facts(entry=TODAY).highest_close_usd is None


def test_bars_that_begin_after_the_entry_know_no_highest_close_unless_somebody_else_does():
    assert facts(entry=PAST[-21]).highest_close_usd is None
    assert facts(entry=PAST[-21], highest_close_usd=Decimal(99)).highest_close_usd == 100
    assert facts(entry=PAST[-21], highest_close_usd=Decimal(150)).highest_close_usd == 150


def test_the_average_entry_is_the_brokers_unless_the_entry_tells_it():
    assert facts().avg_entry_price_usd == 95
    assert facts(entry=TODAY, avg_entry_price_usd=Decimal(94)).avg_entry_price_usd == 94


def test_the_average_range_is_known_without_an_entry():
    assert facts().atr_usd == 2
    assert facts(bars=BARS[-15:]).atr_usd == 2
    assert facts(bars=BARS[-14:]).atr_usd is None


@pytest.mark.parametrize(
    "bars",
    [[], BARS[:-1], [*BARS[:10], *BARS[11:]]],
    ids=["none", "old", "with a gap"],
)
def test_bars_that_lack_a_day_tell_nothing(bars):
    known = facts(bars=bars, entry=PAST[-3])

    assert (known.atr_usd, known.highest_close_usd, known.trading_days) == (None, None, 3)


def test_without_a_calendar_nothing_is_known_of_days():
    known = facts(days=(), entry=PAST[-3])

    assert (known.entered_at, known.trading_days, known.atr_usd) == (None, None, None)


def test_an_entry_that_explains_other_shares_explains_nothing():
    known = facts(entry=PAST[-3], qty=21)

    assert (known.entered_at, known.trading_days, known.highest_close_usd) == (None, None, None)
