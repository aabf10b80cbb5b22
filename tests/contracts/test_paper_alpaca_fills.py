"""How orders fill: drawn delays, slippage and parts, times in force, stops, shorts."""

from decimal import Decimal

import pytest

from tests.contracts.paper_clients import Wire
from tests.paper import PaperAlpaca

DRAWN = {
    "cash": "1000000",
    "prices": {"KO": "80", "CTVA": "64.64", "DVN": "33.61"},
    "fills": {"delay_ms": [0, 20], "slippage_bps": [2, 10], "partial_probability": "1"},
    "spread_bps": "10",
    "rate_limit": {"requests_per_minute": 100000},
}


def executions(order):
    return [(event["qty"], event["price"]) for event in order["events"] if event["qty"] is not None]


def play(paper, symbols):
    """Buy the symbols in this order; return each one's executions."""
    paper.reset()
    with Wire(paper) as wire:
        for symbol in symbols:
            assert wire.order(symbol=symbol, side="buy", qty="100").status == 200
    orders = paper.wait_for_orders(lambda found: all(order["status"] == "filled" for order in found))
    return {order["symbol"]: executions(order) for order in orders}


@pytest.fixture(scope="module")
def drawn_process():
    with PaperAlpaca(DRAWN, seed=7) as paper:
        yield paper


def test_what_is_drawn_depends_on_the_seed_and_the_order_not_on_when_it_came(drawn_process):
    first = play(drawn_process, ["KO", "CTVA", "DVN"])
    again = play(drawn_process, ["DVN", "KO", "CTVA"])
    with PaperAlpaca(DRAWN, seed=8) as other:
        different = play(other, ["KO", "CTVA", "DVN"])

    assert first == again
    assert first != different


def test_parts_add_up_and_slippage_stays_in_its_range(drawn_process):
    for (first, second), price in zip(
        play(drawn_process, ["KO", "CTVA", "DVN"]).values(), map(Decimal, ("80", "64.64", "33.61")), strict=True
    ):
        assert Decimal(first[0]) + Decimal(second[0]) == 100
        assert first[1] == second[1]
        slippage_bps = (Decimal(first[1]) / price - 1) * 10000
        assert Decimal("1.9") <= slippage_bps <= Decimal("10.1")


def test_cash_is_what_the_executions_left(drawn_process):
    bought = play(drawn_process, ["KO", "CTVA", "DVN"])

    spent = sum(Decimal(qty) * Decimal(price) for parts in bought.values() for qty, price in parts)
    with Wire(drawn_process) as wire:
        cash = wire.ask("GET", "/v2/account").json["cash"]

    assert abs(1000000 - spent - Decimal(cash)) <= Decimal("0.005")


def test_a_spread_stands_around_the_last_price(drawn_process):
    drawn_process.reset()
    with Wire(drawn_process) as wire:
        quote = wire.ask("GET", "/v2/stocks/KO/quotes/latest").json["quote"]

    assert (quote["bp"], quote["ap"]) == (79.96, 80.04)


@pytest.mark.parametrize("time_in_force", ["ioc", "fok"])
@pytest.mark.parametrize(("limit_price", "status"), [("80", "filled"), ("81", "canceled")])
def test_immediate_orders_fill_at_once_or_not_at_all(paper, time_in_force, limit_price, status):
    with Wire(paper) as wire:
        wire.order(type="limit", limit_price=limit_price, time_in_force=time_in_force)

    paper.wait_for_order(lambda order: order["status"] == status)


def test_a_fill_or_kill_order_never_comes_in_parts(drawn_process):
    drawn_process.reset()
    with Wire(drawn_process) as wire:
        wire.order(side="buy", qty="100", time_in_force="fok")
        wire.order(symbol="CTVA", side="buy", qty="100", time_in_force="ioc")

    orders = drawn_process.wait_for_orders(lambda found: [order["status"] for order in found] == ["filled", "canceled"])
    assert [len(executions(order)) for order in orders] == [1, 1]
    assert 0 < Decimal(orders[1]["filled_qty"]) < 100


