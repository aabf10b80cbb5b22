"""Whole shares near to target values: Operations' way beside others, on seeded portfolios; no network.

The others: rounding down; PyPortfolioOpt's greedy allocation and its exact integer program (`lp_portfolio`, which makes
the least of all distances and the money that stays over; cvxpy hands it to HiGHS). Every portfolio shares out its money
by weights between one and three, over shares of $4 to $400. All get the same targets, in one process; how far off each
ends is the sum of distances from the targets, as a part of the money.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from importlib.util import find_spec
from statistics import mean
from typing import Any

from departments.operations.deployment import Line, whole_shares

PORTFOLIOS = 25
"""Of each size."""
SIZES = ((10_000, 20), (25_000, 20), (25_000, 40), (100_000, 20))
"""USD and names."""
FAR = Decimal(10**12)
TARGETS = {"off_over_exact": "at most 1.05", "time_over_exact": "at most 0.05", "off_over_rounded_down": "below 1"}

Way = Callable[[Sequence[Line], Decimal], Sequence[int]]
"""Shares for each line out of so many USD."""


def why_not() -> str | None:
    """What is missing to run it; None: nothing."""
    if find_spec("pypfopt") is not None:
        return None
    how = ".venv/bin/python -m pip install --require-hashes -r requirements-bench.lock"
    return f"sizing compares with PyPortfolioOpt, which is not installed; to get it: {how}"


def run(rounds: int = PORTFOLIOS) -> dict[str, Any]:
    """Compare.

    Args:
        rounds: Portfolios of each size.

    Returns:
        By size and way `off` (mean, a part of the money), `left` (mean of what stays over, as well) and `ms` (mean
        time of a portfolio); and what Operations' own are over the others'.
    """
    exact(*_portfolio(random.Random("warm"), 1000, 3))  # noqa: S311 - cvxpy loads its solvers on first use
    ways: dict[str, Way] = {"ours": ours, "rounded_down": rounded_down, "greedy": greedy, "exact": exact}
    figures = {f"usd_{usd}_names_{names}": compared(ways, usd, names, rounds) for usd, names in SIZES}
    return {**figures, "targets": TARGETS}


def compared(ways: Mapping[str, Way], usd: int, names: int, rounds: int) -> dict[str, Any]:
    """Let each way share out the same portfolios; `ours` is set against the others."""
    drawn = random.Random(f"{usd} {names}")  # noqa: S311 - seeded, so that every run sees the same portfolios
    off: dict[str, list[float]] = {way: [] for way in ways}
    left: dict[str, list[float]] = {way: [] for way in ways}
    took_s: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        lines, money_usd = _portfolio(drawn, usd, names)
        for way, allocate in ways.items():
            begun = time.perf_counter()
            shares = allocate(lines, money_usd)
            took_s[way].append(time.perf_counter() - begun)
            worths = [line.price_usd * count for line, count in zip(lines, shares, strict=True)]
            distances = (abs(worth - line.target_usd) for line, worth in zip(lines, worths, strict=True))
            off[way].append(float(sum(distances, Decimal(0)) / money_usd))
            left[way].append(float((money_usd - sum(worths, Decimal(0))) / money_usd))
    figures: dict[str, Any] = {
        way: {
            "off": round(mean(off[way]), 5),
            "left": round(mean(left[way]), 6),
            "ms": round(mean(took_s[way]) * 1000, 3),
        }
        for way in ways
    }
    figures |= {f"off_over_{way}": round(mean(off["ours"]) / mean(off[way]), 4) for way in ways if way != "ours"}
    return figures | {"time_over_exact": round(mean(took_s["ours"]) / mean(took_s["exact"]), 4)}


def _portfolio(drawn: random.Random, usd: int, names: int) -> tuple[list[Line], Decimal]:
    money_usd = Decimal(usd)
    prices = [Decimal(round(400 * 10 ** (drawn.random() * 2 - 2) * 100)) / 100 for _ in range(names)]
    weights = [drawn.randint(100, 300) for _ in range(names)]
    return [
        Line(price_usd=price, target_usd=money_usd * weight / sum(weights), least=0, most=10**6, risk_usd=Decimal(0))
        for price, weight in zip(prices, weights, strict=True)
    ], money_usd


def ours(lines: Sequence[Line], money_usd: Decimal) -> Sequence[int]:
    """Operations' own."""
    return whole_shares(lines, budget_usd=money_usd, risk_usd=FAR)


def rounded_down(lines: Sequence[Line], money_usd: Decimal) -> Sequence[int]:
    """As many shares as the target pays for."""
    del money_usd
    return [int(line.target_usd // line.price_usd) for line in lines]


def greedy(lines: Sequence[Line], money_usd: Decimal) -> Sequence[int]:
    """PyPortfolioOpt's greedy allocation."""
    return _their(lines, money_usd, "greedy_portfolio")


def exact(lines: Sequence[Line], money_usd: Decimal) -> Sequence[int]:
    """PyPortfolioOpt's integer program."""
    return _their(lines, money_usd, "lp_portfolio")


def _their(lines: Sequence[Line], money_usd: Decimal, method: str) -> list[int]:
    import pandas as pd
    from pypfopt import DiscreteAllocation

    names = [str(number) for number in range(len(lines))]
    weights = {name: float(line.target_usd / money_usd) for name, line in zip(names, lines, strict=True)}
    prices = pd.Series({name: float(line.price_usd) for name, line in zip(names, lines, strict=True)})
    allocation = DiscreteAllocation(weights, prices, total_portfolio_value=float(money_usd))
    bought, _ = getattr(allocation, method)()
    return [int(bought.get(name, 0)) for name in names]
