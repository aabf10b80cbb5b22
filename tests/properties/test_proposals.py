"""Whatever the candidates, the account and the limits: a proposal passes Compliance's review unchanged.

The strictest review is asked (`on_violation: reject`), so that a single cut would be seen. Each planted fault must be
caught by the same check.
"""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from departments.compliance.review import review
from departments.executive.plan_file import read_plan
from departments.office.settings import OnViolation, Regime, Settings, SizingMethod
from departments.operations import proposal as module
from departments.operations.candidates import Candidate
from departments.operations.plan_text import plan_text
from departments.operations.proposal import Ask, Proposal, propose
from departments.rulebook.limits import limits_of
from messages.plans import Plan
from messages.reviews import Decision
from messages.snapshots import ClockFacts
from messages.values import AccountName, Funding, PlanId, Side
from tests.builders.portfolio import (
    FIRST,
    NOW,
    QUIET,
    asset,
    at_submission,
    buy,
    held,
    open_order,
    quote,
    sell,
    settings,
    snapshot,
)

POOL = tuple(f"N{number:02}" for number in range(14))
OPEN = ClockFacts(at=NOW, is_open=True, next_open=NOW + timedelta(days=1), next_close=NOW + timedelta(hours=6))


def cents(low: int, high: int) -> st.SearchStrategy[Decimal]:
    return st.integers(low * 100, high * 100).map(lambda drawn: Decimal(drawn) / 100)


@st.composite
def rules_of(draw) -> Settings:
    return settings(
        compliance={
            "position_sizing": {"min_position_value": draw(st.sampled_from((0, 1, 500, 750)))},
            "risk": {"max_plan_risk_fraction": draw(st.sampled_from(("0.15", "0.02", "0.004")))},
            "orders": {"max_order_value": draw(st.sampled_from((100_000, 900)))},
            "cash": {"cash_reserve": draw(st.sampled_from((0, 400)))},
        },
        hard_constraints={
            "position_limits": {
                "max_positions_total": draw(st.sampled_from((30, 5, 2))),
                "max_position_fraction": draw(st.sampled_from(("0.08", "0.3", "0.02"))),
            },
            "exposure": {"max_gross_exposure_fraction": draw(st.sampled_from(("2.0", "0.7")))},
        },
        operations={"max_position_target_fraction": draw(st.sampled_from(("0.075", "0.4")))},
    )


@st.composite
def candidates_of(draw) -> tuple[Candidate, ...]:
    symbols = draw(st.lists(st.sampled_from(POOL), unique=True, max_size=len(POOL)))
    return tuple(
        Candidate(
            symbol=symbol,
            score=draw(st.none() | cents(0, 100)),
            price_usd=draw(st.none() | cents(1, 60) | cents(1, 2000) | st.just(Decimal("16.9925"))),
            atr_usd=draw(st.none() | cents(1, 5)),
            stop_usd=draw(st.none() | cents(1, 60)),
            earnings_date=draw(st.none() | st.dates()),
            sector=draw(st.none() | st.sampled_from(('Tech: "new"', "Energy"))),
        )
        for symbol in symbols
    )


@st.composite
def questions(draw) -> tuple[Ask, Settings]:
    candidates = draw(candidates_of())
    kept = []
    positions = []
    for symbol in draw(st.lists(st.sampled_from(("HA", "HB", "N00", "N01")), unique=True)):
        positions.append(held(symbol, draw(st.integers(1, 90)), draw(cents(1, 200))))
        if symbol.startswith("H") and draw(st.booleans()):
            kept.append(sell(f"S{len(kept) + 1:02}", symbol, positions[-1].qty, positions[-1].current_price_usd))
    for at, symbol in enumerate(draw(st.lists(st.sampled_from(("KA", "KB", "N02")), unique=True)), 1):
        kept.append(buy(f"B{at:02}", symbol, draw(st.integers(1, 90)), draw(cents(1, 100)), score=draw(cents(0, 100))))
    equity = draw(cents(500, 100_000))
    quotes = [
        quote(
            one.symbol, None, ask=one.price_usd * draw(st.sampled_from((Decimal(1), Decimal("0.97"), Decimal("1.04"))))
        )
        for one in candidates
        if one.price_usd is not None and draw(st.integers(0, 9))
    ]
    look = snapshot(
        kept,
        equity=equity,
        cash=draw(st.sampled_from((equity, equity / 2, -equity / 3, Decimal(0)))),
        positions=positions,
        open_orders=draw(st.sampled_from(((), (open_order("N03", Side.BUY, 5, limit="20"),)))),
        quotes=quotes,
        assets=[asset(one.symbol, status=draw(st.sampled_from(("active",) * 9 + ("inactive",)))) for one in candidates],
    ).model_copy(update={"clock": OPEN})
    question = Ask(
        history=QUIET,
        today=FIRST,
        account="paper",
        candidates=candidates,
        kept=tuple(kept),
        snapshot=look,
        funding=draw(st.sampled_from(Funding)),
        method=draw(st.sampled_from(SizingMethod)),
        regime=draw(st.none() | st.sampled_from(Regime)),
        target_fraction=draw(st.sampled_from((Decimal("0.9"), Decimal("0.3"), Decimal("1.7")))),
    )
    return question, draw(rules_of())


def found_wrong(question: Ask, rules: Settings, proposal: Proposal) -> str | None:
    """What Compliance would change in a proposal; None: nothing."""
    if proposal.violations:
        return None if not proposal.trades else "trades in spite of violations"
    verdict = review(
        at_submission(proposal.trades, question.snapshot, question.funding), limits_of(rules), OnViolation.REJECT
    )
    if verdict.rejected or any(leg.decision is not Decision.KEEP or leg.violations for leg in verdict.legs):
        return f"{verdict}"
    return None


