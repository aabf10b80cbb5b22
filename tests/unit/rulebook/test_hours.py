"""When the market can be used, and when its clock is worth another look."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.rulebook.hours import FAR_POLLS, look_again_in_s, why_closed
from messages.snapshots import ClockFacts

NOW = datetime(2025, 11, 7, 22, 0, tzinfo=UTC)


def clock(*, is_open=False, opens_in_s=3600.0, closes_in_s=3600.0):
    return ClockFacts(
        at=NOW,
        is_open=is_open,
        next_open=NOW + timedelta(seconds=opens_in_s),
        next_close=NOW + timedelta(seconds=closes_in_s),
    )


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        (None, "could not be read"),
        (clock(), "closed until 2025-11-07 23:00 UTC"),
        (clock(is_open=True, closes_in_s=299), "closes at 22:04 UTC, too soon"),
    ],
)
def test_a_market_that_cannot_be_used_says_why(shown, says):
    assert says in why_closed(shown, 300)


def test_an_open_market_with_time_enough_can_be_used():
    assert why_closed(clock(is_open=True, closes_in_s=300), 300) is None


@pytest.mark.parametrize(
    ("opens_in_s", "wait_s"),
    [(200_000, 10), (360, 6), (60, 5), (7, 5), (3, 3.05), (0.2, 0.25), (0, 5), (-5, 5)],
    ids=["a weekend", "minutes", "a minute", "seconds", "just before", "at once", "overdue", "long overdue"],
)
def test_the_clock_is_looked_at_more_often_near_the_open_and_once_just_at_it(opens_in_s, wait_s):
    assert look_again_in_s(clock(opens_in_s=opens_in_s), 5) == pytest.approx(wait_s)


@given(opens_in_s=st.floats(-1e6, 1e6), poll_s=st.integers(1, 86_400))
def test_a_clock_that_was_moved_is_noticed_within_the_poll_and_never_stormed(opens_in_s, poll_s):
    wait_s = look_again_in_s(clock(opens_in_s=opens_in_s), poll_s)

    assert 0.05 < wait_s <= FAR_POLLS * poll_s


@given(opens_in_s=st.floats(0.001, 60), poll_s=st.integers(1, 10))
def test_a_run_of_looks_up_to_the_open_is_short(opens_in_s, poll_s):
    looks = 0
    while opens_in_s > 0:
        opens_in_s -= look_again_in_s(clock(opens_in_s=opens_in_s), poll_s)
        looks += 1

    assert looks <= 60 / poll_s + 2
    assert opens_in_s >= -0.06
