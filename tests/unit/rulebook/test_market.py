"""Rules on daily bars: just inside, on, just outside, with the data missing, and off."""

from decimal import Decimal
from itertools import pairwise
from statistics import correlation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.rulebook import market
from departments.rulebook.context import plain
from messages.values import Side
from tests.builders.portfolio import NOW, QUIET, bars, buy, context, held, history, open_order, sell, settings, snapshot

RICH = {"equity": 100_000, "cash": 100_000}
BUY = buy("B01", "CVE", 100, "20")
LIQUID = settings(compliance={"liquidity": {"max_volume_fraction": "0.10"}})
PAIR = settings(compliance={"correlation": {"max_pair": "0.85"}})
AVERAGE = settings(compliance={"correlation": {"max_average": "0.50"}})


def wave(period: int, count: int = 60, start: int = 100) -> list[Decimal]:
    """Closes that go up and down by one, turning every `period` days."""
    found = [Decimal(start)]
    for n in range(1, count):
        found.append(found[-1] + (1 if (n // period) % 2 else -1))
    return found


# -- liquidity ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("qty", "volume", "figure", "room"),
    [
        ("99", 1_000, None, "100"),
        ("100", 1_000, None, "100"),
        ("101", 1_000, "0.101", "100"),
        ("1", 0, "1 of 0", "0"),
    ],
)
def test_an_order_takes_no_more_than_its_part_of_the_volume(qty, volume, figure, room):
    leg = buy("B01", "CVE", qty, "20")
    past = history(bars=bars("CVE", [20] * 20, volume=volume))
    seen = context(snapshot([leg], **RICH), rules=LIQUID, past=past)

    violation = market.volume_fraction_at_most(leg, seen)

    assert (violation.figure if violation else None) == figure
    assert market.volume_fraction_room(leg, seen) == Decimal(room)
    if violation:
        assert (violation.limit, violation.key) == ("0.1", "liquidity.max_volume_fraction")


def test_the_newest_twenty_bars_count_whatever_their_order():
    old, new = bars("CVE", [20] * 40, volume=1), bars("CVE", [20] * 20, volume=1_000)
    past = history(bars=[*reversed(new), *old[:20], *bars("SN", [20] * 60)])

    assert market.volume_fraction_room(BUY, context(snapshot([BUY], **RICH), rules=LIQUID, past=past)) == 100


@pytest.mark.parametrize(
    ("past", "figure"),
    [
        (None, "history missing"),
        (QUIET, "bars missing"),
        (history(bars=()), "0 of 20 daily bars of CVE"),
        (history(bars=bars("CVE", [20] * 19)), "19 of 20 daily bars of CVE"),
    ],
)
def test_without_enough_bars_nothing_is_let_in(past, figure):
    seen = context(snapshot([BUY], **RICH), rules=LIQUID, past=past)

    assert market.volume_fraction_at_most(BUY, seen).figure == figure
    assert market.volume_fraction_room(BUY, seen) == 0


# -- correlation -------------------------------------------------------------------------------------------------------


def with_holdings(rules, **closes):
    """CVE to buy, the others held."""
    holdings = [held(symbol, 1, 20) for symbol in closes if symbol != "CVE"]
    past = history(bars=[bar for symbol, prices in closes.items() for bar in bars(symbol, prices)])
    return context(snapshot([BUY], **RICH, positions=holdings), rules=rules, past=past)


SAME, OPPOSITE, OTHER = wave(1), [Decimal(200) - close for close in wave(1)], wave(3)
NEARLY = [*SAME[:50], *OTHER[50:]]


def test_the_coefficient_is_pearsons():
    seen = with_holdings(PAIR, CVE=SAME, OTH=OTHER)
    returns = [[float(b / a) - 1 for a, b in pairwise(closes)] for closes in (SAME, OTHER)]

    found = seen.view.past.correlation("CVE", "OTH")

    assert abs(float(found) - correlation(*returns)) < 1e-9


@pytest.mark.parametrize(("beside", "refused"), [("1E-9", False), ("0", False), ("-1E-9", True)])
def test_a_buy_that_moves_with_one_holding_is_refused_above_the_limit(beside, refused):
    coefficient = with_holdings(PAIR, CVE=SAME, OTH=NEARLY).view.past.correlation("CVE", "OTH")
    rules = settings(compliance={"correlation": {"max_pair": str(coefficient + Decimal(beside))}})

    violation = market.no_holding_moves_alike(BUY, with_holdings(rules, CVE=SAME, OTH=NEARLY))

    assert coefficient > 0
    assert (violation is not None) is refused
    if violation:
        assert violation.figure == f"{plain(coefficient)} with OTH"
        assert violation.key == "correlation.max_pair"


def test_the_closest_holding_is_named():
    violation = market.no_holding_moves_alike(BUY, with_holdings(PAIR, CVE=SAME, AAA=OTHER, TWIN=SAME))

    assert violation.figure == "1 with TWIN"
    assert violation.limit == "0.85"


def test_what_moves_against_it_is_no_reason():
    assert market.no_holding_moves_alike(BUY, with_holdings(PAIR, CVE=SAME, OPP=OPPOSITE)) is None


@pytest.mark.parametrize(
    ("holdings", "figure"),
    [
        ({"AAA": SAME, "BBB": OPPOSITE}, None),
        ({"AAA": SAME, "BBB": SAME}, "1"),
        ({}, None),
    ],
)
def test_the_average_over_all_holdings_is_limited(holdings, figure):
    violation = market.holdings_move_apart(BUY, with_holdings(AVERAGE, CVE=SAME, **holdings))

    assert (violation.figure if violation else None) == figure
    if violation:
        assert (violation.limit, violation.key) == ("0.5", "correlation.max_average")


def test_the_average_is_within_the_limit_on_it_and_not_above():
    closes = {"CVE": SAME, "AAA": SAME, "BBB": OTHER}
    past = with_holdings(AVERAGE, **closes).view.past
    average = (past.correlation("CVE", "AAA") + past.correlation("CVE", "BBB")) / 2

    def refused(most):
        rules = settings(compliance={"correlation": {"max_average": str(most)}})
        return market.holdings_move_apart(BUY, with_holdings(rules, **closes)) is not None

    assert not refused(average + Decimal("1E-9"))
    assert not refused(average)
    assert refused(average - Decimal("1E-9"))


def test_holdings_are_those_after_the_sells_with_what_is_in_flight_but_not_the_symbol_itself():
    twin_held = [held("TWIN", 5, 20), held("CVE", 5, 20)]
    out = sell("S01", "TWIN", 5, 20)
    past = history(bars=[*bars("CVE", SAME), *bars("TWIN", SAME)])
    look = snapshot([BUY, out], **RICH, positions=twin_held)
    in_flight = look.model_copy(update={"open_orders": (open_order("TWIN", Side.BUY, 1, limit=20),)})

    assert market.no_holding_moves_alike(BUY, context(look, rules=PAIR, past=past)) is not None
    assert market.no_holding_moves_alike(BUY, context(look, sells=[out], rules=PAIR, past=past)) is None
    assert market.no_holding_moves_alike(BUY, context(in_flight, sells=[out], rules=PAIR, past=past)) is not None


@pytest.mark.parametrize("rules", [PAIR, AVERAGE], ids=["pair", "average"])
@pytest.mark.parametrize(
    ("past", "figure"),
    [
        (None, "history missing"),
        (QUIET, "bars missing"),
        (history(bars=bars("OTH", OTHER)), "0 of 60 daily bars of CVE"),
        (history(bars=[*bars("CVE", SAME), *bars("OTH", OTHER[:59])]), "59 of 60 daily bars of OTH"),
        (
            history(bars=[*bars("CVE", SAME), *bars("OTH", OTHER, last=NOW.date().replace(day=7))]),
            "57 of 60 daily bars of CVE and OTH on the same days",
        ),
        (
            history(bars=[*bars("CVE", SAME), *bars("OTH", [20] * 60)]),
            "60 daily bars of OTH in which its price varies",
        ),
    ],
)
def test_correlation_names_what_it_does_not_see(rules, past, figure):
    seen = context(snapshot([BUY], **RICH, positions=[held("OTH", 1, 20)]), rules=rules, past=past)

    found = [rule(BUY, seen) for rule in (market.no_holding_moves_alike, market.holdings_move_apart)]

    assert [violation.figure for violation in found if violation] == [figure]


def test_as_shipped_nobody_asks_for_bars():
    seen = context(snapshot([BUY], **RICH, positions=[held("OTH", 1, 20)]), past=None)

    assert market.volume_fraction_at_most(BUY, seen) is None
    assert market.volume_fraction_room(BUY, seen) is None
    assert market.no_holding_moves_alike(BUY, seen) is None
    assert market.holdings_move_apart(BUY, seen) is None


@given(
    st.lists(st.integers(1, 1_000), min_size=60, max_size=60), st.lists(st.integers(1, 1_000), min_size=60, max_size=60)
)
def test_a_coefficient_lies_between_minus_one_and_one_and_is_the_same_both_ways(one, other):
    past = context(snapshot([BUY], **RICH), past=history(bars=[*bars("AAA", one), *bars("BBB", other)])).view.past

    found = past.correlation("AAA", "BBB")

    assert found == past.correlation("BBB", "AAA") or isinstance(found, str)
    assert isinstance(found, str) or -1 <= found <= 1
