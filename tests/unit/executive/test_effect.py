"""What a plan does to the account: money and positions before and after, as the rules leave the plan."""

from decimal import Decimal

import pytest

from departments.compliance.review import review
from departments.executive.effect import effect_of
from departments.rulebook.limits import limits_of
from messages.plans import Plan
from messages.values import AccountName, PlanId, Side
from tests.builders.portfolio import (
    account_of_november_10,
    at_submission,
    buy,
    held,
    open_order,
    plan_of_november_10,
    quote,
    sell,
    settings,
    snapshot,
)

RULES = settings()


def told(trades, live, rules=RULES):
    plan = Plan(plan_id=PlanId("P"), account=AccountName("paper"), plan_sha256="0" * 64, trades=tuple(trades))
    verdict = review(at_submission(plan.trades, live), limits_of(rules), rules.executive.on_violation)
    return effect_of(plan, live, verdict, limits_of(rules))


def test_the_plan_of_november_10_makes_the_debt_smaller():
    trades = plan_of_november_10()

    effect = told(trades, account_of_november_10(trades))

    before, after = effect["before"], effect["after"]
    assert (effect["legs_sent"], before["positions"], after["positions"]) == (16, 22, 28)
    assert (before["cash"], after["cash"]) == ("-64137.45", "-61086.77")
    assert (before["margin_debt"], after["margin_debt"]) == ("64137.45", "61086.77")
    assert (before["gross_value"], after["gross_value"]) == ("163083.45", "160032.77")
    assert (before["gross_exposure_fraction"], after["gross_exposure_fraction"]) == ("1.6482", "1.6174")
    assert {one["symbol"] for one in effect["positions"]} == {trade.symbol for trade in trades}


def test_positions_are_told_with_shares_before_and_after_at_the_dearer_of_ask_and_reference():
    trades = [sell("S01", "HH", 30, 100), buy("B01", "AA", 20, 50), buy("B02", "HX", 10, 10)]
    positions = [held("HH", 100, 100), held("HX", 80, 10)]
    live = snapshot(trades, equity=100_000, cash=50_000, positions=positions, quotes=[quote("AA", 51), quote("HX", 9)])

    effect = told(trades, live)

    assert [tuple(one.values()) for one in effect["positions"]] == [
        ("AA", "0", "20", "1020", "0.0102"),
        ("HH", "100", "70", "7000", "0.07"),
    ]
    assert effect["after"]["cash"] == "51980"  # HX for $100 is below the minimum: it is not bought


def test_a_buy_counts_as_the_rules_cut_it():
    trades = [buy("B01", "AA", 1000, 50)]

    effect = told(trades, snapshot(trades, equity=100_000, cash=100_000))

    assert effect["positions"][0]["qty"] == "155"
    assert effect["after"]["cash"] == "92250"


def test_orders_in_flight_count_before_and_after():
    trades = [buy("B01", "AA", 20, 50)]
    live = snapshot(
        trades, equity=100_000, cash=100_000, open_orders=[open_order("ZZ", Side.BUY, 100, limit="30")]
    )  # fmt: skip

    effect = told(trades, live)

    assert [effect[when]["gross_value"] for when in ("before", "after")] == ["3000", "4000"]
    assert [effect[when]["positions"] for when in ("before", "after")] == [1, 2]


def test_what_is_not_known_stays_unknown():
    trades = [buy("B01", "AA", 20, 50)]
    live = snapshot(trades, equity=100_000, cash=100_000)
    unpriced = live.model_copy(update={"open_orders": (open_order("ZZ", Side.BUY, None),)})

    assert told(trades, live.model_copy(update={"positions": None})) is None
    assert told(trades, unpriced)["before"]["gross_value"] is None
    assert told(trades, unpriced)["before"]["gross_exposure_fraction"] is None


def test_a_kept_buy_without_a_price_is_a_bug():
    trades = [buy("B01", "AA", 20, 50)]
    live = snapshot(trades, equity=100_000, cash=100_000)
    plan = Plan(plan_id=PlanId("P"), account=AccountName("paper"), plan_sha256="0" * 64, trades=tuple(trades))
    verdict = review(at_submission(plan.trades, live), limits_of(RULES), RULES.executive.on_violation)

    with pytest.raises(AssertionError, match="expected Compliance to drop AA"):
        effect_of(plan, live.model_copy(update={"quotes": ()}), verdict, limits_of(RULES))
    assert verdict.legs[0].qty == Decimal(20)
