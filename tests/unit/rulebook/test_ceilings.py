"""Limits that BUYs are cut to: just inside, on and just outside, with the data missing, and the room they leave.

With shipped settings a share at $20 reserves 20 x 1.03 = $20.60.
"""

from dataclasses import replace
from decimal import Decimal

import pytest

from departments.rulebook import ceilings
from messages.values import Funding, Side, TimeInForce
from tests.builders.portfolio import (
    asset,
    buy,
    context,
    gate_money,
    held,
    open_order,
    quote,
    sell,
    settings,
    snapshot,
)

FRACTIONS = settings(operations={"allow_fractional": True})


def shares(qty, price="20", **more):
    return buy("B01", "CVE", qty, price, **more)


@pytest.mark.parametrize(
    ("qty", "rules", "known", "more", "room"),
    [
        ("10", None, asset("CVE"), {}, "10"),
        ("10.5", None, asset("CVE"), {}, "10"),
        ("0.9", None, asset("CVE"), {}, "0"),
        ("10.5", FRACTIONS, asset("CVE"), {}, "10.5"),
        ("10.123456789", FRACTIONS, asset("CVE"), {}, "10.123456789"),
        ("10.1234567891", FRACTIONS, asset("CVE"), {}, "10.123456789"),
        ("10.5", FRACTIONS, asset("CVE", fractionable=False), {}, "10"),
        ("10.5", FRACTIONS, asset("CVE"), {"limit": "20"}, "10"),
        ("10.5", FRACTIONS, asset("CVE"), {"time_in_force": TimeInForce.GTC}, "10"),
    ],
)
def test_only_the_part_that_may_be_ordered_is_let_in(qty, rules, known, more, room):
    leg = shares(qty, **more)
    judged = context(snapshot([leg], equity=100_000, cash=100_000, assets=[known]), rules=rules)

    violation = ceilings.whole_shares(leg, judged)

    assert ceilings.lots_room(leg, judged) == Decimal(room)
    assert (violation is not None) is (Decimal(room) < Decimal(qty))


def test_a_fraction_of_an_unknown_asset_is_not_bought():
    leg = shares("10.5")
    look = snapshot([leg], equity=100_000, cash=100_000).model_copy(update={"assets": ()})

    assert ceilings.lots_room(leg, context(look, rules=FRACTIONS)) == 10


@pytest.mark.parametrize(
    ("held_qty", "qty", "figure", "room"),
    [
        # equity 100,000: 8,000 a symbol; held shares count at 20, bought ones at 20.60
        ("0", "388", None, "388.349514563"),
        ("0", "389", "0.080134", "388.349514563"),
        ("297", "100", None, "100"),
        ("298", "100", "0.0802", "99.029126213"),
        ("400", "1", "0.080206", "0"),
        ("500", "1", "0.100206", "0"),
    ],
)
def test_held_and_bought_stay_within_the_fraction_of_equity(held_qty, qty, figure, room):
    leg = shares(qty)
    look = snapshot([leg], equity=100_000, cash=100_000, positions=[held("CVE", held_qty, 20)])

    violation = ceilings.position_fraction_at_most(leg, context(look))

    assert ceilings.position_fraction_room(leg, context(look)) == Decimal(room)
    assert (violation.figure if violation else None) == figure
    if violation:
        assert (violation.limit, violation.file, violation.key) == (
            "0.08",
            "hard_constraints.yaml",
            "position_limits.max_position_fraction",
        )


def test_on_the_fraction_is_within_it_and_a_cent_more_is_not():
    on = shares("100", limit="80")
    above = shares("100", limit="80.01")
    judged = context(snapshot([on], equity=100_000, cash=100_000))

    assert ceilings.position_fraction_at_most(on, judged) is None
    assert ceilings.position_fraction_at_most(above, judged).figure == "0.08001"


def test_a_position_without_a_price_leaves_no_room_in_its_symbol():
    leg = shares("10")
    look = snapshot([leg], equity=100_000, cash=100_000, positions=[held("CVE", 10, None)])

    assert ceilings.position_fraction_room(leg, context(look)) == 0
    assert "missing" in ceilings.position_fraction_at_most(leg, context(look)).figure


