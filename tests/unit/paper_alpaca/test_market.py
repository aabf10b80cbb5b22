from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from paper_alpaca.figures import micros, money, nanos, parse, parse_time, text
from paper_alpaca.market import Market, MarketClock
from paper_alpaca.market_data import daily_bars
from paper_alpaca.pacing import Limit

NOW = datetime(2025, 11, 10, 15, 9, 12, 345678, tzinfo=UTC)


@pytest.mark.parametrize(
    ("figure", "written"),
    [("1.50", "1.5"), ("100", "100"), ("-0.00", "0"), ("1E+3", "1000"), ("0.000000001", "0.000000001"), ("-5", "-5")],
)
def test_figures_are_written_plainly(figure, written):
    assert text(Decimal(figure)) == written


def test_money_is_rounded_to_cents():
    assert money(Decimal("98946.0049")) == "98946"


@pytest.mark.parametrize("sent", [True, None, "x", "NaN", "Infinity", [], ""])
def test_what_is_no_figure_is_not_read_as_one(sent):
    assert parse(sent) is None


@pytest.mark.parametrize("sent", ["2025-11-10T15:09:12Z", "2025-11-10T10:09:12-05:00", "2025-11-10T15:09:12 00:00"])
def test_times_are_read_with_any_offset(sent):
    assert parse_time(sent) == NOW.replace(microsecond=0)


def test_a_time_written_with_nanoseconds_reads_back_to_the_microsecond():
    assert parse_time(nanos(NOW)) == NOW
    assert len(nanos(NOW)) == len("2025-11-10T15:09:12.345678901Z")
    assert micros(NOW) == "2025-11-10T15:09:12.345678Z"


def test_quotes_stand_at_the_last_price_unless_a_spread_is_set():
    assert Market({"KO": Decimal(80)}).quote("KO") == (Decimal(80), Decimal(80))
    assert Market({"KO": Decimal(80)}, spread_bps=Decimal(10)).quote("KO") == (Decimal("79.96"), Decimal("80.04"))
    assert Market({}).quote("KO") is None


def test_a_symbol_is_known_by_its_price_or_its_facts():
    market = Market({"KO": Decimal(80)})

    market.set_asset("IPG", status="inactive")

    assert market.symbols() == ["IPG", "KO"]
    assert market.asset("ZZZZ") is None
    known = market.asset("KO")
    assert known is not None
    assert market.find_asset(known.asset_id) is known


@pytest.mark.parametrize("hour", range(24))
def test_an_undeclared_clock_is_open_and_never_near_its_close(hour):
    now = datetime(2025, 11, 10, hour, 59, tzinfo=UTC)
    clock = MarketClock()

    assert clock.is_open
    assert clock.next_close(clock.now(now)) - now >= timedelta(hours=1)


def test_a_declared_open_market_outside_its_hours_closes_some_hours_later():
    clock = MarketClock()
    clock.set(datetime(2025, 11, 15, 12, tzinfo=UTC), NOW)

    later = NOW + timedelta(seconds=90)

    assert clock.now(later) == datetime(2025, 11, 15, 12, 1, 30, tzinfo=UTC)
    assert clock.next_close(clock.now(later)) > clock.now(later) + timedelta(hours=3)


def test_a_declared_clock_within_the_session_closes_at_its_end():
    clock = MarketClock()
    clock.set(datetime(2025, 11, 10, 20, 59, tzinfo=UTC), NOW)

    assert clock.view(NOW)["next_close"] == "2025-11-10T16:00:00-05:00"
    clock.advance(timedelta(seconds=30))
    assert clock.now(NOW) == datetime(2025, 11, 10, 20, 59, 30, tzinfo=UTC)


def test_daily_bars_are_the_same_in_every_window_and_end_at_the_last_price():
    market = Market({"KO": Decimal(80)})
    market.set_price("KO", Decimal(81))

    year = daily_bars(market, "KO", NOW - timedelta(days=365), NOW, NOW, 0)
    month = daily_bars(market, "KO", NOW - timedelta(days=30), NOW, NOW, 0)

    assert year[-len(month) :] == month
    assert (month[-1]["o"], month[-1]["c"], month[-2]["c"]) == (80.0, 81.0, 80.0)
    assert all(bar["l"] <= bar["o"] <= bar["h"] and bar["l"] <= bar["c"] <= bar["h"] for bar in year)
    assert 245 <= len(year) <= 255
    assert daily_bars(market, "KO", NOW - timedelta(days=30), NOW, NOW, 1) != month


def test_the_limit_counts_a_rolling_minute():
    limit = Limit(2)

    assert [limit.take(0.0), limit.take(30.0), limit.take(59.9)] == [True, True, False]
    assert limit.take(60.0)
    assert limit.remaining == 0
    assert limit.reset_in_s(60.0) == 30.0
