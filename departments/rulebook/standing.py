"""Whether BUYs that were let pass before still pass, whole, on a fresh look: the rulebook's word, in one call. Pure."""

from decimal import localcontext

from departments.rulebook.context import Context
from departments.rulebook.fitting import by_priority, fit, let_in
from departments.rulebook.limits import Limits
from departments.rulebook.money import EXACT_DIGITS
from departments.rulebook.plan_rules import against_plan
from departments.rulebook.portfolio import View, look, open_book
from departments.rulebook.rules import BUYS, RULES
from messages.proposals import FitBuys
from messages.reviews import Decision

RULES_ON_BUYS = tuple(rule for rule in RULES if rule.sides >= BUYS)


def still_stand(ask: FitBuys, limits: Limits) -> bool:
    """Whether nothing on this look speaks against any of these BUYs, or asks for less of one: a fit would keep all."""
    with localcontext(prec=EXACT_DIGITS):
        view = look(ask.snapshot, run_id=ask.run_id, buys=True, history=ask.history, today=ask.today)
        if not isinstance(view, View) or against_plan(ask.trades, view):
            return False
        context = Context(view=view, book=open_book(view, sells=(), money=ask.money, limits=limits), limits=limits)
        if limits.max_sector_fraction is not None:  # fractions of a whole that hangs on all of them
            fitted = fit(ask.trades, view=view, book=context.book, limits=limits, whole_or_nothing=True)
            return all(decision.decision is Decision.KEEP for decision in fitted)
        for leg in by_priority(ask.trades):
            if any(rule.check(leg, context) for rule in RULES_ON_BUYS):
                return False
            context = let_in(leg, leg.qty, context)
        return True
