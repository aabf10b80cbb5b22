"""Fitting the BUYs to the money at the gate, pure: by the rulebook's own functions, so Compliance has nothing to add.

The quantities asked for are the most that may be bought. The SELLs are done by now, so nothing can be rejected:
where the house doesn't want legs cut (`on_violation` drop or reject), a BUY that doesn't fit whole is dropped.
"""

from decimal import Decimal, localcontext

from departments.office.settings import OnViolation
from departments.rulebook.fitting import by_priority, fit
from departments.rulebook.limits import Limits
from departments.rulebook.money import EXACT_DIGITS
from departments.rulebook.portfolio import View, look, open_book
from messages.proposals import BuysFitted, FitBuys
from messages.reviews import Decision, LegDecision
from messages.values import Side


def fit_buys(ask: FitBuys, limits: Limits, on_violation: OnViolation) -> BuysFitted:
    """Fit BUYs to the gate's money and the account; every leg comes back, in the order of sending.

    Raises:
        ValueError: A SELL is among the legs.
    """
    sells = [trade.leg for trade in ask.trades if trade.side is not Side.BUY]
    if sells:
        raise ValueError(f"expected BUYs only, was SELL {', '.join(sells)}")
    with localcontext(prec=EXACT_DIGITS):
        return BuysFitted(
            run_id=ask.run_id,
            fit=ask.fit,
            snapshot_id=ask.snapshot.snapshot_id,
            legs=_fitted(ask, limits, on_violation),
        )


def _fitted(ask: FitBuys, limits: Limits, on_violation: OnViolation) -> tuple[LegDecision, ...]:
    view = look(ask.snapshot, run_id=ask.run_id, buys=True, history=ask.history, today=ask.today)
    if not isinstance(view, View):
        return tuple(
            LegDecision(
                leg=leg.leg,
                decision=Decision.DROP,
                planned_qty=leg.qty,
                qty=Decimal(0),
                violations=tuple(missing.model_copy(update={"leg": leg.leg}) for missing in view),
            )
            for leg in by_priority(ask.trades)
        )
    book = open_book(view, sells=(), money=ask.money, limits=limits)
    whole_or_nothing = on_violation is not OnViolation.CUT
    return fit(ask.trades, view=view, book=book, limits=limits, whole_or_nothing=whole_or_nothing)
