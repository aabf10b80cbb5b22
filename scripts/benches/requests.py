"""Requests of a whole run, five SELLs and eleven BUYs, from submission to its end, by path.

Twice: with fills after 30 ms, and with fills spread over 3 to 600 ms of which one in ten comes in parts, as recorded
from Alpaca's paper venue. The first run of a daemon stands apart. Market data has a limit of its own at Alpaca: what is
asked at the trading door is counted too.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from scripts.benches import trading
from scripts.benches.world import Daemon, Server, daemon, local_alpaca

ROUNDS = 10
SELLS = 5
BUYS = 11
TARGET = 12
FILLS: Mapping[str, Mapping[str, Any]] = {
    "fills_at_once": {"delay_ms": (30, 30)},
    "fills_spread": {"delay_ms": (3, 600), "fills": {"partial_probability": "0.1"}},
}


def run(rounds: int = ROUNDS) -> dict[str, Any]:
    """Count.

    Args:
        rounds: Runs after the first, at each speed of fills.
    """
    return {name: _with_fills(name, how, rounds) for name, how in FILLS.items()} | {
        "targets": dict.fromkeys(("over_legs", "over_legs_worst", "over_legs_at_the_trading_door"), f"at most {TARGET}")
    }


def _with_fills(name: str, how: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        state = trading.account_state(sells=SELLS, buys=BUYS, **how)
        with local_alpaca(Path(folder), state) as server, daemon(Path(folder), server.url) as firm:
            counted = [_round(server, firm, f"REQUESTS_{name}_{number}".upper()) for number in range(rounds + 1)]
    return summary(counted, legs=SELLS + BUYS)


def _round(server: Server, firm: Daemon, plan_id: str) -> Counter[str]:
    before = len(server.get("/paper/requests"))
    trading.run_once(firm, trading.plan(plan_id, sells=SELLS, buys=BUYS))
    return Counter(trading.route(request) for request in server.get("/paper/requests")[before:])


def summary(counted: Sequence[Counter[str]], *, legs: int) -> dict[str, Any]:
    """The first run apart; of the others the medians, and the worst.

    Args:
        counted: Requests by route, a run each, two runs or more.
        legs: Orders that a run needs at least.
    """
    first, later = counted[0], counted[1:]
    totals = [one.total() for one in later]
    routes = sorted({name for one in later for name in one})
    return {
        "first_run": first.total(),
        "a_run": median(totals),
        "over_legs": median(totals) - legs,
        "over_legs_worst": max(totals) - legs,
        "over_legs_at_the_trading_door": median(one.total() - _market_data(one) for one in later) - legs,
        "by_path": {name: median(one[name] for one in later) for name in routes},
    }


def _market_data(counted: Counter[str]) -> int:
    return sum(count for name, count in counted.items() if "/v2/stocks/" in name)
