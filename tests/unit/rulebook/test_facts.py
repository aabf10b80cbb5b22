"""Rules on facts: just inside, on and just outside what is allowed, and with the data missing."""

from decimal import Decimal

import pytest

from departments.rulebook import facts
from messages.snapshots import BrokerStatus
from messages.values import Funding, OrderType, Side, TimeInForce, client_order_id_for
from tests.builders.portfolio import (
    OTHER_RUN,
    RUN,
    asset,
    buy,
    context,
    held,
    open_order,
    quote,
    sell,
    settings,
    snapshot,
)

RICH = {"equity": 100_000, "cash": 100_000}
BUY = buy("B01", "CVE", 100, "20")
SELL = sell("S01", "UPS", 70, "90")


def without(look, part, symbol):
    """The same look, with nothing known of a symbol."""
    return look.model_copy(update={part: tuple(one for one in getattr(look, part) if one.symbol != symbol)})


@pytest.mark.parametrize("leg", [BUY, SELL], ids=["buy", "sell"])
@pytest.mark.parametrize(
    ("known", "codes"),
    [
        (asset("X"), []),
        (asset("X", status="inactive"), ["ASSET_NOT_ACTIVE"]),
        (asset("X", status=""), ["ASSET_NOT_ACTIVE"]),
        (asset("X", tradable=False), ["ASSET_NOT_TRADABLE"]),
        (asset("X", status="inactive", tradable=False), ["ASSET_NOT_ACTIVE", "ASSET_NOT_TRADABLE"]),
        (None, ["ASSET_UNKNOWN"]),
    ],
)
def test_only_known_active_tradable_symbols_are_ordered(leg, known, codes):
    look = snapshot([leg], **RICH, assets=[] if known is None else [known.model_copy(update={"symbol": leg.symbol})])
    if known is None:
        look = without(look, "assets", leg.symbol)

    found = [
        rule(leg, context(look)) for rule in (facts.asset_is_known, facts.asset_is_active, facts.asset_is_tradable)
    ]

    assert [violation.code for violation in found if violation] == codes


@pytest.mark.parametrize(
    ("qty", "positions", "refused"),
    [
        ("69", [held("UPS", 70, 90)], False),
        ("70", [held("UPS", 70, 90)], False),
        ("70.000000001", [held("UPS", 70, 90)], True),
        ("71", [held("UPS", 70, 90)], True),
        ("1", [held("UPS", -70, 90)], True),
        ("1", [], True),
        ("1", [held("UPS", 0, 90)], True),
    ],
)
def test_no_more_is_sold_than_is_held(qty, positions, refused):
    leg = sell("S01", "UPS", qty, 90)

    violation = facts.shares_are_held(leg, context(snapshot([leg], **RICH, positions=positions)))

    assert (violation is not None) is refused
    if violation:
        assert (violation.code, violation.figure) == ("SHARES_NOT_HELD", qty)


@pytest.mark.parametrize(
    ("free", "limit"), [("71", None), ("70", None), ("69", "69"), ("0", "0"), ("69.999999999", "69.999999999")]
)
def test_no_more_is_sold_than_open_orders_leave_free(free, limit):
    look = snapshot([SELL], **RICH, positions=[held("UPS", 71, 90, free=free)])

    violation = facts.shares_are_free(SELL, context(look))

    assert (violation.limit if violation else None) == limit


def test_shares_of_a_symbol_not_held_are_not_free():
    assert facts.shares_are_free(SELL, context(snapshot([SELL], **RICH))) is not None


@pytest.mark.parametrize("leg", [BUY, SELL], ids=["buy", "sell"])
@pytest.mark.parametrize(
    ("client_order_id", "status", "named"),
    [
        ("typed by hand", BrokerStatus.NEW, True),
        ("typed by hand", BrokerStatus.HELD, True),
        ("typed by hand", BrokerStatus.PENDING_CANCEL, True),
        ("typed by hand", BrokerStatus.UNKNOWN, True),
        ("typed by hand", BrokerStatus.CANCELED, False),
        (client_order_id_for(OTHER_RUN, "B01", 1), BrokerStatus.NEW, True),
        (client_order_id_for(RUN, "B01", 1), BrokerStatus.NEW, False),
    ],
)
def test_a_live_order_of_others_on_the_symbol_is_named(leg, client_order_id, status, named):
    order = open_order(leg.symbol, Side.SELL, "70", filled="30", client_order_id=client_order_id, status=status)
    look = snapshot([leg], **RICH, positions=[held("UPS", 70, 90)], open_orders=[order])

    violation = facts.no_order_of_others(leg, context(look))

    assert (violation is not None) is named
    if violation:
        assert violation.figure == f"sell 40 (order order-{leg.symbol}-sell)"


