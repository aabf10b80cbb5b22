"""Every way the local Alpaca can be told to break, seen by a client on the wire."""

import http.client
import json
import time

import pytest

from tests.contracts.paper_clients import PLAIN, Wire
from tests.paper import PaperAlpaca

ON_ORDERS = {"on": "POST /v2/orders"}
ANSWERS_S = 0.4  # how long a client here waits for an answer that is not to come


def statuses(paper):
    return [order["status"] for order in paper.orders()]


def test_an_error_does_not_take_the_order(paper):
    paper.fault({**ON_ORDERS, "do": "error", "status": 503, "body": {"message": "busy", "n": 0.5}, "times": 1})

    with Wire(paper) as wire:
        first, second = wire.order(), wire.order()

    assert (first.status, first.json) == (503, {"message": "busy", "n": 0.5})
    assert second.status == 200
    assert len(paper.orders()) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"message": "Internal Server Error"}),
        (429, {"code": 42910000, "message": "rate limit exceeded"}),
        (401, {"message": "unauthorized."}),
    ],
)
def test_an_error_without_a_body_has_alpacas(paper, status, body):
    paper.fault({"on": "GET /v2/account", "do": "error", "status": status})

    with Wire(paper) as wire:
        answer = wire.ask("GET", "/v2/account")

    assert (answer.status, answer.json) == (status, body)


def test_an_error_may_have_text_and_headers(paper):
    paper.fault({"on": "GET /v2/clock", "do": "error", "status": 200, "body": "", "headers": {"X-A": 1}})

    with Wire(paper) as wire:
        answer = wire.ask("GET", "/v2/clock")

    assert (answer.status, answer.body, answer.headers["x-a"]) == (200, b"", "1")


def test_an_accepted_order_may_have_its_answer_lost(paper):
    paper.fault({**ON_ORDERS, "do": "accept_then_error", "status": 504, "times": 1})

    with Wire(paper) as wire:
        lost = wire.order(client_order_id="a")
        again = wire.order(client_order_id="a")
        found = wire.ask("GET", "/v2/orders:by_client_order_id?client_order_id=a")

    assert (lost.status, again.status, found.status) == (504, 422, 200)
    assert again.json["message"] == "client_order_id must be unique"
    assert len(paper.orders()) == 1


def test_an_accepted_order_may_hang(paper):
    paper.fault({**ON_ORDERS, "do": "accept_then_hang", "seconds": 60, "times": 1})

    with Wire(paper, timeout_s=ANSWERS_S) as wire, pytest.raises(TimeoutError):
        wire.order()

    paper.wait_for_order(lambda order: order["status"] == "filled")


def test_accept_then_reset_takes_the_order_and_breaks_the_connection(paper):
    paper.fault({**ON_ORDERS, "do": "accept_then_reset", "times": 1})

    with Wire(paper) as wire, pytest.raises(ConnectionError):
        wire.order()

    paper.wait_for_order(lambda order: order["status"] == "filled")


def test_a_hang_does_not_take_the_order(paper):
    paper.fault({**ON_ORDERS, "do": "hang", "seconds": 60, "times": 1})

    with Wire(paper, timeout_s=ANSWERS_S) as wire, pytest.raises(TimeoutError):
        wire.order()

    assert paper.orders() == []
    assert [request["status"] for request in paper.requests() if request["method"] == "POST"] == [None]


def test_a_hang_that_ends_is_a_gateways_timeout(paper):
    paper.fault({**ON_ORDERS, "do": "hang", "seconds": 0.01, "times": 1})

    with Wire(paper) as wire:
        answer = wire.order()

    assert (answer.status, answer.headers["content-type"]) == (504, "text/html")
    assert paper.orders() == []


def test_a_reset_breaks_the_connection_and_takes_nothing(paper):
    paper.fault({**ON_ORDERS, "do": "reset", "times": 1})

    with Wire(paper) as wire, pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        wire.order()
    with Wire(paper) as wire:
        assert wire.order().status == 200

    assert len(paper.orders()) == 1


def test_html_comes_with_any_status(paper):
    paper.fault({**ON_ORDERS, "do": "html", "status": 502})

    with Wire(paper) as wire:
        answer = wire.order()

    assert (answer.status, answer.headers["content-type"]) == (502, "text/html")
    assert b"502 Bad Gateway" in answer.body
    assert paper.orders() == []


