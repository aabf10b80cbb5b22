"""What a plan does to the account, as the rules leave it and at the prices of one look. Pure; nothing is rehearsed.

Counted with the rulebook's own functions: SELLs bring what Compliance expects of them, BUYs cost the dearer of ask and
reference price, and orders in flight count as done in exposure and among the positions, before the plan and after it.
"""

from decimal import Decimal, localcontext
from typing import Any

from departments.rulebook.context import plain
from departments.rulebook.limits import Limits
from departments.rulebook.money import EXACT_DIGITS, buy_price_usd, expected_proceeds_usd
from departments.rulebook.portfolio import Book, View, look, open_book
from messages.plans import Plan, Trade
from messages.reviews import PlanReviewed
from messages.snapshots import Snapshot
from messages.values import Funding, Side

ZERO = Decimal(0)
FRACTION_STEP = Decimal("0.0001")
CENT = Decimal("0.01")


def effect_of(plan: Plan, live: Snapshot, verdict: PlanReviewed, limits: Limits) -> dict[str, Any] | None:
    """Tell the account's money and positions before and after, as plain JSON: money and quantities are text.

    Args:
        plan: As read.
        live: The look that the rules judged.
        verdict: Compliance's on that look; legs count as it leaves them.
        limits: What it judged by.

    Returns:
        None where a part of the account is missing in the look.
    """
    with localcontext(prec=EXACT_DIGITS):
        view = look(live, run_id=verdict.run_id, buys=True)
        return _effect(plan, view, verdict, limits) if isinstance(view, View) else None


def _effect(plan: Plan, view: View, verdict: PlanReviewed, limits: Limits) -> dict[str, Any]:
    left = {decision.leg: decision.qty for decision in verdict.legs}
    trades = [trade.model_copy(update={"qty": left[trade.leg]}) for trade in plan.trades if left[trade.leg]]
    sells = [trade for trade in trades if trade.side is Side.SELL]
    cash_usd = view.account.cash_usd
    # Only what is held and in flight is taken from these books: the funding doesn't matter to it.
    before = open_book(view, sells=(), money=Funding.CASH, limits=limits)
    after = open_book(view, sells=sells, money=Funding.CASH, limits=limits)
    shares = {symbol: position.qty for symbol, position in view.positions.items()}
    then = dict(shares)
    cash_after_usd = cash_usd + expected_proceeds_usd(sells, view.quotes)
    for trade in trades:
        then[trade.symbol] = then.get(trade.symbol, ZERO) + (trade.qty if trade.side is Side.BUY else -trade.qty)
        if trade.side is Side.BUY:
            cost_usd = _cost_usd(trade, view)
            after = after.with_buy(trade.symbol, reserved_usd=cost_usd, risk_usd=ZERO)
            cash_after_usd -= cost_usd
    return {
        "legs_sent": len(trades),
        "equity": plain(view.account.equity_usd),
        "before": _money(cash_usd, before),
        "after": _money(cash_after_usd, after),
        "positions": [
            {
                "symbol": symbol,
                "qty_before": plain(shares.get(symbol, ZERO)),
                "qty": plain(then[symbol]),
                "value": _text(after.held_usd(symbol), CENT),
                "of_equity": _fraction(after.held_usd(symbol), after.equity_usd),
            }
            for symbol in sorted({trade.symbol for trade in trades})
        ],
    }


def _cost_usd(trade: Trade, view: View) -> Decimal:
    price_usd = buy_price_usd(trade, view.quotes.get(trade.symbol))
    if price_usd is None:
        raise AssertionError(f"expected Compliance to drop {trade.symbol}, which has no price, was kept")
    return trade.qty * price_usd


def _money(cash_usd: Decimal, book: Book) -> dict[str, Any]:
    return {
        "cash": plain(cash_usd.quantize(CENT)),
        "margin_debt": plain(max(ZERO, -cash_usd).quantize(CENT)),
        "gross_value": _text(book.gross_usd, CENT),
        "gross_exposure_fraction": _fraction(book.gross_usd, book.equity_usd),
        "positions": len(book.symbols),
    }


def _fraction(part_usd: Decimal | None, equity_usd: Decimal) -> str | None:
    return None if part_usd is None or equity_usd <= 0 else plain((part_usd / equity_usd).quantize(FRACTION_STEP))


def _text(figure: Decimal | None, step: Decimal) -> str | None:
    return None if figure is None else plain(figure.quantize(step))
