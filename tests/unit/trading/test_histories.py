"""What went before: asked for once a day, executions only as far as they are new, nothing lost, nothing twice."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.trading import histories as module
from departments.trading.broker import (
    FILLS_PAGE_LIMIT,
    BrokerRefused,
    BrokerUnavailable,
    FillsPage,
    FillsQuery,
    next_fills,
)
from departments.trading.histories import Histories
from messages.new_york import from_new_york
from messages.orders import OrderIntent
from messages.snapshots import BAR_DAYS, HISTORY_DAYS, BarFacts, FillFacts, HistoryPart
from messages.values import ClientOrderId, LegId, OrderId, Side
from tests.fakes.broker import FakeExchange

TODAY = date(2026, 10, 8)
"""A Thursday; Columbus Day, the Monday after, is a trading day."""
NOON = datetime(2026, 10, 8, 16, tzinfo=UTC)
SINCE = from_new_york(date(2026, 9, 25), time())
"""When the first of ten trading days up to today began."""


@pytest.fixture
def exchange():
    return FakeExchange(prices={"KO": Decimal(80), "DVN": Decimal(33)}, shares={"KO": Decimal(100)}, now=NOON)


class Reading:
    """A history over a fake broker, and what it asked."""

    def __init__(self, exchange, at=NOON):
        self.exchange = exchange
        self.client = exchange.client()
        self.histories = Histories()
        self.today = self.histories.turn_to(at)

    def ask(self, call):
        return call(self.client)

    def read(self, part, *symbols, at=None):
        if at is not None:
            self.today = self.histories.turn_to(at)
        (found,) = self.histories.read(part, self.today, symbols, self.ask).values()
        return found

    def asked(self):
        """The calls since the last time, by name."""
        found = Counter(name for name, _ in self.exchange.calls)
        self.exchange.calls.clear()
        return dict(found)


def a_fill(number, at, *, order_id="gone", symbol="KO", side=Side.SELL):
    return FillFacts(
        activity_id=f"{number:06}",
        order_id=OrderId(order_id),
        symbol=symbol,
        side=side,
        qty=Decimal(1),
        price_usd=Decimal(80),
        at=at,
        order_type="unknown",
    )


def sell(exchange, number, *, order_type="market", days_ago=0, filled=True):
    """An order of somebody's, of a type."""
    was, exchange.now = exchange.now, exchange.now - timedelta(days=days_ago)
    intent = OrderIntent(
        leg=LegId("S01"),
        client_order_id=ClientOrderId(f"order of {number}"),
        symbol="KO",
        side=Side.SELL,
        qty=Decimal(1),
    )
    order = exchange.place(intent, fills=filled)
    exchange.now = max(was, exchange.now)
    exchange.orders[order.client_order_id] = order = order.model_copy(update={"order_type": order_type})
    return order


# Days


def test_the_last_ten_trading_days_are_those_of_the_brokers_calendar(exchange):
    exchange.holidays = frozenset({date(2026, 10, 6)})

    days = Reading(exchange).read(HistoryPart.DAYS)

    assert len(days) == HISTORY_DAYS
    assert (days[0].day, days[-1].day) == (date(2026, 9, 24), TODAY)
    assert date(2026, 10, 6) not in {one.day for one in days}
    assert days[-1].closes_at == datetime(2026, 10, 8, 20, tzinfo=UTC)


def test_on_a_sunday_the_newest_of_them_is_friday(exchange):
    days = Reading(exchange, datetime(2026, 10, 11, 16, tzinfo=UTC)).read(HistoryPart.DAYS)

    assert days[-1].day == date(2026, 10, 9)


def test_late_in_the_evening_it_is_still_today_in_new_york(exchange):
    days = Reading(exchange, datetime(2026, 10, 9, 3, 59, tzinfo=UTC)).read(HistoryPart.DAYS)

    assert days[-1].day == TODAY


def test_a_calendar_that_is_too_short_is_no_calendar(exchange):
    exchange.holidays = frozenset(TODAY - timedelta(days=n) for n in range(25))

    with pytest.raises(BrokerUnavailable, match="expected 10 trading days since 2026-09-08, were"):
        Reading(exchange).read(HistoryPart.DAYS)


