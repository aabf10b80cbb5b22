"""The tuple of rules, the rules on the plan as a whole, and what was broken before."""

from decimal import Decimal

import pytest

from departments.rulebook import ceilings, facts, market, plan_rules, rules, timing
from departments.rulebook.context import Kind, fraction_of, plain
from departments.rulebook.limits import limits_of
from messages.snapshots import Snapshot, SnapshotPart
from messages.values import OrderType, Side
from tests.builders.portfolio import (
    NOW,
    RUN,
    account,
    asset,
    buy,
    context,
    held,
    open_order,
    opened,
    quote,
    sell,
    settings,
    snapshot,
    viewed,
)

LIMITS = limits_of(settings())
RICH = {"equity": 100_000, "cash": 100_000}

BAD_BUY = buy("B01", "BAD", "10.5", 20)
BAD_SELL = sell("S01", "GONE", "0.0000000001", 20)
NO_LIMIT = buy("B02", "LIM", 10, 20, order_type=OrderType.LIMIT)
UNKNOWN = buy("B03", "NIL", 10, 20)
FAR = buy("B04", "FAR", 30_000, 20)
CHEAP = buy("B05", "CHEAP", 10, "0.05", stop_loss_usd="0.06")
DEAR = buy("B06", "DEAR", 1, 20_000)
ALL_WRONG = snapshot(
    [BAD_BUY, BAD_SELL, NO_LIMIT, FAR, CHEAP, DEAR],
    equity=100,
    cash=0,
    positions=[held(f"H{n:02}", 1, 20) for n in range(30)],
    assets=[asset("BAD", status="inactive", tradable=False)],
    quotes=[quote("BAD", None), quote("FAR", 30)],
    open_orders=[open_order("BAD", Side.BUY, 1, limit=20)],
)


def test_every_rule_can_be_broken_and_says_its_own_code_and_place():
    """Each leg breaks several rules; together they break all of them. Rules that look back lack what they need."""
    everything_on = settings(
        compliance={
            "restricted": {"symbols": ["CHEAP"]},
            "liquidity": {"max_volume_fraction": "0.10"},
            "correlation": {"max_pair": "0.85", "max_average": "0.50"},
            "earnings": {"days_before": 1},
        },
        hard_constraints={"exposure": {"max_sector_fraction": "0.40"}},
    )
    judged = context(ALL_WRONG, rules=everything_on, past=None, counts=None)

    found = {
        rule.code: violation
        for leg in (BAD_BUY, BAD_SELL, NO_LIMIT, UNKNOWN, FAR, CHEAP, DEAR)
        for rule in rules.RULES
        if leg.side in rule.sides and (violation := rule.check(leg, judged)) is not None
    }

    assert set(found) == {rule.code for rule in rules.RULES}
    for rule in rules.RULES:
        violation = found[rule.code]
        assert violation.code == rule.code
        assert (violation.file, violation.key) == (
            (None, None) if rule.place is None else (rule.place.file, rule.place.key)
        )
        assert violation.figure
        assert violation.limit


def test_every_rule_function_of_the_house_stands_in_the_tuple():
    listed = {rule.check for rule in rules.RULES}
    written = {
        found
        for module in (facts, ceilings, market, timing)
        for name, found in vars(module).items()
        if callable(found)
        and getattr(found, "__annotations__", {}).get("return") == ceilings.whole_shares.__annotations__["return"]
    }

    assert len(listed) == len(rules.RULES) == len({rule.code for rule in rules.RULES})
    assert written == listed


def test_ceilings_and_only_they_leave_room():
    assert all((rule.room is not None) is (rule.kind is Kind.CEILING) for rule in rules.RULES)
    assert {*rules.FACTS, *(rule for rule, _ in rules.CEILINGS), *rules.FLOORS} == set(rules.RULES)


def test_no_rule_on_size_price_or_money_concerns_a_sell():
    concerning_sells = {rule.code for rule in rules.RULES if Side.SELL in rule.sides}

    assert concerning_sells == {
        "ASSET_UNKNOWN",
        "ASSET_NOT_ACTIVE",
        "ASSET_NOT_TRADABLE",
        "LIMIT_PRICE_MISSING",
        "ORDER_OF_OTHERS_OPEN",
        "SHARES_NOT_HELD",
        "SHARES_NOT_FREE",
        "QUANTITY_NOT_ORDERABLE",
    }


@pytest.mark.parametrize(
    ("facts_of_account", "found"),
    [
        ({}, []),
        ({"status": "ACCOUNT_CLOSED"}, [("ACCOUNT_NOT_ACTIVE", "ACCOUNT_CLOSED")]),
        ({"status": "active"}, [("ACCOUNT_NOT_ACTIVE", "active")]),
        ({"status": ""}, [("ACCOUNT_NOT_ACTIVE", "")]),
        ({"trading_blocked": True}, [("ACCOUNT_BLOCKED", "trading_blocked")]),
        ({"account_blocked": True}, [("ACCOUNT_BLOCKED", "account_blocked")]),
        ({"trade_suspended_by_user": True}, [("ACCOUNT_BLOCKED", "trade_suspended_by_user")]),
        (
            {"status": "ONBOARDING", "trading_blocked": True, "account_blocked": True},
            [
                ("ACCOUNT_NOT_ACTIVE", "ONBOARDING"),
                ("ACCOUNT_BLOCKED", "trading_blocked"),
                ("ACCOUNT_BLOCKED", "account_blocked"),
            ],
        ),
    ],
)
def test_an_account_that_may_not_trade_is_refused(facts_of_account, found):
    look = snapshot([], **RICH, **facts_of_account)

    violations = plan_rules.against_plan((), viewed(look))

    assert [(violation.code, violation.figure) for violation in violations] == found


