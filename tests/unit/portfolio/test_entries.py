"""When a position was opened, and what is left of which execution."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from departments.portfolio.entries import FillsContradict, entry_of, holding_of, trading_day_of
from messages.snapshots import TradingDay
from tests.builders.fills import OPENED, fill, story
from tests.builders.portfolio import held


def minute(entry):
    return None if entry.opened is None else int((entry.opened.at - OPENED).total_seconds() // 60)


@pytest.mark.parametrize(
    ("quantities", "opened", "lots"),
    [
        ((10,), 0, (10,)),
        ((3, 3, 4), 0, (3, 3, 4)),  # one order in parts
        ((10, 5), 0, (10, 5)),  # an add-on
        ((10, -4), 0, (6,)),
        ((10, 5, -10), 0, (5,)),  # what is left is the add-on's; the position is older
        ((10, 5, -12), 0, (3,)),
        ((10, -10, 7), 2, (7,)),  # closed and opened again
        ((10, -4, -6, 7, 1), 3, (7, 1)),
        ((-10,), 0, (-10,)),  # sold short
        ((-10, -5, 12), 0, (-3,)),
        ((-10, 10, 4), 2, (4,)),
        ((5, -5, -8, 3), 2, (-5,)),  # from long to short by way of flat
        (("0.5", "0.25", "-0.5"), 0, ("0.25",)),
    ],
)
def test_an_entry_is_the_first_execution_since_flat_and_lots_are_first_in_first_out(quantities, opened, lots):
    fills = story(*quantities)
    shares = sum(map(Decimal, quantities))

    entry = entry_of(held("AAA", shares, 10), fills)

    assert entry.unknown_because is None
    assert minute(entry) == opened
    assert tuple(lot.qty for lot in entry.lots) == tuple(map(Decimal, lots))


def test_an_entry_spread_over_days_begins_on_the_first():
    fills = [fill(10, OPENED + timedelta(days=days)) for days in (3, 1, 0, 7)]

    entry = entry_of(held("AAA", 40, 10), fills)

    assert entry.opened.at == OPENED


@pytest.mark.parametrize(
    ("quantities", "shown", "says"),
    [
        ((), 10, "no fills"),
        ((10,), 20, "the fills add up to 10 shares, Alpaca shows 20"),  # a split
        ((10,), 4, "the fills add up to 10 shares, Alpaca shows 4"),
        ((-190,), 5, "the fills add up to -190 shares, Alpaca shows 5"),
        ((10, -15), -5, "takes it from 10 to -5 shares"),
        ((-10, 15, 2), 7, "takes it from -10 to 5 shares"),
    ],
)
def test_what_fills_do_not_explain_is_unknown_and_says_why(quantities, shown, says):
    entry = entry_of(held("AAA", shown, 10), story(*quantities))

    assert (entry.opened, entry.lots) == (None, ())
    assert says in entry.unknown_because


def test_a_flip_is_forgotten_once_it_is_flat_again():
    entry = entry_of(held("AAA", 3, 10), story(10, -15, 5, 3))

    assert minute(entry) == 3


def test_what_was_seen_flat_is_told_from_then_on():
    fills = story(-190, 30, 20)  # 190 were there before the first fill

    unseen = entry_of(held("AAA", 50, 10), fills)
    seen = entry_of(held("AAA", 50, 10), fills, OPENED + timedelta(seconds=30))

    assert unseen.opened is None
    assert minute(seen) == 1


def test_a_look_just_before_the_closing_fill_spoils_nothing():
    entry = entry_of(held("AAA", 5, 10), story(10, -10, 5), OPENED + timedelta(seconds=30))

    assert minute(entry) == 2


def test_fills_that_a_look_contradicts_are_not_believed():
    entry = entry_of(held("AAA", 10, 10), story(10), OPENED + timedelta(minutes=5))

    assert entry.opened is None
    assert "Alpaca showed none at" in entry.unknown_because


def test_a_split_after_the_position_was_seen_flat_is_unknown_again():
    entry = entry_of(held("AAA", 100, 10), story(-190, 30, 20), OPENED + timedelta(seconds=30))

    assert entry.opened is None


def test_executions_of_one_instant_that_may_have_closed_it_are_a_doubt():
    first = fill(10, 0)
    doubtful = [first, fill(-10, 1), fill(4, 1)]
    harmless = [first, fill(-9, 1), fill(4, 1)]

    assert "may have been flat between" in entry_of(held("AAA", 4, 10), doubtful).unknown_because
    assert minute(entry_of(held("AAA", 5, 10), harmless)) == 0
    assert minute(entry_of(held("AAA", 3, 10), [*doubtful, fill(-4, 2), fill(3, 3)])) == 3


def test_an_execution_told_twice_counts_once_and_two_under_one_id_are_an_error():
    one = fill(10, activity_id="x", order_id="o")

    assert holding_of([one, one, one.model_copy(update={"order_type": "stop"})]).qty == 10
    with pytest.raises(FillsContradict, match="fill x: expected"):
        holding_of([one, fill(11, activity_id="x", order_id="o")])


def day(text, opens="14:30", closes="21:00"):
    return TradingDay.model_validate(
        {"day": text, "opens_at": f"{text}T{opens}:00Z", "closes_at": f"{text}T{closes}:00Z"}
    )


DAYS = [day("2025-11-07"), day("2025-11-10"), day("2025-11-11"), day("2025-11-26"), day("2025-11-28", closes="18:00")]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2025-11-10T14:30:00", date(2025, 11, 10)),
        ("2025-11-10T20:59:59", date(2025, 11, 10)),
        ("2025-11-10T09:00:00", date(2025, 11, 10)),  # before the opening, four in the morning
        ("2025-11-11T00:59:59", date(2025, 11, 10)),  # after the close, still the same day in New York
        ("2025-11-11T01:00:00", date(2025, 11, 11)),  # overnight counts for the day that comes
        ("2025-11-09T23:00:00", date(2025, 11, 10)),  # a Sunday's evening
        ("2025-11-27T15:00:00", date(2025, 11, 28)),  # Thanksgiving: the next day
        ("2025-11-07T14:29:00", None),  # before what is known
        ("2025-11-29T15:00:00", None),
    ],
)
def test_the_trading_day_is_the_calendars(at, expected):
    assert trading_day_of(datetime.fromisoformat(at).replace(tzinfo=UTC), DAYS) == expected
