"""How the benchmarks reckon, on rounds small enough to check by hand."""

import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.benches import __main__ as bench
from scripts.benches import footprint, pacing, requests, startup, trading

BEGUN = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


def asked(second: float, *, method: str = "POST", side: str = "sell", status: int = 200, path: str = "/v2/orders"):
    body = {"side": side} if method == "POST" else None
    at = (BEGUN + timedelta(seconds=second)).isoformat()
    return {"at": at, "method": method, "path": path, "body": body, "status": status}


# requests


def test_requests_are_counted_by_route_whatever_the_ids():
    paths = ["/v2/orders/904837e3-3b76-47ec-b432-046db621571b", "/v2/assets/CTVA", "/v2/orders", "/v2/stocks/snapshots"]

    routes = [trading.route({"method": "GET", "path": path}) for path in paths]

    assert routes == ["GET /v2/orders/{}", "GET /v2/assets/{}", "GET /v2/orders", "GET /v2/stocks/snapshots"]


def test_the_first_run_stands_apart_and_the_worst_is_named():
    rounds = [Counter(a=40), Counter(a=16, b=10), Counter(a=16, b=13), Counter(a=16, b=12)]

    found = requests.summary(rounds, legs=16)

    assert found["first_run"] == 40
    assert (found["a_run"], found["over_legs"], found["over_legs_worst"]) == (28, 12, 13)
    assert found["by_path"] == {"a": 16, "b": 12}


def test_market_data_is_another_door():
    one = Counter({"POST /v2/orders": 16, "GET /v2/account": 3, "GET /v2/stocks/snapshots": 2})

    found = requests.summary([one, one], legs=16)

    assert (found["over_legs"], found["over_legs_at_the_trading_door"]) == (5, 3)


# pacing


def test_the_bound_is_a_minute_for_each_time_the_window_is_full():
    times = [0.0] * 10

    assert [pacing.bound(times[:count], 0, 0, 4) for count in (4, 5, 8, 9)] == [0, 60, 60, 120]


def test_the_bound_counts_requests_made_before_the_first_plan():
    times = [-30.0, -29.0, 0.0, 1.0, 2.0]

    assert pacing.bound(times, 2, 2, 3) == 31  # the fifth waits for the second, the first has made room for the fourth


def test_at_its_own_pace_a_request_waits_a_minute_from_when_the_one_before_really_came():
    times = [0.0, 5.0, 66.0, 70.0]

    assert pacing.bound(times, 0, 0, 2) == 60
    assert pacing.bound(times, 0, 1, 2) == 65


def test_refusals_are_counted_apart_and_market_data_not_at_all():
    made = [
        asked(-1, method="GET", path="/v2/clock"),
        *(asked(n / 10) for n in range(3)),
        asked(0.5, status=429),
        asked(0.9, status=429),
        asked(1.9, status=429),
        asked(2, method="GET", path="/v2/stocks/snapshots"),
        asked(60),
    ]

    found = pacing.summary(made, 1, 4)

    assert (found["requests"], found["refused_429"], found["requests_per_429"]) == (7, 3, 2.3)
    assert found["most_429_a_second"] == 2
    assert (found["makespan_s"], found["bound_s"], found["over_bound_percent"]) == (60, 59, 1.7)


def test_without_a_refusal_nothing_is_claimed_of_who_went_first():
    assert pacing.overtaken([asked(0), asked(1)], method="POST", side="sell") == "none refused"


@pytest.mark.parametrize(
    ("between", "count"),
    [
        ([], 0),
        ([asked(2, method="GET")], 1),
        ([asked(2, side="buy"), asked(3, method="GET", status=429)], 1),
        ([asked(2), asked(3)], 0),
    ],
)
def test_what_passes_a_waiting_sell_is_counted(between, count):
    made = [asked(0), asked(1, status=429), *between, asked(9), asked(10, method="GET")]

    assert pacing.overtaken(made, method="POST", side="sell") == count


# footprint


def test_growth_is_the_slope_of_the_second_half():
    filling_up = [(0, 50.0), (1, 60.0), (2, 65.0)]
    steady = [(3, 70.0), (4, 70.5), (5, 71.0)]

    assert footprint.growth_kb([*filling_up, *steady]) == 512


