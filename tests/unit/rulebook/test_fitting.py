"""Fitting BUYs: who comes first, what is cut, what is dropped, and why."""

from decimal import Decimal

import pytest

from departments.rulebook.fitting import by_priority, fit
from messages.reviews import Decision
from messages.values import Funding
from tests.builders.portfolio import asset, buy, context, gate_money, held, quote, sell, settings, snapshot


def fitted(legs, look, *, money=Funding.PROCEEDS, sells=(), rules=None, whole_or_nothing=False):
    judged = context(look, sells=sells, money=money, rules=rules)
    return fit(tuple(legs), view=judged.view, book=judged.book, limits=judged.limits, whole_or_nothing=whole_or_nothing)


def outcome(decisions):
    return [(leg.leg, leg.decision.value, str(leg.qty), [why.code for why in leg.violations]) for leg in decisions]


def test_the_best_score_goes_first_then_file_order_and_those_without_a_score_last():
    legs = (
        buy("B01", "A", 1, 1),
        buy("B02", "B", 1, 1, score="70"),
        buy("B03", "C", 1, 1, score="-5"),
        buy("B04", "D", 1, 1, score="70.0"),
        buy("B05", "E", 1, 1, score="74.8"),
        buy("B06", "F", 1, 1),
    )

    assert [leg.leg for leg in by_priority(legs)] == ["B05", "B02", "B04", "B03", "B01", "B06"]


def test_money_is_cut_from_the_bottom():
    legs = [buy("B01", "A", 50, 20), buy("B02", "B", 50, 20, score=1), buy("B03", "C", 50, 20, score=2)]
    look = snapshot(legs, equity=100_000, cash=-1)

    decisions = fitted(legs, look, money=gate_money(proceeds="1700", cash_before="-1"))

    assert outcome(decisions) == [
        ("B03", "keep", "50", []),
        ("B02", "cut", "32", ["FUNDING_EXCEEDED"]),
        ("B01", "drop", "0", ["FUNDING_EXCEEDED"]),
    ]
    cut = decisions[1].violations[0]
    assert (cut.figure, cut.limit) == ("1030", "670")


def test_a_leg_that_cutting_leaves_below_the_minimum_is_dropped_and_both_reasons_told():
    legs = [buy("B01", "A", 50, 20)]
    look = snapshot(legs, equity=100_000, cash=0)

    decisions = fitted(legs, look, money=gate_money(proceeds="514.99", cash_before="0"))

    assert outcome(decisions) == [("B01", "drop", "0", ["FUNDING_EXCEEDED", "POSITION_VALUE_BELOW_MIN"])]
    assert decisions[0].violations[1].figure == "480"


def test_a_leg_cut_down_to_the_minimum_stays():
    legs = [buy("B01", "A", 50, 20)]
    look = snapshot(legs, equity=100_000, cash=0)

    decisions = fitted(legs, look, money=gate_money(proceeds="515", cash_before="0"))

    assert outcome(decisions) == [("B01", "cut", "25", ["FUNDING_EXCEEDED"])]


def test_what_is_dropped_leaves_its_money_to_the_next():
    legs = [buy("B01", "DEAR", 1, 2000, score=9), buy("B02", "A", 50, 20, score=1)]
    look = snapshot(legs, equity=100_000, cash=0)

    decisions = fitted(legs, look, money=gate_money(proceeds="1030", cash_before="0"))

    assert outcome(decisions) == [("B01", "drop", "0", ["FUNDING_EXCEEDED"]), ("B02", "keep", "50", [])]


def test_the_31st_position_is_the_one_with_the_lowest_score():
    legs = [buy("B01", "A", 50, 20, score=1), buy("B02", "B", 50, 20, score=3), buy("B03", "C", 50, 20, score=2)]
    look = snapshot(legs, equity=100_000, cash=100_000, positions=[held(f"H{n:02}", 1, 20) for n in range(28)])

    decisions = fitted(legs, look)

    assert outcome(decisions) == [
        ("B02", "keep", "50", []),
        ("B03", "keep", "50", []),
        ("B01", "drop", "0", ["POSITIONS_ABOVE_MAX"]),
    ]


