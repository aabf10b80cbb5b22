"""Targets within bounds, and whole shares near to them: held against the best that trying everything finds."""

from decimal import ROUND_DOWN, Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.office.settings import SizingMethod
from departments.operations import deployment
from departments.operations.deployment import Line, whole_shares
from departments.operations.targets import Bounded, shared_out, weight_of

FAR = Decimal(10**9)


def bounded(weight: int, least: int = 0, most: int = 10**9) -> Bounded:
    return Bounded(weight=Decimal(weight), least_usd=Decimal(least), most_usd=Decimal(most))


def line(price: str, target: str, least: int = 0, most: int = 10**6, risk: str = "0") -> Line:
    return Line(price_usd=Decimal(price), target_usd=Decimal(target), least=least, most=most, risk_usd=Decimal(risk))


def test_a_sum_is_shared_by_weight():
    assert shared_out(Decimal(600), [bounded(1), bounded(2), bounded(3)]) == (100, 200, 300)


def test_what_one_cant_take_goes_to_the_others_by_weight():
    assert shared_out(Decimal(600), [bounded(1), bounded(2), bounded(3, most=150)]) == (150, 300, 150)


def test_what_one_needs_at_least_comes_from_the_others():
    assert shared_out(Decimal(600), [bounded(1, least=200), bounded(2), bounded(2)]) == (200, 200, 200)


bounds = st.tuples(st.integers(1, 50), st.integers(0, 500), st.integers(0, 900)).map(
    lambda drawn: bounded(drawn[0], drawn[1], drawn[1] + drawn[2])
)


@given(st.integers(0, 6000), st.lists(bounds, max_size=8))
def test_what_is_shared_is_within_all_bounds_and_nothing_is_lost(total, names):
    given_out = shared_out(Decimal(total), names)

    assert all(name.least_usd <= usd <= name.most_usd for name, usd in zip(names, given_out, strict=True))
    least, most = sum(name.least_usd for name in names), sum(name.most_usd for name in names)
    assert abs(sum(given_out) - min(max(Decimal(total), least), most)) < Decimal("0.000001")


def test_whole_shares_need_no_rounding_where_targets_are_whole():
    assert whole_shares([line("50", "500"), line("5", "500")], budget_usd=Decimal(1000), risk_usd=FAR) == (10, 100)


def test_what_rounding_down_leaves_is_spent():
    assert whole_shares([line("300", "500"), line("200", "500")], budget_usd=Decimal(1000), risk_usd=FAR) == (2, 2)


def test_the_loss_at_the_stops_bounds_the_shares():
    shares = whole_shares(
        [line("10", "500", risk="1"), line("10", "500", risk="2")], budget_usd=Decimal(1000), risk_usd=Decimal(60)
    )

    assert shares[0] + 2 * shares[1] <= 60


@st.composite
def desks(draw):
    prices = draw(st.lists(st.integers(100, 40_000), min_size=1, max_size=3))
    budget = draw(st.integers(10_000, 100_000))
    cents = [Decimal(price) / 100 for price in prices]
    target = Decimal(budget) / 100 / len(prices)
    return [Line(price_usd=p, target_usd=target, least=0, most=40, risk_usd=Decimal(0)) for p in cents], budget


@given(desks())
def test_what_is_left_over_buys_no_share_that_could_be_added(drawn):
    lines, cents = drawn
    budget = Decimal(cents) / 100

    shares = whole_shares(lines, budget_usd=budget, risk_usd=FAR)

    left = budget - sum(count * one.price_usd for count, one in zip(shares, lines, strict=True))
    assert left >= 0
    assert all(count <= one.most for count, one in zip(shares, lines, strict=True))
    assert all(one.price_usd > left for count, one in zip(shares, lines, strict=True) if count < one.most)
    assert shares == whole_shares(lines, budget_usd=budget, risk_usd=FAR)


def away(lines: list[Line], shares: tuple[int, ...], budget: Decimal) -> Decimal:
    """How far from all targets, the money that stays over counted; infinite where it doesn't do."""
    worths = [one.price_usd * count for one, count in zip(lines, shares, strict=True)]
    left = budget - sum(worths)
    return sum((abs(worth - one.target_usd) for one, worth in zip(lines, worths, strict=True)), left)


