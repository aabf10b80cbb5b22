"""What the broker does by itself: each surprise ends in the right hold, or in the right end, and never in a guess."""

from decimal import Decimal

import pytest

from tests.builders import small
from tests.daemon import Home, sent_once
from tests.paper import PaperAlpaca
from tests.stage import leg_of, staged

POST = "POST /v2/orders"
NO_FILL = {"on": POST, "do": "fill", "fill": "none"}
HALF = {"on": POST, "do": "fill", "fill": "partial", "fraction": "0.5"}
NO_MONEY = {"code": 40310000, "message": "insufficient buying power"}
CEO = {"sell_timeout_s": 30, "verify_wait_s": 2}


@pytest.fixture(scope="module")
def whole_stage(tmp_path_factory):
    with staged(tmp_path_factory.mktemp("surprises"), executive_config=CEO) as one:
        yield one


@pytest.fixture
def stage(whole_stage):
    yield whole_stage
    whole_stage.clear()


def live(stage, symbol, *, part="0"):
    """Wait until a leg's order is live at the local Alpaca, filled so far."""
    return stage.paper.wait_for_order(
        lambda order: order["symbol"] == symbol and order["status"] != "pending_new" and order["filled_qty"] == part
    )


# SELLs


@pytest.mark.parametrize("then", ["cancel", "expire"])
def test_a_sell_filled_in_part_then_ended_holds_the_run_and_release_buys_for_what_it_brought(stage, then):
    stage.paper.fault({**HALF, "symbol": "SAA", "then": then})
    run_id = stage.run(small.plan(("SAA",), ("BAA",)))
    held = stage.home.wait_phase(run_id, "held")
    assert stage.orders("BAA") == []
    stage.home.inside("release", run_id)
    view = stage.home.wait_end(run_id)

    assert held["reason"] == "sell_shortfall"
    assert leg_of(held, "SAA")["status"] == {"cancel": "canceled", "expire": "expired"}[then]
    assert (leg_of(view, "SAA")["filled_qty"], leg_of(view, "BAA")["filled_qty"]) == ("10", "9")
    assert view["outcome"] == "completed"


@pytest.mark.parametrize("event", ["canceled", "expired", "done_for_day", "rejected"])
def test_a_sell_that_ends_by_itself_holds_the_run(stage, event):
    stage.paper.fault({**NO_FILL, "symbol": "SAA"})
    run_id = stage.run(small.plan(("SAA",), ("BAA",)))
    order = live(stage, "SAA")
    stage.paper.event(order["id"], event)
    view = stage.home.wait_phase(run_id, "held")

    assert view["reason"] == "sell_shortfall"
    assert leg_of(view, "SAA")["status"] == {"done_for_day": "expired"}.get(event, event)
    assert stage.orders("BAA") == []


@pytest.mark.parametrize("event", ["suspended", "stopped", "calculated", "held", "pending_review", "restated"])
def test_a_sell_put_into_a_live_state_is_waited_for(stage, event):
    stage.paper.fault({**NO_FILL, "symbol": "SAA"})
    run_id = stage.run(small.plan(("SAA",), ("BAA",)))
    order = live(stage, "SAA")
    stage.paper.event(order["id"], event)
    view = stage.home.wait(run_id, lambda seen: leg_of(seen, "SAA")["status"] == "open")
    assert (view["phase"], stage.orders("BAA")) == ("selling", [])
    stage.paper.event(order["id"], "fill")
    view = stage.home.wait_end(run_id)

    assert view["outcome"] == "completed"
    assert leg_of(view, "BAA")["status"] == "filled"


def test_a_cancel_that_a_fill_overtakes_counts_as_the_fill(stage):
    stage.paper.fault({**NO_FILL, "symbol": "SAA"}, {"on": "DELETE /v2/orders/*", "do": "stuck_cancel"})
    run_id = stage.run(small.plan(("SAA",), ("BAA",), sell_shortfall="resize"))
    order = live(stage, "SAA")
    stage.home.inside("halt", "--cancel-orders")
    stage.paper.wait_for_order(lambda one: one["status"] == "pending_cancel")
    stage.paper.event(order["id"], "fill")
    stage.home.inside("resume")
    view = stage.home.wait_end(run_id)

    assert view["outcome"] == "completed"
    assert [leg["filled_qty"] for leg in view["legs"]] == ["20", "19"]


