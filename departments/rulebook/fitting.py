"""Fitting BUYs to money and limits: the one way of cutting them, shared by Compliance and Operations.

BUYs are let in by priority; each takes what the limits leave it at its turn, so what is cut is cut from the bottom.
What was fitted once fits again unchanged on the same account: every limit is a sum, and no leg asks for more.
"""

from decimal import Decimal

from departments.rulebook.ceilings import in_lots
from departments.rulebook.context import Context, plain
from departments.rulebook.limits import Limits
from departments.rulebook.portfolio import Book, View
from departments.rulebook.rules import CEILINGS, FLOORS, facts_against
from messages.plans import Trade
from messages.reviews import Decision, LegDecision, Violation

ZERO = Decimal(0)


def by_priority(buys: tuple[Trade, ...]) -> tuple[Trade, ...]:
    """Best score first, those without a score last, then file order."""
    return tuple(sorted(buys, key=lambda leg: (leg.score is None, ZERO if leg.score is None else -leg.score)))


def fit(
    buys: tuple[Trade, ...], *, view: View, book: Book, limits: Limits, whole_or_nothing: bool
) -> tuple[LegDecision, ...]:
    """Decide every BUY, in the order of priority.

    Args:
        buys: In file order; `qty` is the most that may be bought.
        view: The account and its quotes.
        book: The account after the SELLs, before any of these.
        limits: The house's figures.
        whole_or_nothing: Drop a leg that would have to be cut.
    """
    decisions: list[LegDecision] = []
    for leg in by_priority(buys):
        context = Context(view=view, book=book, limits=limits)
        decision = fit_leg(leg, context, whole_or_nothing=whole_or_nothing)
        decisions.append(decision)
        price_usd, risk_usd = context.reserve_price_usd(leg), context.risk_a_share_usd(leg)
        if decision.qty and price_usd is not None and risk_usd is not None:
            book = book.with_buy(leg.symbol, reserved_usd=decision.qty * price_usd, risk_usd=decision.qty * risk_usd)
    return tuple(decisions)


def fit_leg(leg: Trade, context: Context, *, whole_or_nothing: bool) -> LegDecision:
    """Keep a BUY, cut it to the room there is, or drop it; with every reason. What is too small as planned stays so."""
    against = facts_against(leg, context) + _too_small(leg, context)
    if against:
        return _dropped(leg, against)
    reasons = tuple(found for rule, _ in CEILINGS if (found := rule.check(leg, context)) is not None)
    rooms = [left for _, room in CEILINGS if (left := room(leg, context)) is not None]
    qty = in_lots(min(leg.qty, *rooms), leg, context)
    if qty <= 0 or (reasons and whole_or_nothing):
        return _dropped(leg, reasons)
    if qty == leg.qty:
        return LegDecision(leg=leg.leg, decision=Decision.KEEP, planned_qty=leg.qty, qty=leg.qty, violations=reasons)
    qty = Decimal(plain(qty))
    too_small = _too_small(leg.model_copy(update={"qty": qty}), context)
    if too_small:
        return _dropped(leg, reasons + too_small)
    return LegDecision(leg=leg.leg, decision=Decision.CUT, planned_qty=leg.qty, qty=qty, violations=reasons)


def _too_small(leg: Trade, context: Context) -> tuple[Violation, ...]:
    return tuple(found for rule in FLOORS if (found := rule.check(leg, context)) is not None)


def _dropped(leg: Trade, reasons: tuple[Violation, ...]) -> LegDecision:
    return LegDecision(leg=leg.leg, decision=Decision.DROP, planned_qty=leg.qty, qty=ZERO, violations=reasons)