# Executions


def test_executions_since_the_first_day_began_and_none_before(exchange):
    exchange.executions = [a_fill(1, SINCE - timedelta(microseconds=1)), a_fill(2, SINCE), a_fill(3, NOON)]

    found = Reading(exchange).read(HistoryPart.FILLS)

    assert [one.activity_id for one in found] == ["000002", "000003"]


def test_later_looks_ask_for_what_is_new_alone(exchange):
    reading = Reading(exchange)
    exchange.executions = [a_fill(n, SINCE + timedelta(hours=n)) for n in range(1, 150)]
    first = reading.read(HistoryPart.FILLS)
    assert reading.asked() == {"trading_days": 1, "fills": 2, "orders": 2}

    second = reading.read(HistoryPart.FILLS)
    assert reading.asked() == {"fills": 1}
    exchange.executions.append(a_fill(150, NOON, order_id="another"))
    third = reading.read(HistoryPart.FILLS)

    assert second == first
    assert third[:-1] == first
    assert third[-1].activity_id == "000150"
    assert reading.asked() == {"fills": 1, "orders": 2}


def test_an_execution_that_is_listed_late_is_not_missed(exchange):
    reading = Reading(exchange)
    exchange.executions = [a_fill(1, NOON)]
    reading.read(HistoryPart.FILLS)

    exchange.executions.append(a_fill(2, NOON - timedelta(minutes=4)))
    found = reading.read(HistoryPart.FILLS)

    assert [one.activity_id for one in found] == ["000002", "000001"]


def test_without_the_overlap_it_would_be_missed(exchange, monkeypatch):
    monkeypatch.setattr(module, "FILLS_OVERLAP", timedelta(0))

    with pytest.raises(AssertionError):
        test_an_execution_that_is_listed_late_is_not_missed(exchange)


