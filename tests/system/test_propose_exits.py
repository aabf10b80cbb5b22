"""`firm propose --exits` as a person types it: positions become a plan of SELLs that is approved and executed whole."""

import json
import stat
from datetime import date, timedelta

import pytest

from tests.builders import small
from tests.daemon import Home, orders_of
from tests.paper import PaperAlpaca

STATE = {
    "cash": "20000",
    "positions": [
        {"symbol": "SAA", "qty": "20", "avg_entry_price": "120", "price": "100"},
        {"symbol": "SBB", "qty": "40", "avg_entry_price": "51", "price": "50"},
        {"symbol": "SCC", "qty": "200", "avg_entry_price": "50", "price": "50"},
    ],
    "prices": {"BAA": "100"},
}
SCORES = "symbol,score\nSBB,10\nBAA,90\n"


@pytest.fixture(scope="module")
def alpaca():
    """One for all tests that only read the account."""
    with PaperAlpaca(small.account(**STATE)) as paper:
        yield paper


@pytest.fixture
def firm(tmp_path, alpaca):
    with Home(tmp_path, alpaca) as home:
        yield home


def propose(home: Home, *words: str):
    return home.inside("propose", "--exits", "-o", str(home.plans / "exits.yaml"), *words)


def test_exits_become_a_plan_that_is_approved_and_executed_whole(tmp_path):
    with PaperAlpaca(small.account(**STATE)) as paper, Home(tmp_path, paper) as firm:
        answer = firm.firm("propose", "--exits", "-o", str(tmp_path / "exits.yaml"))

        assert answer.returncode == 0, answer
        assert answer.stderr == ""
        assert "2 orders, 3 positions" in answer.stdout
        assert "Sold SAA: last price in USD at or below the stop: 100 against 108" in answer.stdout
        assert "Trimmed SCC: position as a fraction of equity" in answer.stdout
        assert "Kept SBB: last price in USD above the stop: 50 against 45.9" in answer.stdout
        assert {request["method"] for request in paper.requests()} == {"GET"}
        assert firm.inside("approve", str(tmp_path / "exits.yaml"), "--yes").returncode == 0
        firm.start()
        view = firm.wait_end(firm.inside("submit", str(tmp_path / "exits.yaml")).stdout.strip())
        assert (view["outcome"], view["verification"]["ok"]) == ("completed", True)
        sold = {order["symbol"]: order["qty"] for order in orders_of(paper, "sell")}
        assert sold == {"SAA": "20", "SCC": "146"}  # 8 % of $34,000 is 54 shares at $50 and a bit
        again = firm.inside("propose", "--exits", "-o", str(tmp_path / "more.yaml"))
        assert "0 orders, 2 positions: nothing to sell" in again.stdout


def test_json_tells_every_position_with_every_rules_word(firm):
    answer = propose(firm, "--json")

    assert answer.returncode == 0, answer
    shown = json.loads(answer.stdout)
    told = {one["symbol"]: one for one in shown["positions"]}
    assert {symbol: one["decision"] for symbol, one in told.items()} == {"SAA": "sold", "SBB": "kept", "SCC": "trimmed"}
    assert (told["SAA"]["leg"], told["SAA"]["qty"], told["SAA"]["held"]) == ("S01", "20", "20")
    assert [rule["rule"] for rule in told["SBB"]["rules"]] == ["stop_loss", "target", "trailing_stop", "time", "trim"]
    assert told["SAA"]["reasons"][0]["code"] == "EXIT_STOP_LOSS"


def test_candidates_give_scores(tmp_path, alpaca):
    (tmp_path / "scores.csv").write_text(SCORES, encoding="utf-8")
    with Home(tmp_path, alpaca, operations_config={"exits.score.enabled": True}) as firm:
        answer = propose(firm, str(tmp_path / "scores.csv"), "--json")

    told = {one["symbol"]: one for one in json.loads(answer.stdout)["positions"]}
    assert told["SBB"]["decision"] == "sold"
    assert [one["rule"] for one in told["SBB"]["reasons"]] == ["score below the floor"]
    words = {rule["rule"]: rule["reason"]["figure"] for rule in told["SCC"]["rules"]}
    assert words["score"] == "not judged: score missing"


def test_rules_are_switched_off_one_by_one(tmp_path, alpaca):
    off = {f"exits.{name}.enabled": False for name in ("stop_loss", "target", "trailing_stop", "time", "trim")}
    with Home(tmp_path, alpaca, operations_config=off) as firm:
        answer = propose(firm)

    assert answer.returncode == 0, answer
    assert "0 orders, 3 positions: nothing to sell" in answer.stdout
    assert "Kept SAA: no rule is on" in answer.stdout
    assert (tmp_path / "exits.yaml").read_text(encoding="utf-8").endswith("trades: []\n")


