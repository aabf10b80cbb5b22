"""The verdict on a plan, pure: the whole plan against the rulebook, on one snapshot.

What rejects: a snapshot that lacks a part, an account that can't trade, doubled or opposite legs, a SELL that can't
be done. Limits reject nothing: they cut or drop BUYs, unless `on_violation` is `reject` - and that only before the
start. Once SELLs are done nothing can be rejected any more: a BUY is then sent as approved or not at all.
"""

from decimal import Decimal, localcontext

from departments.office.settings import OnViolation
from departments.rulebook.context import Context
from departments.rulebook.fitting import fit
from departments.rulebook.limits import Limits
from departments.rulebook.money import EXACT_DIGITS
from departments.rulebook.plan_rules import against_plan, breaches_before
from departments.rulebook.portfolio import View, look, open_book
from departments.rulebook.rules import facts_against
from messages.plans import Trade
from messages.reviews import Decision, LegDecision, PlanReviewed, ReviewPlan, Stage, Violation
from messages.values import LegId, Side

ZERO = Decimal(0)


def review(ask: ReviewPlan, limits: Limits, on_violation: OnViolation) -> PlanReviewed:
    """Judge a plan. Legs come back in the order they were asked about.

    Raises:
        ValueError: The gate's money speaks of another funding policy than the review.
    """
    with localcontext(prec=EXACT_DIGITS):
        return _review(ask, limits, on_violation)


def _review(ask: ReviewPlan, limits: Limits, on_violation: OnViolation) -> PlanReviewed:
    buys = tuple(trade for trade in ask.trades if trade.side is Side.BUY)
    sells = tuple(trade for trade in ask.trades if trade.side is Side.SELL)
    money = ask.funding if ask.stage is Stage.SUBMISSION else ask.money
    view = look(ask.snapshot, run_id=ask.run_id, buys=bool(buys), history=ask.history, today=ask.today)
    if not isinstance(view, View):
        return _rejected(ask, violations=view)
    if money is None:
        return _rejected(ask, violations=(_money_missing(),))
    if ask.stage is Stage.RECHECK and ask.money is not None and ask.money.funding is not ask.funding:
        raise ValueError(f"expected the gate's money to speak of {ask.funding.value}, was {ask.money.funding.value}")
    breaches = breaches_before(ask.trades, view, limits)
    malformed = against_plan(ask.trades, view)
    sent_before = ask.stage is Stage.RECHECK
    book = open_book(view, sells=() if sent_before else sells, money=money, limits=limits)
    context = Context(view=view, book=book, limits=limits)
    decisions = {leg.leg: _sell_decision(leg, context) for leg in sells}
    if malformed or any(decision.violations for decision in decisions.values()):
        return _rejected(ask, violations=malformed, decisions=decisions, breaches=breaches)
    whole_or_nothing = on_violation is OnViolation.DROP or (on_violation is OnViolation.REJECT and sent_before)
    fitted = fit(buys, view=view, book=book, limits=limits, whole_or_nothing=whole_or_nothing)
    decisions.update({decision.leg: decision for decision in fitted})
    if on_violation is OnViolation.REJECT and not sent_before and any(decision.violations for decision in fitted):
        return _rejected(ask, violations=(), decisions=decisions, breaches=breaches)
    return PlanReviewed(
        run_id=ask.run_id,
        review=ask.review,
        snapshot_id=ask.snapshot.snapshot_id,
        rejected=False,
        legs=tuple(decisions[trade.leg] for trade in ask.trades),
        breaches=breaches,
    )


def _sell_decision(leg: Trade, context: Context) -> LegDecision:
    against = facts_against(leg, context)
    return LegDecision(
        leg=leg.leg,
        decision=Decision.DROP if against else Decision.KEEP,
        planned_qty=leg.qty,
        qty=ZERO if against else leg.qty,
        violations=against,
    )


def _rejected(
    ask: ReviewPlan,
    *,
    violations: tuple[Violation, ...],
    decisions: dict[LegId, LegDecision] | None = None,
    breaches: tuple[Violation, ...] = (),
) -> PlanReviewed:
    """Refuse the plan: every leg is dropped, those that are the reason with what speaks against them."""
    reasons = {} if decisions is None else {leg: decision.violations for leg, decision in decisions.items()}
    return PlanReviewed(
        run_id=ask.run_id,
        review=ask.review,
        snapshot_id=ask.snapshot.snapshot_id,
        rejected=True,
        legs=tuple(
            LegDecision(
                leg=trade.leg,
                decision=Decision.DROP,
                planned_qty=trade.qty,
                qty=ZERO,
                violations=reasons.get(trade.leg, ()),
            )
            for trade in ask.trades
        ),
        violations=violations,
        breaches=breaches,
    )


def _money_missing() -> Violation:
    return Violation(
        code="MONEY_MISSING",
        leg=None,
        rule="money counted at the gate",
        figure="missing",
        limit="proceeds, cash before and cash now",
    )
