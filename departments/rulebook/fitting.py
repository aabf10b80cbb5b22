"""Fitting BUYs to money and limits: the one way of cutting them, shared by Compliance and Operations.

BUYs are let in by priority; each takes what the limits leave it at its turn, so what is cut is cut from the bottom.
What was fitted once fits again unchanged on the same account: every limit is a sum, and no leg asks for more.
"""

from dataclasses import replace
from decimal import Decimal

from departments.rulebook.ceilings import in_lots
from departments.rulebook.context import Context, plain
from departments.rulebook.limits import Limits, sector_of
from departments.rulebook.portfolio import Book, View
from departments.rulebook.rules import CEILINGS, FLOORS, facts_against
from messages.plans import Trade
from messages.reviews import Decision, LegDecision, Violation

ZERO = Decimal(0)
SECTOR_ROUNDS = 16
"""How often fractions of a sector are taken anew of what the last round let in."""


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
    context = Context(view=view, book=book, limits=limits)
    if limits.max_sector_fraction is not None:
        return _fit_sectors(buys, context, whole_or_nothing=whole_or_nothing)
    return _fit(buys, context, whole_or_nothing=whole_or_nothing)[0]


def _fit_sectors(buys: tuple[Trade, ...], context: Context, *, whole_or_nothing: bool) -> tuple[LegDecision, ...]:
    """Fit where a sector may only be a fraction of the whole: of a whole that hangs on what is let in.

    The first BUY of an empty account is all of it, and yet no breach if others follow. So fractions are first taken of
    what all BUYs as asked for would make it, then of what that lets in, and so on until what is let in is worth as
    much as was supposed. Each round falls by much the same ratio, so the end is guessed ahead; a guess too low is
    only strict. Failing that, fractions are taken of what there is at each leg's turn, which always holds.
    """
    base_usd = _gross_asked_usd(buys, context)
    fell_usd = ZERO
    for _ in range(SECTOR_ROUNDS):
        supposed = replace(context, sector_base_usd=base_usd)
        decisions, after = _fit(buys, supposed, whole_or_nothing=whole_or_nothing)
        if base_usd is None or after.gross_usd is None or after.gross_usd >= base_usd:
            return decisions
        falls_usd = base_usd - after.gross_usd
        ratio = falls_usd / fell_usd if fell_usd else ZERO
        ahead_usd = falls_usd * ratio / (1 - ratio) if ratio < 1 else ZERO
        base_usd, fell_usd = after.gross_usd - ahead_usd, falls_usd
    return _fit(buys, context, whole_or_nothing=whole_or_nothing)[0]


def _fit(buys: tuple[Trade, ...], context: Context, *, whole_or_nothing: bool) -> tuple[tuple[LegDecision, ...], Book]:
    """One pass over the BUYs, and the book after it."""
    decisions: list[LegDecision] = []
    for leg in by_priority(buys):
        decision = fit_leg(leg, context, whole_or_nothing=whole_or_nothing)
        decisions.append(decision)
        context = let_in(leg, decision.qty, context)
    return tuple(decisions), context.book


def let_in(leg: Trade, qty: Decimal, context: Context) -> Context:
    """The context for the next leg once so much of a BUY is let in; the same where it is nothing."""
    price_usd, risk_usd = context.reserve_price_usd(leg), context.risk_a_share_usd(leg)
    if not qty or price_usd is None or risk_usd is None:
        return context
    book = context.book.with_buy(
        leg.symbol, reserved_usd=qty * price_usd, risk_usd=qty * risk_usd, sector=sector_of(leg.sector)
    )
    return Context(
        view=context.view,
        book=book,
        limits=context.limits,
        sector_base_usd=context.sector_base_usd,
        prices=context.prices,
    )


def _gross_asked_usd(buys: tuple[Trade, ...], context: Context) -> Decimal | None:
    """What all positions would be worth with every BUY as it is asked for; None where that can't be known."""
    gross_usd = context.book.gross_usd
    if gross_usd is None:
        return None
    prices = ((leg, context.reserve_price_usd(leg)) for leg in buys)
    return gross_usd + sum((leg.qty * price_usd for leg, price_usd in prices if price_usd is not None), ZERO)


def fit_leg(leg: Trade, context: Context, *, whole_or_nothing: bool) -> LegDecision:
    """Keep a BUY, cut it to the room there is, or drop it; with every reason. What is too small as planned stays so."""
    against = facts_against(leg, context) + _too_small(leg, context)
    if against:
        return _dropped(leg, against)
    binding = [(found, room) for rule, room in CEILINGS if (found := rule.check(leg, context)) is not None]
    if not binding:
        return LegDecision(leg=leg.leg, decision=Decision.KEEP, planned_qty=leg.qty, qty=leg.qty)
    reasons = tuple(found for found, _ in binding)
    rooms = [left for _, room in binding if (left := room(leg, context)) is not None]
    qty = in_lots(min(leg.qty, *rooms), leg, context)
    if qty <= 0 or whole_or_nothing:
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
