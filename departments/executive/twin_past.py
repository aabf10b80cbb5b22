"""The past of a twin: what its state file must tell for the rules to see there what they see of the account. Pure."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

from departments.rulebook.context import plain
from messages.snapshots import BarFacts, EquityFacts, FillFacts, History, TradingDay

_SYMBOL = re.compile(r"[A-Z][A-Z0-9./]{0,11}")
_ORDER_TYPES = frozenset({"market", "limit", "stop", "stop_limit", "trailing_stop"})


def past_of_twin(history: History, today: date) -> tuple[dict[str, Any], list[str]]:
    """Write a history as keys of the state file.

    Args:
        history: Of the account.
        today: New York's day when it was read.

    Returns:
        The keys, and notes on what of it the twin can't have.
    """
    state: dict[str, Any] = {}
    notes: list[str] = []
    if history.fills is not None:
        known = [fill for fill in history.fills if _SYMBOL.fullmatch(fill.symbol)]
        state["fills_history"] = [_fill(fill) for fill in known]
        if len(known) < len(history.fills):
            notes.append(
                f"executions of other things than shares are not in the twin: {len(history.fills) - len(known)}"
            )
    if history.equity is not None:
        if history.trading_days is None:
            notes.append("the twin closed every day as it begins: the days of the closes were not read")
        else:
            state["equity_history"] = _closes(history.equity, history.trading_days, today)
    if history.bars is not None:
        state["bars"] = _bars(history.bars)
    return state, notes


def _fill(fill: FillFacts) -> dict[str, str]:
    return {
        "symbol": fill.symbol,
        "side": fill.side.value,
        "qty": plain(fill.qty),
        "price": plain(fill.price_usd),
        "at": fill.at.isoformat(),
        "type": fill.order_type if fill.order_type in _ORDER_TYPES else "market",
        "order": fill.order_id,
    }


def _closes(equity: EquityFacts, days: Iterable[TradingDay], today: date) -> list[dict[str, str]]:
    """The highest close and the last; days between them read as the highest, which changes neither."""
    last = max(one.day for one in days if one.day < today)
    closes = {equity.highest_close_day: equity.highest_close_usd, last: equity.last_close_usd}
    return [{"day": day.isoformat(), "equity": plain(usd)} for day, usd in sorted(closes.items())]


def _bars(bars: Iterable[BarFacts]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for bar in bars:
        prices = (bar.open_usd, bar.high_usd, bar.low_usd, bar.close_usd)
        found.setdefault(bar.symbol, []).append(
            {
                "day": bar.day.isoformat(),
                "open": plain(bar.open_usd),
                "high": plain(max(prices)),
                "low": plain(min(prices)),
                "close": plain(bar.close_usd),
                "volume": plain(bar.volume.to_integral_value()),
            }
        )
    return found