def test_memory_and_processor_time_of_a_process_are_read_from_proc():
    before = footprint.cpu_s(os.getpid())
    ends = before + 0.05
    while footprint.cpu_s(os.getpid()) < ends:
        sum(range(10_000))

    assert footprint.rss_mb(os.getpid()) > 5


# startup


def test_ratios_are_of_the_same_round():
    took = {"python_pass": [(10.0, 8.0), (40.0, 9.0), (20.0, 8.0)], "help": [(30.0, 20.0), (80.0, 21.0), (60.0, 22.0)]}

    found = startup.summary(took)

    assert found["to_bare_python"] == {"help": 3.0}
    assert found["wall_ms"]["help"] == 60
    assert found["cpu_ms"]["help"] == 21


def test_a_verb_that_fails_is_no_figure():
    with pytest.raises(RuntimeError, match="exit 3"):
        startup.whole_process(["/bin/sh", "-c", "exit 3"], {})


def test_a_whole_process_takes_time():
    wall_ms, cpu_ms = startup.whole_process(["/bin/sh", "-c", ":"], {})

    assert wall_ms > 0
    assert cpu_ms >= 0


# what is traded, and how it is read


def test_a_plan_has_its_legs_and_keys(tmp_path: Path):
    from departments.executive.plan_file import read_plan
    from messages.values import AccountName, Side

    text = trading.plan("P", sells=2, buys=30, sell_shortfall="abort")

    plan, _ = read_plan(text.encode(), name="p", accounts=[AccountName("paper")])

    assert [trade.side for trade in plan.trades] == [Side.SELL] * 2 + [Side.BUY] * 30
    assert len({trade.symbol for trade in plan.trades}) == 32
    assert plan.trades[2].score == 30


def test_a_key_that_is_not_there_is_not_set(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("x:\n  one: 5  # why\n  two: 6\n")

    trading.change_config(tmp_path, a={"one": 7})

    assert (tmp_path / "a.yaml").read_text() == "x:\n  one: 7 # why\n  two: 6\n"
    with pytest.raises(ValueError, match="three"):
        trading.change_config(tmp_path, a={"three": 7})


def test_the_log_is_read_line_by_line_from_where_it_stood(tmp_path: Path):
    log = tmp_path / "logs" / "firm.jsonl"
    log.parent.mkdir()
    log.write_text('{"event": "run.completed", "run_id": "R1"}\n')
    reader = trading.LogReader(tmp_path)

    with log.open("a") as file:
        file.write('{"event": "run.completed", "run_id": "R2"}\n{"event": "run.abor')
    assert [line["run_id"] for line in reader.lines()] == ["R2"]
    with log.open("a") as file:
        file.write('ted", "run_id": "R1"}\n')

    assert reader.wait_end("R1")["event"] == "run.aborted"
    assert reader.lines() == []


# the command


def test_each_figure_has_its_target_beside_it():
    figures = {"a": {"x": 1, "y": 2}, "b": {"x": 3}, "targets": {"a.x": "at most 5", "y": "0"}}

    assert list(bench.rows(figures)) == [("a.x", 1, "at most 5"), ("a.y", 2, "0"), ("b.x", 3, "")]


def test_a_target_without_a_figure_is_an_error():
    with pytest.raises(ValueError, match="gone"):
        list(bench.rows({"a": 1, "targets": {"gone": "0"}}))


def test_figures_become_a_table():
    assert bench.markdown("x", {"a": 1, "targets": {"a": "0"}}).splitlines()[-1] == "| a | 1 | 0 |"


def test_figures_are_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(requests, "run", lambda rounds=10: {"rounds": rounds})

    assert bench.main(["requests", "--rounds", "3", "--markdown", "--json", str(tmp_path / "figures.json")]) == 0

    assert json.loads((tmp_path / "figures.json").read_text()) == {"requests": {"rounds": 3}}
    assert "| rounds | 3 |  |" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["nonsense"], ["requests", "--rounds", "0"], ["--rounds", "3"]])
def test_a_wrong_command_line_is_refused(words: list[str]):
    with pytest.raises(SystemExit) as stopped:
        bench.main(words)

    assert stopped.value.code == 2
