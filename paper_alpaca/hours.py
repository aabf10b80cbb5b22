"""When the New York Stock Exchange trades: sessions, holidays, half days, New York's clock. Pure.

The rules are written out instead of asking the `holidays` library, whose first import takes most of a second and would
hold up the first `/v2/clock`; a test compares every day of many years with that library. Rules are those in force
since 2022, which is all a paper account needs.

Source: https://www.nyse.com/markets/hours-calendars
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Final

_DAY: Final = timedelta(days=1)
_SUMMER: Final = timezone(timedelta(hours=-4))
_WINTER: Final = timezone(timedelta(hours=-5))
_OPENS: Final = time(9, 30)
_CLOSES: Final = time(16, 0)
_CLOSES_EARLY: Final = time(13, 0)
# Days of mourning and of storms, which follow no rule.
_CLOSED_ONCE: Final = frozenset({date(2025, 1, 9), date(2018, 12, 5), date(2012, 10, 29), date(2012, 10, 30)})
# A forced-open market outside every session closes this long from now: far enough for clients that keep a distance.
FORCED_OPEN: Final = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day. `opens` and `closes` are aware, in New York's offset of that day."""

    day: date
    opens: datetime
    closes: datetime


def new_york(moment: datetime) -> datetime:
    """Turn an aware time into New York's, by the rule in force since 2007."""
    utc = moment.astimezone(UTC)
    starts, ends = _summer_time(utc.year)
    return utc.astimezone(_SUMMER if starts <= utc < ends else _WINTER)


def is_trading_day(day: date) -> bool:
    """Tell whether the exchange opens on this day at all."""
    return day.weekday() < 5 and day not in _closed_days(day.year)


def session_on(day: date) -> Session | None:
    """Return the session of this day, or None when the exchange stays closed."""
    if not is_trading_day(day):
        return None
    starts, ends = _summer_time(day.year)
    zone = _SUMMER if starts.date() <= day < ends.date() else _WINTER
    closes = _CLOSES_EARLY if _is_half_day(day) else _CLOSES
    return Session(day, datetime.combine(day, _OPENS, zone), datetime.combine(day, closes, zone))


def sessions(first: date, last: date) -> Iterator[Session]:
    """Yield the sessions from `first` to `last`, both included."""
    day = first
    while day <= last:
        session = session_on(day)
        if session is not None:
            yield session
        day += _DAY


def next_open(now: datetime) -> datetime:
    """Return the first opening after `now`."""
    day = new_york(now).date()
    while True:
        session = session_on(day)
        if session is not None and session.opens > now:
            return session.opens
        day += _DAY


def next_close(now: datetime) -> datetime:
    """Return the first close after `now`."""
    day = new_york(now).date()
    while True:
        session = session_on(day)
        if session is not None and session.closes > now:
            return session.closes
        day += _DAY


def settlement(day: date) -> date:
    """Return the day on which trades of `day` settle: the next trading day (T+1)."""
    day += _DAY
    while not is_trading_day(day):
        day += _DAY
    return day


def day_before(day: date) -> date:
    """Return the last trading day before `day`."""
    day -= _DAY
    while not is_trading_day(day):
        day -= _DAY
    return day


def current_session(now: datetime) -> Session | None:
    """Return the session that `now` lies in, or None."""
    session = session_on(new_york(now).date())
    return session if session is not None and session.opens <= now < session.closes else None


@lru_cache(maxsize=64)
def _summer_time(year: int) -> tuple[datetime, datetime]:
    """Return when summer time begins and ends: 2 a.m. in New York, in the offset that ends there."""
    return (
        datetime.combine(_nth_weekday(year, 3, 6, 2), time(7), UTC),
        datetime.combine(_nth_weekday(year, 11, 6, 1), time(6), UTC),
    )


def _nth_weekday(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def _last_monday_of_may(year: int) -> date:
    last = date(year, 5, 31)
    return last - timedelta(days=last.weekday())


def _easter(year: int) -> date:
    """Return Easter Sunday. Source: the anonymous Gregorian computus, after Meeus."""
    century, rest = divmod(year, 100)
    golden = year % 19
    shift = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - century // 4 - shift + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _observed(day: date) -> date:
    """Move a Saturday holiday to Friday, a Sunday one to Monday."""
    return day + {5: -_DAY, 6: _DAY}.get(day.weekday(), timedelta(0))


@lru_cache(maxsize=64)
def _closed_days(year: int) -> frozenset[date]:
    new_year = date(year, 1, 1)
    closed = {
        # A New Year's Day on Saturday is not made up for: it would fall into the old year.
        new_year + _DAY if new_year.weekday() == 6 else new_year,
        _nth_weekday(year, 1, 0, 3),  # Martin Luther King Jr. Day
        _nth_weekday(year, 2, 0, 3),  # Washington's Birthday
        _easter(year) - 2 * _DAY,  # Good Friday
        _last_monday_of_may(year),  # Memorial Day
        _observed(date(year, 7, 4)),
        _nth_weekday(year, 9, 0, 1),  # Labor Day
        _thanksgiving(year),
        _observed(date(year, 12, 25)),
    }
    if year >= 2022:
        closed.add(_observed(date(year, 6, 19)))
    return frozenset(closed) | _CLOSED_ONCE


def _thanksgiving(year: int) -> date:
    return _nth_weekday(year, 11, 3, 4)


def _is_half_day(day: date) -> bool:
    year = day.year
    return day in {date(year, 7, 3), _thanksgiving(year) + _DAY, date(year, 12, 24)}