def test_with_33_positions_nothing_new_is_bought_but_what_is_held_may_grow():
    legs = [buy("B01", "NEW", 50, 20), buy("B02", "H00", 50, 20)]
    look = snapshot(legs, equity=100_000, cash=100_000, positions=[held(f"H{n:02}", 1, 20) for n in range(33)])

    decisions = fitted(legs, look)

    assert outcome(decisions) == [("B01", "drop", "0", ["POSITIONS_ABOVE_MAX"]), ("B02", "keep", "50", [])]


def test_sells_make_room_for_buys():
    legs = [buy("B01", "NEW", 50, 20)]
    out = sell("S01", "H00", 1, 20)
    look = snapshot(legs, equity=100_000, cash=100_000, positions=[held(f"H{n:02}", 1, 20) for n in range(30)])

    assert outcome(fitted(legs, look, sells=[out])) == [("B01", "keep", "50", [])]
    assert outcome(fitted(legs, look)) == [("B01", "drop", "0", ["POSITIONS_ABOVE_MAX"])]


def test_every_ceiling_that_binds_is_told_and_the_lowest_counts():
    legs = [buy("B01", "A", 1_000, 20)]
    look = snapshot(legs, equity=10_000, cash=0, positions=[held("BIG", 1, 19_500)])

    decisions = fitted(legs, look, money=gate_money(proceeds="700", cash_before="0"))

    assert outcome(decisions) == [
        (
            "B01",
            "drop",
            "0",
            [
                "PLAN_RISK_ABOVE_MAX",
                "POSITION_FRACTION_ABOVE_MAX",
                "GROSS_EXPOSURE_ABOVE_MAX",
                "FUNDING_EXCEEDED",
                "POSITION_VALUE_BELOW_MIN",
            ],
        )
    ]
    assert decisions[0].violations[-1].figure == "480"


def test_gross_exposure_is_used_up_leg_by_leg():
    legs = [buy("B01", "A", 30, 20, score=2), buy("B02", "B", 30, 20, score=1)]
    look = snapshot(legs, equity=10_000, cash=0, positions=[held("BIG", 1, 18_800)])

    decisions = fitted(legs, look, money=gate_money(proceeds="9000", cash_before="0"))

    assert outcome(decisions) == [
        ("B01", "keep", "30", []),
        ("B02", "cut", "28", ["GROSS_EXPOSURE_ABOVE_MAX"]),
    ]
    assert decisions[1].qty * Decimal("20.60") <= 20_000 - 18_800 - 618 < 29 * Decimal("20.60")


def test_a_leg_too_small_as_planned_is_told_so_and_nothing_else():
    legs = [buy("B01", "A", 24, 20)]

    decisions = fitted(legs, snapshot(legs, equity=100_000, cash=0))

    assert outcome(decisions) == [("B01", "drop", "0", ["POSITION_VALUE_BELOW_MIN"])]


def test_whole_or_nothing_drops_what_would_be_cut():
    legs = [buy("B01", "A", 50, 20, score=2), buy("B02", "B", 50, 20, score=1)]
    look = snapshot(legs, equity=100_000, cash=0)
    money = gate_money(proceeds="2000", cash_before="0")

    decisions = fitted(legs, look, money=money, whole_or_nothing=True)

    assert outcome(decisions) == [("B01", "keep", "50", []), ("B02", "drop", "0", ["FUNDING_EXCEEDED"])]


def test_a_leg_with_facts_against_it_takes_no_room():
    legs = [buy("B01", "A", 50, 20, score=2), buy("B02", "B", 50, 20, score=1)]
    look = snapshot(legs, equity=100_000, cash=0, assets=[asset("A", status="inactive")], quotes=[quote("A", "25")])

    decisions = fitted(legs, look, money=gate_money(proceeds="1030", cash_before="0"))

    assert outcome(decisions) == [
        ("B01", "drop", "0", ["ASSET_NOT_ACTIVE", "PRICE_DEVIATION"]),
        ("B02", "keep", "50", []),
    ]


