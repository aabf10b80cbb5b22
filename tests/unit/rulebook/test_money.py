"""Money, by figures reckoned by hand."""

from decimal import Decimal

import pytest

from departments.rulebook import money
from messages.values import Funding, OrderType, Side
from tests.builders.portfolio import buy, gate_money, open_order, quote, sell

CUSHION = Decimal("0.03")


def spendable(figures, *, buying_power="0", reservations="0", reserve="0"):
    return money.spendable_usd(
        figures,
        buying_power_usd=Decimal(buying_power),
        reservations_usd=Decimal(reservations),
        cash_reserve_usd=Decimal(reserve),
    )


@pytest.mark.parametrize(
    ("funding", "cash_before", "proceeds", "cash_now", "expected"),
    [
        # on margin: the proceeds, whatever the debt
        (Funding.PROCEEDS, "-64137.45", "36475.24", "-27662.21", "36475.24"),
        # what didn't arrive, or somebody took, can't be spent
        (Funding.PROCEEDS, "-64137.45", "36475.24", "-28662.21", "35475.24"),
        (Funding.PROCEEDS, "-64137.45", "36475.24", "-70000.00", "-5862.55"),
        # money that came from elsewhere is not the run's
        (Funding.PROCEEDS, "-64137.45", "36475.24", "10000.00", "36475.24"),
        (Funding.PROCEEDS, "-64137.45", "0", "-64137.45", "0"),
        # with cash of one's own: cash and proceeds
        (Funding.PROCEEDS, "1000", "500", "1500", "1500"),
        (Funding.PROCEEDS, "1000", "500", "1499.25", "1499.25"),
        (Funding.PROCEEDS, "0", "500", "500", "500"),
        # no debt at all: what is left once the debt is paid
        (Funding.CASH, "-64137.45", "36475.24", "-27662.21", "-27662.21"),
        (Funding.CASH, "-300", "500", "200", "200"),
        (Funding.CASH, "1000", "500", "1500", "1500"),
        (Funding.CASH, "1000", "500", "9000", "1500"),
        # the broker's figure
        (Funding.BUYING_POWER, "-64137.45", "36475.24", "-27662.21", "70000"),
    ],
)
def test_what_may_be_spent(funding, cash_before, proceeds, cash_now, expected):
    figures = gate_money(proceeds=proceeds, cash_before=cash_before, cash_now=cash_now, funding=funding)

    assert spendable(figures, buying_power="70000") == Decimal(expected)


@pytest.mark.parametrize("funding", [Funding.PROCEEDS, Funding.CASH])
def test_what_is_in_flight_and_in_reserve_is_not_spent(funding):
    figures = gate_money(proceeds="1000", cash_before="500", funding=funding)

    assert spendable(figures, reservations="300", reserve="100") == 1100


def test_the_brokers_buying_power_is_net_of_open_orders_already():
    figures = gate_money(proceeds="1000", cash_before="500", funding=Funding.BUYING_POWER)

    assert spendable(figures, buying_power="2000", reservations="300", reserve="100") == 1900


@pytest.mark.parametrize("funding", [Funding.PROCEEDS, Funding.CASH])
def test_what_the_runs_buys_have_cost_is_spent_once(funding):
    before = gate_money(proceeds="1000", cash_before="0", funding=funding)
    after = gate_money(proceeds="1000", cash_before="0", spent="400", funding=funding)

    assert after.cash_now_usd == 600
    assert spendable(before) == 1000
    assert spendable(after) == 600


def test_without_debt_allowed_the_debt_is_paid_back_before_anything_is_bought():
    lagging = gate_money(proceeds="1000", cash_before="-300", cash_now="700", spent="280", funding=Funding.CASH)

    assert spendable(lagging) == 420


def test_what_was_spent_counts_even_while_the_cash_does_not_show_it():
    lagging = gate_money(proceeds="1000", cash_before="-5000", cash_now="-4000", spent="400")

    assert spendable(lagging) == 600


@pytest.mark.parametrize(
    ("proceeds", "short", "seen"),
    [
        # $5, up to proceeds of $10,000
        ("1000", "4.99", True),
        ("1000", "5", True),
        ("1000", "5.01", False),
        ("10000", "5", True),
        # 5 bps above
        ("36475.24", "18.23762", True),
        ("36475.24", "18.23763", False),
        ("36475.24", "-1000", True),
        ("0", "5", True),
        ("0", "5.01", False),
    ],
)
def test_money_is_seen_within_five_dollars_or_five_basis_points(proceeds, short, seen):
    cash_now = Decimal("-64137.45") + Decimal(proceeds) - Decimal(short)

    figures = gate_money(proceeds=proceeds, cash_before="-64137.45", cash_now=cash_now)

    assert money.money_seen(figures) is seen


