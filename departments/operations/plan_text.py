"""A plan as the text of its file, so that reading it gives exactly these trades. Pure."""

import json
from collections.abc import Iterable

from departments.rulebook.context import plain
from messages.plans import Plan, Trade, usual_time_in_force
from messages.values import OrderType


def plan_text(plan: Plan, *, remarks: Iterable[str] = ()) -> str:
    """Write a plan; legs are numbered by their place, `plan_sha256` is that of the text and isn't written.

    Args:
        plan: What to write.
        remarks: Lines of comment to begin with, printable.
    """
    lines = [f"# {remark}" for remark in remarks]
    lines += [f"plan_id: {json.dumps(plan.plan_id)}", f"account: {json.dumps(plan.account)}"]
    if plan.sell_shortfall is not None:
        lines.append(f"sell_shortfall: {plan.sell_shortfall.value}")
    if plan.funding is not None:
        lines.append(f"funding: {plan.funding.value}")
    if plan.expires_at is not None:
        lines.append(f'expires_at: "{plan.expires_at.isoformat()}"')
    if not plan.trades:
        return "\n".join([*lines, "trades: []"]) + "\n"
    return "\n".join([*lines, "trades:", *(_trade(trade) for trade in plan.trades)]) + "\n"


def _trade(trade: Trade) -> str:
    protected = trade.stop_loss_usd is not None or trade.take_profit_usd is not None
    usual = usual_time_in_force(trade.side, protected=protected)
    fields = {
        "symbol": trade.symbol,
        "side": trade.side.value,
        "qty": plain(trade.qty),
        "reference_price": plain(trade.reference_price_usd),
        "order_type": None if trade.order_type is OrderType.MARKET else trade.order_type.value,
        "limit_price": None if trade.limit_price_usd is None else plain(trade.limit_price_usd),
        "time_in_force": None if trade.time_in_force is usual else trade.time_in_force.value,
        "sector": trade.sector,
        "score": None if trade.score is None else plain(trade.score),
        "stop_loss": None if trade.stop_loss_usd is None else plain(trade.stop_loss_usd),
        "take_profit": None if trade.take_profit_usd is None else plain(trade.take_profit_usd),
        "atr": None if trade.atr_usd is None else plain(trade.atr_usd),
        "earnings_date": None if trade.earnings_date is None else trade.earnings_date.isoformat(),
    }
    written = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items() if value is not None)
    return f"  - {{{', '.join(written)}}}"