@pytest.mark.parametrize(
    ("allowed", "fractionable", "qty"), [(True, True, "48.543689320"), (True, False, "48"), (False, True, "48")]
)
def test_fractions_are_bought_only_where_the_house_and_the_asset_allow_them(allowed, fractionable, qty):
    legs = [buy("B01", "A", 50, 20)]
    look = snapshot(legs, equity=100_000, cash=0, assets=[asset("A", fractionable=fractionable)])
    rules = settings(operations={"allow_fractional": allowed})

    decisions = fitted(legs, look, money=gate_money(proceeds="1000", cash_before="0"), rules=rules)

    assert decisions[0].qty == Decimal(qty)
    assert decisions[0].decision is Decision.CUT
    assert decisions[0].qty * Decimal("20.60") <= 1000


def test_a_fractional_quantity_is_cut_to_whole_shares_with_the_reason():
    legs = [buy("B01", "A", "50.75", 20)]
    look = snapshot(legs, equity=100_000, cash=100_000)

    decisions = fitted(legs, look)

    assert outcome(decisions) == [("B01", "cut", "50", ["QUANTITY_NOT_WHOLE"])]
    assert (decisions[0].violations[0].figure, decisions[0].violations[0].limit) == ("50.75", "50")


def test_quantities_are_written_without_an_exponent_and_kept_as_they_were():
    legs = [buy("B01", "A", "100", 20), buy("B02", "B", "10000", 20)]
    look = snapshot(legs, equity=50_000, cash=0)

    decisions = fitted(legs, look, money=gate_money(proceeds="4120", cash_before="0"))

    assert [str(leg.qty) for leg in decisions] == ["100", "100"]


def test_a_share_dearer_than_the_largest_position_is_dropped():
    legs = [buy("B01", "DEAR", 1, 900)]
    look = snapshot(legs, equity=10_000, cash=10_000)

    assert outcome(fitted(legs, look)) == [("B01", "drop", "0", ["POSITION_FRACTION_ABOVE_MAX"])]


SECTORS = settings(
    hard_constraints={
        "exposure": {"max_sector_fraction": "0.40"},
        "position_limits": {"max_position_fraction": "0.9"},
    },
    compliance={"risk": {"max_plan_risk_fraction": 1}},
)


def of_sector(leg, symbol, qty, sector, score):
    return buy(leg, symbol, qty, 10, limit=10, sector=sector, score=score)


def test_a_plan_over_three_sectors_fills_an_empty_account():
    """The first BUY would be all of it; what counts is what the whole plan makes of it."""
    legs = [of_sector(f"B0{n}", f"N{n}", 300, sector, 9 - n) for n, sector in enumerate(("Tech", "Energy", "Health"))]
    look = snapshot(legs, equity=100_000, cash=100_000)

    assert outcome(fitted(legs, look, rules=SECTORS)) == [(f"B0{n}", "keep", "300", []) for n in range(3)]


def test_a_plan_of_one_sector_buys_none_of_it_for_an_empty_account():
    legs = [of_sector("B01", "AA", 300, "Tech", 2), of_sector("B02", "BB", 300, "Tech", 1)]
    look = snapshot(legs, equity=100_000, cash=100_000)

    assert [decision.qty for decision in fitted(legs, look, rules=SECTORS)] == [0, 0]


def test_a_sector_is_cut_to_its_part_of_what_is_let_in():
    """Cutting Tech to its part lets in less, of which its part is less again, until the two agree."""
    legs = [of_sector("B01", "AA", 600, "Tech", 3), of_sector("B02", "BB", 300, "Energy", 2)]
    legs.append(of_sector("B03", "CC", 300, "Health", 1))
    look = snapshot(legs, equity=100_000, cash=100_000)

    decisions = fitted(legs, look, rules=SECTORS)

    assert outcome(decisions) == [
        ("B01", "cut", "400", ["SECTOR_FRACTION_ABOVE_MAX"]),
        ("B02", "keep", "300", []),
        ("B03", "keep", "300", []),
    ]
