"""New York's clock, held to the time zone database where there is one."""

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta

import pytest

from messages.new_york import day_in_new_york, from_new_york


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2025-11-10T04:59:59.999999+00:00", date(2025, 11, 9)),
        ("2025-11-10T05:00:00+00:00", date(2025, 11, 10)),
        ("2025-07-10T03:59:59+00:00", date(2025, 7, 9)),
        ("2025-07-10T04:00:00+00:00", date(2025, 7, 10)),
        ("2025-07-10T06:00:00+02:00", date(2025, 7, 10)),
    ],
)
def test_the_day_is_new_yorks(at, day):
    assert day_in_new_york(datetime.fromisoformat(at)) == day


def test_days_agree_with_the_time_zone_database():
    try:
        zone = zoneinfo.ZoneInfo("America/New_York")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("no time zone database on this machine")
    first = datetime(2019, 1, 1, tzinfo=UTC)

    for hours in range(0, 10 * 366 * 24, 3):
        at = first + timedelta(hours=hours)
        assert day_in_new_york(at) == at.astimezone(zone).date()
        midnight = datetime.combine(at.date(), time(), zone)
        assert from_new_york(at.date(), time()) == midnight