@pytest.mark.parametrize(
    ("legs", "found"),
    [
        ([sell("S01", "A", 1, 1), buy("B01", "B", 1, 1)], []),
        ([sell("S01", "A", 1, 1), buy("B01", "A", 1, 1)], [("LEGS_OPPOSITE", "sell S01, buy B01")]),
        ([buy("B01", "A", 1, 1), buy("B02", "A", 1, 1)], [("LEG_DOUBLED", "2 (B01, B02)")]),
        ([sell("S01", "A", 1, 1), sell("S02", "A", 1, 1)], [("LEG_DOUBLED", "2 (S01, S02)")]),
        ([buy("B01", "A", 1, 1), buy("B01", "B", 1, 1)], [("LEG_DOUBLED", "2 (B01, B01)")]),
        (
            [sell("S01", "A", 1, 1), buy("B01", "A", 1, 1), buy("B02", "A", 1, 1)],
            [("LEG_DOUBLED", "2 (B01, B02)"), ("LEGS_OPPOSITE", "sell S01, buy B01, buy B02")],
        ),
    ],
)
def test_legs_that_meet_on_one_symbol_are_refused(legs, found):
    violations = plan_rules.against_plan(tuple(legs), viewed(snapshot(legs, **RICH)))

    assert [(violation.code, violation.figure) for violation in violations] == found


@pytest.mark.parametrize("missing", list(SnapshotPart))
def test_a_look_that_lacks_a_part_is_refused_and_the_part_named(missing):
    field = "open_orders" if missing is SnapshotPart.ORDERS else missing.value
    whole = snapshot([BAD_BUY], **RICH)
    look = whole.model_copy(update={field: None})

    with_buys = opened(look, run_id=RUN, buys=True)
    without_buys = opened(look, run_id=RUN, buys=False)

    if missing is SnapshotPart.CLOCK:
        assert not isinstance(with_buys, tuple)
        return
    assert [violation.figure for violation in with_buys] == [f"{missing.value} missing"]
    assert isinstance(without_buys, tuple) is (missing is not SnapshotPart.QUOTES)


def test_an_empty_look_names_all_it_lacks():
    missing = opened(Snapshot(begun_at=NOW), run_id=RUN, buys=True)

    assert [violation.figure.split()[0] for violation in missing] == [
        "account",
        "positions",
        "orders",
        "assets",
        "quotes",
    ]


@pytest.mark.parametrize(
    ("count", "price", "cash", "found"),
    [
        (30, "100", "0", []),
        (31, "100", "0", [("POSITIONS_ABOVE_MAX", None, "31")]),
        (10, "2000", "-10000", []),
        (10, "2000.01", "-10000", [("GROSS_EXPOSURE_ABOVE_MAX", None, "2.00001")]),
    ],
)
def test_what_was_broken_before_is_reported(count, price, cash, found):
    look = snapshot([], equity=10_000, cash=cash, positions=[held(f"H{n:02}", 1, price) for n in range(count)])

    breaches = plan_rules.breaches_before((), viewed(look), LIMITS)

    assert [(breach.code, breach.leg, breach.figure) for breach in breaches] == found
    assert all(breach.file == "hard_constraints.yaml" and breach.key for breach in breaches)


@pytest.mark.parametrize(("price", "found"), [("800", []), ("800.01", [("B01", "0.080001")])])
def test_a_position_too_large_before_is_reported_where_the_plan_buys_more(price, found):
    legs = (buy("B01", "H00", 1, price), sell("S01", "H01", 1, 900))
    look = snapshot(legs, equity=10_000, cash=0, positions=[held("H00", 1, price), held("H01", 1, 900)])

    breaches = plan_rules.breaches_before(legs, viewed(look), LIMITS)

    assert [(breach.leg, breach.figure) for breach in breaches] == found


def test_figures_read_as_people_write_them():
    assert plain(Decimal("1E+3")) == "1000"
    assert plain(Decimal("500.00")) == "500"
    assert plain(Decimal("0.10")) == "0.1"
    assert plain(Decimal("-0.000000001")) == "-0.000000001"
    assert plain(Decimal("0.000")) == "0"


def test_a_fraction_past_a_limit_never_reads_as_the_limit():
    assert fraction_of(Decimal("8000.00001"), Decimal(100_000)) == "0.080001"
    assert fraction_of(Decimal(8000), Decimal(100_000)) == "0.08"
    assert fraction_of(Decimal(5), account(equity=-3, cash=0).equity_usd) == "5 of -3"