def test_a_cancel_pending_for_ever_holds_the_run_until_it_is_done(stage):
    stage.paper.fault({**NO_FILL, "symbol": "SAA"}, {"on": "DELETE /v2/orders/*", "do": "stuck_cancel"})
    run_id = stage.run(small.plan(("SAA",), ("BAA",)))
    live(stage, "SAA")
    stage.home.inside("abort", run_id)
    held = stage.home.wait_phase(run_id, "held")
    stage.paper.clear_faults()
    view = stage.home.wait_end(run_id)

    assert (held["reason"], held["resume_to"]) == ("cancel_stuck", "verifying")
    assert "SAA" in held["waiting_for"]
    assert view["outcome"] == "aborted"
    assert stage.order("SAA")["status"] == "canceled"
    assert stage.orders("BAA") == []


def test_an_order_replaced_by_someone_else_holds_the_run(stage):
    stage.paper.fault({**NO_FILL, "symbol": "SAA"})
    run_id = stage.run(small.plan(("SAA",), ("BAA",)))
    order = live(stage, "SAA")
    stage.paper.event(order["id"], "replaced")
    view = stage.home.wait_phase(run_id, "held")

    assert view["reason"] in {"order_replaced", "stranger_order"}  # both are true: the new order is a stranger's
    assert stage.orders("BAA") == []
    for one in stage.orders("SAA"):
        if one["status"] in {"new", "accepted"}:
            stage.paper.event(one["id"], "canceled")


def test_an_execution_taken_back_holds_the_run(stage):
    stage.paper.fault({**HALF, "symbol": "SAA", "then": "rest"})
    run_id = stage.run(small.plan(("SAA",), ("BAA",)))
    order = live(stage, "SAA", part="10")
    stage.paper.event(order["id"], "trade_bust")
    view = stage.home.wait_phase(run_id, "held")

    assert view["reason"] == "trade_bust"
    assert stage.orders("BAA") == []
    assert stage.home.logged("order.fill_busted", run_id=run_id)


def test_a_correction_of_a_buy_holds_the_run(stage):
    stage.paper.fault({**HALF, "symbol": "BAA", "then": "rest"})
    run_id = stage.run(small.plan(("SAA", "SBB"), ("BAA",)))
    order = live(stage, "BAA", part="10")
    stage.paper.event(order["id"], "trade_correct")
    view = stage.home.wait_phase(run_id, "held")

    assert view["reason"] == "trade_bust"


def test_a_strangers_order_on_a_legs_symbol_holds_the_run(stage):
    stage.paper.fault({**NO_FILL, "symbol": "SAA"})
    run_id = stage.run(small.plan(("SAA",), ("BAA",)))
    live(stage, "SAA")
    stranger = stage.paper.stranger(symbol="BAA", side="buy", qty="1", type="limit", limit_price="1")
    held = stage.home.wait_phase(run_id, "held")
    stage.paper.event(stranger["id"], "canceled")
    stage.home.inside("release", run_id)
    stage.paper.event(stage.order("SAA")["id"], "fill")
    view = stage.home.wait_end(run_id)

    assert held["reason"] == "stranger_order"
    assert "BAA" in held["waiting_for"]
    assert view["outcome"] == "completed"


def test_a_strangers_order_elsewhere_is_none_of_the_runs_business(stage):
    stage.paper.fault({**NO_FILL, "symbol": "SAA"})
    run_id = stage.run(small.plan(("SAA",), ("BAA",)))
    live(stage, "SAA")
    stage.paper.stranger(symbol="BCC", side="buy", qty="1", type="limit", limit_price="1")
    stage.paper.event(stage.order("SAA")["id"], "fill")
    view = stage.home.wait_end(run_id)

    assert view["outcome"] == "completed"


def test_money_that_a_stranger_spent_elsewhere_is_missed_at_the_gate_and_in_the_end(stage):
    stage.paper.fault({**NO_FILL, "symbol": "SAA"})
    run_id = stage.run(small.plan(("SAA",), ("BAA",)))
    live(stage, "SAA")
    stage.paper.stranger(symbol="BCC", side="buy", qty="10")
    stage.paper.wait_for_order(lambda one: one["symbol"] == "BCC" and one["status"] == "filled")
    stage.paper.event(stage.order("SAA")["id"], "fill")
    at_the_gate = stage.home.wait_phase(run_id, "held")
    assert stage.orders("BAA") == []
    stage.home.inside("release", run_id)
    in_the_end = stage.home.wait(run_id, lambda seen: seen["reason"] == "verification_mismatch")
    stage.home.inside("release", run_id)
    view = stage.home.wait_end(run_id)

    assert at_the_gate["reason"] == "cash_not_seen"
    assert [one["what"] for one in in_the_end["verification"]["differences"]] == ["cash"]
    assert (view["outcome"], view["verification"]["ok"]) == ("completed", False)
    # Cash is $600 at the gate, $1,600 above what it was; the proceeds were $2,000. A share reserves $103.
    assert leg_of(view, "BAA")["filled_qty"] == "15"