@given(
    ticks=st.lists(st.integers(0, 6), min_size=1, max_size=25),
    size=st.integers(1, 7),
    cuts=st.lists(st.integers(0, 25), max_size=3),
)
def test_pages_joined_give_every_execution_once(ticks, size, cuts):
    """Whatever the size of a page, however many executions share an instant, at however many looks they come."""
    exchange = FakeExchange(prices={}, fills_page_limit=size, now=NOON)
    reading = Reading(exchange)
    fills = [a_fill(n, NOON + timedelta(seconds=sum(ticks[: n + 1]) // 3)) for n in range(len(ticks))]

    for upto in [*sorted(cuts), len(fills)]:
        exchange.executions = fills[:upto]
        found = reading.read(HistoryPart.FILLS)

        assert [one.activity_id for one in found] == [one.activity_id for one in fills[:upto]]


def test_pages_that_went_on_by_time_alone_would_lose_ties(monkeypatch):
    def by_time(query, page):
        following = next_fills(query, page)
        return following and FillsQuery(after=page.fills[-1].at)

    monkeypatch.setattr(module, "next_fills", by_time)
    exchange = FakeExchange(prices={}, fills_page_limit=2, now=NOON)
    exchange.executions = [a_fill(n, NOON) for n in range(5)]

    found = Reading(exchange).read(HistoryPart.FILLS)

    assert len(found) < 5


def test_a_page_that_leads_nowhere_is_an_error():
    page = FillsPage((a_fill(1, NOON),), FILLS_PAGE_LIMIT)
    query = FillsQuery(after=None, page_token="000001")  # noqa: S106 - no secret

    with pytest.raises(BrokerUnavailable, match="does not lead past"):
        next_fills(query, page)


def test_pages_without_end_are_given_up(exchange, monkeypatch):
    monkeypatch.setattr(module, "MOST_PAGES", 2)
    exchange.fills_page_limit = 1
    exchange.executions = [a_fill(n, NOON) for n in range(3)]

    with pytest.raises(BrokerUnavailable, match="at most 2 pages"):
        Reading(exchange).read(HistoryPart.FILLS)


def test_a_page_that_fails_fails_the_list_and_what_was_known_is_still_known(exchange):
    reading = Reading(exchange)
    exchange.executions = [a_fill(1, NOON)]
    reading.read(HistoryPart.FILLS)
    exchange.plan("fills", BrokerUnavailable("http 500"))

    with pytest.raises(BrokerUnavailable):
        reading.read(HistoryPart.FILLS)

    assert len(reading.read(HistoryPart.FILLS)) == 1


# The kinds of orders behind them


def test_stops_are_told_from_other_sells(exchange):
    orders = [sell(exchange, n, order_type=kind) for n, kind in enumerate(["stop", "market", "trailing_stop"])]
    reading = Reading(exchange)

    found = {one.order_id: one.order_type for one in reading.read(HistoryPart.FILLS)}

    assert found == {order.order_id: order.order_type for order in orders}
    assert reading.asked() == {"trading_days": 1, "fills": 1, "orders": 1}


def test_a_stop_that_stood_for_weeks_costs_a_second_list(exchange):
    order = sell(exchange, 1, order_type="stop", days_ago=60, filled=False)
    exchange.fill(order.client_order_id)
    reading = Reading(exchange)

    (found,) = reading.read(HistoryPart.FILLS)

    assert found.order_type == "stop"
    assert reading.asked()["orders"] == 2


def test_a_leg_is_found_under_its_parent(exchange):
    leg = sell(exchange, "leg", order_type="stop")
    parent = sell(exchange, "parent", filled=False)
    del exchange.orders[leg.client_order_id]
    exchange.orders[parent.client_order_id] = parent.model_copy(update={"legs": (leg,)})

    (found,) = Reading(exchange).read(HistoryPart.FILLS)

    assert found.order_type == "stop"


def test_an_order_that_no_list_shows_stays_unknown_and_is_looked_for_once_a_day(exchange):
    exchange.executions = [a_fill(1, NOON)]
    reading = Reading(exchange)
    reading.read(HistoryPart.FILLS)
    reading.asked()

    (found,) = reading.read(HistoryPart.FILLS)

    assert found.order_type == "unknown"
    assert reading.asked() == {"fills": 1}


def test_a_list_of_orders_that_fails_fails_the_history(exchange):
    exchange.executions = [a_fill(1, NOON)]
    exchange.plan("orders", BrokerRefused(422, None, "no"))

    with pytest.raises(BrokerRefused):
        Reading(exchange).read(HistoryPart.FILLS)


# Equity


def closes(*figures, upto=date(2026, 10, 7)):
    """Closes of the trading days up to one, by day."""
    days, day = [], upto
    while len(days) < len(figures):
        if day.weekday() < 5:
            days.append(day)
        day -= timedelta(days=1)
    return dict(zip(reversed(days), map(Decimal, figures), strict=True))


def test_equity_is_the_highest_and_the_last_close_before_today(exchange):
    exchange.equity = closes(100, 130, 130, 120) | {TODAY: Decimal(999)}

    equity = Reading(exchange).read(HistoryPart.EQUITY)

    assert (equity.highest_close_usd, equity.highest_close_day) == (130, date(2026, 10, 5))
    assert (equity.last_close_usd, equity.since) == (120, date(2025, 10, 8))


def test_after_the_close_of_today_a_loss_of_today_is_still_one(exchange):
    exchange.equity = closes(100, 130) | {TODAY: Decimal(50)}

    equity = Reading(exchange, datetime(2026, 10, 8, 23, tzinfo=UTC)).read(HistoryPart.EQUITY)

    assert equity.last_close_usd == 130


def test_a_new_account_has_no_equity_of_before(exchange):
    exchange.equity = {}
    reading = Reading(exchange)

    assert reading.read(HistoryPart.EQUITY) is None
    assert reading.read(HistoryPart.EQUITY) is None
    assert reading.asked() == {"trading_days": 1, "equity_days": 1}


def test_a_close_that_is_too_old_is_no_measure_of_a_loss(exchange):
    exchange.equity = closes(100, 130, upto=date(2026, 10, 6))

    with pytest.raises(BrokerUnavailable, match="expected the close of 2026-10-07 as the newest, was 2026-10-06"):
        Reading(exchange).read(HistoryPart.EQUITY)


def test_after_a_holiday_the_day_before_it_is_the_newest(exchange):
    exchange.holidays = frozenset({date(2026, 10, 7)})
    exchange.equity = closes(100, 130, upto=date(2026, 10, 6))

    assert Reading(exchange).read(HistoryPart.EQUITY).last_close_usd == 130


# Bars


def bars_upto(symbol, count, day=date(2026, 10, 7)):
    return [
        BarFacts(
            symbol=symbol,
            day=day - timedelta(days=n),
            open_usd=Decimal(1),
            high_usd=Decimal(1),
            low_usd=Decimal(1),
            close_usd=Decimal(1),
            volume=Decimal(n),
        )
        for n in range(count)
    ]


def test_bars_are_the_newest_sixty_of_each_symbol_before_today(exchange):
    exchange.bars = [*bars_upto("KO", 80, TODAY), *bars_upto("DVN", 3)]

    found = Reading(exchange).read(HistoryPart.BARS, "KO", "DVN", "NONE", "KO")

    ko = [bar.day for bar in found if bar.symbol == "KO"]
    assert len(ko) == BAR_DAYS
    assert ko[-1] == date(2026, 10, 7)
    assert all(one < other for one, other in pairwise(ko))
    assert [bar.symbol for bar in found[BAR_DAYS:]] == ["DVN"] * 3


def test_bars_of_a_symbol_are_asked_for_once_a_day_none_of_them_too(exchange):
    exchange.bars = bars_upto("KO", 3)
    reading = Reading(exchange)

    reading.read(HistoryPart.BARS, "KO", "NONE")
    reading.read(HistoryPart.BARS, "NONE", "KO")
    reading.read(HistoryPart.BARS, "KO", "DVN")

    assert [about for name, about in exchange.calls if name == "daily_bars"] == [("KO", "NONE"), ("DVN",)]


def test_many_symbols_are_asked_for_a_hundred_at_once(exchange):
    Reading(exchange).read(HistoryPart.BARS, *(f"A{n}" for n in range(250)))

    assert [len(about) for name, about in exchange.calls if name == "daily_bars"] == [100, 100, 50]


# A day


def everything(reading, **more):
    return [reading.read(part, "KO", **more) for part in HistoryPart]


def test_a_day_costs_each_part_once_and_a_new_day_all_again(exchange):
    reading = Reading(exchange)
    everything(reading)
    first = reading.asked()
    everything(reading)
    second = reading.asked()

    everything(reading, at=NOON + timedelta(days=1))
    next_day = reading.asked()

    assert first == {"trading_days": 1, "fills": 1, "equity_days": 1, "daily_bars": 1}
    assert second == {"fills": 1}
    assert next_day == first


def test_a_clock_that_was_turned_back_forgets_everything(exchange):
    reading = Reading(exchange)
    exchange.executions = [a_fill(1, NOON)]
    everything(reading)
    exchange.executions = []

    _, fills, _, _ = everything(reading, at=NOON - timedelta(minutes=2))

    assert fills == ()


def test_a_clock_that_merely_trembles_forgets_nothing(exchange):
    reading = Reading(exchange)
    everything(reading)
    reading.asked()

    everything(reading, at=NOON - timedelta(seconds=2))

    assert reading.asked() == {"fills": 1}


def test_what_was_asked_for_yesterday_and_comes_today_is_not_kept(exchange):
    reading = Reading(exchange)
    exchange.before = lambda _name, _about: reading.histories.turn_to(NOON + timedelta(days=1))
    yesterday = reading.read(HistoryPart.DAYS)
    exchange.before = lambda _name, _about: None

    today = reading.read(HistoryPart.DAYS, at=NOON + timedelta(days=1))

    assert (yesterday[-1].day, today[-1].day) == (TODAY, TODAY + timedelta(days=1))