def test_a_stop_within_a_bracket_is_an_order_of_others_too():
    stop = open_order("UPS", Side.SELL, "70", order_type="stop", status=BrokerStatus.HELD)
    entry = open_order("UPS", Side.BUY, "70", status=BrokerStatus.FILLED, filled="70", legs=(stop,))
    look = snapshot([SELL], **RICH, positions=[held("UPS", 70, 90)], open_orders=[entry])

    assert facts.no_order_of_others(SELL, context(look)) is not None


def test_orders_on_other_symbols_are_no_matter():
    look = snapshot([BUY], **RICH, open_orders=[open_order("KO", Side.SELL, "5"), open_order("CV", Side.SELL, "5")])

    assert facts.no_order_of_others(BUY, context(look)) is None


@pytest.mark.parametrize(
    ("qty", "known", "more", "refused"),
    [
        ("70", asset("UPS", fractionable=False), {}, False),
        ("70.5", asset("UPS", fractionable=False), {}, True),
        ("70.5", asset("UPS"), {}, False),
        ("0.000000001", asset("UPS"), {}, False),
        ("0.0000000001", asset("UPS"), {}, True),
        ("70.5", asset("UPS"), {"time_in_force": TimeInForce.GTC}, True),
        ("70.5", asset("UPS"), {"limit": "90"}, True),
        ("70", asset("UPS"), {"limit": "90", "time_in_force": TimeInForce.GTC}, False),
    ],
)
def test_a_sell_is_refused_only_for_fractions_that_the_broker_refuses(qty, known, more, refused):
    leg = sell("S01", "UPS", qty, 90, **more)
    look = snapshot([leg], **RICH, positions=[held("UPS", 100, 90)], assets=[known])
    whole_shares_only = settings(operations={"allow_fractional": False})

    violation = facts.quantity_can_be_ordered(leg, context(look, rules=whole_shares_only))

    assert (violation is not None) is refused


def test_a_fraction_of_an_unknown_asset_is_not_sold():
    leg = sell("S01", "UPS", "70.5", 90)
    look = without(snapshot([leg], **RICH, positions=[held("UPS", 100, 90)]), "assets", "UPS")

    assert facts.quantity_can_be_ordered(leg, context(look)) is not None


@pytest.mark.parametrize(
    ("given", "figure"),
    [
        (quote("CVE", 20), None),
        (quote("CVE", 20, last=None), None),
        (quote("CVE", None, ask=20), None),
        (quote("CVE", None, bid=20, last=20), "ask price missing"),
        (None, "quote missing"),
    ],
)
def test_a_buy_without_an_ask_price_is_refused(given, figure):
    look = snapshot([BUY], **RICH, quotes=[given] if given else [])
    if given is None:
        look = without(look, "quotes", "CVE")

    violation = facts.price_is_known(BUY, context(look))

    assert (violation.figure if violation else None) == figure
    if violation:
        assert (violation.file, violation.key) == ("compliance_config.yaml", "prices.max_price_deviation_fraction")


@pytest.mark.parametrize(
    ("ask", "figure"),
    [
        ("20", None),
        ("21.9999", None),
        ("22", None),
        ("22.0001", "0.100005"),
        ("18.0001", None),
        ("18", None),
        ("17.9999", "0.100005"),
        ("40", "1"),
        ("0.01", "0.9995"),
    ],
)
def test_a_price_that_left_the_reference_behind_is_refused_up_and_down(ask, figure):
    violation = facts.price_is_near_reference(BUY, context(snapshot([BUY], **RICH, quotes=[quote("CVE", ask)])))

    assert (violation.figure if violation else None) == figure
    if violation:
        assert (violation.code, violation.limit) == ("PRICE_DEVIATION", "0.1")


def test_the_deviation_says_nothing_where_the_quote_is_missing():
    look = without(snapshot([BUY], **RICH), "quotes", "CVE")

    assert facts.price_is_near_reference(BUY, context(look)) is None
    assert facts.price_is_known(BUY, context(look)) is not None


