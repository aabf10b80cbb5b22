"""The portfolio database with a real firm: what was bought when, kept by the daemon, made anew by a command."""

import csv
import io
import json
import time
import urllib.request
from decimal import Decimal

import pytest

from tests.builders import november, small
from tests.daemon import Home, nap
from tests.paper import PaperAlpaca

KINDS = ("fills", "positions", "runs", "lots", "equity")
LIMIT_S = 30.0


NO_FILLS_JUDGED = small.MANY_A_DAY | {"cool_down.days_after_stop": None, "day_trades.max_round_trips": None}
"""Rules of a house whose runs ask for no executions: then only the portfolio database does."""


def exported(home):
    return {kind: rows(home, kind) for kind in KINDS}


def rows(home, kind):
    answer = home.inside("export", kind)
    assert (answer.returncode, answer.stderr) == (0, ""), answer
    return list(csv.DictReader(io.StringIO(answer.stdout)))


def refreshed(home, until):
    """Wait for a refresh after which `until` holds of what was logged."""
    ends = time.monotonic() + LIMIT_S
    while not any(map(until, home.logged("books.refreshed"))):
        assert time.monotonic() < ends, home.sentences()[-20:]
        nap(0.05)


def with_fills(count):
    return lambda line: line["fills"] >= count


def activities(paper):
    """What Alpaca itself tells, oldest first."""
    headers = {"APCA-API-KEY-ID": "any", "APCA-API-SECRET-KEY": "any"}
    request = urllib.request.Request(f"{paper.url}/v2/account/activities/FILL?direction=asc", headers=headers)  # noqa: S310 - a loopback address
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return json.load(answer)


def micros(text):
    return text.replace("+00:00", "Z")


def test_entries_of_the_november_plan_are_its_fills_and_a_rebuild_gives_the_same(tmp_path):
    in_parts = november.account(fills={"delay_ms": [1, 20], "partial_probability": "0.5"})
    with PaperAlpaca(in_parts) as paper, Home(tmp_path, paper) as home:
        home.start()
        run_id = home.submit(november.plan())
        home.wait_end(run_id)
        told = activities(paper)
        refreshed(home, with_fills(len(told)))
        kept, texts = exported(home), [home.inside("export", kind, "--format", "jsonl").stdout for kind in KINDS]

        first = {}
        for fill in told:
            at = micros(fill["transaction_time"])
            first[fill["symbol"]] = min(at, first.get(fill["symbol"], at))
        entries = {row["symbol"]: row["entered_at"] for row in kept["positions"]}
        assert {symbol: entries[symbol] for symbol in november.BUYS} == {
            symbol: first[symbol] for symbol in november.BUYS
        }
        assert {symbol for symbol, at in entries.items() if not at} == november.HOLDINGS.keys() - set(november.SELLS)
        assert sorted(row["activity_id"] for row in kept["fills"]) == sorted(fill["id"] for fill in told)
        assert {row["run_id"] for row in kept["fills"]} == {run_id}
        assert {row["client_order_id"] for row in kept["fills"] if row["symbol"] == "COMM"} == {f"{run_id}-B01-1"}
        lots = {row["symbol"]: int(row["lots"]) for row in kept["positions"]}
        assert max(lots.values()) > 1
        assert sum(lots.values()) == sum(fill["side"] == "buy" for fill in told)
        (run,) = kept["runs"]
        assert (run["run_id"], run["outcome"], run["legs_filled"], run["verified"]) == (
            run_id,
            "completed",
            "16",
            "yes",
        )
        assert Decimal(run["proceeds"]) > Decimal(run["spent"]) > 0

        (home.path / "portfolio.db").unlink()
        rebuilt = home.firm("rebuild")

        assert (rebuilt.returncode, rebuilt.stderr) == (0, ""), rebuilt
        assert f"fills: {len(told)}, positions: 28, runs: 1" in rebuilt.stdout
        assert exported(home) == kept
        assert [home.inside("export", kind, "--format", "jsonl").stdout for kind in KINDS] == texts
        assert (home.path / "portfolio.db").stat().st_mode & 0o777 == 0o600

        checks = {one["check"]: one for one in json.loads(home.inside("doctor", "--json").stdout)["checks"]}
        assert checks["entries"]["level"] == "warn"
        assert checks["entries"]["detail"].startswith("17 positions that our fills don't explain")
        assert "ACGL (no fills)" in checks["entries"]["detail"]