def test_latency_holds_the_request_back(paper):
    paper.fault({**ON_ORDERS, "do": "latency", "ms": 150}, {**ON_ORDERS, "do": "latency", "ms": 150})

    with Wire(paper) as wire:
        began = time.monotonic()
        answer = wire.order()

    assert answer.status == 200
    assert time.monotonic() - began >= 0.3


def test_an_order_may_be_rejected_after_it_was_taken(paper):
    paper.fault({**ON_ORDERS, "symbol": "KO", "do": "reject", "reason": "no locate"})

    with Wire(paper) as wire:
        taken = wire.order()
        other = wire.order(symbol="CTVA", side="buy", qty="1")

    done = paper.wait_for_order(lambda order: order["status"] == "rejected")
    assert taken.json["status"] == other.json["status"] == "pending_new"
    assert done["events"][-1]["reason"] == "no locate"
    assert done["filled_qty"] == "0"
    paper.wait_for_order(lambda order: order["symbol"] == "CTVA" and order["status"] == "filled")


def test_an_order_that_is_held_back_fills_when_the_faults_are_cleared(paper):
    paper.fault({**ON_ORDERS, "do": "fill", "fill": "none"})
    with Wire(paper) as wire:
        wire.order()
    paper.wait_for_order(lambda order: order["status"] == "new")

    paper.prices({"KO": "81.5"})
    before = statuses(paper)
    paper.clear_faults()

    assert before == ["new"]
    (order,) = paper.orders()
    assert (order["status"], order["filled_avg_price"]) == ("filled", "81.5")


@pytest.mark.parametrize(
    ("then", "status"), [("cancel", "canceled"), ("expire", "expired"), ("rest", "partially_filled")]
)
def test_a_partial_fill_is_followed_as_the_rule_says(paper, then, status):
    paper.fault({**ON_ORDERS, "do": "fill", "fill": "partial", "fraction": "0.4", "then": then})

    with Wire(paper) as wire:
        wire.order()

    done = paper.wait_for_order(lambda order: order["status"] == status)
    assert done["filled_qty"] == "4"
    paper.clear_faults()
    (order,) = paper.orders()
    assert order["filled_qty"] == ("10" if then == "rest" else "4")
    assert [event["qty"] for event in order["events"] if event["qty"]] == (["4", "6"] if then == "rest" else ["4"])


@pytest.mark.parametrize(("then", "status"), [("cancel", "canceled"), ("expire", "expired")])
def test_nothing_filled_is_followed_too(paper, then, status):
    paper.fault({**ON_ORDERS, "do": "fill", "fill": "none", "then": then})

    with Wire(paper) as wire:
        wire.order()

    assert paper.wait_for_order(lambda order: order["status"] == status)["filled_qty"] == "0"


def test_a_single_share_fills_in_no_part(paper):
    paper.fault({**ON_ORDERS, "do": "fill", "fill": "partial", "then": "cancel"})

    with Wire(paper) as wire:
        wire.order(qty="1")

    assert paper.wait_for_order(lambda order: order["status"] == "canceled")["filled_qty"] == "0"


def test_a_fill_may_be_late_until_the_faults_are_cleared(paper):
    paper.fault({**ON_ORDERS, "do": "fill_delay", "ms": 60000, "symbol": "KO"})

    with Wire(paper) as wire:
        wire.order()
        wire.order(symbol="CTVA", side="buy")
    paper.wait_for_order(lambda order: order["symbol"] == "CTVA" and order["status"] == "filled")
    before = statuses(paper)[0]
    paper.clear_faults()

    assert before == "new"
    assert statuses(paper) == ["filled", "filled"]


def test_a_fill_delay_ends_by_itself(paper):
    paper.fault({**ON_ORDERS, "do": "fill_delay", "ms": 200})

    with Wire(paper) as wire:
        wire.order()

    done = paper.wait_for_order(lambda order: order["status"] == "filled")
    new, fill = (event["at"] for event in done["events"][-2:])
    assert fill[:19] >= new[:19]
    assert fill > new


def test_proceeds_may_show_later_than_the_fill(paper):
    paper.fault({**ON_ORDERS, "do": "cash_delay", "ms": 60000, "symbol": "KO"})

    with Wire(paper) as wire:
        wire.order()
        paper.wait_for_order(lambda order: order["status"] == "filled")
        lagging = wire.ask("GET", "/v2/account").json
        wire.order(symbol="HAL", qty="10")
        paper.wait_for_orders(lambda orders: all(order["status"] == "filled" for order in orders))
        at_once = wire.ask("GET", "/v2/account").json
        paper.clear_faults()
        cleared = wire.ask("GET", "/v2/account").json

    assert (lagging["cash"], lagging["equity"]) == ("100000", "109515")
    assert at_once["cash"] == "100300"
    assert cleared["cash"] == "101100"


