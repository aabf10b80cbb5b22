"""The past through the adapter: what it asks Alpaca for, and a local Alpaca whose state file tells of one."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest

from departments.trading.broker import BrokerRefused, BrokerUnavailable, FillsQuery, KeysRefused, RateLimited
from departments.trading.look_once import history_once
from messages.snapshots import BAR_DAYS, HistoryPart, SnapshotPart
from tests.contracts.test_broker_port import a_broker
from tests.fakes.alpaca_json import a_bar, a_fill, a_portfolio_history, a_trading_day
from tests.fakes.wire import Wire, send
from tests.paper import PaperAlpaca
from tests.unit.trading.test_desk import a_look, an_office
from tests.unit.trading.test_desk_history import a_whole_look

NOW = datetime(2025, 11, 10, 15, 9, 12, tzinfo=UTC)
FIRST, LAST = date(2025, 11, 3), date(2025, 11, 7)
READS = {
    "trading_days": lambda broker: broker.trading_days(FIRST, LAST),
    "fills": lambda broker: broker.fills(FillsQuery(after=NOW)),
    "equity_days": lambda broker: broker.equity_days(FIRST, LAST),
    "daily_bars": lambda broker: broker.daily_bars(("KO",), FIRST, LAST),
}


def asked(wire):
    """Path and query of each request."""
    parts = [urlsplit(one.path) for one in wire.asked]
    return [(one.path, {key: value for key, (value,) in parse_qs(one.query).items()}) for one in parts]


# What is asked


def test_executions_are_asked_for_oldest_first_a_hundred_at_once_in_whole_seconds():
    query = FillsQuery(after=NOW + timedelta(microseconds=999_999), page_token="x::y")  # noqa: S106 - no secret
    with Wire(send(200, [a_fill()])) as wire:
        a_broker(wire.url).fills(query)

        expected = {
            "direction": "asc",
            "page_size": "100",
            "after": "2025-11-10T15:09:12Z",
            "page_token": "x::y",
        }
        assert asked(wire) == [("/v2/account/activities/FILL", expected)]


def test_the_calendar_is_asked_for_from_day_to_day():
    with Wire(send(200, [a_trading_day("2025-11-03")])) as wire:
        a_broker(wire.url).trading_days(FIRST, LAST)

        assert asked(wire) == [("/v2/calendar", {"start": "2025-11-03", "end": "2025-11-07"})]


def test_closes_are_asked_for_by_the_day_until_after_the_last_ones_stamp():
    with Wire(send(200, a_portfolio_history([], []))) as wire:
        a_broker(wire.url).equity_days(FIRST, LAST)

        expected = {"timeframe": "1D", "start": "2025-11-03T12:00:00Z", "end": "2025-11-08T04:30:00Z"}
        assert asked(wire) == [("/v2/account/portfolio/history", expected)]


def test_bars_of_all_exchanges_in_todays_shares_page_by_page():
    pages = [
        {"bars": {"DVN": [a_bar(t="2025-11-03T05:00:00Z")], "KO": [a_bar()]}, "next_page_token": "more"},
        {"bars": {"KO": [a_bar(t="2025-11-03T05:00:00Z")]}, "next_page_token": None},
    ]
    with Wire(*(send(200, page) for page in pages)) as wire:
        bars = a_broker(wire.url).daily_bars(("KO", "DVN"), FIRST, LAST)

        query = {
            "symbols": "KO,DVN",
            "timeframe": "1Day",
            "start": "2025-11-03T00:00:00Z",
            "end": "2025-11-07T23:59:59Z",
            "limit": "10000",
            "adjustment": "split",
            "feed": "sip",
            "sort": "asc",
        }
        assert asked(wire) == [("/v2/stocks/bars", query), ("/v2/stocks/bars", query | {"page_token": "more"})]
        assert [(bar.symbol, bar.day.isoformat()) for bar in bars] == [
            ("DVN", "2025-11-03"),
            ("KO", "2025-11-03"),
            ("KO", "2026-10-08"),
        ]


def test_pages_of_bars_without_end_are_given_up():
    endless = send(200, {"bars": {}, "next_page_token": "again"})
    with Wire(default=endless) as wire, pytest.raises(BrokerUnavailable, match="at most 20 pages"):
        a_broker(wire.url).daily_bars(("KO",), FIRST, LAST)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (send(500, b"<html>"), BrokerUnavailable),
        (send(429, {"message": "too many requests."}), RateLimited),
        (send(401, {"message": "unauthorized."}), KeysRefused),
        (send(422, {"code": 42210000, "message": "no"}), BrokerRefused),
        (send(200, b"<html>"), BrokerUnavailable),
        (send(200, {"message": "something else"}), BrokerUnavailable),
        (send(200, [{}]), BrokerUnavailable),
    ],
)
def test_every_way_of_failing_is_one_of_the_brokers_errors(read, answer, error):
    with Wire(answer) as wire, pytest.raises(error):
        read(a_broker(wire.url))


# A local Alpaca with a past


def a_state(**more):
    return {
        "cash": "1000",
        "positions": [{"symbol": "KO", "qty": "10", "avg_entry_price": "70", "price": "80"}],
        "prices": {"DVN": "33.61"},
        "clock": {"now": NOW.isoformat(), "is_open": True},
        "rate_limit": {"requests_per_minute": "100000"},
        **more,
    }


def past_fill(n, **changes):
    at = NOW - timedelta(days=3) + timedelta(seconds=n // 7)  # seven of each instant
    return {"symbol": "KO", "side": "sell", "qty": "1", "price": "79.5", "at": at.isoformat(), **changes}


def whole_history(state):
    with PaperAlpaca(state) as paper:
        broker = a_broker(paper.url)
        found = history_once(broker, tuple(HistoryPart), ("KO", "DVN", "NONE"), lambda: NOW)
        broker.close()
        asked = [one["path"] for one in paper.requests()]
    return found, asked


def test_a_whole_history_of_the_local_alpaca():
    bars = [{"day": "2025-11-06", "open": "79", "high": "81", "low": "78.5", "close": "80", "volume": 12000000}]
    equity = [("2025-10-31", "1700"), ("2025-11-05", "2000"), ("2025-11-07", "1900.50")]
    state = a_state(
        fills_history=[
            past_fill(0, type="stop", order="A", submitted_at=(NOW - timedelta(days=60)).isoformat()),
            past_fill(0, type="stop", order="A", submitted_at=(NOW - timedelta(days=60)).isoformat(), qty="2"),
            past_fill(7, side="buy", symbol="DVN", price="33"),
        ],
        equity_history=[{"day": day, "equity": figure} for day, figure in equity],
        bars={"KO": bars},
    )

    found, asked = whole_history(state)

    assert found.trading_days is not None
    assert (found.trading_days[0].day, found.trading_days[-1].day) == (date(2025, 10, 28), date(2025, 11, 10))
    assert [(one.symbol, one.qty, one.order_type) for one in found.fills] == [
        ("KO", 1, "stop"),
        ("KO", 2, "stop"),
        ("DVN", 1, "market"),
    ]
    assert found.equity is not None
    assert (found.equity.highest_close_usd, found.equity.highest_close_day) == (2000, date(2025, 11, 5))
    assert found.equity.last_close_usd == Decimal("1900.5")
    by_symbol = {name: [bar for bar in found.bars if bar.symbol == name] for name in ("KO", "DVN", "NONE")}
    assert [(bar.day, bar.close_usd, bar.volume) for bar in by_symbol["KO"]] == [(date(2025, 11, 6), 80, 12_000_000)]
    assert len(by_symbol["DVN"]) == BAR_DAYS
    assert by_symbol["NONE"] == []
    assert asked == [
        "/v2/clock",
        "/v2/calendar",
        "/v2/account/activities/FILL",
        "/v2/orders",
        "/v2/orders",  # the stop is older than ten days
        "/v2/account/portfolio/history",
        "/v2/stocks/bars",
    ]


def test_every_page_of_executions_is_read_and_none_twice():
    state = a_state(fills_history=[past_fill(n, qty=n + 1) for n in range(205)])

    found, asked = whole_history(state)

    assert [one.qty for one in found.fills] != []
    assert sorted(int(one.qty) for one in found.fills) == list(range(1, 206))
    assert asked.count("/v2/account/activities/FILL") == 3


def test_without_a_past_an_account_closed_as_it_began():
    found, asked = whole_history(a_state())

    assert found.fills == ()
    assert found.equity is not None
    assert found.equity.highest_close_usd == found.equity.last_close_usd == 1800
    assert "/v2/orders" not in asked


def test_an_account_that_was_never_funded_before_has_no_closes():
    found, _ = whole_history(a_state(equity_history=[{"day": "2025-11-10", "equity": "5"}]))

    assert found.equity is None


# What a look costs


class Door:
    """Where the desk gets its clients from."""

    def __init__(self, paper):
        self.paper = paper

    def client(self):
        return a_broker(self.paper.url)


def test_the_requests_of_a_look_with_a_history_first_of_the_day_and_later():
    most = (HistoryPart.DAYS, HistoryPart.FILLS, HistoryPart.EQUITY)
    state = a_state(prices={"SA": "100", "BA": "100"}, fills_history=[past_fill(0)])
    with PaperAlpaca(state) as paper, an_office(exchange=Door(paper), warm=True) as office:
        while not {"/v2/assets", "/v2/orders"} <= {one["path"] for one in paper.requests() if one["status"] == 200}:
            office.ask(a_look(SnapshotPart.ACCOUNT))  # has a limit of its own

        def cost(ask, *history):
            before = len(paper.requests())
            told = office.ask(a_whole_look(*history, ask=ask, after=NOW)).history
            return Counter(one["path"] for one in paper.requests()[before:]), told

        none, _ = cost(1)
        first, _ = cost(2, *most)
        later, _ = cost(3, *most)
        order = paper.stranger(symbol="SA", side="buy", qty="1")
        paper.wait_for_order(lambda found: found["id"] == order["id"] and found["status"] == "filled")
        after_trading, past = cost(4, *most)

    one_page, orders = {"/v2/account/activities/FILL": 1}, {"/v2/orders": 1}
    assert none == Counter(["/v2/account", "/v2/clock", "/v2/orders", "/v2/positions", "/v2/stocks/snapshots"])
    assert first - none == Counter({"/v2/calendar": 1, "/v2/account/portfolio/history": 1} | one_page | orders)
    assert later - none == Counter(one_page)
    assert after_trading - none == Counter(one_page | orders)
    assert [one.order_type for one in past.fills] == ["market", "market"]
