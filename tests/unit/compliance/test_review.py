"""Verdicts: what rejects a plan, what only costs it a BUY, and that SELLs are kept."""

from decimal import Decimal

import pytest

from departments.compliance.review import review
from departments.office.settings import OnViolation
from departments.rulebook.limits import limits_of
from messages.reviews import Decision, Stage
from messages.values import Funding, Side, client_order_id_for
from tests.builders.portfolio import (
    OTHER_RUN,
    asset,
    at_recheck,
    at_submission,
    buy,
    gate_money,
    held,
    open_order,
    quote,
    sell,
    settings,
    snapshot,
)

LIMITS = limits_of(settings())
SELL = sell("S01", "UPS", 70, "90")
BUY = buy("B01", "CVE", 100, "20", score=5)
UPS = held("UPS", 70, 90)
RICH = {"equity": 100_000, "cash": 1}


def verdict_on(ask, on_violation=OnViolation.CUT, rules=None):
    return review(ask, LIMITS if rules is None else limits_of(rules), on_violation)


def legs_of(verdict):
    return [(leg.leg, leg.decision.value, str(leg.qty), [why.code for why in leg.violations]) for leg in verdict.legs]


def test_a_good_plan_is_kept_whole_in_its_own_order():
    trades = (BUY, SELL)

    verdict = verdict_on(at_submission(trades, snapshot(trades, **RICH, positions=[UPS])))

    assert not verdict.rejected
    assert legs_of(verdict) == [("B01", "keep", "100", []), ("S01", "keep", "70", [])]


def test_the_verdict_names_the_snapshot_it_stands_on():
    ask = at_submission((SELL,), snapshot([SELL], **RICH, positions=[UPS]))

    verdict = verdict_on(ask)

    assert (verdict.run_id, verdict.review, verdict.snapshot_id) == (ask.run_id, 1, ask.snapshot.snapshot_id)


@pytest.mark.parametrize("on_violation", list(OnViolation))
@pytest.mark.parametrize(
    ("look", "code"),
    [
        ({"positions": []}, "SHARES_NOT_HELD"),
        ({"positions": [held("UPS", 69, 90)]}, "SHARES_NOT_HELD"),
        ({"positions": [held("UPS", 70, 90, free=0)]}, "SHARES_NOT_FREE"),
        ({"positions": [UPS], "assets": [asset("UPS", status="inactive")]}, "ASSET_NOT_ACTIVE"),
        ({"positions": [UPS], "assets": [asset("UPS", tradable=False)]}, "ASSET_NOT_TRADABLE"),
        (
            {"positions": [UPS], "open_orders": [open_order("UPS", Side.SELL, 70, order_type="stop")]},
            "ORDER_OF_OTHERS_OPEN",
        ),
        (
            {
                "positions": [UPS],
                "open_orders": [
                    open_order("UPS", Side.BUY, 1, client_order_id=client_order_id_for(OTHER_RUN, "B01", 1))
                ],
            },
            "ORDER_OF_OTHERS_OPEN",
        ),
    ],
)
def test_a_sell_that_cannot_be_done_rejects_the_plan_before_the_start(on_violation, look, code):
    trades = (SELL, BUY)

    verdict = verdict_on(at_submission(trades, snapshot(trades, **RICH, **look)), on_violation)

    assert verdict.rejected
    by_leg = {leg.leg: leg for leg in verdict.legs}
    assert code in [why.code for why in by_leg["S01"].violations]
    assert by_leg["B01"].violations == ()
    assert {leg.qty for leg in verdict.legs} == {0}


@pytest.mark.parametrize("on_violation", list(OnViolation))
@pytest.mark.parametrize(
    "quotes",
    [[quote("UPS", None)], [quote("UPS", "45")], [quote("UPS", "900")]],
    ids=["no price", "price halved", "price tenfold"],
)
def test_neither_size_nor_price_stops_a_sell(on_violation, quotes):
    tiny = sell("S01", "UPS", 1, "22.80")
    look = snapshot([tiny], equity=10, cash=-90_000, positions=[held("UPS", 1, "22.80")], quotes=quotes)

    verdict = verdict_on(at_submission((tiny,), look), on_violation)

    assert not verdict.rejected
    assert legs_of(verdict) == [("S01", "keep", "1", [])]


