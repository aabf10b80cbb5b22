"""A plan as a person reads it before saying yes."""

from decimal import Decimal

from messages.plans import Mode, Plan, Trade
from messages.values import Side
from scripts.rendering import console, price, table, usd


def print_plan(plan: Plan, mode: Mode) -> None:
    """Show every trade and what it all comes to at reference prices."""
    screen = console()
    screen.print(f"plan {plan.plan_id}, account {plan.account} ({mode.value} money)", style="bold")
    policies = f"sell shortfall: {plan.sell_shortfall or 'as configured'}; funding: {plan.funding or 'as configured'}"
    expiry = "" if plan.expires_at is None else f"; the plan expires {plan.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    screen.print(policies + expiry)
    columns = ("leg", "side", "symbol", ">qty", ">price", ">value", "order", ">score", "sector", "protection")
    screen.print(table(None, columns, [_row(trade) for trade in plan.trades]))
    sells, buys = (_value(plan, side) for side in (Side.SELL, Side.BUY))
    screen.print(f"SELLs {usd(sells)}, BUYs {usd(buys)}, difference {usd(sells - buys, sign=True)} at these prices")


def _row(trade: Trade) -> tuple[object, ...]:
    limit = "" if trade.limit_price_usd is None else f" {price(trade.limit_price_usd)}"
    protection = [
        f"{name} {price(value)}"
        for name, value in (("stop", trade.stop_loss_usd), ("profit", trade.take_profit_usd))
        if value is not None
    ]
    return (
        trade.leg,
        trade.side.value.upper(),
        trade.symbol,
        f"{trade.qty:,f}",
        price(trade.reference_price_usd),
        usd(trade.qty * trade.reference_price_usd),
        f"{trade.order_type.value}{limit} {trade.time_in_force.value}",
        trade.score,
        trade.sector,
        ", ".join(protection),
    )


def _value(plan: Plan, side: Side) -> Decimal:
    return sum((trade.qty * trade.reference_price_usd for trade in plan.trades if trade.side is side), Decimal(0))