def a_plan(number, *trades):
    lines = "\n".join(
        f'  - {{symbol: {symbol}, side: {side}, qty: "{qty}", reference_price: "{price}"}}'
        for symbol, side, qty, price in trades
    )
    return f"plan_id: DAYS_{number}\naccount: paper\nfunding: buying_power\ntrades:\n{lines}\n"


def test_a_position_bought_in_two_plans_on_different_days_is_as_old_as_the_first(tmp_path):
    state = small.account(clock={"now": "2025-11-10T15:00:00Z", "is_open": True})
    plans = [
        (None, ("SAA", "sell", 20, 100), ("BAA", "buy", 10, 100)),
        ("2025-11-12T15:00:00Z", ("BAA", "buy", 8, 100), ("SAA", "buy", 12, 100)),
        ("2025-11-13T15:00:00Z", ("BAA", "sell", 4, 100)),
        ("2025-11-14T15:00:00Z", ("BAA", "sell", 14, 100)),
        ("2025-11-17T15:00:00Z", ("BAA", "buy", 7, 100)),
    ]
    seen = []
    with (
        PaperAlpaca(state) as paper,
        Home(
            tmp_path,
            paper,
            executive_config=small.QUICK_CEO,
            trading_config=small.QUICK_TRADING,
            compliance_config=small.MANY_A_DAY,
        ) as home,
    ):
        home.start()
        fills = 0
        for number, (now, *trades) in enumerate(plans):
            if now is not None:
                paper.clock(now=now, is_open=True)
            run_id = home.submit(a_plan(number, *trades), f"{number}.yaml")
            assert home.wait_end(run_id)["outcome"] == "completed"
            fills += len(trades)
            if number == 2:
                home.kill()
                home.start()
            if number in {2, 4}:
                refreshed(home, with_fills(fills))
            else:
                assert home.inside("rebuild").returncode == 0
            held = {row["symbol"]: row for row in rows(home, "positions")}
            seen.append([held[symbol]["entry_day"] if symbol in held else None for symbol in ("BAA", "SAA", "KEEP")])
            if number == 2:
                assert [row["qty"] for row in rows(home, "lots") if row["symbol"] == "BAA"] == ["6", "8"]
        kept = exported(home)
        (home.path / "portfolio.db").write_bytes(b"somebody's notes")
        assert home.inside("rebuild").returncode == 0

        assert seen == [
            ["2025-11-10", None, ""],
            ["2025-11-10", "2025-11-12", ""],  # what was there before the first fill was seen sold by the first run
            ["2025-11-10", "2025-11-12", ""],
            [None, "2025-11-12", ""],
            ["2025-11-17", "2025-11-12", ""],
        ]
        assert exported(home) == kept
        assert [row["day"] for row in kept["equity"]] == [f"2025-11-{day}" for day in (10, 11, 12, 13, 14)]
        assert len(kept["runs"]) == 5
        assert home.logged("books.not_refreshed") == []


