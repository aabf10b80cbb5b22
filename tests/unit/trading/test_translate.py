"""Alpaca's JSON as facts: lenient where Alpaca grows, strict where money is concerned."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.trading.alpaca.fields import Untranslatable
from departments.trading.alpaca.http import UnreadableBody, read_json
from departments.trading.alpaca.translate import (
    Streamed,
    Unreadable,
    account_facts,
    asset_facts,
    assets_of,
    clock_facts,
    order_facts,
    orders_of,
    positions_of,
    quotes_of,
    streamed,
)
from messages.broker import OrderStreamed, StrangerStreamed
from messages.snapshots import TERMINAL_BROKER_STATUSES, BrokerStatus
from messages.values import Side
from tests.fakes.alpaca_json import (
    RUN,
    a_clock,
    a_frame,
    a_position,
    an_account,
    an_asset,
    an_order,
)


def test_an_order_is_read_whole():
    order = order_facts(an_order())

    assert (order.symbol, order.side, order.qty) == ("CTVA", Side.SELL, Decimal(190))
    assert (order.filled_qty, order.filled_avg_price_usd) == (Decimal(190), Decimal("64.64"))
    assert order.status is BrokerStatus.FILLED
    assert order.submitted_at == datetime(2026, 10, 8, 15, 10, 21, 375005, tzinfo=UTC)
    assert order.as_of == datetime(2026, 10, 8, 15, 10, 22, 180000, tzinfo=UTC)


@pytest.mark.parametrize("status", [status for status in BrokerStatus if status is not BrokerStatus.UNKNOWN])
def test_every_status_is_known(status):
    assert order_facts(an_order(status=status.value)).status is status


def test_an_unknown_status_is_kept_and_never_terminal():
    order = order_facts(an_order(status="teleported"))

    assert order.status is BrokerStatus.UNKNOWN
    assert order.raw_status == "teleported"
    assert order.status not in TERMINAL_BROKER_STATUSES


def test_unknown_words_elsewhere_are_kept():
    order = order_facts(an_order(type="iceberg", time_in_force="forever", order_class="quantum", novelty={"a": 1}))

    assert (order.order_type, order.time_in_force) == ("iceberg", "forever")


def test_numbers_may_be_json_numbers_and_stay_exact():
    raw = read_json(json.dumps(an_order()).replace('"64.64"', "64.640000000000001").encode())

    assert order_facts(raw).filled_avg_price_usd == Decimal("64.640000000000001")


@pytest.mark.parametrize("missing", ["submitted_at", "filled_at", "updated_at", "created_at"])
@pytest.mark.parametrize("value", [None, "", "yesterday", "2026-10-08T15:10:21", "0001-01-01T00:00:00Z", 7])
def test_a_time_that_is_missing_is_stood_in_for(missing, value):
    order = order_facts(an_order(**{missing: value}))

    assert order.submitted_at.year == 2026
    assert order.as_of.year == 2026


def test_an_order_without_any_time_is_refused():
    times = dict.fromkeys(["submitted_at", "filled_at", "updated_at", "created_at"])

    with pytest.raises(Untranslatable, match="expected an aware time"):
        order_facts(an_order(**times))


def test_an_order_by_value_has_no_quantity():
    assert order_facts(an_order(qty=None, notional="5")).qty is None


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": ""},
        {"client_order_id": None},
        {"symbol": None},
        {"symbol": "X" * 300},
        {"side": "hold"},
        {"side": None},
        {"status": None},
        {"qty": "0"},
        {"qty": "-1"},
        {"qty": "many"},
        {"qty": True},
        {"qty": ["1"]},
        {"qty": "NaN"},
        {"qty": "Infinity"},
        {"qty": "1e400"},
        {"filled_qty": None},
        {"filled_qty": ""},
        {"filled_qty": "-1"},
        {"filled_qty": "x"},
        {"filled_avg_price": None},
        {"filled_avg_price": "0"},
        {"filled_avg_price": "x"},
        {"limit_price": "x"},
        {"legs": {"a": 1}},
        {"legs": [None]},
        {"legs": [an_order()] * 9},
        {"legs": [an_order(legs=[an_order()])]},
    ],
)
def test_an_order_that_can_not_be_understood_is_refused(changes):
    with pytest.raises(Untranslatable, match="expected"):
        order_facts(an_order(**changes))


@pytest.mark.parametrize("raw", [None, [], "order", 1])
def test_what_is_no_order_is_refused(raw):
    with pytest.raises(Untranslatable, match="expected an object"):
        order_facts(raw)


def test_an_unfilled_order_has_no_price():
    order = order_facts(an_order(status="new", filled_qty="0", filled_avg_price=None, filled_at=None))

    assert order.filled_avg_price_usd is None
    assert order.filled_qty == 0


def test_legs_come_along():
    leg = an_order(id="leg", client_order_id="uuid", status="held", filled_qty="0", filled_avg_price=None)

    order = order_facts(an_order(legs=[leg]))

    assert [leg.status for leg in order.legs] == [BrokerStatus.HELD]


def test_an_options_combination_is_shown_by_its_legs():
    combination = an_order(id="mleg", symbol="", side="", legs=[an_order(id="a"), an_order(id="b")])

    assert [order.order_id for order in orders_of([combination, an_order(id="c")])] == ["a", "b", "c"]


def test_a_list_with_an_order_that_can_not_be_read_can_not_be_had_whole():
    with pytest.raises(Untranslatable):
        orders_of([an_order(), an_order(side="hold")])


@pytest.mark.parametrize("translate", [orders_of, positions_of, assets_of])
@pytest.mark.parametrize("raw", [None, {}, "", {"message": "x"}])
def test_a_list_that_is_none_is_no_empty_list(translate, raw):
    with pytest.raises(Untranslatable, match="expected a list"):
        translate(raw)


def test_an_account_is_read_whole():
    account = account_facts(an_account(cash="-64137.45"))

    assert account.cash_usd == Decimal("-64137.45")
    assert account.last_equity_usd == Decimal("100003.74258806517")
    assert account.regt_buying_power_usd == Decimal("200011.64")


@pytest.mark.parametrize(
    "field",
    ["cash", "equity", "last_equity", "buying_power", "multiplier", "long_market_value", "short_market_value"],
)
@pytest.mark.parametrize("value", [None, "", "a lot", True, "NaN", []])
def test_missing_money_is_an_error_and_never_a_zero(field, value):
    with pytest.raises(Untranslatable, match=field):
        account_facts(an_account(**{field: value}))


@pytest.mark.parametrize("field", ["trading_blocked", "account_blocked", "trade_suspended_by_user"])
@pytest.mark.parametrize("value", [None, "false", 0])
def test_a_flag_must_be_one(field, value):
    with pytest.raises(Untranslatable, match=field):
        account_facts(an_account(**{field: value}))


def test_the_removed_day_trading_fields_are_not_read():
    with_them = an_account(pattern_day_trader="garbage", daytrade_count="garbage", daytrading_buying_power="garbage")

    assert account_facts(with_them) == account_facts(an_account())


def test_positions_are_read_with_their_signs():
    (short,) = positions_of([a_position(qty="-10", qty_available="-10", current_price=None, market_value=None)])

    assert short.qty == -10
    assert short.current_price_usd is None


@pytest.mark.parametrize("field", ["symbol", "qty", "qty_available", "avg_entry_price"])
def test_a_position_without_its_figures_is_refused(field):
    with pytest.raises(Untranslatable, match=field):
        positions_of([a_position(**{field: None})])


def test_the_clock_is_read_as_utc():
    clock = clock_facts(a_clock())

    assert clock.at == datetime(2026, 10, 8, 15, 10, 22, 123456, tzinfo=UTC)
    assert clock.next_close == datetime(2026, 10, 8, 20, tzinfo=UTC)


@pytest.mark.parametrize("field", ["timestamp", "is_open", "next_open", "next_close"])
def test_a_clock_that_lacks_something_is_refused(field):
    with pytest.raises(Untranslatable, match=field):
        clock_facts(a_clock(**{field: None}))


def test_an_asset_in_a_list_that_can_not_be_read_is_left_out_alone_it_is_refused():
    bad = an_asset("ODD", fractionable=None)

    assert [asset.symbol for asset in assets_of([an_asset(), bad])] == ["CTVA"]
    with pytest.raises(Untranslatable, match="fractionable"):
        asset_facts(bad)


def test_quotes_take_the_latest_quote_and_trade():
    raw = read_json(
        b'{"COMM": {"latestQuote": {"bp": 16.99, "ap": 17.01, "t": "2026-10-08T15:10:22Z"},'
        b' "latestTrade": {"p": 16.992, "t": "2026-10-08T15:10:23Z"}},'
        b' "DEAD": null, "ZERO": {"latestQuote": {"bp": 0, "ap": 0}, "latestTrade": null},'
        b' "HALF": {"latestQuote": {"bp": 0, "ap": 5.5, "t": null}}}'
    )

    quotes = {quote.symbol: quote for quote in quotes_of(raw)}

    assert set(quotes) == {"COMM", "HALF"}
    assert quotes["COMM"].bid_usd == Decimal("16.99")
    assert quotes["COMM"].last_usd == Decimal("16.992")
    assert quotes["COMM"].at == datetime(2026, 10, 8, 15, 10, 23, tzinfo=UTC)
    assert (quotes["HALF"].bid_usd, quotes["HALF"].ask_usd, quotes["HALF"].at) == (None, Decimal("5.5"), None)


def test_a_price_that_is_no_number_is_refused():
    with pytest.raises(Untranslatable, match="bp"):
        quotes_of({"COMM": {"latestQuote": {"bp": "cheap"}}})


def test_a_frame_about_our_order_carries_run_and_execution():
    told = streamed(a_frame())

    assert isinstance(told, Streamed)
    assert isinstance(told.message, OrderStreamed)
    assert told.message.run_id == RUN
    assert (told.message.qty, told.message.price_usd) == (Decimal(190), Decimal("64.64"))
    assert told.message.order.client_order_id.startswith(RUN)


def test_a_frame_about_anything_else_is_a_strangers():
    told = streamed(a_frame(order=an_order(client_order_id="plan1-leg1")))

    assert isinstance(told, Streamed)
    assert isinstance(told.message, StrangerStreamed)


def test_the_same_news_has_the_same_id_and_other_news_another():
    def name(frame):
        told = streamed(frame)
        assert isinstance(told, Streamed)
        return told.message_id

    assert name(a_frame()) == name(a_frame())
    assert name(a_frame()) != name(a_frame("trade_bust"))
    assert name(a_frame()) != name(a_frame(execution_id="another"))
    nameless = a_frame("new", execution_id=None)
    assert name(nameless) == name(nameless)
    assert name(nameless) != name(a_frame("new", execution_id=None, timestamp="2026-10-08T15:10:25Z"))


def test_unknown_events_are_kept():
    told = streamed(a_frame("levitated", qty=None, price=None))

    assert isinstance(told, Streamed)
    assert told.message.event == "levitated"


@pytest.mark.parametrize(
    "frame",
    [
        None,
        [],
        "hello",
        {"stream": "trade_updates", "data": None},
        {"stream": "trade_updates"},
        {"stream": "trade_updates", "data": []},
        {"stream": "trade_updates", "data": {"event": "fill", "order": None}},
        a_frame(None),
        a_frame(qty="x"),
        a_frame(qty="-1"),
        a_frame(order=an_order(filled_qty=None)),
    ],
)
def test_a_trade_update_that_can_not_be_read_says_so(frame):
    assert isinstance(streamed(frame), Unreadable)


@pytest.mark.parametrize("stream", ["authorization", "listening", "account_updates", None])
def test_other_frames_are_none_of_our_business(stream):
    assert streamed({"stream": stream, "data": None}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@given(frame=JSON)
def test_no_frame_whatsoever_raises(frame):
    assert streamed(frame) is None or isinstance(streamed(frame), (Streamed, Unreadable))


@given(data=st.data())
def test_no_damaged_trade_update_raises(data):
    frame = a_frame(order=an_order(legs=[an_order()]))
    order = frame["data"]["order"]
    parts = [frame["data"], order, order["legs"][0]]
    for _ in range(data.draw(st.integers(1, 4))):
        part = data.draw(st.sampled_from(parts))
        part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JSON)

    told = streamed(frame)

    assert isinstance(told, (Streamed, Unreadable))


@given(number=st.decimals(min_value="0.000000001", max_value="999999999", places=9))
def test_quantities_come_through_digit_by_digit(number):
    text = format(number, "f")

    assert order_facts(an_order(qty=text)).qty == number
    assert order_facts(read_json(json.dumps(an_order()).replace('"190"', text).encode())).qty == number


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b"NaN", b'{"a": Infinity}', b"\xff\xfe", b"[" * 100_000, b"nul"]
)
def test_what_is_no_json_is_no_json(body):
    with pytest.raises(UnreadableBody, match="expected JSON"):
        read_json(body)
