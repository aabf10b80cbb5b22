"""SIGKILL at every boundary of a run, and whenever a seed says so: the run finishes, and nothing is sent twice."""

import random
from decimal import Decimal

import pytest

from tests.builders import small
from tests.daemon import Home, nap, orders_of, sent_once
from tests.paper import PaperAlpaca
from tests.stage import filled, leg_of

SELLS = ("SAA", "SBB")
BUYS = ("BAA", "BBB")
POST = "POST /v2/orders"


def rule(do, on=POST, **fields):
    return {"on": on, "do": do, **fields}


NO_FILL = {"do": "fill", "fill": "none", "on": POST}
HALF = {"do": "fill", "fill": "partial", "fraction": "0.5", "then": "rest", "on": POST}


def in_phase(phase):
    return lambda home, paper, run_id: home.wait_phase(run_id, phase)


def logged(event):
    return lambda home, paper, run_id: home.wait_log(event)


def at_alpaca(symbol, *statuses):
    def wait(home, paper, run_id):
        paper.wait_for_order(lambda order: order["symbol"] == symbol and order["status"] in statuses, 30.0)

    return wait


def fitting_for_less_money(home, paper, run_id):
    """Let a SELL fill for so much less that the BUYs made ready don't stand: they are fitted at the gate."""
    at_alpaca("SBB", "new")(home, paper, run_id)
    paper.prices({"SBB": "47"})
    paper.clear_faults()
    home.wait_log("buys.fitted")


def asked(path, times=1):
    """Wait until the server was asked so often, answered or not."""

    def wait(home, paper, run_id):
        home.wait(run_id, lambda _: sum(one["path"] == path for one in paper.requests()) >= times)

    return wait


def posted(symbol):
    """Wait until a POST for the symbol has come to the server, which does not answer it."""

    def wait(home, paper, run_id):
        home.wait(
            run_id,
            lambda _: any(
                one["method"] == "POST" and one["path"] == "/v2/orders" and one["body"]["symbol"] == symbol
                for one in paper.requests()
            ),
        )

    return wait


BOUNDARIES = {
    "received, the look at the account on its way": (
        [rule("latency", "GET /v2/account", ms=4000)],
        in_phase("received"),
    ),
    "reviewing": ([], logged("plan.reviewed")),
    "selling, SELLs written down, POSTs not taken": ([rule("hang", side="sell", seconds=30)], posted("SAA")),
    "selling, SELLs taken, answers not come": ([rule("accept_then_hang", side="sell", seconds=30)], posted("SBB")),
    "selling, SELLs at Alpaca": ([NO_FILL | {"side": "sell"}], at_alpaca("SBB", "new")),
    "selling, one SELL filled, one in part": ([HALF | {"symbol": "SBB"}], at_alpaca("SBB", "partially_filled")),
    "selling, the proof on its way": ([rule("latency", "GET /v2/orders", ms=4000)], in_phase("selling")),
    "gate, the cash not there": ([rule("cash_delay", side="sell", ms=4000)], in_phase("gate")),
    "gate just opened": ([], logged("gate.opened")),
    "fitting, since the SELLs brought less than expected": (
        [NO_FILL | {"symbol": "SBB"}],
        fitting_for_less_money,
    ),
    "buying, BUYs written down, POSTs not taken": ([rule("hang", side="buy", seconds=30)], posted("BAA")),
    "buying, some sent": (
        [rule("hang", symbol="BBB", seconds=30), NO_FILL | {"symbol": "BAA"}],
        at_alpaca("BAA", "new"),
    ),
    "buying, BUYs taken, answers not come": ([rule("accept_then_hang", side="buy", seconds=30)], posted("BBB")),
    "buying, one BUY filled, one in part": ([HALF | {"symbol": "BBB"}], at_alpaca("BBB", "partially_filled")),
    "verifying": ([rule("latency", "GET /v2/positions", ms=4000, after=2)], in_phase("verifying")),
    "just completed": ([], logged("run.completed")),
}


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_kill_at_a_boundary_sends_nothing_twice(tmp_path, boundary):
    rules, wait = BOUNDARIES[boundary]
    with PaperAlpaca(small.account()) as paper, a_home(tmp_path, paper) as home:
        paper.fault(*rules)
        home.start()
        run_id = home.submit(small.plan(SELLS, BUYS))
        wait(home, paper, run_id)
        home.kill()
        paper.clear_faults()
        home.start()
        view = home.wait_end(run_id)

        assert_done_once(paper, view)


def test_a_kill_while_the_market_is_closed_is_not_noticed(tmp_path):
    closed = small.account(clock={"now": "2025-11-09T15:00:00Z", "is_open": False})
    with PaperAlpaca(closed) as paper, a_home(tmp_path, paper) as home:
        home.start()
        run_id = home.submit(small.plan(SELLS, BUYS))
        home.wait_phase(run_id, "awaiting_open")
        home.kill()
        home.start()
        home.wait_phase(run_id, "awaiting_open")
        assert paper.orders() == []

        paper.clock(now="2025-11-10T15:09:12Z", is_open=True)
        view = home.wait_end(run_id)

        assert_done_once(paper, view)


def test_ten_kills_of_one_run_whenever_it_may_be(tmp_path):
    moments = random.Random(10)
    with PaperAlpaca(small.account()) as paper, a_home(tmp_path, paper) as home:
        paper.fault(NO_FILL | {"symbol": "SBB"}, rule("latency", ms=150))
        run_id = home.submit(small.plan(SELLS, BUYS))
        for number in range(10):
            if number == 5:
                paper.clear_faults()
                paper.fault(NO_FILL | {"symbol": "BBB"}, rule("latency", ms=150))
            if number % 2:
                home.launch()  # killed while it starts, or soon after
                nap(moments.uniform(0.3, 2.5))
            else:
                home.start()
                nap(moments.uniform(0.0, 0.8))
            assert home.daemon.poll() is None, "a daemon that can't start is no case for a kill"
            home.kill()
        assert home.status(run_id)["outcome"] is None
        paper.clear_faults()
        home.start()
        view = home.wait_end(run_id)

        assert_done_once(paper, view)


def test_a_doubled_order_would_be_seen():
    once = [{"client_order_id": "a", "symbol": "SAA", "side": "sell"}]

    assert sent_once(once)
    assert not sent_once([*once, {"client_order_id": "b", "symbol": "SAA", "side": "sell"}])
    assert not sent_once([*once, {"client_order_id": "a", "symbol": "SBB", "side": "sell"}])


def a_home(folder, paper):
    return Home(
        folder,
        paper,
        executive_config=small.QUICK_CEO | {"sell_timeout_s": 20, "cash_wait_s": 20},
        trading_config=small.QUICK_TRADING | {"read_timeout_s": 10},
    )


def assert_done_once(paper, view):
    """The run is completed; every leg is one order, filled whole, SELLs before BUYs."""
    orders = paper.orders()
    sells, buys = orders_of(paper, "sell"), orders_of(paper, "buy")
    assert view["outcome"] == "completed", view
    assert view["verification"] == {"ok": True, "differences": []}
    assert sent_once(orders)
    assert {order["symbol"] for order in sells} == set(SELLS)
    assert {order["symbol"] for order in buys} == set(BUYS)
    assert all(filled(order) for order in orders)
    last_fill = max(event["at"] for order in sells for event in order["events"] if event["event"] == "fill")
    assert min(order["received_at"] for order in buys) > last_fill
    for order in orders:
        leg = leg_of(view, order["symbol"])
        assert (leg["client_order_id"], Decimal(leg["filled_qty"])) == (order["client_order_id"], Decimal(order["qty"]))
