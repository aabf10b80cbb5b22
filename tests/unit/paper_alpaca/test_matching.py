from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_alpaca.matching import FillSettings, draw_plan, part_of, price_now, see_price
from tests.unit.paper_alpaca.books import Book

ZERO = Decimal(0)


@pytest.mark.parametrize(
    ("side", "bps", "price"), [("buy", "10", "80.08"), ("sell", "10", "79.92"), ("buy", "-10", "79.92")]
)
def test_slippage_goes_against_the_order(side, bps, price):
    order = Book(holdings=[("KO", "10", "80")]).placed(side)

    assert price_now(order, Decimal(80), Decimal(bps)) == Decimal(price)


@pytest.mark.parametrize(
    ("side", "limit", "price"),
    [("buy", "79", None), ("buy", "80", "80"), ("buy", "80.01", "80.01"), ("sell", "81", None), ("sell", "79", "79.2")],
)
def test_a_limit_is_never_passed(side, limit, price):
    order = Book(holdings=[("KO", "10", "80")]).placed(side, type="limit", limit_price=limit)

    found = price_now(order, Decimal(80), Decimal(100))

    assert found == (None if price is None else Decimal(price))


def test_a_stop_waits_for_its_price_and_stays_triggered():
    order = Book(holdings=[("KO", "10", "80")]).placed("sell", type="stop", stop_price="75")

    prices = []
    for last in ("80", "75.01", "75", "76"):
        see_price(order, Decimal(last))
        prices.append(price_now(order, Decimal(last), ZERO))

    assert prices == [None, None, Decimal(75), Decimal(76)]


def test_a_trailing_stop_follows_the_best_price_only():
    order = Book(holdings=[("KO", "10", "80")]).placed("sell", type="trailing_stop", trail_percent="10")

    stops = []
    for last in ("80", "100", "95", "90"):
        see_price(order, Decimal(last))
        stops.append((order.hwm, order.stop_price, order.triggered))

    assert stops == [
        (Decimal(80), Decimal(72), False),
        (Decimal(100), Decimal(90), False),
        (Decimal(100), Decimal(90), False),
        (Decimal(100), Decimal(90), True),
    ]


def test_the_same_seed_draws_the_same_plan():
    settings = FillSettings((Decimal(3), Decimal(600)), (Decimal(2), Decimal(10)), Decimal("0.5"))

    assert draw_plan(settings, Random("a")) == draw_plan(settings, Random("a"))
    assert draw_plan(settings, Random("a")) != draw_plan(settings, Random("b"))


@given(seed=st.integers(), figures=st.lists(st.integers(-500, 500), min_size=1, max_size=6))
def test_drawn_slippage_stays_within_its_quantiles(seed, figures):
    quantiles = tuple(Decimal(figure) for figure in sorted(figures))

    plan = draw_plan(FillSettings(slippage_bps=quantiles), Random(seed))

    assert quantiles[0] <= plan.slippage_bps <= quantiles[-1]


def test_five_figures_are_the_quartiles_of_a_distribution():
    settings = FillSettings(slippage_bps=tuple(map(Decimal, (-289, -30, 4, 38, 289))))
    rng = Random(0)

    drawn = sorted(draw_plan(settings, rng).slippage_bps for _ in range(4000))

    assert abs(drawn[2000] - 4) < 4
    assert abs(drawn[3000] - 38) < 8


@given(qty=st.decimals("0.000000001", "1000", places=9), percent=st.integers(1, 99))
def test_a_part_is_less_than_all_and_whole_where_the_quantity_is(qty, percent):
    part = part_of(qty, Decimal(percent) / 100)

    assert 0 <= part < qty
    if qty == int(qty):
        assert part == int(part)
        assert part or qty == 1