def wait_until_armed(paper):
    """Wait until orders placed before have their delay behind them."""
    with Wire(paper) as wire:
        wire.order(symbol="DVN", side="buy", qty="1", client_order_id="probe")
    paper.wait_for_order(lambda order: order["client_order_id"] == "probe" and order["status"] == "filled")


def test_a_trailing_stop_follows_and_triggers(paper):
    with Wire(paper) as wire:
        order = wire.order(type="trailing_stop", trail_percent="5").json
        wait_until_armed(paper)
        paper.prices({"KO": "100"})
        trailing = wire.ask("GET", f"/v2/orders/{order['id']}").json
        paper.prices({"KO": "94"})

    assert (trailing["hwm"], trailing["stop_price"], trailing["status"]) == ("100", "95", "new")
    assert executions(paper.orders()[0]) == [("10", "94")]


def test_a_stop_limit_rests_at_its_limit_once_triggered(paper):
    with Wire(paper) as wire:
        wire.order(type="stop_limit", stop_price="75", limit_price="74.5")
    wait_until_armed(paper)

    paper.prices({"KO": "74"})
    triggered = paper.orders()[0]["status"]
    paper.prices({"KO": "74.75"})

    assert triggered == "new"
    assert executions(paper.orders()[0]) == [("10", "74.75")]


def test_an_extended_hours_order_fills_outside_the_session(paper):
    paper.clock(is_open=False)
    with Wire(paper) as wire:
        wire.order(type="limit", limit_price="79", extended_hours=True)

    assert executions(paper.wait_for_order(lambda order: order["status"] == "filled")) == [("10", "80")]


def test_a_short_is_sold_and_bought_back(paper):
    with Wire(paper) as wire:
        short = wire.order(symbol="CTVA", qty="10").json
        paper.wait_for_order(lambda order: order["status"] == "filled")
        position = wire.ask("GET", "/v2/positions/CTVA").json
        too_much = wire.order(symbol="CTVA", side="buy", qty="11")
        cover = wire.order(symbol="CTVA", side="buy", qty="10").json
        paper.wait_for_orders(lambda orders: all(order["status"] == "filled" for order in orders))
        gone = wire.ask("GET", "/v2/positions/CTVA")

    assert (short["position_intent"], cover["position_intent"]) == ("sell_to_open", "buy_to_close")
    assert (position["side"], position["qty"], position["market_value"]) == ("short", "-10", "-646.4")
    assert (too_much.status, gone.status) == (403, 404)


def test_an_oco_is_an_exit_of_which_one_order_executes(paper):
    with Wire(paper) as wire:
        order = wire.order(
            type="limit",
            order_class="oco",
            take_profit={"limit_price": "90"},
            stop_loss={"stop_price": "70"},
        ).json
        held = wire.ask("GET", "/v2/positions/KO").json["qty_available"]
    wait_until_armed(paper)

    paper.prices({"KO": "69"})

    assert (order["type"], order["limit_price"], len(order["legs"])) == ("limit", "90", 1)
    assert held == "90"
    assert [found["status"] for found in paper.orders()[:2]] == ["canceled", "filled"]


def test_weekly_and_monthly_bars_join_the_days(paper):
    with Wire(paper) as wire:
        path = "/v2/stocks/bars?symbols=KO&start=2025-09-01&end=2025-10-31T23:59:59Z&timeframe="
        days = wire.ask("GET", path + "1Day").json["bars"]["KO"]
        weeks = wire.ask("GET", path + "1Week").json["bars"]["KO"]
        months = wire.ask("GET", path + "1Month&sort=desc").json["bars"]["KO"]
        minutes = wire.ask("GET", path + "1Min")

    assert sum(bar["v"] for bar in weeks) == sum(bar["v"] for bar in days) == sum(bar["v"] for bar in months)
    assert [bar["t"][:7] for bar in months] == ["2025-10", "2025-09"]
    assert months[0]["c"] == days[-1]["c"]
    assert minutes.status == 400
