"""The twin begins as the account is; where it can't, it says so."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from departments.executive.twin import NoTwin, differences, twin_of
from messages.plans import Plan
from messages.snapshots import BarFacts, ClockFacts, EquityFacts, FillFacts, History, TradingDay
from messages.values import AccountName, OrderId, PlanId, Side
from paper_alpaca.state import parse_state
from tests.builders.portfolio import NOW, asset, buy, held, open_order, quote, sell, snapshot

CLOSE = NOW + timedelta(hours=5)
OPENING = datetime(2025, 11, 11, 14, 30, tzinfo=UTC)


def clock(*, is_open=True, at=NOW, next_close=CLOSE):
    return ClockFacts(at=at, is_open=is_open, next_open=OPENING, next_close=next_close)


def plan(*trades):
    return Plan(plan_id=PlanId("P"), account=AccountName("paper"), plan_sha256="0" * 64, trades=trades)


def look(trades, *, market=None, **more):
    seen = snapshot(trades, **{"equity": 10_000, "cash": "-2500.50", **more})
    return seen.model_copy(update={"clock": market or clock()})


def built(trades, **more):
    return twin_of(look(trades, **more), plan(*trades), min_time_to_close_s=300)


def test_the_twin_holds_what_the_account_holds():
    twin = built([sell("S01", "AAA", 5, 10)], positions=[held("AAA", 10, 12), held("SHORT", -3, 7)], multiplier=2)

    state = parse_state(json.dumps(twin.state), "twin")
    assert state.accounts[0].cash == Decimal("-2500.50")
    assert {one.symbol: one.qty for one in state.accounts[0].holdings} == {"AAA": 10, "SHORT": -3}
    assert (state.is_open, state.now) == (True, NOW)
    assert twin.account == {"max_multiplier": 2, "trading_blocked": False, "account_blocked": False}
    assert twin.notes == ()


def test_buys_are_priced_at_the_ask_and_sells_at_the_bid():
    trades = [sell("S01", "AAA", 5, 10), buy("B01", "BBB", 5, 10)]
    twin = built(
        trades,
        positions=[held("AAA", 10, 12)],
        quotes=[quote("AAA", None, bid="11.9", ask="12.1"), quote("BBB", None, bid="9.9", ask="10.1")],
    )

    prices = parse_state(json.dumps(twin.state), "twin").prices
    assert prices == {"AAA": Decimal("11.9"), "BBB": Decimal("10.1")}


def test_what_nobody_offers_has_no_price_in_the_twin_either():
    twin = built([buy("B01", "BBB", 5, 10)], quotes=[quote("BBB", None, last=10)])

    state = parse_state(json.dumps(twin.state), "twin")
    assert dict(state.prices) == {}
    assert set(state.assets) == {"BBB"}


def test_a_sell_without_a_quote_goes_at_the_positions_price():
    twin = built([sell("S01", "AAA", 5, 10)], positions=[held("AAA", 10, 12)], quotes=[quote("AAA", None)])

    assert parse_state(json.dumps(twin.state), "twin").prices == {"AAA": Decimal(12)}


def test_assets_are_as_the_broker_says():
    twin = built([buy("B01", "BBB", 5, 10)], assets=[asset("BBB", status="delisted", tradable=False)])

    facts = parse_state(json.dumps(twin.state), "twin").assets["BBB"]
    assert (facts.status, facts.tradable) == ("inactive", False)


def test_a_position_without_a_price_takes_its_entry_price_and_says_so():
    twin = built([buy("B01", "BBB", 5, 10)], positions=[held("AAA", 10, None)])

    assert any("AAA" in note and "entry price" in note for note in twin.notes)


def test_a_position_without_any_price_makes_no_twin():
    free = held("AAA", 10, None).model_copy(update={"avg_entry_price_usd": Decimal(0)})

    with pytest.raises(NoTwin, match="AAA"):
        built([buy("B01", "BBB", 5, 10)], positions=[free])


@pytest.mark.parametrize("part", ["account", "positions", "clock", "assets", "open_orders"])
def test_a_look_with_a_part_missing_makes_no_twin(part):
    trades = [buy("B01", "BBB", 5, 10)]

    with pytest.raises(NoTwin, match="part is missing"):
        twin_of(look(trades).model_copy(update={part: None}), plan(*trades), min_time_to_close_s=300)


@pytest.mark.parametrize(
    "market",
    [clock(is_open=False), clock(next_close=NOW + timedelta(seconds=301))],
    ids=["closed", "closes too soon"],
)
def test_a_market_that_is_closed_or_closes_too_soon_is_rehearsed_at_its_next_opening(market):
    twin = built([buy("B01", "BBB", 5, 10)], market=market)

    state = parse_state(json.dumps(twin.state), "twin")
    assert (state.is_open, state.now) == (True, OPENING)
    assert any("2025-11-11 14:30 UTC" in note for note in twin.notes)


def test_a_market_forced_open_for_longer_than_a_session_has_no_declared_time():
    twin = built([buy("B01", "BBB", 5, 10)], market=clock(next_close=NOW + timedelta(hours=9)))

    assert parse_state(json.dumps(twin.state), "twin").now is None


def test_open_orders_rest_in_the_twin_with_what_is_left_of_them():
    orders = [
        open_order("AAA", Side.SELL, 10, filled=4, limit="13.5"),
        open_order("CCC", Side.SELL, 3, order_type="stop"),
        open_order("DDD", Side.BUY, None),
    ]
    twin = built([buy("B01", "BBB", 5, 10)], positions=[held("AAA", 10, 12)], open_orders=orders)

    sent = [(one["symbol"], one["side"], one["qty"], one["type"], one.get("limit_price")) for one in twin.orders]
    assert sent == [("AAA", "sell", "6", "limit", "13.5"), ("CCC", "sell", "3", "market", None)]
    assert any("DDD is by value" in note for note in twin.notes)
    assert any(note.startswith("2 open orders") for note in twin.notes)


def test_differences_name_cash_shares_and_what_is_free():
    one = look([], positions=[held("AAA", 10, 12, free=4), held("BBB", 1, 1)])
    other = look([], positions=[held("AAA", 10, 12), held("CCC", 1, 1)], cash=7)

    assert differences(one, one) == ()
    assert differences(one, other) == (
        "cash -2500.5, in the twin 7",
        "AAA: 10 shares, 4 free, in the twin 10 shares, 10 free",
        "BBB: 1 shares, 1 free, in the twin not held",
        "CCC: not held, in the twin 1 shares, 1 free",
    )


# What went before


def a_history(**parts):
    days = tuple(TradingDay(day=date(2025, 11, n), opens_at=NOW, closes_at=NOW) for n in (3, 4, 5, 6, 7, 10))
    return History(read_at=NOW, **({"trading_days": days} | parts))


def a_fill(order_type, *, order_id="A", symbol="AAA", qty=3):
    return FillFacts(
        activity_id=f"{order_id}{qty}",
        order_id=OrderId(order_id),
        symbol=symbol,
        side=Side.SELL,
        qty=Decimal(qty),
        price_usd=Decimal("9.5"),
        at=NOW - timedelta(days=4),
        order_type=order_type,
    )


def past_of(history):
    trades = [sell("S01", "AAA", 5, 10)]
    seen = look(trades, positions=[held("AAA", 10, 12)])
    twin = twin_of(seen, plan(*trades), min_time_to_close_s=300, history=history)
    return twin, parse_state(json.dumps(twin.state), "twin")


def test_the_twin_has_the_executions_of_the_account_with_their_kinds():
    fills = (
        a_fill("stop"),
        a_fill("stop", qty=4),
        a_fill("unknown", order_id="B"),
        a_fill("market", symbol="AAPL251219C00150000"),
    )

    twin, state = past_of(a_history(fills=fills))

    assert [(one.order, one.order_type, one.qty) for one in state.accounts[0].fills] == [
        ("A", "stop", 3),
        ("A", "stop", 4),
        ("B", "market", 3),
    ]
    assert twin.notes == ("executions of other things than shares are not in the twin: 1",)


def test_the_twin_has_the_highest_and_the_last_close_of_the_account():
    equity = EquityFacts(
        since=date(2024, 11, 10),
        highest_close_usd=Decimal(120),
        highest_close_day=date(2025, 8, 1),
        last_close_usd=Decimal("99.5"),
    )

    _, state = past_of(a_history(equity=equity))
    twin, without = past_of(a_history(equity=equity, trading_days=None))

    assert [(one.day, one.equity) for one in state.accounts[0].closes] == [
        (date(2025, 8, 1), 120),
        (date(2025, 11, 7), Decimal("99.5")),
    ]
    assert without.accounts[0].closes == ()
    assert twin.notes == ("the twin closed every day as it begins: the days of the closes were not read",)


def test_the_twin_has_the_bars_of_the_account():
    figures = {"open_usd": 10, "high_usd": 11, "low_usd": 9, "close_usd": "11.5", "volume": "12.5"}
    bar = BarFacts(symbol="AAA", day=date(2025, 11, 7), **{key: Decimal(value) for key, value in figures.items()})

    _, state = past_of(a_history(bars=(bar,)))

    (told,) = state.bars["AAA"]
    assert (told.day, told.open, told.low, told.high, told.close, told.volume) == (
        date(2025, 11, 7), 10, 9, Decimal("11.5"), Decimal("11.5"), 12,
    )  # fmt: skip


def test_without_a_history_the_twin_has_no_past():
    twin, state = past_of(None)

    assert twin.state.keys().isdisjoint({"fills_history", "equity_history", "bars"})
    assert (state.accounts[0].fills, state.accounts[0].closes, state.bars) == ((), (), {})
