"""What a dry run tells: it passes only a plan that the rules let through and that ended well, verified, in the twin."""

import json
from decimal import Decimal

import pytest

from departments.compliance.review import review
from departments.executive.dry_run import Rehearsal, document
from departments.executive.twin import twin_of
from departments.rulebook.limits import limits_of
from messages.plans import Plan
from messages.reviews import LossVerdict, Violation
from messages.snapshots import ClockFacts
from messages.values import AccountName, PlanId, TradingState
from tests.builders.portfolio import (
    NOW,
    RUN,
    account_of_november_10,
    asset,
    at_submission,
    plan_of_november_10,
    quote,
    settings,
)

CLOCK = ClockFacts.model_validate(
    {"at": NOW, "is_open": True, "next_open": "2025-11-11T14:30:00Z", "next_close": "2025-11-10T21:00:00Z"}
)
TRADES = plan_of_november_10()
PLAN = Plan(plan_id=PlanId("P"), account=AccountName("paper"), plan_sha256="0" * 64, trades=TRADES)
LIVE = account_of_november_10(TRADES).model_copy(update={"clock": CLOCK})


def run_view(**changes):
    """A run's view, as far as the dry run looks at it."""
    legs = [
        {
            "leg": trade.leg,
            "symbol": trade.symbol,
            "side": trade.side.value,
            "qty": str(trade.qty),
            "status": "filled",
            "filled_qty": str(trade.qty),
            "filled_avg_price": str(trade.reference_price_usd),
            "submitted_at": f"2025-11-10T15:10:{index:02}Z",
        }
        for index, trade in enumerate(TRADES)
    ]
    view = {
        "outcome": "completed",
        "phase": "completed",
        "reason": None,
        "waiting_for": None,
        "policy": {"sell_shortfall": "hold", "funding": "proceeds"},
        "gate": {"opened_at": "now", "proceeds": "36475.24", "cash_before": "-64137.45", "cash_at_gate": "-27662.21"},
        "money": {"proceeds": "36475.24", "spent": "33424.56"},
        "verification": {"ok": True, "differences": []},
        "legs": legs,
    }
    return view | changes


def trading(state, because="a flood", by="mara"):
    return {"trading_state": state, "trading_because": because, "trading_set_by": by}


ACTIVE = trading("ACTIVE", None, None)
LOSS = LossVerdict(
    state=TradingState.REDUCING,
    violations=(Violation(code="DAILY_LOSS_ABOVE_MAX", leg=None, rule="daily loss", figure="0.06", limit="0.05"),),
)


def told(*, live=LIVE, view=None, expired=False, rehearsed=True, failures=None, trading=ACTIVE, losses=None):
    verdict = review(at_submission(TRADES, live), limits_of(settings()), settings().executive.on_violation)
    return document(
        plan=PLAN,
        run_id=RUN,
        live=live,
        verdict=verdict.model_copy(update={"losses": losses}),
        limits=limits_of(settings()),
        expired=expired,
        twin=twin_of(live, PLAN, min_time_to_close_s=300) if rehearsed else None,
        base=Rehearsal(view=view or run_view(), looks={"received": live, "verify": live}) if rehearsed else None,
        failures=failures or {},
        trading=trading,
    )


def test_a_plan_that_completed_and_was_verified_passes():
    shown = told()

    assert (shown["passes"], shown["reasons"], shown["verdict"]) == (True, [], "completed")
    assert json.loads(json.dumps(shown)) == shown


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rehearsed": False}, "the plan was not rehearsed"),
        (
            {"trading": trading("REDUCING")},
            "trading is REDUCING, no BUY would be sent before firm resume: a flood, said by mara",
        ),
        ({"trading": trading("HALTED")}, "trading is HALTED, nothing would be sent before firm resume: a flood"),
        ({"losses": LOSS}, "trading would become REDUCING, no BUY would be sent: daily loss: 0.06 against 0.05"),
        ({"expired": True}, "the plan has expired"),
        (
            {"view": run_view(outcome=None, phase="held", waiting_for="sell_timeout: 1 open")},
            "in the twin the run is held: sell_timeout: 1 open",
        ),
        ({"view": run_view(outcome="aborted", phase="aborted", reason="shortfall")}, "in the twin the run is aborted"),
        ({"view": run_view(verification={"ok": None, "differences": []})}, "without being verified"),
        ({"view": run_view(verification={"ok": False, "differences": []})}, "without being verified"),
        (
            {"live": LIVE.model_copy(update={"assets": (*LIVE.assets[1:], asset("CTVA", status="inactive"))})},
            "the rules reject the plan",
        ),
    ],
)
def test_nothing_else_passes(changes, reason):
    shown = told(**changes)

    assert not shown["passes"]
    assert any(reason in said for said in shown["reasons"])


