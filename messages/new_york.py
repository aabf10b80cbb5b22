"""New York's clock: which day an instant falls on, and which instant a time of day there is. Pure.

The rule is written out, since a machine without a time zone database must not fail the first look of the day. It is the
one in force since 2007: summer time from the second Sunday of March, 2:00, to the first Sunday of November, 2:00.

Source: 15 U.S.C. 260a.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

_SUMMER = timedelta(hours=-4)
_WINTER = timedelta(hours=-5)
_SUNDAY = 6


def day_in_new_york(at: datetime) -> date:
    """The day that an aware instant falls on there."""
    begins, ends = _summer_time(at.astimezone(UTC).year)
    return (at.astimezone(UTC) + (_SUMMER if begins <= at < ends else _WINTER)).date()


def from_new_york(day: date, at: time) -> datetime:
    """The instant of a time of day there, UTC. Of the hour that comes twice in November the first is meant."""
    begins, ends = _summer_time(day.year)
    naive = datetime.combine(day, at)
    in_summer = begins + _WINTER <= naive.replace(tzinfo=UTC) < ends + _SUMMER
    return (naive - (_SUMMER if in_summer else _WINTER)).replace(tzinfo=UTC)


@lru_cache(maxsize=64)
def _summer_time(year: int) -> tuple[datetime, datetime]:
    """When summer time begins and ends, UTC."""
    begins = datetime.combine(_sunday(year, 3, 2), time(2), UTC) - _WINTER
    ends = datetime.combine(_sunday(year, 11, 1), time(2), UTC) - _SUMMER
    return begins, ends


def _sunday(year: int, month: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(_SUNDAY - first.weekday()) % 7 + 7 * (number - 1))
