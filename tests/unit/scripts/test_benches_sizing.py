from scripts.benches import sizing
from scripts.benches.__main__ import rows


def test_whole_shares_beat_rounding_down_on_the_same_portfolios():
    figures = sizing.run(rounds=20)

    sizes = [figure for name, figure in figures.items() if name != "targets"]
    assert len(sizes) == len(sizing.SIZES)
    for size in sizes:
        assert size["off"] < size["off_rounded_down"]
        assert size["left"] < size["left_rounded_down"]
    assert list(rows(figures))


def test_every_run_sees_the_same_portfolios():
    assert _without_times(sizing.run(rounds=1)) == _without_times(sizing.run(rounds=1))


def _without_times(figures):
    return {name: value for name, value, _ in rows(figures) if not name.endswith(".ms")}