@given(questions())
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow], max_examples=80, deadline=None)
def test_a_proposal_passes_compliance_unchanged(drawn):
    question, rules = drawn

    proposal = propose(question, rules)

    assert found_wrong(question, rules, proposal) is None
    assert [line.symbol for line in proposal.candidates] == [one.symbol for one in question.candidates]
    assert all(line.trade is not None or line.reasons for line in (*proposal.candidates, *proposal.kept))
    assert proposal == propose(question, rules)


@given(questions())
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40, deadline=None)
def test_a_proposal_reads_back_from_its_file_as_the_very_trades(drawn):
    question, rules = drawn
    proposal = propose(question, rules)
    plan = Plan(
        plan_id=PlanId("PLAN_1"), account=AccountName("paper"), plan_sha256="", funding=question.funding,
        trades=proposal.trades,
    )  # fmt: skip

    read, _ = read_plan(plan_text(plan, remarks=["a remark"]).encode(), accounts=["paper"])

    assert read.trades == proposal.trades
    assert (read.plan_id, read.account, read.funding) == (plan.plan_id, plan.account, plan.funding)


@given(st.lists(cents(1, 900), min_size=14, max_size=14), cents(60_000, 400_000))
@hypothesis_settings(max_examples=40, deadline=None)
def test_where_no_limit_binds_less_than_one_share_is_left_of_the_target(prices, equity):
    assert left_of_half(prices, equity) is None


def test_rounding_down_leaves_more_than_a_share(monkeypatch):
    prices = [Decimal(price) for price in (90, 85, 70, 65, 60, 55, 52, 51, 45, 44, 43, 42, 41, 40)]
    before = left_of_half(prices, Decimal(70_000))
    monkeypatch.setattr(
        module, "whole_shares", lambda lines, **_: tuple(int(line.target_usd // line.price_usd) for line in lines)
    )

    assert before is None
    assert left_of_half(prices, Decimal(70_000)) is not None


def left_of_half(prices: list[Decimal], equity: Decimal) -> str | None:
    """What a share more would have bought of half the equity; None: nothing."""
    candidates = tuple(Candidate(symbol=s, price_usd=price) for s, price in zip(POOL, prices, strict=True))
    look = snapshot(
        (), equity=equity, cash=equity,
        quotes=[quote(one.symbol, one.price_usd) for one in candidates],
        assets=[asset(one.symbol) for one in candidates],
    ).model_copy(update={"clock": OPEN})  # fmt: skip
    question = Ask(
        history=QUIET,
        today=FIRST,
        account="paper", candidates=candidates, snapshot=look, funding=Funding.PROCEEDS,
        method=SizingMethod.EQUAL, target_fraction=Decimal("0.5"),
    )  # fmt: skip

    proposal = propose(question, settings())

    bought = [trade.reference_price_usd for trade in proposal.trades]
    left = equity / 2 - proposal.spent_usd
    return None if len(bought) >= 12 and 0 <= left < min(bought) else f"{left} left beside {bought}"


def _no_last_word(monkeypatch) -> None:
    """Limits first, then a factor: what the limits allowed is raised by a tenth."""
    whole = module.whole_shares

    def raised(*given, **named):
        return tuple(count + count // 10 + 1 for count in whole(*given, **named))

    monkeypatch.setattr(module, "whole_shares", raised)
    _skip_the_fit(monkeypatch)


def _skip_the_fit(monkeypatch) -> None:
    def numbered(kept, bought, lines, *rest):
        legs = [trade.model_copy(update={"leg": f"N{at:02}"}) for at, trade in enumerate((*kept, *bought))]
        return tuple(legs), lines

    monkeypatch.setattr(module, "_numbered_and_fitted", numbered)


def _money_without_reservation(monkeypatch) -> None:
    """The planner counts money without the cushion that Compliance reserves."""
    _skip_the_fit(monkeypatch)
    budget = module._Sizing._budget_usd
    monkeypatch.setattr(module._Sizing, "_budget_usd", lambda self: budget(self) * Decimal("1.03"))


def _kept_buys_not_counted(monkeypatch) -> None:
    monkeypatch.setattr(module, "_with", lambda book, trade, context: book)


@pytest.mark.parametrize("plant", [_no_last_word, _money_without_reservation, _kept_buys_not_counted])
def test_a_planted_fault_is_caught(monkeypatch, plant):
    """On an account where money and fractions both bind; without the fault the same question passes."""
    candidates = tuple(Candidate(symbol=symbol, price_usd=Decimal(10)) for symbol in ("N00", "N01"))
    kept = (buy("B01", "KA", 60, 50),)
    look = snapshot(
        kept,
        equity=60_000,
        cash=5_000,
        quotes=[quote(one.symbol, one.price_usd) for one in candidates],
        assets=[asset(one.symbol) for one in candidates],
    ).model_copy(update={"clock": OPEN})
    question = Ask(
        history=QUIET,
        today=FIRST,
        account="paper",
        candidates=candidates,
        kept=kept,
        snapshot=look,
        funding=Funding.PROCEEDS,
        method=SizingMethod.EQUAL,
        target_fraction=Decimal("0.9"),
    )
    before = found_wrong(question, settings(), propose(question, settings()))
    plant(monkeypatch)

    after = found_wrong(question, settings(), propose(question, settings()))

    assert before is None
    assert after is not None
