"""A small account and small plans on it: figures that one can reckon with in one's head. No slippage, no spread.

Positions of $2,000 each to sell, $50,000 that stay; equity is about $55,000, so no single BUY here meets a limit but
money.
"""

from itertools import count
from typing import Any

SELLS = {"SAA": ("20", "100"), "SBB": ("40", "50"), "SCC": ("80", "25")}
BUYS = {"BAA": ("20", "100", "90"), "BBB": ("30", "60", "80"), "BCC": ("25", "40", "70")}
_plans = count(1)


def account(**changes: Any) -> dict[str, Any]:
    """The local Alpaca's state file. Fills come within milliseconds, requests are not limited."""
    state: dict[str, Any] = {
        "cash": "-1000",
        "positions": [
            {"symbol": "KEEP", "qty": "500", "avg_entry_price": "90", "price": "100"},
            *(
                {"symbol": symbol, "qty": qty, "avg_entry_price": price, "price": price}
                for symbol, (qty, price) in SELLS.items()
            ),
        ],
        "prices": {symbol: price for symbol, (_, price, _) in BUYS.items()},
        "fills": {"delay_ms": [1, 3]},
        "rate_limit": {"requests_per_minute": "1000000"},
    }
    return state | changes


def plan(sells: tuple[str, ...] = ("SAA",), buys: tuple[str, ...] = ("BAA",), **top: str) -> str:
    """A plan file; its id, and so its run, is a new one each time."""
    lines = [f"plan_id: SMALL_{next(_plans):04}", "account: paper", *(f"{key}: {value}" for key, value in top.items())]
    lines.append("trades:")
    for symbol in sells:
        qty, price = SELLS[symbol]
        lines.append(f'  - {{symbol: {symbol}, side: sell, qty: "{qty}", reference_price: "{price}"}}')
    for symbol in buys:
        qty, price, score = BUYS[symbol]
        lines.append(f'  - {{symbol: {symbol}, side: buy, qty: "{qty}", reference_price: "{price}", score: "{score}"}}')
    return "\n".join(lines) + "\n"


QUICK_CEO: dict[str, object] = {
    "sell_timeout_s": 2,
    "buy_timeout_s": 20,
    "cash_wait_s": 2,
    "cancel_stuck_s": 2,
    "market_poll_s": 1,
}
QUICK_TRADING: dict[str, object] = {
    "requests_per_minute": 10_000,
    "read_timeout_s": 1,
    "unknown_quiet_s": 2,
    "snapshot_retry_s": 1,
}
"""Settings for short waits: whoever waits for something that doesn't come waits for seconds."""
MANY_A_DAY: dict[str, object] = {"daily.max_plans": None, "daily.max_orders": None, "daily.refuse_leg_done": False}
"""Compliance of a daemon that runs the same plans again and again on one day."""