def test_proceeds_that_lag_do_come():
    state = {
        "cash": "0",
        "positions": [{"symbol": "KO", "qty": "10", "price": "80"}],
        "fills": {"delay_ms": 0, "cash_delay_ms": 300},
        "rate_limit": {"requests_per_minute": 100000},
    }
    with PaperAlpaca(state) as paper, Wire(paper) as wire:
        wire.order()
        paper.wait_for_order(lambda order: order["status"] == "filled")
        seen = []
        ends = time.monotonic() + 10
        while (not seen or seen[-1] != "800") and time.monotonic() < ends:
            seen.append(wire.ask("GET", "/v2/account").json["cash"])

    assert (seen[0], seen[-1]) == ("0", "800")


def test_a_cancel_may_stay_pending_until_the_faults_are_cleared(paper):
    paper.fault(
        {**ON_ORDERS, "do": "fill", "fill": "none"},
        {"on": "DELETE /v2/orders/{id}", "symbol": "KO", "do": "stuck_cancel"},
    )
    with Wire(paper) as wire:
        order = wire.order().json
        taken = wire.ask("DELETE", f"/v2/orders/{order['id']}")
        again = wire.ask("DELETE", f"/v2/orders/{order['id']}")

    before = statuses(paper)
    paper.clear_faults()

    assert (taken.status, taken.body, again.status) == (204, b"", 422)
    assert before == ["pending_cancel"]
    assert statuses(paper) == ["canceled"]


@pytest.mark.parametrize(
    ("on", "method", "path"),
    [
        ("GET /v2/account", "GET", "/v2/account"),
        ("GET /v2/orders", "GET", "/v2/orders?status=all"),
        ("GET /v2/orders/{order_id}", "GET", "/v2/orders/nobody"),
        ("GET /v2/orders:by_client_order_id", "GET", "/v2/orders:by_client_order_id?client_order_id=x"),
        ("DELETE /v2/orders", "DELETE", "/v2/orders"),
        ("GET /v2/positions", "GET", "/v2/positions"),
        ("GET /v2/account/activities/FILL", "GET", "/v2/account/activities/FILL"),
        ("GET /v2/stocks/quotes/latest", "GET", "/v2/stocks/quotes/latest?symbols=KO"),
    ],
)
def test_any_route_can_fail(paper, on, method, path):
    paper.fault({"on": on, "do": "error", "status": 500, "times": 1})

    with Wire(paper) as wire:
        first, second = wire.ask(method, path), wire.ask(method, path)

    assert (first.status, second.status != 500) == (500, True)


def test_rules_combine(paper):
    paper.fault(
        {**ON_ORDERS, "do": "fill", "fill": "partial", "fraction": "0.5", "then": "cancel"},
        {**ON_ORDERS, "do": "accept_then_error", "status": 500},
        {**ON_ORDERS, "do": "latency", "ms": 1},
    )

    with Wire(paper) as wire:
        assert wire.order().status == 500

    assert paper.wait_for_order(lambda order: order["status"] == "canceled")["filled_qty"] == "5"
    assert [rule["fired"] for rule in paper.faults()] == [1, 1, 1]


def test_a_rule_that_makes_no_sense_is_refused_whole(paper):
    with pytest.raises(ValueError, match=r"400 .*expected do of on"):
        paper.fault({**ON_ORDERS, "do": "reset"}, {**ON_ORDERS, "do": "nothing"})

    assert paper.faults() == []


def test_a_single_rule_need_not_be_a_list(paper):
    with Wire(paper) as wire:
        answer = wire.ask("POST", "/paper/faults", {**ON_ORDERS, "do": "error", "status": 500})

        assert answer.status == 200
        assert wire.order().status == 500


def test_a_broken_order_is_still_recorded_with_what_was_sent(paper):
    paper.fault({**ON_ORDERS, "do": "error", "status": 500})

    with Wire(paper) as wire:
        wire.ask("POST", "/v2/orders?a=b", json.dumps(PLAIN))

    (request,) = paper.requests()
    assert (request["method"], request["path"], request["query"], request["body"], request["status"]) == (
        "POST",
        "/v2/orders",
        {"a": "b"},
        PLAIN,
        500,
    )
