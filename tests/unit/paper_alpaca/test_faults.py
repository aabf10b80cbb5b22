from decimal import Decimal

import pytest

from paper_alpaca.faults import Faults, RuleError, fill_of, read_rules


def faults(*rules):
    found = Faults()
    found.add(read_rules(list(rules)))
    return found


def acting(found, method="POST", path="/v2/orders", symbol=None, side=None):
    return [rule.do for rule in found.for_request(method, path, symbol, side)]


@pytest.mark.parametrize(
    ("on", "method", "path", "matches"),
    [
        ("POST /v2/orders", "POST", "/v2/orders", True),
        ("POST /v2/orders", "POST", "/v2/orders/", True),
        ("POST /v2/orders", "GET", "/v2/orders", False),
        ("GET /v2/orders", "GET", "/v2/orders/abc", False),
        ("GET /v2/orders", "GET", "/v2/orders:by_client_order_id", False),
        ("GET /v2/orders/{id}", "GET", "/v2/orders/abc", True),
        ("GET /v2/orders/{id}", "GET", "/v2/orders:by_client_order_id", False),
        ("GET /v2/orders:by_client_order_id", "GET", "/v2/orders:by_client_order_id", True),
        ("GET /v2/*", "GET", "/v2/stocks/quotes/latest", True),
        ("GET *", "GET", "/v2/clock", True),
        ("/v2/account", "PATCH", "/v2/account", True),
        ("* /v2/orders*", "DELETE", "/v2/orders/abc", True),
        ("get /v2/account", "GET", "/v2/account", True),
    ],
)
def test_a_rule_matches_its_route_exactly(on, method, path, matches):
    assert bool(acting(faults({"on": on, "do": "reset"}), method, path)) is matches


def test_a_rule_may_wait_for_a_symbol_and_a_side():
    found = faults({"on": "POST /v2/orders", "symbol": "ctva", "side": "sell", "do": "reset"})

    assert acting(found, symbol="DVN", side="sell") == []
    assert acting(found, symbol="CTVA", side="buy") == []
    assert acting(found, symbol="CTVA", side="sell") == ["reset"]


def test_after_skips_and_times_ends():
    found = faults({"on": "POST /v2/orders", "do": "reset", "after": 1, "times": 2})

    assert [acting(found) for _ in range(4)] == [[], ["reset"], ["reset"], []]


def test_the_first_outcome_wins_and_the_others_wait_their_turn():
    found = faults(
        {"on": "POST /v2/orders", "do": "error", "status": 500, "times": 1},
        {"on": "POST /v2/orders", "do": "hang", "times": 1},
    )

    assert [acting(found) for _ in range(3)] == [["error"], ["hang"], []]


def test_rules_of_different_kinds_combine():
    found = faults(
        {"on": "POST /v2/orders", "do": "latency", "ms": 5},
        {"on": "POST /v2/orders", "do": "latency", "ms": 7},
        {"on": "POST /v2/orders", "do": "fill", "fill": "none"},
        {"on": "POST /v2/orders", "do": "accept_then_error", "status": 504},
    )

    assert acting(found) == ["latency", "latency", "fill", "accept_then_error"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"fill": "none"}, ("none", "rest")),
        ({"fill": "partial", "fraction": "0.25", "then": "cancel"}, ("partial", "cancel")),
        ({"fraction": Decimal("0.25")}, ("partial", "rest")),
        ({"mode": "none", "then": "expire"}, ("none", "expire")),
    ],
)
def test_a_fill_rule_says_how_much_and_what_then(given, expected):
    (rule,) = read_rules({"on": "POST /v2/orders", "do": "fill", **given})

    part, fraction, then = fill_of(rule)

    assert (part, then) == expected
    assert fraction in {Decimal("0.25"), Decimal("0.5")}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"on": "POST /v2/orders", "do": "explode"}, "expected do of on"),
        ({"on": "stream", "do": "reject"}, "expected do of on 'stream'"),
        ({"on": "POST", "do": "reset"}, "expected on to be"),
        ({"on": "POST /v2/orders", "do": "reset", "tmies": 1}, "unknown tmies in a reset rule"),
        ({"on": "POST /v2/orders", "do": "reset", "times": -1}, "expected times to be a whole number"),
        ({"on": "POST /v2/orders", "do": "error", "status": "500"}, "expected status from 100 to 599"),
        ({"on": "POST /v2/orders", "do": "latency", "ms": "soon"}, "expected ms to be 0 or more"),
        ({"on": "POST /v2/orders", "do": "fill"}, "expected fill none or partial"),
        ({"on": "POST /v2/orders", "do": "fill", "fill": "none", "then": "sing"}, "expected then cancel"),
        ({"on": "POST /v2/orders", "do": "fill", "fraction": 2}, "expected a fraction between 0 and 1"),
        ({"on": "POST /v2/orders", "do": "reset", "symbol": 5}, "expected symbol to be text"),
        ("reset", "expected a rule such as"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule, message):
    with pytest.raises(RuleError, match=message):
        read_rules([rule])


def test_stream_rules_act_on_updates_they_wait_for():
    found = faults(
        {"on": "stream", "do": "drop", "event": "fill", "symbol": "CTVA"},
        {"on": "stream", "do": "auth_mute"},
    )

    assert found.for_update("new", "CTVA", "sell") == []
    assert [rule.do for rule in found.for_update("fill", "CTVA", "sell")] == ["drop"]
    assert found.for_connection("auth_mute")
    assert not found.for_connection("handshake_429")


def test_a_close_that_waits_for_something_is_not_taken_at_once():
    found = faults({"on": "stream", "do": "close", "event": "fill"}, {"on": "stream", "do": "close", "times": 1})

    assert len(found.take("close")) == 1
    assert found.take("close") == []