BARS = [
    {"day": day.isoformat(), "open": "100", "high": "101", "low": "99", "close": "100", "volume": "1000"}
    for day in (date(2025, 10, 13) + timedelta(days=number) for number in range(28))
    if day.weekday() < 5
]
PEAK = {**BARS[-1], "high": "121", "close": "120"}
"""The last day's close is a high; its true range of 22 makes the average (13 x 2 + 22) / 14 = 3.4286."""


def test_days_held_and_highest_closes_come_from_what_alpaca_tells_of_the_past(tmp_path):
    """Bought on Thursday, October 30: on Monday, November 10, the seventh trading day since."""
    held = {"SOLD": "101", "PEAK": "105", "KEEP": "103"}
    fills = [
        {"symbol": symbol, "side": "buy", "qty": "10", "price": "100", "at": "2025-10-30T15:00:00Z"} for symbol in held
    ]
    past = small.account(
        cash="50000",
        positions=[
            {"symbol": symbol, "qty": "10", "avg_entry_price": "100", "price": price} for symbol, price in held.items()
        ],
        prices={},
        bars={"SOLD": BARS, "KEEP": BARS, "PEAK": [*BARS[:-1], PEAK]},
        fills_history=fills,
        clock={"now": "2025-11-10T15:00:00Z", "is_open": True},
    )
    with PaperAlpaca(past) as paper, Home(tmp_path, paper) as firm:
        answer = propose(firm, "--json")

    assert (answer.returncode, answer.stderr) == (0, ""), answer
    told = {one["symbol"]: one for one in json.loads(answer.stdout)["positions"]}
    assert {symbol: [one["code"] for one in line["reasons"]] for symbol, line in told.items()} == {
        "SOLD": ["EXIT_TIME"],
        "PEAK": ["EXIT_TRAILING_STOP"],
        "KEEP": [],
    }
    (late,), (fallen,) = told["SOLD"]["reasons"], told["PEAK"]["reasons"]
    assert (late["figure"], late["limit"], late["rule"]) == ("7", "5", "trading days held, with a gain of 0.01")
    assert (fallen["figure"], fallen["limit"]) == ("105", "109.7142")


def test_what_the_plan_said_counts_for_what_it_bought(tmp_path):
    on = {"exits.score.enabled": True, "exits.score.floor": 85}
    state = small.account(cash="50000", positions=[])
    with PaperAlpaca(state) as paper, Home(tmp_path, paper, operations_config=on) as firm:
        firm.start()
        firm.wait_end(firm.submit(small.plan(sells=(), buys=("BAA", "BBB"), funding="cash")))

        answer = propose(firm, "--json")

    told = {one["symbol"]: one["decision"] for one in json.loads(answer.stdout)["positions"]}
    assert told == {"BAA": "kept", "BBB": "sold"}, "scores of 90 and 80"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sizing", "equal"), "--sizing with --exits, expected one of the two"),
        (("--top-up", "x.yaml"), "--top-up with --exits, expected one of the two"),
        (("--target", "0.5"), "--target with --exits, expected one of the two"),
        (("nowhere.csv",), "nowhere.csv: no such file"),
        (("--plan-id", "a b"), "plan_id: 'a b', expected a name"),
    ],
)
def test_bad_words_are_one_line_and_exit_2(firm, words, said):
    answer = propose(firm, *words)

    assert answer.returncode == 2, answer
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (firm.plans / "exits.yaml").exists()


def test_neither_candidates_nor_exits_is_exit_2(firm):
    answer = firm.inside("propose", "-o", str(firm.plans / "plan.yaml"))

    assert answer.returncode == 2
    assert "expected CANDIDATES.yaml|csv or --exits" in answer.stderr


def test_a_file_that_is_there_stays(firm):
    (firm.plans / "exits.yaml").write_text("mine\n", encoding="utf-8")

    answer = propose(firm)

    assert answer.returncode == 2
    assert (firm.plans / "exits.yaml").read_text(encoding="utf-8") == "mine\n"


def test_a_blocked_account_is_exit_4(tmp_path):
    with PaperAlpaca(small.account(**STATE)) as paper, Home(tmp_path, paper) as firm:
        paper.account(trading_blocked=True)

        answer = propose(firm)

    assert answer.returncode == 4
    assert "account free to trade: trading_blocked against no block" in answer.stderr
    assert not (tmp_path / "exits.yaml").exists()


def test_an_account_that_cant_be_read_is_exit_6(tmp_path):
    with Home(tmp_path, None) as home:
        answer = propose(home)

    assert answer.returncode == 6
    assert "firm propose: http://127.0.0.1:9: " in answer.stderr


def test_the_plan_is_readable(firm):
    propose(firm)

    path = firm.plans / "exits.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.split(":")[0] for line in lines[1:4]] == ["# SELL 20 of 20 SAA", "# KEPT SBB", "# TRIM 146 of 200 SCC"]
    assert stat.S_ISREG(path.stat().st_mode)
