"""When a review is due: whole days, half days, holidays, weekends, and a clock that says otherwise."""

from datetime import UTC, date, datetime, timedelta

import pytest

from departments.operations.schedule import agenda, time_of
from messages.snapshots import ClockFacts
from tests.builders.exits import trading_day, weekdays

TIMES = ("10:00", "15:30")
THANKSGIVING, HALF_DAY = date(2025, 11, 27), date(2025, 11, 28)
DAYS = weekdays(date(2025, 11, 3), date(2025, 12, 5), without=[THANKSGIVING], half=[HALF_DAY])
MONDAY = date(2025, 11, 10)


def new_york(day, hours, minutes=0):
    """A time of a winter's day in New York."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hours + 5, minutes=minutes)


def clock(at, *, is_open=None):
    """The broker's clock, which knows the calendar unless told otherwise."""
    session = any(one.opens_at <= at < one.closes_at for one in DAYS)
    upcoming = next(one for one in DAYS if one.opens_at > at)
    closes = next(one for one in DAYS if one.closes_at > at)
    return ClockFacts(
        at=at,
        is_open=session if is_open is None else is_open,
        next_open=upcoming.opens_at,
        next_close=closes.closes_at,
    )


def plan(at, day=None, done=(), *, is_open=None, days=DAYS, times=TIMES):
    return agenda(clock(at, is_open=is_open), days, times, day, frozenset(done))


def skipped(found):
    return [(one.day, one.time, one.why) for one in found.skipped]


def test_before_the_first_review_it_is_waited_for():
    found = plan(new_york(MONDAY, 9, 59))

    assert (found.due, found.day, found.done) == (None, MONDAY, frozenset())
    assert found.wake_at == new_york(MONDAY, 10)


@pytest.mark.parametrize(
    ("at", "done", "due", "wakes"),
    [
        (new_york(MONDAY, 10), (), "10:00", new_york(MONDAY, 15, 30)),
        (new_york(MONDAY, 12), (), "10:00", new_york(MONDAY, 15, 30)),
        (new_york(MONDAY, 12), ("10:00",), None, new_york(MONDAY, 15, 30)),
        (new_york(MONDAY, 15, 30), ("10:00",), "15:30", new_york(MONDAY, 16)),
        (new_york(MONDAY, 15, 59), ("10:00", "15:30"), None, new_york(MONDAY, 16)),
    ],
    ids=["on time", "late", "done", "the second", "all done"],
)
def test_a_review_is_due_from_its_time_on_once(at, done, due, wakes):
    found = plan(at, MONDAY, done)

    assert (found.due, found.wake_at, found.skipped) == (due, wakes, ())


def test_of_two_that_are_overdue_the_later_is_made():
    found = plan(new_york(MONDAY, 15, 45), MONDAY)

    assert (found.due, found.done) == ("15:30", {"10:00"})
    assert skipped(found) == [(MONDAY, "10:00", "that of 15:30 is due as well")]


def test_after_the_close_nothing_is_reviewed_and_what_was_missed_is_told():
    found = plan(new_york(MONDAY, 16), MONDAY, ["10:00"])

    assert (found.due, found.day) == (None, date(2025, 11, 11))
    assert skipped(found) == [(MONDAY, "15:30", "the market had closed")]
    assert found.wake_at == new_york(date(2025, 11, 11), 10)


def test_half_days_lose_the_reviews_after_their_close():
    found = plan(new_york(HALF_DAY, 9, 45))

    assert skipped(found) == [(HALF_DAY, "15:30", "the market closes before")]
    assert (found.wake_at, found.closes_at) == (new_york(HALF_DAY, 10), new_york(HALF_DAY, 13))
    assert plan(new_york(HALF_DAY, 9, 45), HALF_DAY, found.done).skipped == ()


def test_a_review_at_the_very_close_is_after_it():
    assert plan(new_york(HALF_DAY, 12, 59), times=("12:59", "13:00")).due == "12:59"
    assert [one.time for one in plan(new_york(HALF_DAY, 12), times=("13:00",)).skipped] == ["13:00"]


@pytest.mark.parametrize(
    "at",
    [new_york(THANKSGIVING, 11), new_york(date(2025, 11, 26), 20), new_york(HALF_DAY, 9)],
    ids=["on the holiday", "the night before", "the morning after"],
)
def test_holidays_are_slept_through(at):
    found = plan(at)

    assert (found.due, found.day, found.wake_at) == (None, HALF_DAY, new_york(HALF_DAY, 10))


def test_weekends_are_slept_through_even_if_the_clock_says_open():
    saturday = date(2025, 11, 8)

    found = plan(new_york(saturday, 11), is_open=True)

    assert (found.due, found.wake_at) == (None, new_york(MONDAY, 10))


def test_a_clock_that_says_closed_within_a_session_is_asked_again():
    found = plan(new_york(MONDAY, 11), is_open=False)

    assert (found.due, found.skipped) == (None, ())
    assert found.wake_at == new_york(MONDAY, 11, 1)


def test_a_calendar_without_a_session_is_looked_at_again():
    found = plan(new_york(MONDAY, 11), MONDAY, ["10:00"], days=DAYS[:3])

    assert (found.day, found.due) == (None, None)
    assert found.wake_at == new_york(MONDAY, 12)
    assert skipped(found) == [(MONDAY, "15:30", "the market had closed")]


def test_after_days_away_the_reviews_of_the_day_left_are_told():
    found = plan(new_york(date(2025, 11, 13), 11), MONDAY)

    assert skipped(found) == [(MONDAY, one, "the market had closed") for one in TIMES]
    assert (found.day, found.due) == (date(2025, 11, 13), "10:00")


@pytest.mark.parametrize(
    ("day", "utc"),
    [(date(2025, 7, 1), 14), (date(2025, 11, 10), 15), (date(2025, 3, 7), 15), (date(2025, 3, 10), 14)],
    ids=["summer", "winter", "before the change", "after the change"],
)
def test_times_are_new_yorks(day, utc):
    assert time_of("10:00", trading_day(day)) == datetime(day.year, day.month, day.day, utc, tzinfo=UTC)


def test_it_never_wakes_before_it_sleeps():
    at = new_york(date(2025, 11, 9), 0)
    while at < new_york(date(2025, 12, 2), 0):
        for is_open in (True, False, None):
            for day, done in ((None, ()), (MONDAY, ("10:00",)), (HALF_DAY, TIMES)):
                assert plan(at, day, done, is_open=is_open).wake_at > at
        at += timedelta(minutes=17)