def test_shares_held_by_a_strangers_order_reject_the_plan_before_anything_is_sent(stage):
    stage.paper.stranger(symbol="SAA", side="sell", qty="20", type="limit", limit_price="900")
    run_id = stage.run(small.plan(("SAA",), ("BAA",)))
    view = stage.home.wait_end(run_id)

    assert view["outcome"] == "rejected"
    assert len(stage.paper.orders()) == 1


def test_shares_that_get_held_at_the_last_moment_are_a_refusal_and_hold_the_run(stage):
    held_for = {"code": 40310000, "message": "insufficient qty available for order (requested: 20, available: 0)"}
    stage.paper.fault({"on": POST, "symbol": "SAA", "do": "error", "status": 403, "body": held_for})
    run_id = stage.run(small.plan(("SAA", "SBB"), ("BAA",)))
    view = stage.home.wait(run_id, lambda seen: seen["phase"] == "held" and leg_of(seen, "SBB")["status"] == "filled")

    assert view["reason"] == "sell_shortfall"
    assert leg_of(view, "SAA")["status"] == "refused"
    assert "insufficient qty" in leg_of(view, "SAA")["reason"]
    assert stage.orders("BAA") == []


# BUYs


@pytest.mark.parametrize(
    ("rule", "status", "got"),
    [
        ({**HALF, "then": "cancel"}, "canceled", "10"),
        ({**HALF, "then": "expire"}, "expired", "10"),
        ({"on": POST, "do": "reject", "reason": "halted"}, "rejected", "0"),
        ({"on": POST, "do": "error", "status": 403, "body": NO_MONEY}, "refused", "0"),
    ],
    ids=["part then cancel", "part then expire", "rejected after new", "buying power refused"],
)
def test_a_buy_that_falls_short_is_named_and_the_others_are_bought(stage, rule, status, got):
    stage.paper.fault({**rule, "symbol": "BAA"})
    run_id = stage.run(small.plan(("SAA", "SBB"), ("BAA", "BBB")))
    view = stage.home.wait_end(run_id)

    assert view["outcome"] == "completed"
    assert view["verification"]["ok"]
    assert (leg_of(view, "BAA")["status"], leg_of(view, "BAA")["filled_qty"]) == (status, got)
    assert leg_of(view, "BBB")["status"] == "filled"
    assert "BAA" in stage.home.logged("buys.unfilled", run_id=run_id)[-1]["message"]
    assert sent_once(stage.paper.orders())


# The account, its assets, the market: things that a daemon remembers for a day, so each has a firm of its own


@pytest.fixture
def alone(tmp_path):
    ceo = small.QUICK_CEO | CEO | {"buy_timeout_s": 2}
    with (
        PaperAlpaca(small.account()) as paper,
        Home(tmp_path, paper, executive_config=ceo, trading_config=small.QUICK_TRADING) as home,
    ):
        yield home, paper


def test_a_sell_of_an_inactive_asset_rejects_the_plan_before_anything_is_sent(alone):
    home, paper = alone
    paper.assets({"SAA": {"status": "inactive"}})
    home.start()
    run_id = home.submit(small.plan(("SAA", "SBB"), ("BAA",)))
    view = home.wait_end(run_id)

    assert view["outcome"] == "rejected"
    assert "SAA" in str(view["violations"]) or "S01" in str(view["violations"])
    assert paper.orders() == []


def test_a_buy_of_an_inactive_asset_is_dropped_with_its_reason(alone):
    home, paper = alone
    paper.assets({"BAA": {"status": "inactive"}})
    home.start()
    run_id = home.submit(small.plan(("SAA", "SBB"), ("BAA", "BBB")))
    view = home.wait_end(run_id)

    dropped = leg_of(view, "BAA")
    assert view["outcome"] == "completed"
    assert (dropped["status"], dropped["qty"]) == ("dropped", "0")
    assert any("inactive" in str(violation) for violation in dropped["violations"])
    assert [order["symbol"] for order in paper.orders() if order["side"] == "buy"] == ["BBB"]


def test_a_blocked_account_is_rejected_before_and_held_at_the_gate(alone):
    home, paper = alone
    paper.fault({**NO_FILL, "symbol": "SAA"})
    home.start()
    run_id = home.submit(small.plan(("SAA",), ("BAA",)))
    order = paper.wait_for_order(lambda one: one["status"] == "new")
    paper.account(trading_blocked=True)
    paper.event(order["id"], "fill")
    held = home.wait_phase(run_id, "held")
    second = home.submit(small.plan(("SBB",), ()), "second.yaml")
    home.inside("abort", run_id)
    home.wait_end(run_id)
    rejected = home.wait_end(second)

    assert held["reason"] == "account_blocked"
    assert rejected["outcome"] == "rejected"
    assert [one["symbol"] for one in paper.orders()] == ["SAA"]


