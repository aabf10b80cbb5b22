"""New York's clock by the rule, against the time zone database where the machine has one."""

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.new_york import day_in_new_york, from_new_york


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2025-11-10T04:59:59Z", "2025-11-09"),
        ("2025-11-10T05:00:00Z", "2025-11-10"),
        ("2026-07-01T03:59:59Z", "2026-06-30"),
        ("2026-07-01T04:00:00Z", "2026-07-01"),
        ("2026-03-08T06:59:59Z", "2026-03-08"),
        ("2026-01-01T04:59:59Z", "2025-12-31"),
    ],
)
def test_an_instant_falls_on_a_day(at, day):
    assert day_in_new_york(datetime.fromisoformat(at)) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("day", "at", "utc"),
    [
        ("2025-11-10", "09:30", "2025-11-10T14:30"),
        ("2026-10-08", "09:30", "2026-10-08T13:30"),
        ("2026-03-08", "00:00", "2026-03-08T05:00"),
        ("2026-03-08", "03:00", "2026-03-08T07:00"),
        ("2025-11-02", "00:00", "2025-11-02T04:00"),
        ("2025-11-02", "01:30", "2025-11-02T05:30"),
        ("2025-11-02", "02:00", "2025-11-02T07:00"),
    ],
)
def test_a_time_of_day_is_an_instant(day, at, utc):
    expected = datetime.fromisoformat(utc).replace(tzinfo=UTC)

    assert from_new_york(date.fromisoformat(day), time.fromisoformat(at)) == expected


@given(st.integers(0, 40 * 366 * 24))
def test_every_hour_agrees_with_the_time_zone_database(hours):
    try:
        zone = zoneinfo.ZoneInfo("America/New_York")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("no time zone database here")
    at = datetime(2007, 3, 12, tzinfo=UTC) + timedelta(hours=hours)
    there = at.astimezone(zone)

    assert day_in_new_york(at) == there.date()
    if there.fold == 0:
        assert from_new_york(there.date(), there.time()) == at