@pytest.mark.parametrize(
    ("qty", "price", "more", "figure"),
    [
        ("25", "20.0004", {}, None),
        ("25", "20", {}, None),
        ("25", "19.9996", {}, "499.99"),
        ("24", "20", {}, "480"),
        ("10", "60", {"limit": "49.99"}, "499.9"),
        ("10", "49", {"limit": "50"}, None),
    ],
)
def test_a_buy_below_the_minimum_value_is_refused(qty, price, more, figure):
    leg = buy("B01", "CVE", qty, price, **more)

    violation = facts.position_value_at_least(leg, context(snapshot([leg], **RICH)))

    assert (violation.figure if violation else None) == figure
    if violation:
        assert violation.code == "POSITION_VALUE_BELOW_MIN"
        assert violation.limit == "500"
        assert (violation.file, violation.key) == ("compliance_config.yaml", "position_sizing.min_position_value")


def test_a_limit_order_needs_its_limit():
    leg = BUY.model_copy(update={"order_type": OrderType.LIMIT})
    look = snapshot([leg], **RICH)

    assert facts.limit_price_is_given(leg, context(look, money=Funding.CASH)) is not None
    assert facts.limit_price_is_given(buy("B01", "CVE", 100, 20, limit="19"), context(look)) is None
    assert facts.limit_price_is_given(BUY, context(look)) is None


def test_the_minimum_is_the_configured_one():
    leg = buy("B01", "CVE", 49, 20)
    look = snapshot([leg], **RICH)
    stricter = settings(compliance={"position_sizing": {"min_position_value": Decimal("980.01")}})

    assert facts.position_value_at_least(leg, context(look)) is None
    assert facts.position_value_at_least(leg, context(look, rules=stricter)).limit == "980.01"


@pytest.mark.parametrize(
    ("price", "ask", "code"),
    [
        ("0.10", "0.10", None),
        ("0.0999", "0.0999", "PRICE_BELOW_MIN"),
        ("0.0999", "0.10", None),
        ("10000", "10000", None),
        ("10000", "10000.01", "PRICE_ABOVE_MAX"),
        ("10000", "9999", None),
        ("20", None, None),
    ],
)
def test_a_buy_outside_the_price_bounds_is_refused(price, ask, code):
    leg = buy("B01", "CVE", 100, price)
    judged = context(snapshot([leg], **RICH, quotes=[quote("CVE", None, ask=ask)]))

    found = [rule(leg, judged) for rule in (facts.price_is_high_enough, facts.price_is_low_enough)]

    assert [violation.code for violation in found if violation] == ([] if code is None else [code])
    assert all(violation.key.startswith("price_bounds.") for violation in found if violation)


@pytest.mark.parametrize(
    ("stop", "ask", "refused"),
    [("19.99", "20", False), ("20", "20", True), ("20", "20.01", False), ("25", "20", True), (None, "20", False)],
)
def test_a_stop_that_the_price_has_passed_already_is_refused(stop, ask, refused):
    leg = buy("B01", "CVE", 100, "20", stop_loss_usd=None if stop is None else Decimal(stop))
    judged = context(snapshot([leg], **RICH, quotes=[quote("CVE", None, ask=ask)]))

    violation = facts.stop_is_below_price(leg, judged)

    assert (violation is not None) is refused


def test_without_an_ask_price_bounds_and_stops_are_left_to_the_rule_that_misses_it():
    leg = buy("B01", "CVE", 100, "20", stop_loss_usd=Decimal(30))
    judged = context(snapshot([leg], **RICH, quotes=[quote("CVE", None)]))

    assert facts.stop_is_below_price(leg, judged) is None
    assert facts.price_is_known(leg, judged) is not None


@pytest.mark.parametrize(("restricted", "refused"), [([], False), (["CV"], False), (["GME", "CVE"], True)])
def test_a_restricted_symbol_is_not_bought(restricted, refused):
    judged = context(snapshot([BUY], **RICH), rules=settings(compliance={"restricted": {"symbols": restricted}}))

    violation = facts.symbol_is_not_restricted(BUY, judged)

    assert (violation is not None) is refused
    if violation:
        assert (violation.figure, violation.key) == ("CVE", "restricted.symbols")