def test_a_refresh_that_fails_is_said_and_tried_again_and_trading_does_not_notice(tmp_path):
    no_fills = {"on": "GET /v2/account/activities/FILL", "do": "error", "status": 500, "body": "{}"}
    with (
        PaperAlpaca(small.account()) as paper,
        Home(
            tmp_path,
            paper,
            executive_config=small.QUICK_CEO,
            trading_config=small.QUICK_TRADING,
            compliance_config=NO_FILLS_JUDGED,
        ) as home,
    ):
        paper.fault(no_fills)
        home.start()
        home.wait_log("books.not_refreshed", limit_s=LIMIT_S)
        first = home.wait_end(home.submit(small.plan(), "one.yaml"))
        unbuilt = home.inside("export", "positions")
        paper.clear_faults()
        second = home.wait_end(home.submit(small.plan(sells=("SBB",), buys=("BBB",)), "two.yaml"))
        refreshed(home, with_fills(4))

        assert (first["outcome"], second["outcome"]) == ("completed", "completed")
        assert unbuilt.returncode == 6
        assert len(rows(home, "runs")) == 2
        assert home.stop() == 0


def one_line(answer, code):
    assert (answer.returncode, answer.stdout) == (code, ""), answer
    assert len(answer.stderr.splitlines()) == 1
    return answer.stderr


def test_without_a_database_the_way_to_one_is_said(tmp_path):
    with Home(tmp_path, None) as home:
        assert "firm rebuild makes it" in one_line(home.firm("export", "fills"), 6)
        assert "export" in one_line(home.firm("export", "everything"), 2)
        assert "firm rebuild" in one_line(home.firm("rebuild"), 6)  # nobody listens there
        del home.env["APCA_API_KEY_ID"]
        assert "APCA_API_KEY_ID" in one_line(home.firm("rebuild"), 6)
        assert not (home.path / "portfolio.db").exists()


def test_a_rebuild_needs_no_journal_and_an_export_goes_into_a_file(tmp_path):
    with PaperAlpaca(small.account()) as paper, Home(tmp_path, paper) as home:
        paper.stranger(symbol="BAA", side="buy", qty="3")
        paper.wait_for_order(lambda order: order["status"] == "filled")
        rebuilt = home.inside("rebuild")
        path = tmp_path / "positions.jsonl"
        answer = home.inside("export", "positions", "--format", "jsonl", "-o", str(path))

        assert rebuilt.returncode == 0, rebuilt
        assert not (home.path / "firm.db").exists()
        assert (answer.returncode, answer.stdout) == (0, "")
        told = {row["symbol"]: row for row in map(json.loads, path.read_text().splitlines())}
        assert told["BAA"]["qty"] == "3"
        assert told["BAA"]["entered_at"] == micros(activities(paper)[0]["transaction_time"])
        assert (told["KEEP"]["entered_at"], told["KEEP"]["unknown_because"]) == (None, "no fills")
        assert "no such" in one_line(home.inside("export", "runs", "-o", str(tmp_path / "not" / "there")), 2).lower()
        path = home.path / "portfolio.db"
        path.write_bytes(b"rubbish")
        assert "firm rebuild" in one_line(home.inside("export", "runs"), 6)
        paper.stop()
        assert "firm rebuild" in one_line(home.inside("rebuild"), 6)


@pytest.mark.parametrize("verb", ["export", "rebuild"])
def test_help_is_quick_and_imports_nothing_heavy(tmp_path, verb):
    with Home(tmp_path, None) as home:
        home.env["PYTHONPROFILEIMPORTTIME"] = "1"
        answer = home.firm(verb, "--help")

    imported = {line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()}
    assert answer.returncode == 0
    assert "argparse" in imported
    assert not imported & {"pydantic", "alpaca", "sqlalchemy", "pykka", "structlog", "rich"}


def test_an_export_imports_neither_alpaca_nor_sqlalchemy(tmp_path):
    with Home(tmp_path, None) as home:
        home.path.mkdir()
        (home.path / "portfolio.db").write_bytes(b"")
        home.env["PYTHONPROFILEIMPORTTIME"] = "1"
        answer = home.firm("export", "runs")

    imported = {line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()}
    assert answer.returncode == 6
    assert "departments.portfolio.store" in imported
    assert not imported & {"alpaca", "sqlalchemy", "pykka", "structlog", "rich"}
