"""REDUCING set by a person or by a loss: SELLs finish, no BUY leaves, whatever is killed, until `firm resume`."""

import json

import pytest

from tests.builders import small
from tests.daemon import Home, orders_of, sent_once
from tests.paper import PaperAlpaca
from tests.stage import filled

POST = "POST /v2/orders"
NO_FILL = {"on": POST, "do": "fill", "fill": "none"}
LOST = {"KEEP": "94"}
"""500 shares at $6 less: $3,000 of $55,000, more than a day may lose."""
RECOVERED = {"KEEP": "100"}


def a_home(folder, paper, *, workers=4, **limits):
    return Home(
        folder,
        paper,
        executive_config=small.QUICK_CEO | {"sell_timeout_s": 30, "cash_wait_s": 30},
        trading_config=small.QUICK_TRADING | {"workers": workers, "read_timeout_s": 10},
        hard_constraints=limits,
    )


def denied(view):
    """Symbols of BUYs that did not leave because the account reduces."""
    return [leg["symbol"] for leg in view["legs"] if "TRADING_REDUCING" in {one["code"] for one in leg["violations"]}]


def symbols(orders):
    return sorted(order["symbol"] for order in orders)


def test_reducing_lets_sells_that_are_out_finish_and_no_buy_leave_whatever_is_killed(tmp_path):
    with PaperAlpaca(small.account()) as paper, a_home(tmp_path, paper) as home:
        paper.fault({**NO_FILL, "side": "sell"})
        home.start()
        run_id = home.submit(small.plan(("SAA", "SBB"), ("BAA", "BBB")))
        paper.wait_for_orders(lambda orders: len(orders) == 2)
        assert home.inside("halt", "--reducing", "--reason", "a bad day").returncode == 0
        home.wait_log("trading.reducing")
        home.kill()
        paper.clear_faults()  # the SELLs fill while nobody looks
        home.start()
        view = home.wait_end(run_id)
        home.kill()
        home.start()

        shown = home.firm_status()
        assert (shown["trading_state"], shown["trading_because"]) == ("REDUCING", "a bad day")
        assert "@" in shown["trading_set_by"]
        assert view["outcome"] == "completed"
        assert "REDUCING" in view["reason"]
        assert denied(view) == ["BAA", "BBB"]
        assert symbols(paper.orders()) == ["SAA", "SBB"]
        assert all(filled(order) for order in paper.orders())
        assert [change["state"] for change in view["trading"]] == ["REDUCING"]
        told = home.inside("report", run_id).stdout
        assert "trading REDUCING: a bad day" in told
        assert "TRADING_REDUCING" in told
        assert "trading: REDUCING: a bad day" in home.inside("status").stdout
        checks = json.loads(home.inside("doctor", "--json").stdout)["checks"]
        assert next(one for one in checks if one["check"] == "trading")["level"] == "fail"

        assert home.inside("resume").returncode == 0
        later = home.wait_end(home.submit(small.plan(("SCC",), ("BCC",))))

        assert (later["outcome"], later["reason"], later["trading"]) == ("completed", None, [])
        assert symbols(orders_of(paper, "buy")) == ["BCC"]
        assert sent_once(paper.orders())


def test_reducing_between_the_orders_of_the_buys_stops_the_rest(tmp_path):
    with PaperAlpaca(small.account()) as paper, a_home(tmp_path, paper, workers=1) as home:
        paper.fault({"on": POST, "symbol": "BAA", "do": "latency", "ms": 2500})
        home.start()
        run_id = home.submit(small.plan(("SAA", "SBB", "SCC"), ("BAA", "BBB", "BCC")))
        home.wait(run_id, lambda _: sum(one["method"] == "POST" for one in paper.requests()) == 4)
        assert home.inside("halt", "--reducing").returncode == 0
        home.wait_log("order.not_sent", leg="B02", reason="reducing")
        home.kill()
        home.start()
        view = home.wait_end(run_id)

        assert view["outcome"] == "completed"
        assert denied(view) == ["BBB", "BCC"]
        assert symbols(paper.orders()) == ["BAA", "SAA", "SBB", "SCC"]
        assert all(filled(order) for order in paper.orders())


