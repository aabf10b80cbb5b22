import zoneinfo
from datetime import UTC, date, datetime, timedelta

import pytest

from paper_alpaca import hours

YEARS = range(2022, 2036)


def test_trading_days_and_half_days_agree_with_the_holidays_library():
    import holidays

    closed = holidays.financial_holidays("NYSE", years=YEARS)
    half = holidays.NYSE(years=YEARS, categories=("half_day",))

    day, wrong = date(2022, 1, 1), []
    while day.year in YEARS:
        session = hours.session_on(day)
        expected = "closed" if day.weekday() >= 5 or day in closed else "13:00" if day in half else "16:00"
        found = "closed" if session is None else f"{session.closes:%H:%M}"
        if found != expected:
            wrong.append((day, found, expected))
        day += timedelta(days=1)

    assert wrong == []


def test_new_york_time_agrees_with_the_time_zone_database():
    try:
        zone = zoneinfo.ZoneInfo("America/New_York")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("no time zone database here")
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    while moment.year < 2028:
        assert hours.new_york(moment).isoformat() == moment.astimezone(zone).isoformat()
        moment += timedelta(minutes=61)


def test_a_session_opens_and_closes_in_new_york_time():
    winter = hours.session_on(date(2025, 11, 10))
    summer = hours.session_on(date(2025, 7, 10))

    assert winter is not None
    assert summer is not None
    assert winter.opens.astimezone(UTC) == datetime(2025, 11, 10, 14, 30, tzinfo=UTC)
    assert summer.closes.astimezone(UTC) == datetime(2025, 7, 10, 20, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "opens", "closes"),
    [
        ("2025-11-10T15:09:12+00:00", "2025-11-11T09:30:00-05:00", "2025-11-10T16:00:00-05:00"),
        ("2025-11-27T15:00:00+00:00", "2025-11-28T09:30:00-05:00", "2025-11-28T13:00:00-05:00"),
        ("2025-11-28T19:00:00+00:00", "2025-12-01T09:30:00-05:00", "2025-12-01T16:00:00-05:00"),
    ],
)
def test_the_next_opening_and_close_pass_over_holidays(now, opens, closes):
    moment = datetime.fromisoformat(now)

    assert hours.next_open(moment).isoformat() == opens
    assert hours.next_close(moment).isoformat() == closes


def test_trades_settle_on_the_next_trading_day():
    assert hours.settlement(date(2025, 11, 26)) == date(2025, 11, 28)