def test_shares_in_flight_count_as_held():
    leg = shares("300")
    own = open_order("CVE", Side.BUY, "100", own=True, filled="11")
    look = snapshot([leg], equity=100_000, cash=100_000, open_orders=[own])

    assert ceilings.position_fraction_at_most(leg, context(look)).figure == "0.080134"
    assert ceilings.position_fraction_room(leg, context(look)) == Decimal("299.349514563")


@pytest.mark.parametrize(
    ("count", "symbol", "figure"),
    [
        (28, "NEW", None),
        (29, "NEW", None),
        (30, "NEW", "31"),
        (33, "NEW", "34"),
        (30, "H00", None),
        (33, "H00", None),
    ],
)
def test_a_new_position_needs_a_place(count, symbol, figure):
    leg = buy("B01", symbol, 10, 20)
    positions = [held(f"H{n:02}", 1, 20) for n in range(count)]
    judged = context(snapshot([leg], equity=100_000, cash=100_000, positions=positions))

    violation = ceilings.positions_at_most(leg, judged)

    assert ceilings.positions_room(leg, judged) == (None if figure is None else 0)
    assert (violation.figure if violation else None) == figure
    if violation:
        assert (violation.limit, violation.file, violation.key) == (
            "30",
            "hard_constraints.yaml",
            "position_limits.max_positions_total",
        )


def test_places_are_counted_after_the_sells_and_with_orders_in_flight():
    leg = buy("B01", "NEW", 10, 20)
    whole, part = sell("S01", "H00", 5, 20), sell("S02", "H01", 4, 20)
    positions = [held(f"H{n:02}", 5, 20) for n in range(30)]
    look = snapshot([leg, whole, part], equity=100_000, cash=100_000, positions=positions)
    in_flight = look.model_copy(update={"open_orders": (open_order("AIR", Side.BUY, 5, limit=20),)})

    assert ceilings.positions_at_most(leg, context(look, sells=[part])) is not None
    assert ceilings.positions_at_most(leg, context(look, sells=[whole])) is None
    assert ceilings.positions_at_most(leg, context(in_flight, sells=[whole])).figure == "31"


@pytest.mark.parametrize(
    ("gross", "qty", "figure", "room"),
    [
        # equity 10,000: 20,000 in all
        ("17939", "100", None, "100.048543689"),
        ("17940", "100", None, "100"),
        ("17941", "100", "2.0001", "99.951456310"),
        ("20000", "1", "2.00206", "0"),
        ("25000", "1", "2.50206", "0"),
    ],
)
def test_all_positions_stay_within_their_multiple_of_equity(gross, qty, figure, room):
    leg = shares(qty)
    look = snapshot([leg], equity=10_000, cash=-10_000, positions=[held("BIG", 1, gross)])

    violation = ceilings.gross_exposure_at_most(leg, context(look))

    assert ceilings.gross_exposure_room(leg, context(look)) == Decimal(room)
    assert (violation.figure if violation else None) == figure
    if violation:
        assert (violation.limit, violation.file, violation.key) == (
            "2",
            "hard_constraints.yaml",
            "exposure.max_gross_exposure_fraction",
        )


def test_shorts_count_towards_gross_exposure():
    leg = shares("100")
    look = snapshot([leg], equity=10_000, cash=10_000, positions=[held("BIG", -1, 17_941)])

    assert ceilings.gross_exposure_at_most(leg, context(look)).figure == "2.0001"


def test_gross_exposure_is_counted_after_the_sells():
    leg, half = shares("100"), sell("S01", "BIG", 1, 9_000)
    look = snapshot([leg, half], equity=10_000, cash=-10_000, positions=[held("BIG", 2, 9_000)])

    assert ceilings.gross_exposure_at_most(leg, context(look)).figure == "2.006"
    assert ceilings.gross_exposure_at_most(leg, context(look, sells=[half])) is None


