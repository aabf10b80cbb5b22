"""Whole shares as near to target values as integers allow, pure.

Near means: the distances of all names from their targets, and the money that stays over, come to as little as can be.
Every name is rounded down; which of them get one share more is a knapsack (each share's price against what is left to
spend, its worth how much nearer it brings the whole), searched from the greedy choice on, exactly within a bound on the
steps. Then what is left is spent, and single shares are moved between names while that brings the whole nearer.

Everything is counted exactly, in the finest step that a price or target has; the same input gives the same shares. What
stays over is less than the cheapest share that could still be added.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from itertools import accumulate

MOST_STEPS = 20_000
"""Of searching who is rounded up; past it the best found so far counts."""
MOST_ROUNDS = 200
"""Of moving shares; each ends nearer to the targets than it began."""
FINEST_PLACES = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One name.

    Attributes:
        price_usd: What a share costs, > 0.
        target_usd: What it should come to; at least `least` shares.
        least: Fewest shares.
        most: Most shares, >= least.
        risk_usd: What a share loses at its stop, >= 0.
    """

    price_usd: Decimal
    target_usd: Decimal
    least: int
    most: int
    risk_usd: Decimal


@dataclass(slots=True)
class _Desk:
    """The lines in whole steps of a price, and the shares so far."""

    prices: list[int]
    targets: list[int]
    least: list[int]
    most: list[int]
    risks: list[int]
    shares: list[int]
    left: int
    risk_left: int

    def off(self, line: int, shares: int) -> int:
        """How far a line is from its target with so many shares."""
        return abs(self.prices[line] * shares - self.targets[line])

    def gain(self, line: int, more: int) -> int:
        """How much nearer a line gets with some shares more or fewer; negative: farther."""
        return self.off(line, self.shares[line]) - self.off(line, self.shares[line] + more)

    def move(self, line: int, more: int) -> None:
        self.shares[line] += more
        self.left -= more * self.prices[line]
        self.risk_left -= more * self.risks[line]

    def can_grow(self, line: int) -> bool:
        return (
            self.shares[line] < self.most[line]
            and self.prices[line] <= self.left
            and self.risks[line] <= self.risk_left
        )

    def fill(self) -> None:
        """Add shares, each where it brings most (or costs least), while any fits."""
        while growing := [line for line in range(len(self.prices)) if self.can_grow(line)]:
            line = max(growing, key=lambda line: (self.gain(line, 1), -line))
            self.move(line, self.as_many(line))

    def as_many(self, line: int) -> int:
        """How many shares may be added at once because each brings the same; the next one may bring less."""
        price, risk = self.prices[line], self.risks[line]
        short = (self.targets[line] - price * self.shares[line]) // price
        bounds = [self.most[line] - self.shares[line], self.left // price]
        if risk:
            bounds.append(self.risk_left // risk)
        if short >= 0:
            bounds.append(max(short, 1))
        return min(bounds)

    def total_off(self) -> int:
        """How far the whole is from its targets: all distances, and what stays over."""
        return sum(self.off(line, shares) for line, shares in enumerate(self.shares)) + self.left


def whole_shares(lines: Sequence[Line], *, budget_usd: Decimal, risk_usd: Decimal) -> tuple[int, ...]:
    """Choose shares for each line, within its bounds, the budget and the loss at all stops.

    Args:
        lines: Their least shares fit the budget together.
        budget_usd: The most that all may cost.
        risk_usd: The most that all may lose at their stops.
    """
    desk = _desk(lines, budget_usd, risk_usd)
    _round_up(desk)
    desk.fill()
    for _ in range(MOST_ROUNDS):
        better = _one_better(desk)
        if better is None:
            break
        desk = better
    return tuple(desk.shares)


def _desk(lines: Sequence[Line], budget_usd: Decimal, risk_usd: Decimal) -> _Desk:
    figures = [figure for line in lines for figure in (line.price_usd, line.risk_usd)]
    places = max([FINEST_PLACES, *(-_exponent(figure) for figure in figures)])

    def steps(usd: Decimal) -> int:
        return int(usd.scaleb(places).to_integral_value(ROUND_FLOOR))

    desk = _Desk(
        prices=[steps(line.price_usd) for line in lines],
        targets=[steps(line.target_usd) for line in lines],
        least=[line.least for line in lines],
        most=[line.most for line in lines],
        risks=[steps(line.risk_usd) for line in lines],
        shares=[0] * len(lines),
        left=steps(budget_usd),
        risk_left=steps(risk_usd),
    )
    for index, line in enumerate(lines):
        down = desk.targets[index] // desk.prices[index]
        desk.move(index, min(max(down, line.least), line.most))
    _back_within(desk)
    return desk


def _back_within(desk: _Desk) -> None:
    """Take shares away, each where it hurts least, while the start is beyond money or risk."""
    while desk.left < 0 or desk.risk_left < 0:
        shrinking = [line for line in range(len(desk.prices)) if desk.shares[line] > desk.least[line]]
        if not shrinking:
            return
        desk.move(max(shrinking, key=lambda line: (desk.gain(line, -1), -line)), -1)


@dataclass(frozen=True, slots=True)
class _Item:
    """One share more of a line: what it brings the whole nearer, and what it takes."""

    line: int
    worth: int
    price: int
    risk: int


def _round_up(desk: _Desk) -> None:
    """Add one share to each of those lines that together bring the whole nearest."""
    items = [
        _Item(line, worth, desk.prices[line], desk.risks[line])
        for line in range(len(desk.prices))
        if desk.can_grow(line) and (worth := desk.gain(line, 1) + desk.prices[line]) > 0
    ]
    # The most for the money first: then taking in this order is the greedy choice, and what may still come is bounded
    # by filling the money with the next ones, the last of them in part.
    items.sort(key=lambda item: (-Fraction(item.worth, item.price), item.line))
    for item in _best_of(items, desk.left, desk.risk_left):
        desk.move(item.line, 1)


def _best_of(items: Sequence[_Item], left: int, risk_left: int) -> list[_Item]:
    """The items of most worth that fit together, best for the money first: depth first, from the greedy choice on."""
    worths = [0, *accumulate(item.worth for item in items)]
    prices = [0, *accumulate(item.price for item in items)]
    best: list[_Item] = []
    best_worth = worth = at = 0
    taken: list[int] = []
    for _ in range(MOST_STEPS):
        whole = bisect_right(prices, prices[at] + left, at) - 1
        most = worth + worths[whole] - worths[at]
        if whole < len(items):
            most += items[whole].worth * (left - prices[whole] + prices[at]) // items[whole].price
        if most > best_worth:
            while at < len(items) and items[at].price <= left and items[at].risk <= risk_left:
                taken.append(at)
                worth, left, risk_left = (
                    worth + items[at].worth,
                    left - items[at].price,
                    risk_left - items[at].risk,
                )
                at += 1
            if worth > best_worth:
                best, best_worth = [items[one] for one in taken], worth
            if at < len(items):
                at += 1
                continue
        if not taken:
            break
        at = taken.pop()
        worth, left, risk_left = worth - items[at].worth, left + items[at].price, risk_left + items[at].risk
        at += 1
    return best


def _one_better(desk: _Desk) -> _Desk | None:
    """The first move of one share from a name to another that ends nearer to the targets, once the rest is spent."""
    before = desk.total_off()
    lines = range(len(desk.prices))
    for giver in lines:
        if desk.shares[giver] <= desk.least[giver]:
            continue
        for taker in lines:
            if taker == giver or desk.shares[taker] >= desk.most[taker]:
                continue
            # One share of the giver frees its price; the rest of the way is judged whole.
            if desk.gain(giver, -1) - desk.prices[giver] + desk.gain(taker, 1) + desk.prices[taker] <= 0:
                continue
            tried = _copy(desk)
            tried.move(giver, -1)
            if not tried.can_grow(taker):
                continue
            tried.move(taker, 1)
            tried.fill()
            if tried.total_off() < before:
                return tried
    return None


def _copy(desk: _Desk) -> _Desk:
    return _Desk(
        prices=desk.prices,
        targets=desk.targets,
        least=desk.least,
        most=desk.most,
        risks=desk.risks,
        shares=list(desk.shares),
        left=desk.left,
        risk_left=desk.risk_left,
    )


def _exponent(figure: Decimal) -> int:
    exponent = figure.normalize().as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0
