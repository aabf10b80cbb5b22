"""BUYs fitted and rechecked while the SELLs are out, and whether they still stand at the gate. Pure.

Operations fits them and Compliance rechecks them on what the account should look like once every SELL has filled. Only
BUYs that both let pass whole stand ready. At the gate nothing of that forecast counts any more: the rulebook's own fit
runs on the gate's look, and if it lets each of them pass whole again, they may leave without asking anybody twice.
Anything else, and the gate goes the long way: Fitting, Rechecking.
"""

from collections.abc import Iterable
from decimal import Decimal

from departments.executive.run import Leg, Run
from departments.rulebook.money import expected_money, expected_proceeds_usd
from messages.plans import Trade
from messages.reviews import Decision, LegDecision, Money
from messages.snapshots import PositionFacts, Snapshot


def as_sent(legs: Iterable[Leg]) -> tuple[Trade, ...]:
    """The trades as their legs would be sent."""
    return tuple(leg.trade.model_copy(update={"qty": leg.qty}) for leg in legs)


def whole(legs: Iterable[LegDecision], asked: Iterable[Trade]) -> bool:
    """Whether a fit or a review lets every BUY that was asked about pass as it is."""
    by_leg = {decision.leg: decision for decision in legs}
    kept = [by_leg.get(trade.leg) for trade in asked]
    return all(decision is not None and decision.decision is Decision.KEEP for decision in kept)


def forecast(run: Run) -> tuple[Snapshot, Money] | None:
    """The account once every SELL has filled at its expected price; None where the look at it lacks something."""
    before = run.before
    if before is None or before.account is None or before.positions is None or before.quotes is None:
        return None
    account, sells = before.account, as_sent(run.sells)
    proceeds_usd = expected_proceeds_usd(sells, {quote.symbol: quote for quote in before.quotes})
    sold = {trade.symbol: trade.qty for trade in sells}
    positions = [_less(position, sold.get(position.symbol, Decimal(0))) for position in before.positions]
    after = before.model_copy(
        update={
            "account": account.model_copy(
                update={
                    "cash_usd": account.cash_usd + proceeds_usd,
                    "buying_power_usd": account.buying_power_usd + proceeds_usd,
                    "long_market_value_usd": account.long_market_value_usd - proceeds_usd,
                }
            ),
            "positions": tuple(position for position in positions if position.qty),
        }
    )
    return after, expected_money(run.funding, cash_usd=account.cash_usd, proceeds_usd=proceeds_usd)


def _less(position: PositionFacts, sold_qty: Decimal) -> PositionFacts:
    if not sold_qty:
        return position
    left_qty = position.qty - sold_qty
    value_usd = position.market_value_usd
    return position.model_copy(
        update={
            "qty": left_qty,
            "qty_available": max(position.qty_available - sold_qty, Decimal(0)),
            "market_value_usd": value_usd and value_usd * left_qty / position.qty,
        }
    )