def test_with_an_unpriced_position_the_accounts_own_sums_count():
    leg = shares("100")
    look = snapshot(
        [leg], equity=10_000, cash=0, positions=[held("BIG", 1, None)], long_market_value_usd=Decimal(17_941)
    )

    assert ceilings.gross_exposure_at_most(leg, context(look)).figure == "2.0001"


@pytest.mark.parametrize("equity", ["0", "-5000"])
def test_without_equity_nothing_is_bought(equity):
    leg = shares("1")
    judged = context(snapshot([leg], equity=equity, cash=100_000))

    assert ceilings.gross_exposure_room(leg, judged) == 0
    assert ceilings.position_fraction_room(leg, judged) == 0
    assert ceilings.gross_exposure_at_most(leg, judged).figure == f"20.6 of {equity}"


@pytest.mark.parametrize(
    ("proceeds", "qty", "figure", "room"),
    [
        ("2060.01", "100", None, "100.000485436"),
        ("2060", "100", None, "100"),
        ("2059.99", "100", "2060", "99.999514563"),
        ("0", "100", "2060", "0"),
    ],
)
def test_buys_reserve_no_more_than_is_left_to_spend(proceeds, qty, figure, room):
    leg = shares(qty)
    money = gate_money(proceeds=proceeds, cash_before=-50_000)
    judged = context(snapshot([leg], equity=100_000, cash=-50_000), money=money)

    violation = ceilings.funding_suffices(leg, judged)

    assert ceilings.funding_room(leg, judged) == Decimal(room)
    assert (violation.figure if violation else None) == figure
    if violation:
        assert Decimal(violation.limit) == Decimal(proceeds)
        assert (violation.file, violation.key) == ("executive_config.yaml", "funding")


@pytest.mark.parametrize(
    "order",
    [
        open_order("AIR", Side.BUY, "5"),
        open_order("CVE", Side.BUY, "5", order_type="stop", own=True),
        open_order("CVE", Side.BUY, None),
    ],
    ids=["no price of its symbol", "stop", "by value"],
)
def test_an_order_in_flight_of_unknown_cost_leaves_no_room_for_any_buy(order):
    leg = shares("1")
    judged = context(snapshot([leg], equity=100_000, cash=100_000, open_orders=[order]), money=Funding.BUYING_POWER)

    assert ceilings.funding_room(leg, judged) == 0
    assert ceilings.gross_exposure_room(leg, judged) == 0
    for rule in (ceilings.funding_suffices, ceilings.gross_exposure_at_most):
        assert rule(leg, judged).figure == f"price missing of order {order.order_id} on {order.symbol}"


def test_without_an_ask_price_no_ceiling_lets_anything_in():
    leg = shares("1")
    judged = context(snapshot([leg], equity=100_000, cash=100_000, quotes=[quote("CVE", None, last=20)]))

    for room in (ceilings.funding_room, ceilings.gross_exposure_room, ceilings.position_fraction_room):
        assert room(leg, judged) == 0
    for rule in (
        ceilings.funding_suffices,
        ceilings.gross_exposure_at_most,
        ceilings.position_fraction_at_most,
    ):
        assert rule(leg, judged).figure == "ask price missing"


@pytest.mark.parametrize(("qty", "figure"), [("19999", None), ("20000", None), ("20001", "20001")])
def test_an_order_of_too_many_shares_is_limited(qty, figure):
    leg = shares(qty, "1")
    judged = context(snapshot([leg], equity=1_000_000, cash=1_000_000))

    violation = ceilings.order_qty_at_most(leg, judged)

    assert ceilings.order_qty_room(leg, judged) == 20_000
    assert (violation.figure if violation else None) == figure


@pytest.mark.parametrize(
    ("limit", "figure"), [("999.99", None), ("1000", None), ("1000.01", "100001")], ids=["inside", "on", "outside"]
)
def test_an_order_of_too_much_money_is_limited(limit, figure):
    leg = shares("100", "1000", limit=limit)
    judged = context(snapshot([leg], equity=10_000_000, cash=1_000_000))

    violation = ceilings.order_value_at_most(leg, judged)

    assert (violation.figure if violation else None) == figure
    assert (ceilings.order_value_room(leg, judged) < 100) is (figure is not None)
    if violation:
        assert (violation.limit, violation.key) == ("100000", "orders.max_order_value")


