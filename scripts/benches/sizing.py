"""Whole shares near to target values: Operations' way beside rounding down, on seeded portfolios; no network.

Every portfolio shares out nine tenths of its money by weights between one and three, over shares of $4 to $400. Both
ways get the same targets; how far off each is, is the sum of distances from the targets over the money shared out.
"""

import random
import time
from decimal import Decimal
from statistics import mean, median
from typing import Any

from departments.operations.deployment import Line, whole_shares
from departments.operations.targets import Bounded, shared_out

ROUNDS = 100
SIZES = ((10_000, 20), (25_000, 20), (25_000, 40), (100_000, 20))
"""USD and names."""
FAR = Decimal(10**12)


def run(rounds: int = ROUNDS) -> dict[str, Any]:
    """Compare.

    Args:
        rounds: Portfolios of each size.

    Returns:
        By size `off` and `off_rounded_down` (means, fractions of the money), `left` and `left_rounded_down` (means of
        what stays uninvested, as well), and `ms`, the median time of a portfolio.
    """
    figures: dict[str, Any] = {f"usd_{usd}_names_{names}": _size(usd, names, rounds) for usd, names in SIZES}
    return figures | {"targets": {"off_over_rounded_down": "below 1"}}


def _size(usd: int, names: int, rounds: int) -> dict[str, float]:
    drawn = random.Random(f"{usd} {names}")  # noqa: S311 - seeded, so that every run sees the same portfolios
    total = Decimal(usd) * 9 / 10
    ours, floors, left, left_floors, took = [], [], [], [], []
    for _ in range(rounds):
        prices = [Decimal(round(400 * 10 ** (drawn.random() * 2 - 2) * 100)) / 100 for _ in range(names)]
        weights = [Decimal(drawn.randint(100, 300)) / 100 for _ in range(names)]
        targets = shared_out(
            total, [Bounded(weight=weight, least_usd=Decimal(0), most_usd=total) for weight in weights]
        )
        lines = [
            Line(price_usd=price, target_usd=target, least=0, most=10**6, risk_usd=Decimal(0))
            for price, target in zip(prices, targets, strict=True)
        ]
        begun = time.perf_counter()
        shares = whole_shares(lines, budget_usd=total, risk_usd=FAR)
        took.append(time.perf_counter() - begun)
        rounded_down = tuple(int(line.target_usd // line.price_usd) for line in lines)
        ours.append(_off(lines, shares, total))
        floors.append(_off(lines, rounded_down, total))
        left.append(_left(lines, shares, total))
        left_floors.append(_left(lines, rounded_down, total))
    return {
        "off": round(mean(ours), 5),
        "off_rounded_down": round(mean(floors), 5),
        "off_over_rounded_down": round(mean(ours) / mean(floors), 3),
        "left": round(mean(left), 6),
        "left_rounded_down": round(mean(left_floors), 5),
        "ms": round(median(took) * 1000, 2),
    }


def _off(lines: list[Line], shares: tuple[int, ...], total: Decimal) -> float:
    pairs = zip(lines, shares, strict=True)
    return float(sum((abs(line.price_usd * count - line.target_usd) for line, count in pairs), Decimal(0)) / total)


def _left(lines: list[Line], shares: tuple[int, ...], total: Decimal) -> float:
    spent = sum((line.price_usd * count for line, count in zip(lines, shares, strict=True)), Decimal(0))
    return float((total - spent) / total)
