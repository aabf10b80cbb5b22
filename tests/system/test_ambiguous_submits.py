"""A POST whose outcome nobody can know: whatever the truth was, there is one order a leg at the end."""

from datetime import datetime, timedelta

import pytest

from tests.builders import small
from tests.daemon import sent_once
from tests.stage import filled, leg_of, staged

POST = "POST /v2/orders"
BY_ID = "GET /v2/orders:by_client_order_id"
LEGS = ("SAA", "BAA")
NO_FILL = {"on": POST, "do": "fill", "fill": "none"}
DUPLICATE = {"code": 40010001, "message": "client_order_id must be unique"}
NOT_ENOUGH = {"code": 40310000, "message": "insufficient qty available for order"}
QUIET_S = small.QUICK_TRADING["unknown_quiet_s"]


@pytest.fixture(scope="module")
def whole_stage(tmp_path_factory):
    with staged(tmp_path_factory.mktemp("ambiguous"), executive_config={"sell_timeout_s": 30}) as one:
        yield one


@pytest.fixture
def stage(whole_stage):
    yield whole_stage
    whole_stage.clear()


def once(do, **fields):
    """A rule for the first POST of each leg: one SELL and one BUY."""
    return [{"on": POST, "symbol": symbol, "do": do, "times": 1, **fields} for symbol in LEGS]


TAKEN = {
    **{f"taken, then {status}": once("accept_then_error", status=status) for status in (500, 502, 503, 504)},
    "taken, then nothing past our timeout": once("accept_then_hang", seconds=3),
    "taken, then the connection breaks": once("accept_then_reset"),
    "taken, then a page that says 200": once("accept_then_error", status=200, body="<html>fine</html>"),
    "taken, then an empty 200": once("accept_then_error", status=200, body=""),
    "taken, the look-ups say 404 at first": [
        *once("accept_then_error", status=504),
        {"on": BY_ID, "do": "error", "status": 404, "times": 2},
    ],
    "taken, and the first look-up says 500": [
        *once("accept_then_error", status=504),
        {"on": BY_ID, "do": "error", "status": 500, "times": 1},
    ],
}


@pytest.mark.parametrize("case", TAKEN)
@pytest.mark.parametrize("stream", ["the stream tells", "the stream is silent"])
def test_an_order_that_was_taken_is_found_and_not_sent_again(stage, case, stream):
    silent = stream == "the stream is silent"
    stage.paper.fault(*TAKEN[case], *([{"on": "stream", "do": "drop"}] if silent else []))
    run_id = stage.run(small.plan())
    view = stage.home.wait_end(run_id)

    assert_one_order_each(stage, view)
    assert [one["body"]["symbol"] for one in posts(stage)] == ["SAA", "BAA"]
    if silent:
        assert {line["symbol"] for line in stage.home.logged("order.unknown", run_id=run_id)} == set(LEGS)


NOT_TAKEN = {
    "500, not taken": once("error", status=500),
    "not taken, the connection breaks": once("reset"),
    "not taken, nothing past our timeout": once("hang", seconds=3),
    "a gateway's page, 502": once("html", status=502),
    "a page that says 200": once("html", status=200),
    "422 for an id that nobody has": once("error", status=422, body=DUPLICATE),
}


@pytest.mark.parametrize("case", NOT_TAKEN)
def test_an_order_that_was_not_taken_is_unknown_then_sent_again_by_the_same_id(stage, case):
    stage.paper.fault(*NOT_TAKEN[case])
    run_id = stage.run(small.plan())
    unknown = stage.home.wait(run_id, lambda view: leg_of(view, "SAA")["status"] == "unknown")
    view = stage.home.wait_end(run_id)

    assert unknown["phase"] == "selling"
    assert "SAA" in unknown["waiting_for"]
    assert_one_order_each(stage, view)
    first, again = (one for one in posts(stage) if one["body"]["symbol"] == "SAA")
    assert first["body"] == again["body"]
    assert datetime.fromisoformat(again["at"]) - datetime.fromisoformat(first["at"]) >= timedelta(seconds=QUIET_S)