@pytest.mark.parametrize(
    ("qty", "stop", "figure", "room"),
    [
        # equity 10,000: 1,500 may be lost; without a stop a tenth of 20 a share
        ("749", None, None, "750"),
        ("750", None, None, "750"),
        ("751", None, "0.1502", "750"),
        ("300", "15", None, "300"),
        ("301", "15", "0.1505", "300"),
        ("10", "19.99", None, "150000"),
    ],
)
def test_what_the_plan_may_lose_at_its_stops_is_limited(qty, stop, figure, room):
    leg = shares(qty, stop_loss_usd=None if stop is None else Decimal(stop))
    judged = context(snapshot([leg], equity=10_000, cash=1_000_000))

    violation = ceilings.plan_risk_at_most(leg, judged)

    assert ceilings.plan_risk_room(leg, judged) == Decimal(room)
    assert (violation.figure if violation else None) == figure
    if violation:
        assert (violation.limit, violation.key) == ("0.15", "risk.max_plan_risk_fraction")


def test_the_loss_is_counted_from_the_dearer_of_ask_and_reference_price():
    leg = shares("700", stop_loss_usd=Decimal(18))
    judged = context(snapshot([leg], equity=10_000, cash=1_000_000, quotes=[quote("CVE", "20.50")]))

    assert ceilings.plan_risk_at_most(leg, judged).figure == "0.175"


def test_a_house_that_assumes_no_loss_lets_any_quantity_in_unless_too_much_is_at_risk_already():
    leg = shares("700")
    no_stop_assumed = settings(compliance={"risk": {"assumed_stop_fraction": 0}})
    judged = context(snapshot([leg], equity=10_000, cash=1_000_000), rules=no_stop_assumed)
    over = replace(judged, book=replace(judged.book, risk_usd=Decimal(1501)))

    assert ceilings.plan_risk_room(leg, judged) is None
    assert ceilings.plan_risk_at_most(leg, judged) is None
    assert ceilings.plan_risk_room(leg, over) == 0
    assert ceilings.plan_risk_at_most(leg, over).figure == "0.1501"


def test_without_an_ask_price_neither_value_nor_risk_lets_anything_in():
    leg = shares("1")
    judged = context(snapshot([leg], equity=100_000, cash=100_000, quotes=[quote("CVE", None)]))

    assert ceilings.order_value_room(leg, judged) == 0
    assert ceilings.plan_risk_room(leg, judged) == 0
    assert ceilings.order_value_at_most(leg, judged).figure == "ask price missing"
    assert ceilings.plan_risk_at_most(leg, judged).figure == "ask price missing"


SECTORS = {"CVE": "Energy", "XOM": "Energy", "KO": "Staples"}


def sector_rules(most="0.40", **sectors):
    return settings(
        hard_constraints={"exposure": {"max_sector_fraction": most, "max_gross_exposure_fraction": 9}},
        compliance={"sectors": {"of_symbols": sectors or SECTORS}},
    )


@pytest.mark.parametrize(
    ("qty", "figure", "room"),
    [
        # Energy 300 and Staples 600 held: with 6 bought at 10, 360 of 960 are 0.375
        ("9", None, "10"),
        ("10", None, "10"),
        ("11", "0.405941", "10"),
    ],
)
def test_a_sector_stays_within_its_fraction_of_gross_value(qty, figure, room):
    leg = shares(qty, limit="10")
    positions = [held("XOM", 30, 10), held("KO", 60, 10)]
    judged = context(snapshot([leg], equity=100_000, cash=100_000, positions=positions), rules=sector_rules())

    violation = ceilings.sector_fraction_at_most(leg, judged)

    assert (violation.figure if violation else None) == figure
    assert ceilings.sector_fraction_room(leg, judged) == Decimal(room)
    if violation:
        assert (violation.limit, violation.file, violation.key) == (
            "0.4",
            "hard_constraints.yaml",
            "exposure.max_sector_fraction",
        )