def test_a_plan_handed_in_while_reducing_sells_and_buys_nothing(tmp_path):
    with PaperAlpaca(small.account()) as paper, a_home(tmp_path, paper) as home:
        assert home.inside("halt", "--reducing").returncode == 0  # nothing runs yet, no daemon either
        dry = home.firm("check", str(home.plan(small.plan(("SAA",), ("BAA",)))))
        home.start()
        view = home.wait_end(home.submit(small.plan(("SAA",), ("BAA",))))

        assert view["outcome"] == "completed"
        assert denied(view) == ["BAA"]
        assert symbols(paper.orders()) == ["SAA"]
        assert dry.returncode == 4
        assert "trading is REDUCING, no BUY would be sent before firm resume" in dry.stdout


def test_a_days_loss_beyond_its_limit_reduces_until_it_is_resumed_and_over(tmp_path):
    with PaperAlpaca(small.account()) as paper, a_home(tmp_path, paper) as home:
        home.start()
        paper.prices(LOST)
        path = home.plan(small.plan(("SAA",), ("BAA",)), "seen.yaml")
        shown = home.inside("approve", str(path), "--yes").stdout
        first = home.wait_end(home.submit(small.plan(("SAA",), ("BAA",))))
        reduced = home.firm_status()
        assert home.inside("resume").returncode == 0
        home.wait_log("trading.resumed")
        second = home.wait_end(home.submit(small.plan(("SBB",), ("BBB",))))  # the breach still stands
        home.kill()
        home.start()
        still = home.firm_status()
        paper.prices(RECOVERED)
        assert home.inside("resume").returncode == 0
        third = home.wait_end(home.submit(small.plan(("SCC",), ("BCC",))))

        assert [denied(view) for view in (first, second, third)] == [["BAA"], ["BBB"], []]
        assert "trading would become REDUCING: daily loss" in shown
        assert reduced["trading_state"] == still["trading_state"] == "REDUCING"
        assert "daily loss, equity $52,000.00 after $55,000.00" in reduced["trading_because"]
        assert reduced["trading_set_by"] == "hard_constraints.yaml: loss_limits.max_daily_loss_fraction"
        assert len(home.logged("trading.restricted_again")) == 1
        assert home.firm_status()["trading_state"] == "ACTIVE"
        assert third["outcome"] == "completed"
        assert symbols(paper.orders()) == ["BCC", "SAA", "SBB", "SCC"]


@pytest.mark.parametrize("killed", [False, True])
def test_a_loss_between_the_sells_and_the_gate_halts_where_the_limit_says_so(tmp_path, killed):
    limits = {"max_daily_loss_fraction": "0.05", "on_daily_loss": "halted"}
    with PaperAlpaca(small.account()) as paper, a_home(tmp_path, paper, **limits) as home:
        paper.fault({**NO_FILL, "symbol": "SAA"})
        home.start()
        run_id = home.submit(small.plan(("SAA",), ("BAA",)))
        paper.wait_for_order(lambda order: order["status"] == "new")
        paper.prices(LOST)
        paper.clear_faults()
        held = home.wait_phase(run_id, "held")
        halted = home.firm_status()
        if killed:
            home.kill()
            home.start()
        paper.prices(RECOVERED)
        assert symbols(paper.orders()) == ["SAA"]
        assert home.inside("resume").returncode == 0
        view = home.wait_end(run_id)

        assert held["reason"] == "halted"
        assert halted["trading_state"] == "HALTED"
        assert "daily loss" in halted["trading_because"]
        assert view["outcome"] == "completed"
        assert symbols(paper.orders()) == ["BAA", "SAA"]


def test_a_drawdown_beyond_its_limit_reduces(tmp_path):
    closes = [{"day": "2025-11-06", "equity": "70000"}, {"day": "2025-11-07", "equity": "55000"}]
    state = small.account(equity_history=closes, clock={"now": "2025-11-10T15:09:12Z", "is_open": True})
    with PaperAlpaca(state) as paper, a_home(tmp_path, paper) as home:
        home.start()
        view = home.wait_end(home.submit(small.plan(("SAA",), ("BAA",))))

        assert denied(view) == ["BAA"]
        assert "drawdown, equity $55,000.00 after $70,000.00" in home.firm_status()["trading_because"]