def test_each_leg_says_what_it_may_cost_or_should_bring():
    quotes = tuple(quote("COMM", None, bid="16.9", ask="17") if one.symbol == "COMM" else one for one in LIVE.quotes)
    shown = told(live=LIVE.model_copy(update={"quotes": quotes}))

    legs = {leg["symbol"]: leg for leg in shown["legs"]}
    assert Decimal(legs["COMM"]["may_cost"]) == 210 * Decimal(17) * Decimal("1.03")
    assert Decimal(legs["CTVA"]["should_bring"]) == 190 * Decimal("64.64")
    assert "may_cost" not in legs["CTVA"]
    assert sum(Decimal(leg["may_cost"]) for leg in shown["legs"] if "may_cost" in leg) == Decimal(
        shown["buying_power"]["reserved_by_buys"]
    )


def test_a_dropped_buy_costs_nothing_and_says_why():
    quotes = tuple(quote("COMM", 20) if one.symbol == "COMM" else one for one in LIVE.quotes)
    shown = told(live=LIVE.model_copy(update={"quotes": quotes}))

    leg = next(leg for leg in shown["legs"] if leg["symbol"] == "COMM")
    assert (leg["decision"], leg["qty"], leg["may_cost"]) == ("drop", "0", "0")
    assert leg["violations"][0]["key"] == "prices.max_price_deviation_fraction"
    assert leg["violations"][0]["file"] == "compliance_config.yaml"


def test_the_sequence_has_the_gate_between_sells_and_buys():
    steps = [step["step"] for step in told()["sequence"]]

    assert steps == ["sell"] * 5 + ["gate"] + ["buy"] * 11


def test_a_leg_that_was_never_sent_is_no_step():
    legs = [leg | ({"submitted_at": None} if leg["symbol"] == "BBIO" else {}) for leg in run_view()["legs"]]

    symbols = [step.get("symbol") for step in told(view=run_view(legs=legs))["sequence"]]

    assert "BBIO" not in symbols
    assert len(symbols) == 16


def test_a_failure_tells_what_the_policy_did_and_what_a_release_would():
    nothing = [
        leg | {"filled_qty": "0"} if leg["side"] == "buy" or leg["symbol"] == "UPS" else leg
        for leg in run_view()["legs"]
    ]
    held = run_view(
        outcome=None, phase="held", reason="sell_shortfall", legs=nothing, money={"proceeds": "1", "spent": "0"}
    )

    shown = told(failures={"S05": Rehearsal(view=held, looks={}, released=run_view())})

    failure = shown["if_a_sell_fails"][0]
    assert (failure["symbol"], failure["then"], failure["reason"]) == ("UPS", "held", "sell_shortfall")
    assert failure["sold"] == ["CTVA", "DVN", "EXE", "PLD"]
    assert (failure["bought"], len(failure["not_bought"])) == ({}, 11)
    assert (failure["after_release"]["then"], len(failure["after_release"]["bought"])) == ("completed", 11)


def test_phases_tell_debt_and_exposure():
    first = told()["phases"][0]

    assert (first["when"], first["cash"], first["margin_debt"]) == ("before", "-64137.45", "64137.45")
    assert (first["gross_exposure_fraction"], first["positions"]) == ("1.6482", 22)