def test_an_order_that_nobody_can_find_is_sent_again_and_the_422_tells_that_it_is_there(stage):
    stage.paper.fault(
        *once("accept_then_error", status=504),
        {"on": BY_ID, "symbol": "SAA", "do": "error", "status": 404, "times": 4},
        {"on": "GET /v2/orders", "do": "error", "status": 500, "times": 2},
        {**NO_FILL, "symbol": "SAA", "times": 1},
        {"on": "stream", "do": "drop", "symbol": "SAA"},
    )
    run_id = stage.run(small.plan())
    stage.home.wait_log("order.resent", run_id=run_id, symbol="SAA")
    stage.home.wait(run_id, lambda view: leg_of(view, "SAA")["order_id"] is not None)
    stage.paper.clear_faults()
    view = stage.home.wait_end(run_id)

    assert_one_order_each(stage, view)
    assert [one["status"] for one in posts(stage) if one["body"]["symbol"] == "SAA"] == [504, 422]


def test_a_refusal_that_answers_a_resend_proves_nothing(stage):
    stage.paper.fault(
        *once("reset"),
        *once("error", status=403, body=NOT_ENOUGH),
    )
    run_id = stage.run(small.plan())
    view = stage.home.wait_end(run_id)

    assert_one_order_each(stage, view)
    assert [one["status"] for one in posts(stage) if one["body"]["symbol"] == "SAA"] == [None, 403, 200]
    assert len(stage.home.logged("order.unknown", run_id=run_id, symbol="SAA")) == 2


def test_a_refusal_that_answers_the_first_post_is_one(stage):
    stage.paper.fault({"on": POST, "symbol": "SAA", "do": "error", "status": 403, "body": NOT_ENOUGH})
    run_id = stage.run(small.plan())
    view = stage.home.wait_phase(run_id, "held")

    assert view["reason"] == "sell_shortfall"
    assert leg_of(view, "SAA")["status"] == "refused"
    assert len(posts(stage)) == 1


def test_an_abort_while_unknown_cancels_the_order_on_sight(stage):
    stage.paper.fault(
        {"on": POST, "symbol": "SAA", "do": "accept_then_error", "status": 504},
        {**NO_FILL, "symbol": "SAA"},
        {"on": BY_ID, "do": "error", "status": 404, "times": 2},
        {"on": "stream", "do": "drop"},
    )
    run_id = stage.run(small.plan())
    stage.home.wait(run_id, lambda view: leg_of(view, "SAA")["status"] == "unknown")
    assert stage.home.inside("abort", run_id).returncode == 0
    view = stage.home.wait_end(run_id)

    assert view["outcome"] == "aborted"
    assert stage.order("SAA")["status"] == "canceled"
    assert leg_of(view, "SAA")["status"] == "canceled"
    assert stage.orders("BAA") == []


def test_an_order_that_comes_to_light_after_its_run_was_aborted_is_cancelled_on_sight(stage):
    stage.paper.fault({"on": POST, "symbol": "SAA", "do": "latency", "seconds": 6}, {**NO_FILL, "symbol": "SAA"})
    run_id = stage.run(small.plan())
    stage.home.wait(run_id, lambda view: leg_of(view, "SAA")["status"] == "unknown")
    assert stage.home.inside("abort", run_id).returncode == 0
    view = stage.home.wait_end(run_id)
    assert stage.orders("SAA") == []

    order = stage.paper.wait_for_order(lambda order: order["status"] == "canceled", 20.0)

    assert view["outcome"] == "aborted"
    assert (order["symbol"], order["filled_qty"]) == ("SAA", "0")
    assert stage.home.wait_log("order.late_unknown_cancelled")["symbol"] == "SAA"


def posts(stage):
    return [one for one in stage.paper.requests() if (one["method"], one["path"]) == ("POST", "/v2/orders")]


def assert_one_order_each(stage, view):
    orders = stage.paper.orders()
    assert view["outcome"] == "completed", view
    assert view["verification"] == {"ok": True, "differences": []}
    assert [order["symbol"] for order in orders] == ["SAA", "BAA"]
    assert sent_once(orders)
    assert all(filled(order) for order in orders)
    assert {leg["client_order_id"] for leg in view["legs"]} == {order["client_order_id"] for order in orders}
