"""`firm halt` in every phase: nothing leaves before `firm resume`, a SIGKILL between them changes nothing."""

from datetime import UTC, datetime

import pytest

from tests.builders import small
from tests.daemon import Home, sent_once
from tests.paper import PaperAlpaca
from tests.stage import filled

SELLS = ("SAA", "SBB")
BUYS = ("BAA", "BBB")
POST = "POST /v2/orders"
NO_FILL = {"on": POST, "do": "fill", "fill": "none"}
OPEN = {"now": "2025-11-10T15:09:12Z", "is_open": True}
CLOSED = {"now": "2025-11-09T15:00:00Z", "is_open": False}


def go_on(paper):
    """Let the world do what the run waits for."""
    paper.clear_faults()
    paper.clock(**OPEN)


# phase -> (state, fault rules, orders at the server when it is halted)
PHASES = {
    "awaiting_open": ({"clock": CLOSED}, [], []),
    "selling": ({"clock": OPEN}, [{**NO_FILL, "side": "sell"}], ["SAA", "SBB"]),
    "gate": ({"clock": OPEN}, [{"on": POST, "side": "sell", "do": "cash_delay", "ms": 60_000}], ["SAA", "SBB"]),
    "buying": ({"clock": OPEN}, [{**NO_FILL, "side": "buy"}], ["BAA", "BBB", "SAA", "SBB"]),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_halted_run_sends_nothing_until_it_is_resumed_whatever_is_killed(tmp_path, phase):
    state, rules, out = PHASES[phase]
    with PaperAlpaca(small.account(**state)) as paper, a_home(tmp_path, paper) as home:
        paper.fault(*rules)
        home.start()
        run_id = home.submit(small.plan(SELLS, BUYS))
        home.wait_phase(run_id, phase)
        paper.wait_for_orders(lambda orders: len(orders) == len(out))
        assert home.inside("halt", "--reason", "the test wants it").returncode == 0
        held = home.wait_phase(run_id, "held")
        home.kill()
        go_on(paper)  # all that the run waited for comes while nobody looks
        home.start()
        still = home.wait(run_id, lambda view: all_filled(view, out))  # the facts came, and move nothing
        seen_halted = home.firm_status()

        assert sorted(order["symbol"] for order in paper.orders()) == out
        resumed_at = stamp()
        assert home.inside("resume").returncode == 0
        view = home.wait_end(run_id)

        assert (held["reason"], held["resume_to"]) == ("halted", phase)
        assert (still["phase"], still["reason"]) == ("held", "halted")
        assert (seen_halted["trading_state"], seen_halted["trading_because"]) == ("HALTED", "the test wants it")
        orders = paper.orders()
        assert [order["symbol"] for order in orders if order["received_at"] < resumed_at] == [
            order["symbol"] for order in orders[: len(out)]
        ]
        assert_done_once(orders, view)


def test_a_halt_between_the_orders_of_one_side_stops_the_rest(tmp_path):
    with PaperAlpaca(small.account()) as paper, a_home(tmp_path, paper, workers=1) as home:
        paper.fault({"on": POST, "symbol": "SAA", "do": "latency", "ms": 2500})
        home.start()
        run_id = home.submit(small.plan(("SAA", "SBB", "SCC"), BUYS))
        home.wait(run_id, lambda _: any(one["method"] == "POST" for one in paper.requests()))
        assert home.inside("halt").returncode == 0
        home.wait_phase(run_id, "held")
        paper.wait_for_order(lambda order: order["status"] == "filled")
        home.wait_log("order.not_sent", leg="S03")
        home.kill()
        home.start()
        resumed_at = stamp()
        assert home.inside("resume").returncode == 0
        view = home.wait_end(run_id)

        orders = paper.orders()
        assert [order["symbol"] for order in orders if order["received_at"] < resumed_at] == ["SAA"]
        assert_done_once(orders, view)


def test_a_plan_handed_in_while_halted_waits_for_the_resume(tmp_path):
    with PaperAlpaca(small.account()) as paper, a_home(tmp_path, paper) as home:
        assert home.inside("halt").returncode == 0  # nothing runs yet, no daemon either
        home.start()
        run_id = home.submit(small.plan(SELLS, BUYS))
        held = home.wait_phase(run_id, "held")
        assert home.inside("release", run_id).returncode == 0
        home.wait_log("run.release_while_halted")
        assert home.status(run_id)["reason"] == "halted"
        assert paper.orders() == []

        assert home.inside("resume").returncode == 0
        view = home.wait_end(run_id)

        assert held["reason"] == "halted"
        assert home.status_by_command(run_id) == view
        assert_done_once(paper.orders(), view)


def test_a_halt_that_cancels_leaves_nothing_open_and_cancels_pass_while_halted(tmp_path):
    with PaperAlpaca(small.account()) as paper, a_home(tmp_path, paper) as home:
        paper.fault({**NO_FILL, "symbol": "SBB"})
        home.start()
        run_id = home.submit(small.plan(SELLS, BUYS))
        paper.wait_for_order(lambda order: (order["symbol"], order["status"]) == ("SBB", "new"))
        assert home.inside("halt", "--cancel-orders").returncode == 0
        paper.wait_for_order(lambda order: (order["symbol"], order["status"]) == ("SBB", "canceled"))
        assert home.inside("resume").returncode == 0
        view = home.wait_phase(run_id, "held", limit_s=20)
        view = home.wait(run_id, lambda seen: seen["reason"] == "sell_shortfall")

        assert view["phase"] == "held"
        assert [order["symbol"] for order in paper.orders() if order["side"] == "buy"] == []


def a_home(folder, paper, workers=4):
    return Home(
        folder,
        paper,
        executive_config=small.QUICK_CEO | {"sell_timeout_s": 30, "cash_wait_s": 30},
        trading_config=small.QUICK_TRADING | {"workers": workers, "read_timeout_s": 10},
    )


def all_filled(view, symbols):
    return all(leg["status"] == "filled" for leg in view["legs"] if leg["symbol"] in symbols)


def stamp():
    """Now, as the local Alpaca writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def assert_done_once(orders, view):
    assert view["outcome"] == "completed", view
    assert sent_once(orders)
    assert {order["symbol"] for order in orders} == {leg["symbol"] for leg in view["legs"]}
    assert all(filled(order) for order in orders)