def test_a_market_that_closes_in_mid_sell_holds_the_run_and_buys_nothing(alone):
    home, paper = alone
    paper.clock(now="2025-11-10T15:09:12Z", is_open=True)
    paper.fault({**HALF, "symbol": "SAA", "then": "rest"})
    home.start()
    run_id = home.submit(small.plan(("SAA",), ("BAA",)))
    paper.wait_for_order(lambda one: one["filled_qty"] == "10")
    paper.clock(now="2025-11-10T21:00:00Z", is_open=False)
    view = home.wait_phase(run_id, "held")

    assert view["reason"] == "sell_shortfall"
    assert (leg_of(view, "SAA")["status"], leg_of(view, "SAA")["filled_qty"]) == ("expired", "10")
    assert [one["symbol"] for one in paper.orders()] == ["SAA"]


def test_a_market_that_closes_after_the_sells_is_waited_for_before_anything_is_bought(alone):
    home, paper = alone
    paper.clock(now="2025-11-10T20:50:00Z", is_open=True)
    paper.fault({**NO_FILL, "symbol": "SAA"})
    home.start()
    run_id = home.submit(small.plan(("SAA",), ("BAA",)))
    order = paper.wait_for_order(lambda one: one["status"] == "new")
    paper.fault({"on": "stream", "do": "drop"})
    paper.event(order["id"], "fill")
    paper.clock(now="2025-11-10T21:00:00Z", is_open=False)
    waiting = home.wait(run_id, lambda seen: seen["waiting_for"] == "market open")
    assert len(paper.orders()) == 1

    paper.clock(now="2025-11-11T15:00:00Z", is_open=True)
    view = home.wait_end(run_id)

    assert waiting["phase"] == "gate"
    assert view["outcome"] == "completed"


def test_a_market_that_closes_in_mid_buy_ends_the_run_with_what_was_bought(alone):
    home, paper = alone
    paper.clock(now="2025-11-10T15:09:12Z", is_open=True)
    paper.fault({**HALF, "symbol": "BAA", "then": "rest"})
    home.start()
    run_id = home.submit(small.plan(("SAA", "SBB"), ("BAA", "BBB")))
    paper.wait_for_orders(
        lambda orders: (
            {order["symbol"]: order["filled_qty"] for order in orders}.items() >= {"BAA": "10", "BBB": "30"}.items()
        )
    )
    paper.clock(now="2025-11-10T21:00:00Z", is_open=False)
    view = home.wait_end(run_id)

    assert view["outcome"] == "completed"
    assert (leg_of(view, "BAA")["status"], leg_of(view, "BAA")["filled_qty"]) == ("expired", "10")
    assert leg_of(view, "BBB")["status"] == "filled"


def test_a_buy_that_never_fills_is_cancelled_after_its_time_and_named(alone):
    home, paper = alone
    paper.fault({**NO_FILL, "symbol": "BAA"})
    home.start()
    run_id = home.submit(small.plan(("SAA", "SBB"), ("BAA", "BBB")))
    view = home.wait_end(run_id)

    assert view["outcome"] == "completed"
    assert leg_of(view, "BAA")["status"] == "canceled"
    assert leg_of(view, "BBB")["status"] == "filled"
    assert Decimal(view["money"]["spent"]) == 1800
    assert home.logged("buys.unfilled")[0]["symbols"] == "BAA"


# Protection


def under_a_stop():
    text = small.plan((), ("BAA",), funding="buying_power")
    return text.replace("{symbol: BAA,", '{symbol: BAA, stop_loss: "90",')


def test_a_buy_under_a_stop_ends_with_the_stop_standing(stage):
    view = stage.home.wait_end(stage.run(under_a_stop()))
    entry, stop = stage.orders("BAA")

    assert (view["outcome"], view["verification"]["ok"]) == ("completed", True)
    assert (entry["side"], entry["status"], entry["filled_qty"]) == ("buy", "filled", "20")
    assert (stop["side"], stop["status"], stop["qty"]) == ("sell", "new", "20")


def test_a_position_that_ends_without_its_stop_holds_the_run_until_somebody_took_note(stage):
    stage.paper.fault({**HALF, "symbol": "BAA", "side": "buy", "then": "cancel"})
    run_id = stage.run(under_a_stop())
    held = stage.home.wait_phase(run_id, "held")
    stage.home.inside("release", run_id)
    view = stage.home.wait_end(run_id)

    assert held["reason"] == "unprotected"
    assert [one["expected"] for one in held["verification"]["differences"]] == ["a stop at $90 for 10 BAA"]
    assert (leg_of(view, "BAA")["filled_qty"], view["outcome"]) == ("10", "completed")