def test_a_sell_needs_no_quotes_at_all():
    look = snapshot([SELL], **RICH, positions=[UPS])

    assert not verdict_on(at_submission((SELL,), look.model_copy(update={"quotes": None}))).rejected


def test_expected_proceeds_pay_for_buys_before_the_start():
    # 70 x 90 = 6,300 and 1 of cash; 306 x 20.60 = 6,303.60
    trades = (SELL, buy("B01", "CVE", 306, "20"))

    verdict = verdict_on(at_submission(trades, snapshot(trades, **RICH, positions=[UPS])))

    assert legs_of(verdict) == [("S01", "keep", "70", []), ("B01", "cut", "305", ["FUNDING_EXCEEDED"])]
    assert verdict.legs[1].violations[0].limit == "6301"


def test_the_gates_own_money_pays_at_the_recheck():
    look = snapshot([BUY], equity=100_000, cash=-40_000)

    verdict = verdict_on(at_recheck((BUY,), look, gate_money(proceeds="1030", cash_before="-41030")))

    assert legs_of(verdict) == [("B01", "cut", "50", ["FUNDING_EXCEEDED"])]


@pytest.mark.parametrize(
    ("on_violation", "stage", "expected", "rejected"),
    [
        (OnViolation.CUT, Stage.SUBMISSION, ("cut", "50"), False),
        (OnViolation.DROP, Stage.SUBMISSION, ("drop", "0"), False),
        (OnViolation.REJECT, Stage.SUBMISSION, ("drop", "0"), True),
        (OnViolation.CUT, Stage.RECHECK, ("cut", "50"), False),
        (OnViolation.DROP, Stage.RECHECK, ("drop", "0"), False),
        (OnViolation.REJECT, Stage.RECHECK, ("drop", "0"), False),
    ],
)
def test_a_buy_above_a_limit_is_cut_dropped_or_rejects_the_plan_as_configured(on_violation, stage, expected, rejected):
    look = snapshot([BUY], equity=100_000, cash=1_030)
    ask = (
        at_submission((BUY,), look)
        if stage is Stage.SUBMISSION
        else at_recheck((BUY,), look, gate_money(proceeds="1030", cash_before="0"))
    )

    verdict = verdict_on(ask, on_violation)

    (leg,) = verdict.legs
    assert (leg.decision.value, str(leg.qty)) == expected
    assert verdict.rejected is rejected
    assert [why.code for why in leg.violations] == ["FUNDING_EXCEEDED"]


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("part", ["account", "positions", "open_orders", "assets", "quotes"])
def test_a_look_that_lacks_a_part_rejects(stage, part):
    look = snapshot([BUY], **RICH).model_copy(update={part: None})
    ask = (
        at_submission((BUY,), look)
        if stage is Stage.SUBMISSION
        else at_recheck((BUY,), look, gate_money(proceeds="1030", cash_before="0"))
    )

    verdict = verdict_on(ask)

    assert verdict.rejected
    named = "orders" if part == "open_orders" else part
    assert [(why.code, why.figure) for why in verdict.violations] == [("SNAPSHOT_INCOMPLETE", f"{named} missing")]
    assert legs_of(verdict) == [("B01", "drop", "0", [])]


def test_a_recheck_without_the_gates_money_rejects():
    verdict = verdict_on(at_recheck((BUY,), snapshot([BUY], **RICH), None))

    assert verdict.rejected
    assert [why.code for why in verdict.violations] == ["MONEY_MISSING"]