def test_the_runs_own_buys_do_not_hide_that_the_money_came():
    assert money.money_seen(gate_money(proceeds="1000", cash_before="0", cash_now="600", spent="400"))
    assert not money.money_seen(gate_money(proceeds="1000", cash_before="0", cash_now="594.99", spent="400"))


@pytest.mark.parametrize(
    ("ask", "reference", "more", "expected"),
    [
        ("20", "20", {}, "20.60"),
        ("21", "20", {}, "21.63"),
        ("19", "20", {}, "20.60"),
        ("21", "20", {"limit": "19.50"}, "19.50"),
        (None, "20", {"limit": "19.50"}, "19.50"),
        (None, "20", {}, None),
    ],
)
def test_a_share_reserves_the_dearer_price_with_a_cushion_or_its_limit(ask, reference, more, expected):
    leg = buy("B01", "CVE", 10, reference, **more)

    price = money.reserve_price_usd(leg, quote("CVE", None, ask=ask), CUSHION)

    assert price == (None if expected is None else Decimal(expected))


def test_a_market_order_without_a_quote_reserves_an_unknown_amount():
    assert money.reserve_price_usd(buy("B01", "CVE", 10, 20), None, CUSHION) is None


@pytest.mark.parametrize(
    ("order", "given", "position_price", "expected"),
    [
        (open_order("A", Side.BUY, 10), quote("A", None, ask=20, last=19), None, "206"),
        (open_order("A", Side.BUY, 10), quote("A", None, ask=19, last=20), None, "206"),
        (open_order("A", Side.BUY, 10), quote("A", None, last=20), None, "206"),
        (open_order("A", Side.BUY, 10), quote("A", None, bid=20), None, None),
        (open_order("A", Side.BUY, 10), None, 20, "206"),
        (open_order("A", Side.BUY, 10), quote("A", 10), 20, "103"),
        (open_order("A", Side.BUY, 10), None, None, None),
        (open_order("A", Side.BUY, 10, filled=4), quote("A", 20), None, "123.6"),
        (open_order("A", Side.BUY, 10, limit=18), None, None, "180"),
        (open_order("A", Side.BUY, 10, filled=4, limit=18), quote("A", 20), None, "108"),
        (open_order("A", Side.BUY, 10, order_type="stop_limit", limit=25), quote("A", 20), None, "250"),
        (open_order("A", Side.BUY, 10, order_type="stop"), quote("A", 20), None, None),
        (open_order("A", Side.BUY, 10, order_type="trailing_stop"), quote("A", 20), None, None),
        (open_order("A", Side.BUY, None), quote("A", 20), None, None),
    ],
)
def test_what_an_open_buy_may_still_cost(order, given, position_price, expected):
    price = None if position_price is None else Decimal(position_price)

    cost = money.open_buy_usd(order, given, price, CUSHION)

    assert cost == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("given", "more", "expected"),
    [
        (quote("UPS", None, bid="89.90", ask="90.10", last="90"), {}, "899"),
        (quote("UPS", None, ask="90.10", last="90"), {}, "900"),
        (quote("UPS", None, ask="90.10"), {}, "935.8"),
        (None, {}, "935.8"),
        (quote("UPS", 90), {"limit": "95"}, "950"),
    ],
)
def test_expected_proceeds_take_the_bid_then_the_last_then_the_reference_price(given, more, expected):
    legs = [sell("S01", "UPS", 10, "93.58", **more), buy("B01", "CVE", 10, 20)]

    proceeds = money.expected_proceeds_usd(legs, {} if given is None else {"UPS": given})

    assert proceeds == Decimal(expected)


def test_expected_money_is_the_gates_once_every_sell_filled():
    expected = money.expected_money(Funding.PROCEEDS, cash_usd=Decimal(-100), proceeds_usd=Decimal(40))

    assert expected == gate_money(proceeds=40, cash_before=-100, cash_now=-60)


def test_a_legs_value_holds_still_while_the_market_moves():
    assert money.plan_value_usd(buy("B01", "CVE", 10, 20)) == 200
    assert money.plan_value_usd(buy("B01", "CVE", 10, 20, limit=19)) == 190
    assert money.plan_value_usd(sell("S01", "UPS", 10, 20, limit_price_usd=19, order_type=OrderType.MARKET)) == 200
