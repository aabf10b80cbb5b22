"""Whether BUYs that were let pass before still pass, whole, on a fresh look: the rulebook's word, in one call. Pure."""

from decimal import localcontext

from departments.rulebook.context import Context
from departments.rulebook.fitting import by_priority
from departments.rulebook.limits import Limits
from departments.rulebook.money import EXACT_DIGITS
from departments.rulebook.plan_rules import against_plan
from departments.rulebook.portfolio import View, look, open_book
from departments.rulebook.rules import BUYS, RULES
from messages.plans import Trade
from messages.reviews import Money
from messages.snapshots import Snapshot
from messages.values import RunId

RULES_ON_BUYS = tuple(rule for rule in RULES if rule.sides >= BUYS)


def still_stand(buys: tuple[Trade, ...], *, snapshot: Snapshot, run_id: RunId, money: Money, limits: Limits) -> bool:
    """Whether nothing on this look speaks against any of these BUYs or asks for less of one.

    Args:
        buys: Every BUY that is to be sent, `qty` as it would be sent.
        snapshot: The gate's look, after the SELLs.
        run_id: Whose orders are our own.
        money: The gate's figures.
        limits: The house's.
    """
    with localcontext(prec=EXACT_DIGITS):
        view = look(snapshot, run_id=run_id, buys=True)
        if not isinstance(view, View) or against_plan(buys, view):
            return False
        book = open_book(view, sells=(), money=money, limits=limits)
        for leg in by_priority(buys):
            context = Context(view=view, book=book, limits=limits)
            reserved_usd, risk_usd = context.reserve_price_usd(leg), context.risk_a_share_usd(leg)
            if reserved_usd is None or risk_usd is None or any(rule.check(leg, context) for rule in RULES_ON_BUYS):
                return False
            book = book.with_buy(leg.symbol, reserved_usd=leg.qty * reserved_usd, risk_usd=leg.qty * risk_usd)
        return True
