"""One look at the account, reads only: whole, or not at all."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from departments.trading import look_once as module
from departments.trading.broker import ORDERS_PAGE_LIMIT, BrokerUnavailable, OrdersPage
from departments.trading.look_once import history_once, look_once
from messages.snapshots import HISTORY_DAYS, BrokerStatus, ClockFacts, HistoryPart
from messages.values import Side
from tests.builders.portfolio import NOW, account, asset, held, open_order, quote
from tests.fakes.broker import FakeExchange
from tests.unit.trading.test_histories import bars_upto


class Reader:
    """Answers from memory and writes down what it was asked. It has nothing that changes anything."""

    def __init__(self, pages=((),), *, fails=None, known=("AAA",)):
        self.pages = list(pages)
        self.fails = fails
        self.known = known
        self.asked = []

    def _note(self, what):
        self.asked.append(what)
        if what == self.fails:
            raise BrokerUnavailable(f"{what}: no answer")

    def account(self):
        self._note("account")
        return account(equity=100, cash=10)

    def positions(self):
        self._note("positions")
        return (held("AAA", 1, 2),)

    def orders(self, query):
        self._note("orders")
        page = self.pages.pop(0)
        return OrdersPage(tuple(page), len(page))

    def clock(self):
        self._note("clock")
        return ClockFacts(at=NOW, is_open=True, next_open=NOW, next_close=NOW)

    def assets(self):
        self._note("assets")
        return tuple(asset(symbol) for symbol in (*self.known, "ZZZ"))

    def asset(self, symbol):
        self._note(f"asset {symbol}")
        return {"OLD": asset("OLD", status="inactive"), "AAA": asset("AAA")}.get(symbol)

    def quotes(self, symbols):
        self._note("quotes")
        return tuple(quote(symbol, Decimal(5)) for symbol in symbols)


def look(reader, *symbols):
    return look_once(reader, symbols=symbols, now=lambda: datetime(2025, 11, 10, tzinfo=UTC))


def test_a_look_is_whole():
    seen = look(Reader(), "AAA", "AAA")

    assert [one.symbol for one in seen.assets] == ["AAA"]
    assert [one.symbol for one in seen.quotes] == ["AAA"]
    assert None not in (seen.account, seen.positions, seen.open_orders, seen.clock)


@pytest.mark.parametrize("part", ["account", "positions", "orders", "clock", "asset AAA", "quotes"])
def test_a_part_that_fails_fails_the_look(part):
    with pytest.raises(BrokerUnavailable, match=part):
        look(Reader(fails=part), "AAA")


def test_no_symbols_ask_for_no_quotes_and_no_assets():
    reader = Reader()
    seen = look(reader)

    assert (seen.quotes, seen.assets) == ((), ())
    assert reader.asked == ["account", "positions", "orders", "clock"]


def test_many_symbols_are_asked_for_by_one_list_and_the_missing_one_by_name():
    known = ("AAA", "BBB", "CCC", "DDD")
    reader = Reader(known=known)
    seen = look(reader, *known, "OLD", "NONE")

    assert [one.symbol for one in seen.assets] == [*known, "OLD"]
    assert [what for what in reader.asked if what.startswith("asset")] == ["assets", "asset OLD", "asset NONE"]


def test_every_page_of_open_orders_is_read():
    first = [
        open_order(f"A{n}", Side.BUY, 1, client_order_id=f"c{n}").model_copy(
            update={"order_id": f"o{n}", "submitted_at": NOW + timedelta(seconds=n)}
        )
        for n in range(ORDERS_PAGE_LIMIT)
    ]
    over = open_order("GONE", Side.BUY, 1, status=BrokerStatus.CANCELED)

    seen = look(Reader([first, [first[-1], open_order("ZZZ", Side.SELL, 1), over]]))

    assert len(seen.open_orders) == ORDERS_PAGE_LIMIT + 1


def test_pages_without_end_are_given_up(monkeypatch):
    monkeypatch.setattr(module, "MOST_PAGES", 2)
    pages = [
        [
            open_order("AAA", Side.BUY, 1).model_copy(update={"order_id": f"{page}.{n}", "submitted_at": at})
            for n in range(ORDERS_PAGE_LIMIT)
        ]
        for page, at in enumerate(NOW + timedelta(minutes=minute) for minute in range(3))
    ]

    with pytest.raises(BrokerUnavailable, match="at most 2 pages"):
        look(Reader(pages))


# What went before


def past(exchange, *parts, **more):
    return history_once(exchange.client(), parts, ("SA", "NONE"), lambda: NOW, **more)


def names(exchange):
    return [name for name, _ in exchange.calls]


def test_a_history_has_the_parts_that_were_asked_for():
    exchange = FakeExchange(prices={"SA": Decimal(5)}, bars=bars_upto("SA", 2))

    seen = past(exchange, HistoryPart.BARS, HistoryPart.FILLS)

    assert names(exchange) == ["clock", "trading_days", "fills", "daily_bars"]
    assert (seen.trading_days, seen.fills, seen.equity, len(seen.bars)) == (None, (), None, 2)
    assert seen.read_at == NOW


def test_a_clock_that_was_just_read_is_not_read_again():
    exchange = FakeExchange(prices={"SA": Decimal(5)})
    clock = exchange.client().clock()
    exchange.calls.clear()

    seen = past(exchange, HistoryPart.DAYS, clock=clock)

    assert names(exchange) == ["trading_days"]
    assert len(seen.trading_days) == HISTORY_DAYS


def test_no_part_of_a_history_is_none_and_no_request():
    exchange = FakeExchange()

    assert past(exchange) is None
    assert exchange.calls == []


@pytest.mark.parametrize("call", ["clock", "trading_days", "fills", "equity_days", "daily_bars"])
def test_a_part_that_fails_fails_the_history(call):
    exchange = FakeExchange(prices={"SA": Decimal(5)})
    exchange.plan(call, BrokerUnavailable(f"{call}: http 500"))

    with pytest.raises(BrokerUnavailable, match=call):
        past(exchange, *HistoryPart)
