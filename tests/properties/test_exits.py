"""Whatever is held and known: what is proposed for sale is held, free, reasoned, and passes Compliance unchanged.

Each planted fault must be caught by the same check.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from departments.compliance.review import review
from departments.executive.plan_file import read_plan
from departments.office.settings import OnViolation, Settings
from departments.operations import exits as module
from departments.operations.exit_text import exit_plan_text
from departments.operations.exits import ExitAsk, ExitProposal, Found, propose_exits
from departments.rulebook.limits import limits_of
from messages.reviews import Decision
from messages.values import AccountName, PlanId, Side
from tests.builders.exits import ask, holding, levels, position
from tests.builders.portfolio import NOW, asset, at_submission, open_order, quote, settings

POOL = tuple(f"N{number:02}" for number in range(8))


def cents(low: int, high: int) -> st.SearchStrategy[Decimal]:
    return st.integers(low * 100, high * 100).map(lambda drawn: Decimal(drawn) / 100)


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


@st.composite
def rules_of(draw) -> Settings:
    switched = {
        name: {"enabled": draw(st.booleans())}
        for name in ("stop_loss", "target", "trailing_stop", "time", "score", "trim")
    }
    fraction = draw(st.sampled_from(("0.08", "0.01", "0.3")))
    return settings(
        operations={"exits": switched},
        hard_constraints={"position_limits": {"max_position_fraction": fraction}},
    )


@st.composite
def questions(draw) -> tuple[ExitAsk, Settings]:
    symbols = draw(st.lists(st.sampled_from(POOL), unique=True, max_size=len(POOL)))
    positions, holdings, plans, quotes, assets, orders, scores = [], [], [], [], [], [], {}
    for symbol in symbols:
        qty = draw(st.integers(1, 300).map(Decimal) | cents(1, 50) | st.just(Decimal(-5)))
        free = draw(st.sampled_from((qty, qty, qty / 2, Decimal(0))))
        positions.append(
            position(symbol, qty, draw(cents(1, 300)), entry=draw(st.sampled_from((0, 50, 100))), free=free)
        )
        age = draw(st.sampled_from((0, 0, 0, 1000)))
        price = draw(st.sampled_from((positions[-1].current_price_usd,) * 3 + (None,)))
        quotes.append(quote(symbol, price).model_copy(update={"at": NOW - timedelta(seconds=age)}))
        assets.append(
            asset(
                symbol,
                status=draw(st.sampled_from(("active",) * 6 + ("inactive",))),
                fractionable=draw(st.booleans()),
            )
        )
        if draw(st.integers(0, 6)) == 0:
            orders.append(open_order(symbol, draw(st.sampled_from(Side)), 1, limit=1))
        if draw(st.booleans()):
            holdings.append(
                holding(
                    symbol,
                    entered_at=draw(st.sampled_from((NOW, NOW - timedelta(days=9), None))),
                    trading_days=draw(maybe(st.integers(0, 30))),
                    avg_entry_price_usd=draw(maybe(cents(1, 300))),
                    highest_close_usd=draw(maybe(cents(1, 300))),
                    atr_usd=draw(maybe(cents(1, 10))),
                )
            )
        if draw(st.booleans()):
            plans.append(
                levels(symbol, stop=draw(st.sampled_from((None, "80"))), target=draw(st.sampled_from((None, "120"))))
            )
        if draw(st.booleans()):
            scores[symbol] = draw(cents(0, 100))
    equity = draw(cents(100, 50_000) | st.just(Decimal(0)))
    asked = ask(
        positions,
        holdings,
        plans=plans,
        scores=scores,
        equity=equity,
        quotes=quotes,
        assets=assets,
        open_orders=orders,
        trading_blocked=draw(st.integers(0, 19)) == 0,
    )
    return asked, draw(rules_of())


def troubles(asked: ExitAsk, rules: Settings, proposal: ExitProposal) -> list[str]:
    """Everything that is wrong with a proposal."""
    found = []
    held = {one.symbol: one for one in asked.snapshot.positions or ()}
    for trade in proposal.trades:
        own = held.get(trade.symbol)
        if trade.side is not Side.SELL:
            found.append(f"{trade.symbol}: no SELL")
        if own is None or trade.qty > own.qty or trade.qty > own.qty_available:
            found.append(f"{trade.symbol}: more than is held and free")
    if len({trade.symbol for trade in proposal.trades}) < len(proposal.trades):
        found.append("one symbol twice")
    for line in proposal.lines:
        if line.trade is not None and not line.reasons:
            found.append(f"{line.symbol}: no reason")
        if line.trade is not None and line.found is Found.TRIM and line.trade.qty % 1:
            found.append(f"{line.symbol}: trimmed by a fraction")
        if line.reasons and line.trade is None and not line.hindered:
            found.append(f"{line.symbol}: kept without a reason")
    if {line.symbol for line in proposal.lines} != {one.symbol for one in held.values() if one.qty}:
        found.append("not every position is told")
    if {line.trade for line in proposal.lines if line.trade} != set(proposal.trades):
        found.append("the trades are not those of the lines")
    verdict = review(at_submission(proposal.trades, asked.snapshot), limits_of(rules), OnViolation.REJECT)
    if proposal.trades and (verdict.rejected or any(leg.decision is not Decision.KEEP for leg in verdict.legs)):
        found.append("Compliance changes it")
    text = exit_plan_text(
        proposal, plan_id=PlanId("P"), account=AccountName("paper"), expires_at=None, title="A proposal."
    )
    if read_plan(text.encode(), name="p", accounts=["paper"])[0].trades != proposal.trades:
        found.append("its file says something else")
    return found


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(questions())
def test_what_is_proposed_is_held_free_reasoned_and_passes_unchanged(question):
    asked, rules = question

    assert troubles(asked, rules, propose_exits(asked, rules)) == []


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(questions(), st.randoms(use_true_random=False))
def test_the_same_question_in_any_order_gives_the_same_proposal(question, dice):
    asked, rules = question
    snapshot = asked.snapshot
    shuffled = {}
    for part in ("positions", "quotes", "assets", "open_orders"):
        items = list(getattr(snapshot, part))
        dice.shuffle(items)
        shuffled[part] = tuple(items)
    other = replace(
        asked,
        snapshot=snapshot.model_copy(update=shuffled),
        holdings=asked.holdings[::-1],
        levels=dict(reversed(asked.levels.items())),
    )

    assert propose_exits(other, rules) == propose_exits(asked, rules)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(questions())
def test_nothing_is_sold_by_a_rule_that_is_off_or_lacks_its_data(question):
    asked, rules = question
    exits = rules.operations.exits

    for line in propose_exits(asked, rules).lines:
        known = next((one for one in asked.holdings if one.symbol == line.symbol), None)
        for one in line.judged:
            assert getattr(exits, one.rule).enabled
            if one.rule in {"trailing_stop", "time"} and known is None:
                assert one.found is Found.NOT_JUDGED


LOSERS = ask(
    [position("AA", 200, "80", free=150), position("BB", "2.5", "80")], open_orders=[open_order("BB", Side.BUY, 1)]
)


def _first_doubled(proposal: ExitProposal) -> ExitProposal:
    return replace(proposal, trades=(*proposal.trades, *proposal.trades))


def _all_of_it(proposal: ExitProposal) -> ExitProposal:
    (trade,) = proposal.trades
    return replace(proposal, trades=(trade.model_copy(update={"qty": Decimal(200)}),))


def _of_another(proposal: ExitProposal) -> ExitProposal:
    (trade,) = proposal.trades
    return replace(proposal, trades=(trade.model_copy(update={"symbol": "ZZ"}),))


@pytest.mark.parametrize("fault", [_first_doubled, _all_of_it, _of_another])
def test_a_wrong_proposal_is_seen(fault):
    rules = settings()
    proposal = propose_exits(LOSERS, rules)

    assert troubles(LOSERS, rules, proposal) == []
    assert troubles(LOSERS, rules, fault(proposal)) != []


@pytest.mark.parametrize(
    ("name", "nothing", "asked"),
    [
        ("facts_against", (), LOSERS),
        ("against_plan", (), ask([position("AA", 200, "80")], trading_blocked=True)),
        ("min", Decimal(200), LOSERS),
    ],
    ids=["the rulebook not asked about a SELL", "nor about the account", "what is not free sold, too"],
)
def test_a_planted_fault_is_caught(name, nothing, asked, monkeypatch):
    rules = settings()
    assert troubles(asked, rules, propose_exits(asked, rules)) == []
    if name == "min":
        monkeypatch.setattr(module, "facts_against", lambda *_: ())
    monkeypatch.setattr(module, name, lambda *_: nothing, raising=False)

    assert troubles(asked, rules, propose_exits(asked, rules)) != []