def test_money_of_another_policy_is_a_bug_and_not_a_verdict():
    ask = at_recheck((BUY,), snapshot([BUY], **RICH), gate_money(proceeds="1030", cash_before="0"))

    with pytest.raises(ValueError, match="expected the gate's money to speak of cash, was proceeds"):
        verdict_on(ask.model_copy(update={"funding": Funding.CASH}))


@pytest.mark.parametrize("stage", list(Stage))
def test_a_blocked_account_rejects(stage):
    look = snapshot([BUY], **RICH, trading_blocked=True)
    ask = (
        at_submission((BUY,), look)
        if stage is Stage.SUBMISSION
        else at_recheck((BUY,), look, gate_money(proceeds="9000", cash_before="0"))
    )

    verdict = verdict_on(ask)

    assert verdict.rejected
    assert [why.figure for why in verdict.violations] == ["trading_blocked"]


def test_opposite_and_doubled_legs_reject():
    trades = (SELL, buy("B01", "UPS", 10, 90), buy("B02", "CVE", 50, 20), buy("B03", "CVE", 50, 20))

    verdict = verdict_on(at_submission(trades, snapshot(trades, **RICH, positions=[UPS])))

    assert verdict.rejected
    assert [why.code for why in verdict.violations] == ["LEG_DOUBLED", "LEGS_OPPOSITE"]


def test_what_was_broken_before_is_reported_and_refuses_nothing():
    positions = [held(f"H{n:02}", 1, 100) for n in range(32)]
    out, more = sell("S01", "H00", 1, 100), buy("B01", "H01", 10, 100)
    look = snapshot([out, more], equity=10_000, cash=6_800, positions=positions)

    verdict = verdict_on(at_submission((out, more), look))

    assert not verdict.rejected
    assert [why.code for why in verdict.breaches] == ["POSITIONS_ABOVE_MAX"]
    assert legs_of(verdict) == [
        ("S01", "keep", "1", []),
        ("B01", "cut", "6", ["POSITION_FRACTION_ABOVE_MAX"]),  # 800 - 100 held = 700 = 6 x 103 and some
    ]


def test_an_empty_plan_passes():
    verdict = verdict_on(at_submission((), snapshot([], **RICH)))

    assert not verdict.rejected
    assert verdict.legs == ()


def test_buys_in_flight_are_reserved():
    in_flight = open_order("AIR", Side.BUY, 100, limit="50")
    look = snapshot([BUY], equity=100_000, cash=6_030, open_orders=[in_flight])

    verdict = verdict_on(at_submission((BUY,), look))

    assert legs_of(verdict) == [("B01", "cut", "50", ["FUNDING_EXCEEDED"])]
    assert verdict.legs[0].violations[0].limit == "1030"


def test_the_cash_reserve_is_not_spent():
    reserve = settings(compliance={"cash": {"cash_reserve": "1000"}})
    look = snapshot([BUY], equity=100_000, cash=2_030)

    verdict = verdict_on(at_submission((BUY,), look), rules=reserve)

    assert verdict.legs[0].decision is Decision.CUT
    assert verdict.legs[0].qty == 50


def test_amounts_of_many_digits_are_judged_exactly():
    """One billionth of a cent too much is too much: arithmetic is exact far past the default 28 digits."""
    price = Decimal("123456789.123456789123456789")
    dear = buy("B01", "DEAR", 1000, price, limit=price)
    exact = price * 1000
    below = exact - Decimal("1E-12")
    rules = settings(
        hard_constraints={"position_limits": {"max_position_fraction": 2}},
        compliance={
            "price_bounds": {"max_price": 10**9},
            "orders": {"max_order_value": 10**12},
            "risk": {"assumed_stop_fraction": 0},
        },
    )

    on = verdict_on(at_submission((dear,), snapshot([dear], equity=exact, cash=exact)), rules=rules)
    under = verdict_on(at_submission((dear,), snapshot([dear], equity=exact, cash=below)), rules=rules)

    assert legs_of(on) == [("B01", "keep", "1000", [])]
    assert legs_of(under) == [("B01", "cut", "999", ["FUNDING_EXCEEDED"])]