def test_a_sector_that_weighs_too_much_already_is_not_bought():
    leg = shares("1", limit="10")
    positions = [held("XOM", 41, 10), held("KO", 59, 10)]
    judged = context(snapshot([leg], equity=100_000, cash=100_000, positions=positions), rules=sector_rules())

    assert ceilings.sector_fraction_room(leg, judged) == 0
    assert ceilings.sector_fraction_at_most(leg, judged).figure == "0.415842"


def test_the_houses_list_says_the_sector_before_the_plan_does():
    positions = [held("XOM", 41, 10), held("KO", 59, 10)]
    named = shares("1", limit="10", sector="Staples")
    look = snapshot([named], equity=100_000, cash=100_000, positions=positions)
    of_held = {"XOM": "Energy", "KO": "Staples"}

    assert ceilings.sector_fraction_at_most(named, context(look, rules=sector_rules())) is not None
    assert ceilings.sector_fraction_at_most(named, context(look, rules=sector_rules(**of_held))).figure == "0.59406"
    wide = sector_rules("0.60", **of_held)
    assert ceilings.sector_fraction_at_most(named, context(look, rules=wide)) is None


def test_what_has_no_sector_is_named_and_nothing_is_let_in():
    leg = shares("1", limit="10")
    positions = [held("XOM", 1, 10), held("KO", 60, 10), held("ODD", 1, 10)]
    look = snapshot([leg], equity=100_000, cash=100_000, positions=positions)
    rules = sector_rules(XOM="Energy", KO="Staples")

    assert ceilings.sector_fraction_at_most(leg, context(look, rules=rules)).figure == "sector missing of CVE, ODD"
    assert ceilings.sector_fraction_room(leg, context(look, rules=rules)) == 0


def test_of_many_without_a_sector_some_are_named():
    leg = shares("1", limit="10", sector="Energy")
    look = snapshot([leg], equity=100_000, cash=100_000, positions=[held(f"H{n:02}", 1, 10) for n in range(10)])

    figure = ceilings.sector_fraction_at_most(leg, context(look, rules=sector_rules(KO="Staples"))).figure

    assert figure == "sector missing of H00, H01, H02, H03, H04, H05, H06, H07 and 2 more"


def test_what_has_no_price_leaves_no_room_in_any_sector():
    leg = shares("1", limit="10")
    unpriced = snapshot([leg], equity=100_000, cash=100_000, positions=[held("XOM", 1, None), held("KO", 60, 10)])
    in_flight = snapshot([leg], equity=100_000, cash=100_000, open_orders=[open_order("KO", Side.BUY, None)])

    for look, figure in ((unpriced, "price missing of XOM"), (in_flight, "price missing of KO")):
        judged = context(look, rules=sector_rules())
        assert ceilings.sector_fraction_at_most(leg, judged).figure == figure
        assert ceilings.sector_fraction_room(leg, judged) == 0


def test_a_sector_of_all_is_no_limit_and_as_shipped_there_is_none():
    leg = shares("1", limit="10")
    look = snapshot([leg], equity=100_000, cash=100_000)

    assert ceilings.sector_fraction_room(leg, context(look, rules=sector_rules("1"))) is None
    assert ceilings.sector_fraction_at_most(leg, context(look, rules=sector_rules("1"))) is None
    assert ceilings.sector_fraction_room(leg, context(look)) is None
    assert ceilings.sector_fraction_at_most(leg, context(look)) is None


@pytest.mark.parametrize("word", ["Unknown", "unknown", "N/A", "none", "-"])
def test_a_word_for_no_sector_is_none(word):
    leg = shares("1", limit="10", sector=word)
    look = snapshot([leg], equity=100_000, cash=100_000, positions=[held("XOM", 1, 10), held("KO", 60, 10)])

    unnamed = context(look, rules=sector_rules(XOM="Energy", KO="Staples"))
    not_listed = context(look, rules=sector_rules(XOM="Energy", KO=word))

    assert ceilings.sector_fraction_at_most(leg, unnamed).figure == "sector missing of CVE"
    assert ceilings.sector_fraction_at_most(leg, not_listed).figure == "sector missing of CVE, KO"