def best_rounding(lines: list[Line], budget: Decimal, risk: Decimal) -> Decimal:
    """The nearest that rounding each name down or up can come."""
    down = [int(one.target_usd // one.price_usd) for one in lines]
    every = (
        tuple(count + more for count, more in zip(down, up, strict=True)) for up in product((0, 1), repeat=len(lines))
    )
    return min(
        away(lines, shares, budget)
        for shares in every
        if sum(one.price_usd * count for one, count in zip(lines, shares, strict=True)) <= budget
        and sum(one.risk_usd * count for one, count in zip(lines, shares, strict=True)) <= risk
    )


@st.composite
def roundings(draw):
    prices = draw(st.lists(st.integers(100, 40_000), min_size=1, max_size=7))
    weights = [draw(st.integers(100, 300)) for _ in prices]
    budget = Decimal(draw(st.integers(20_000, 400_000))) / 100
    risks = [draw(st.sampled_from((0, 1, 5))) for _ in prices]
    lines = [
        Line(
            price_usd=Decimal(price) / 100,
            target_usd=(budget * weight / sum(weights)).quantize(Decimal("0.01"), ROUND_DOWN),
            least=0,
            most=10**6,
            risk_usd=Decimal(price) * risk / 1000,
        )
        for price, weight, risk in zip(prices, weights, risks, strict=True)
    ]
    down = sum(one.target_usd // one.price_usd * one.risk_usd for one in lines)
    return lines, budget, down + Decimal(draw(st.sampled_from((0, 20, 10**6))))


@given(roundings())
def test_no_rounding_up_and_down_comes_nearer(drawn):
    lines, budget, risk = drawn

    shares = whole_shares(lines, budget_usd=budget, risk_usd=risk)

    assert away(lines, shares, budget) <= best_rounding(lines, budget, risk)
    assert sum(one.price_usd * count for one, count in zip(lines, shares, strict=True)) <= budget
    assert sum(one.risk_usd * count for one, count in zip(lines, shares, strict=True)) <= risk


@pytest.mark.parametrize(
    ("bound", "at", "targets", "budget", "nearest"),
    [
        ("MOST_STEPS", ("60", "50", "50"), ("57", "46", "46"), 105, (0, 1, 1)),
        ("MOST_ROUNDS", ("18", "15", "48"), ("35", "70", "35"), 140, (2, 3, 1)),
    ],
    ids=["the best for the money comes first and leaves no room", "a share below the target rounded down"],
)
def test_neither_the_greedy_start_nor_rounding_alone_is_enough(monkeypatch, bound, at, targets, budget, nearest):
    lines = [line(price, target) for price, target in zip(at, targets, strict=True)]
    right = whole_shares(lines, budget_usd=Decimal(budget), risk_usd=FAR)
    monkeypatch.setattr(deployment, "MOST_ROUNDS", 0)
    monkeypatch.setattr(deployment, bound, 1 if bound == "MOST_STEPS" else 0)

    less = whole_shares(lines, budget_usd=Decimal(budget), risk_usd=FAR)

    assert right == nearest
    assert away(lines, less, Decimal(budget)) > away(lines, right, Decimal(budget))


@pytest.mark.parametrize(
    ("prices", "budget"),
    [(("170.77", "33.01", "17.29"), "1500"), (("95.185", "62.71", "48.045"), "2000"), (("310", "290", "45"), "1800")],
)
def test_whole_shares_are_as_near_as_the_best_of_all_that_deploy_as_much(prices, budget):
    total = Decimal(budget)
    target = total / len(prices)
    lines = [line(price, str(target)) for price in prices]

    def off(shares: tuple[int, ...]) -> Decimal:
        return sum((abs(n * Decimal(p) - target) for n, p in zip(shares, prices, strict=True)), Decimal(0))

    def spent(shares: tuple[int, ...]) -> Decimal:
        return sum((n * Decimal(p) for n, p in zip(shares, prices, strict=True)), Decimal(0))

    cheapest = min(Decimal(price) for price in prices)
    every = product(*(range(int(total / Decimal(price)) + 1) for price in prices))
    best = min(off(shares) for shares in every if total - cheapest < spent(shares) <= total)

    assert off(whole_shares(lines, budget_usd=total, risk_usd=FAR)) <= best * Decimal("1.05")


@pytest.mark.parametrize(
    ("method", "weight"),
    [
        (SizingMethod.EQUAL, Decimal(1)),
        (SizingMethod.SCORE, Decimal(70)),
        (SizingMethod.INVERSE_VOLATILITY, Decimal(50)),
        (SizingMethod.RISK_BUDGET, Decimal(10)),
    ],
)
def test_each_method_weighs_by_its_own_figure(method, weight):
    found = weight_of(
        method, price_usd=Decimal(100), score=Decimal(70), atr_usd=Decimal(2), risk_a_share_usd=Decimal(10)
    )

    assert found == weight


@pytest.mark.parametrize("method", [SizingMethod.SCORE, SizingMethod.INVERSE_VOLATILITY, SizingMethod.RISK_BUDGET])
def test_what_a_method_lacks_is_no_weight(method):
    assert weight_of(method, price_usd=Decimal(1), score=None, atr_usd=None, risk_a_share_usd=Decimal(0)) is None
