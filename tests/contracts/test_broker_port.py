"""One contract, two brokers: the fake that the tests run on, and the adapter on the local Alpaca."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from departments.trading.alpaca.endpoints import endpoints
from departments.trading.alpaca.rest import AlpacaBroker
from departments.trading.alpaca.stream import TradesStream
from departments.trading.broker import (
    Broker,
    BrokerRefused,
    FillsQuery,
    Listing,
    OrdersQuery,
    OutcomeUnknown,
    next_fills,
    next_page,
)
from messages.broker import CancelOutcome, OrderStreamed
from messages.orders import OrderIntent
from messages.snapshots import BrokerStatus, OrderFacts
from messages.values import LegId, OrderId, OrderType, Side, client_order_id_for
from tests.fakes.broker import FakeExchange
from tests.paper import PaperAlpaca

LIMIT_S = 20.0
RUN = "R" + "ab" * 10
PRICES = {"CTVA": "64.64", "DVN": "33.61", "COMM": "16.992"}
STATE = {
    "cash": "1000.50",
    "positions": [{"symbol": "CTVA", "qty": "190", "avg_entry_price": "62.80", "price": "64.64"}],
    "prices": {"DVN": "33.61", "COMM": "16.992"},
    "assets": {"IPG": {"status": "inactive"}},
    "fills": {"delay_ms": [1, 5]},
}


@dataclass
class Venue:
    """A broker to test, and what only the test knows how to do there."""

    broker: Broker
    hold_fills: Callable[[], None]


@pytest.fixture(params=["fake", "local alpaca"])
def venue(request) -> Iterator[Venue]:
    if request.param == "fake":
        exchange = FakeExchange(
            prices={symbol: Decimal(price) for symbol, price in PRICES.items()},
            shares={"CTVA": Decimal(190)},
            cash_usd=Decimal("1000.50"),
            inactive=frozenset({"IPG"}),
        )

        def hold() -> None:
            exchange.fills = False

        yield Venue(exchange.client(), hold)
        return
    with PaperAlpaca(STATE) as paper:
        broker = a_broker(paper.url)

        def hold() -> None:
            paper.fault({"on": "POST /v2/orders", "do": "fill", "fill": "none"})

        yield Venue(broker, hold)
        broker.close()


def a_broker(url: str) -> AlpacaBroker:
    return AlpacaBroker(
        endpoints=endpoints({"APCA_API_BASE_URL": url}),
        key_id="K",
        secret_key="S",  # noqa: S106 - of nobody
        connect_timeout_s=5,
        read_timeout_s=20,
    )


def an_intent(leg: str, symbol: str, side: Side, qty: Any, **more: Any) -> OrderIntent:
    return OrderIntent(
        leg=LegId(leg),
        client_order_id=client_order_id_for(RUN, leg, 1),
        symbol=symbol,
        side=side,
        qty=Decimal(qty),
        **more,
    )


def nobody() -> None:
    """Care not when it leaves."""


def settled(broker: Broker, client_order_id, status=BrokerStatus.FILLED) -> OrderFacts:
    """Look until the order is filled, or what else is expected of it; every look is a request."""
    for _ in range(150):
        order = broker.order_by_client_id(client_order_id)
        if order is not None and order.status is status:
            return order
    raise AssertionError(f"expected {status}, was {order}")


def test_an_order_that_fills_is_seen_by_every_call(venue):
    intent = an_intent("S01", "CTVA", Side.SELL, 190)

    posted = venue.broker.submit(intent, nobody)
    order = settled(venue.broker, intent.client_order_id)

    assert (posted.symbol, posted.side, posted.qty) == ("CTVA", Side.SELL, Decimal(190))
    assert order.order_id == posted.order_id
    assert (order.filled_qty, order.filled_avg_price_usd is not None) == (Decimal(190), True)
    assert order.as_of >= order.submitted_at
    listed = venue.broker.orders(OrdersQuery(listing=Listing.ALL, symbols=("CTVA",))).orders
    assert [found.order_id for found in listed] == [order.order_id]
    assert venue.broker.positions() == ()
    assert venue.broker.account().cash_usd == Decimal("1000.50") + 190 * order.filled_avg_price_usd


def test_a_post_tells_when_it_has_left(venue):
    left = []

    venue.broker.submit(an_intent("S01", "CTVA", Side.SELL, 1), lambda: left.append("one"))
    with pytest.raises(BrokerRefused):
        venue.broker.submit(an_intent("S01", "CTVA", Side.SELL, 1), lambda: left.append("another"))

    assert left == ["one", "another"]


def test_the_same_id_twice_is_refused_by_its_words(venue):
    intent = an_intent("S01", "CTVA", Side.SELL, 1)
    venue.broker.submit(intent, nobody)

    with pytest.raises(BrokerRefused) as caught:
        venue.broker.submit(intent, nobody)

    assert caught.value.says_id_is_taken


def test_selling_what_is_not_there_is_refused(venue):
    with pytest.raises(BrokerRefused) as caught:
        venue.broker.submit(an_intent("S01", "CTVA", Side.SELL, 191), nobody)

    assert (caught.value.status_code, caught.value.code) == (403, 40310000)
    assert "insufficient qty" in caught.value.message


def test_an_unknown_symbol_is_refused(venue):
    with pytest.raises(BrokerRefused) as caught:
        venue.broker.submit(an_intent("B01", "NOPE", Side.BUY, 1), nobody)

    assert caught.value.status_code == 422


def test_a_live_order_is_listed_as_open_and_can_be_canceled_once(venue):
    venue.hold_fills()
    intent = an_intent("S01", "CTVA", Side.SELL, 190)
    order = venue.broker.submit(intent, nobody)

    live = venue.broker.orders(OrdersQuery(listing=Listing.OPEN)).orders
    first = venue.broker.cancel(order.order_id)
    second = venue.broker.cancel(order.order_id)

    assert [found.order_id for found in live] == [order.order_id]
    assert first.outcome is CancelOutcome.ACCEPTED
    assert second.outcome is CancelOutcome.NOT_CANCELABLE
    settled(venue.broker, intent.client_order_id, BrokerStatus.CANCELED)  # the cancel is done a moment after its answer
    assert venue.broker.orders(OrdersQuery(listing=Listing.OPEN)).orders == ()


def test_what_is_not_there_is_missing(venue):
    assert venue.broker.order_by_client_id(client_order_id_for(RUN, "S09", 1)) is None
    assert venue.broker.cancel(OrderId("00000000-0000-4000-8000-000000000011")).outcome is CancelOutcome.MISSING
    assert venue.broker.asset("NOPE") is None


def test_after_is_exclusive_and_pages_join_without_a_gap(venue):
    venue.hold_fills()
    sent = [venue.broker.submit(an_intent(f"S{n:02}", "CTVA", Side.SELL, 1), nobody) for n in range(1, 6)]
    third = venue.broker.order_by_client_id(sent[2].client_order_id)
    assert third is not None

    later = venue.broker.orders(OrdersQuery(listing=Listing.ALL, after=third.submitted_at)).orders
    query = OrdersQuery(listing=Listing.ALL, after=third.submitted_at - timedelta(microseconds=1))
    from_third = venue.broker.orders(query)

    assert {order.order_id for order in later} >= {order.order_id for order in sent[3:]}
    assert [order.order_id for order in from_third.orders] == [order.order_id for order in sent[2:]]
    assert next_page(query, from_third) is None


def test_positions_clock_assets_and_quotes_are_read(venue):
    (position,) = venue.broker.positions()
    clock = venue.broker.clock()
    inactive = venue.broker.asset("IPG")
    quotes = {quote.symbol: quote for quote in venue.broker.quotes(("CTVA", "COMM", "NOPE"))}

    assert (position.symbol, position.qty, position.qty_available) == ("CTVA", Decimal(190), Decimal(190))
    assert clock.is_open
    assert isinstance(clock.at, datetime)
    assert clock.at < clock.next_close
    assert inactive is not None
    assert inactive.status == "inactive"
    assert {asset.symbol for asset in venue.broker.assets()} == {"CTVA", "DVN", "COMM"}
    assert quotes.keys() == {"CTVA", "COMM"}
    assert quotes["COMM"].last_usd == Decimal("16.992")


def test_an_execution_is_told_with_its_order_and_after_is_exclusive(venue):
    intent = an_intent("S01", "CTVA", Side.SELL, 190)
    venue.broker.submit(intent, nobody)
    order = settled(venue.broker, intent.client_order_id)
    begun = venue.broker.clock().at - timedelta(hours=1)

    page = venue.broker.fills(FillsQuery(after=begun))
    none = venue.broker.fills(FillsQuery(after=page.fills[-1].at + timedelta(seconds=1)))
    beyond = venue.broker.fills(FillsQuery(after=begun, page_token=page.fills[-1].activity_id))

    assert (page.rows, sum(one.qty for one in page.fills)) == (len(page.fills), Decimal(190))
    assert {(one.order_id, one.symbol, one.side) for one in page.fills} == {(order.order_id, "CTVA", Side.SELL)}
    assert {one.order_type for one in page.fills} == {"unknown"}
    assert next_fills(FillsQuery(after=begun), page) is None
    assert none.fills == beyond.fills == ()


def test_the_calendar_tells_trading_days_with_their_hours(venue):
    days = venue.broker.trading_days(date(2026, 10, 2), date(2026, 10, 12))

    assert [one.day.day for one in days] == [2, 5, 6, 7, 8, 9, 12]
    assert (days[0].opens_at, days[0].closes_at) == (
        datetime(2026, 10, 2, 13, 30, tzinfo=UTC),
        datetime(2026, 10, 2, 20, tzinfo=UTC),
    )


def test_daily_closes_are_those_of_the_trading_days_asked_for(venue):
    equity = venue.broker.account().equity_usd
    today = venue.broker.clock().at.date()
    first, last = today - timedelta(days=20), today - timedelta(days=5)

    closes = venue.broker.equity_days(first, last)

    assert [one.day for one in closes] == [one.day for one in venue.broker.trading_days(first, last)]
    assert {one.equity_usd for one in closes} == {equity}


def test_symbols_without_bars_are_absent(venue):
    assert venue.broker.daily_bars(("NOPE",), date(2026, 10, 2), date(2026, 10, 12)) == ()


def test_a_bracket_shows_its_legs_under_their_parent():
    with PaperAlpaca(STATE | {"cash": "100000"}) as paper:
        broker = a_broker(paper.url)
        intent = an_intent(
            "B01",
            "DVN",
            Side.BUY,
            10,
            order_type=OrderType.LIMIT,
            limit_price_usd=Decimal("1.00"),
            stop_loss_usd=Decimal("0.90"),
            take_profit_usd=Decimal("1.50"),
        )

        posted = broker.submit(intent, nobody)
        (listed,) = broker.orders(OrdersQuery(listing=Listing.OPEN)).orders

        assert len(posted.legs) == 2
        assert {leg.status for leg in listed.legs} == {BrokerStatus.HELD}
        assert listed.limit_price_usd == Decimal("1.00")


def test_the_stream_tells_what_rest_shows():
    with PaperAlpaca(STATE) as paper:
        told: list[OrderStreamed] = []
        came = threading.Condition()

        def take(message, _message_id):
            with came:
                if isinstance(message, OrderStreamed):
                    told.append(message)
                came.notify_all()

        stream = TradesStream(
            url=endpoints({"APCA_API_BASE_URL": paper.url}).stream_url,
            key_id="K",
            secret_key="S",  # noqa: S106 - of nobody
            on_message=take,
        )
        stream.start()
        try:
            broker = a_broker(paper.url)
            with came:
                assert came.wait_for(lambda: stream.seen().listening, LIMIT_S)
            intent = an_intent("S01", "CTVA", Side.SELL, 190)
            broker.submit(intent, nobody)
            with came:
                assert came.wait_for(lambda: any(one.event == "fill" for one in told), LIMIT_S)
            shown = broker.order_by_client_id(intent.client_order_id)
        finally:
            assert stream.stop()

    fill = next(one for one in told if one.event == "fill")
    assert shown is not None
    assert fill.order == shown
    assert sum(one.qty or 0 for one in told if one.event in {"fill", "partial_fill"}) == Decimal(190)


@pytest.mark.parametrize("action", ["accept_then_error", "reset", "html", "error"])
def test_a_fault_at_the_local_alpaca_is_unknown_and_one_post(action):
    with PaperAlpaca(STATE) as paper:
        fault = {"on": "POST /v2/orders", "do": action, "times": 1}
        paper.fault(fault if action == "reset" else fault | {"status": 504})
        broker = a_broker(paper.url)
        intent = an_intent("S01", "CTVA", Side.SELL, 190)

        with pytest.raises(OutcomeUnknown, match=r"504|lost"):
            broker.submit(intent, nobody)

        posts = [one for one in paper.requests() if one["method"] == "POST" and one["path"] == "/v2/orders"]
        found = broker.order_by_client_id(intent.client_order_id)
        assert len(posts) == 1
        assert (found is not None) == (action == "accept_then_error")
