"""The benchmark of sizing, without PyPortfolioOpt: rounding down and trying everything stand for the others."""

from decimal import Decimal
from itertools import product

from scripts.benches import __main__ as bench
from scripts.benches import sizing


def best_of_all(lines, money_usd):
    """What PyPortfolioOpt's integer program finds, by trying each name rounded down and up."""
    down = sizing.rounded_down(lines, money_usd)

    def off(shares):
        worths = [line.price_usd * count for line, count in zip(lines, shares, strict=True)]
        left = money_usd - sum(worths)
        away = sum(abs(worth - line.target_usd) for line, worth in zip(lines, worths, strict=True)) + left
        return away if left >= 0 else Decimal("Infinity")

    return min((tuple(map(sum, zip(down, more, strict=True))) for more in product((0, 1), repeat=len(lines))), key=off)


WAYS = {"ours": sizing.ours, "rounded_down": sizing.rounded_down, "exact": best_of_all}


def test_whole_shares_are_as_near_as_the_best_and_nearer_than_rounding_down():
    figures = sizing.compared(WAYS, 10_000, 8, rounds=10)

    assert figures["off_over_exact"] < 1.05
    assert figures["off_over_rounded_down"] < 0.8
    assert figures["ours"]["left"] <= figures["exact"]["left"]


def test_a_way_that_rounds_down_only_misses_the_target():
    figures = sizing.compared({**WAYS, "ours": sizing.rounded_down}, 10_000, 8, rounds=10)

    assert figures["off_over_exact"] > 1.05


def test_every_run_sees_the_same_portfolios():
    first, second = (sizing.compared(WAYS, 10_000, 5, rounds=2) for _ in range(2))

    assert [first[way]["off"] for way in WAYS] == [second[way]["off"] for way in WAYS]


def test_each_target_names_a_figure():
    figures = {"usd_1000_names_3": sizing.compared(WAYS, 1000, 3, rounds=1), "targets": sizing.TARGETS}

    assert {target for _, _, target in bench.rows(figures)} == {"", *sizing.TARGETS.values()}


def test_without_pyportfolioopt_one_line_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(sizing, "find_spec", lambda _: None)

    code = bench.main(["sizing"])

    said = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(said) == 1
    assert "pip install --require-hashes -r requirements-bench.lock" in said[0]
