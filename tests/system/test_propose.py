"""`firm propose` as a person types it: candidates and an account become a plan that is approved and executed whole."""

import json
import re
from decimal import Decimal

import pytest

from departments.executive.plan_file import read_plan
from tests.builders import small
from tests.daemon import Home, orders_of
from tests.paper import PaperAlpaca

CANDIDATES = """\
symbol,score,price,sector
BAA,90,100,Technology
BBB,80,60,Energy
BCC,70,,Energy
BDD,60,3,Energy
GONE,50,10,Energy
"""
STATE = {"cash": "20000", "prices": {**{symbol: price for symbol, (_, price, _) in small.BUYS.items()}, "BDD": "4"}}
TARGET = ("--target", "1.0")


@pytest.fixture(scope="module")
def alpaca():
    """One for all tests that only read the account."""
    with PaperAlpaca(small.account(**STATE)) as paper:
        yield paper


@pytest.fixture
def firm(tmp_path, alpaca):
    with Home(tmp_path, alpaca) as home:
        (tmp_path / "candidates.csv").write_text(CANDIDATES, encoding="utf-8")
        yield home


def propose(home: Home, *words: str, name: str = "candidates.csv", output: str = "plan.yaml"):
    return home.inside("propose", str(home.plans / name), "-o", str(home.plans / output), *words)


def test_candidates_become_a_plan_that_is_approved_and_executed_whole(tmp_path):
    (tmp_path / "candidates.csv").write_text(CANDIDATES, encoding="utf-8")
    with PaperAlpaca(small.account(**STATE)) as paper, Home(tmp_path, paper) as firm:
        _from_candidates_to_the_end(firm)


def _from_candidates_to_the_end(firm: Home) -> None:
    answer = firm.firm("propose", str(firm.plans / "candidates.csv"), "-o", str(firm.plans / "plan.yaml"), *TARGET)

    assert answer.returncode == 0, answer
    assert answer.stderr == ""
    assert "3 orders, 3 of 5 candidates bought" in answer.stdout
    assert "Skipped BDD: price deviation from the reference price" in answer.stdout
    assert "Skipped GONE: " in answer.stdout
    assert {request["method"] for request in firm.paper.requests()} == {"GET"}
    approved = firm.inside("approve", str(firm.plans / "plan.yaml"), "--yes")
    assert approved.returncode == 0, approved
    firm.start()
    run_id = firm.inside("submit", str(firm.plans / "plan.yaml")).stdout.strip()
    view = firm.wait_end(run_id)
    assert (view["outcome"], view["verification"]["ok"]) == ("completed", True)
    assert {leg["status"] for leg in view["legs"]} == {"filled"}
    assert [order["symbol"] for order in orders_of(firm.paper, "buy")] == ["BAA", "BBB", "BCC"]


def test_json_tells_every_candidate_with_its_reason(firm):
    answer = propose(firm, "--json", "--regime", "bear", "--sizing", "score", *TARGET)

    assert answer.returncode == 0, answer
    shown = json.loads(answer.stdout)
    assert (shown["regime"], shown["sizing"], shown["funding"]) == ("bear", "score", "proceeds")
    assert [one["symbol"] for one in shown["candidates"]] == ["BAA", "BBB", "BCC", "BDD", "GONE"]
    assert all(one["decision"] == "bought" or one["reasons"] for one in shown["candidates"])


def test_a_file_that_is_there_stays_unless_it_is_forced(firm):
    plan = firm.plans / "plan.yaml"
    plan.write_text("mine\n", encoding="utf-8")

    refused = propose(firm, *TARGET)
    kept = plan.read_text(encoding="utf-8")
    forced = propose(firm, "--force", *TARGET)

    assert refused.returncode == 2
    assert "is there already, expected a new file or --force" in refused.stderr
    assert kept == "mine\n"
    assert forced.returncode == 0, forced
    assert "trades:" in plan.read_text(encoding="utf-8")


def test_what_is_read_is_never_overwritten(firm):
    answer = propose(firm, "--force", output="candidates.csv")

    assert answer.returncode == 2
    assert (firm.plans / "candidates.csv").read_text(encoding="utf-8") == CANDIDATES


def test_a_plan_is_topped_up_with_its_legs_kept(firm):
    base = firm.plans / "base.yaml"
    base.write_text(small.plan(("SAA",), ("BCC",), sell_shortfall="resize"), encoding="utf-8")

    answer = propose(firm, "--top-up", str(base), "--json", *TARGET)

    assert answer.returncode == 0, answer
    shown = json.loads(answer.stdout)
    assert [(one["symbol"], one["decision"], one["qty"]) for one in shown["kept"]] == [
        ("SAA", "kept", "20"),
        ("BCC", "kept", "25"),
    ]
    assert "sell_shortfall: resize" in (firm.plans / "plan.yaml").read_text(encoding="utf-8")
    assert firm.inside("approve", str(firm.plans / "plan.yaml"), "--yes").returncode == 0


def test_a_top_up_of_a_plan_that_cant_be_done_writes_nothing(firm):
    base = firm.plans / "base.yaml"
    base.write_text(small.plan(("SAA",)).replace('"20"', '"21"', 1), encoding="utf-8")

    answer = propose(firm, "--top-up", str(base))

    assert answer.returncode == 4
    assert "shares held: 21 against 20" in answer.stderr
    assert not (firm.plans / "plan.yaml").exists()


def test_nothing_to_buy_is_an_empty_plan_that_says_why(firm):
    answer = propose(firm, "--target", "0.5")

    assert answer.returncode == 0, answer
    assert "0 orders, 0 of 5 candidates bought: nothing to buy" in answer.stdout
    assert "operations_config.yaml: target_deployment_fraction" in answer.stdout
    assert (firm.plans / "plan.yaml").read_text(encoding="utf-8").endswith("trades: []\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target", "-1"), "expected"),
        (("--target", "11"), "expected a fraction of equity like 0.90, was '11'"),
        (("--plan-id", "a b"), "plan_id: 'a b', expected a name"),
        (("--top-up", "/nowhere/plan.yaml"), "/nowhere/plan.yaml: no such file, expected a plan file"),
    ],
)
def test_bad_words_are_one_line_and_exit_2(firm, words, said):
    answer = propose(firm, *words)

    assert answer.returncode == 2, answer
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (firm.plans / "plan.yaml").exists()


@pytest.mark.parametrize("top_up", [True, False])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.unlink(), "no such file"),
        (lambda file: (file.unlink(), file.mkdir()), "is a directory"),
        (lambda file: file.write_text("position_sizing: ["), "is not YAML"),
        (lambda file: file.write_bytes(b"\xff"), "is not UTF-8"),
        (
            lambda file: file.write_text(re.sub(r"position_sizing:\n.*\n", "", file.read_text())),
            "position_sizing.min_position_value: is missing, expected it",
        ),
        (
            lambda file: file.write_text(file.read_text().replace("min_position_value: 500", "min_position_value:")),
            "position_sizing.min_position_value",
        ),
    ],
    ids=["missing", "a folder", "not YAML", "not text", "without the key", "without a value"],
)
def test_rules_that_cant_be_read_are_an_error_and_no_default(firm, spoil, said, top_up):
    base = firm.plans / "base.yaml"
    base.write_text(small.plan(("SAA",)), encoding="utf-8")
    spoil(firm.config / "compliance_config.yaml")
    asked = len(firm.paper.requests())

    answer = propose(firm, *(("--top-up", str(base)) if top_up else ()))

    assert answer.returncode == 2
    assert "compliance_config.yaml" in answer.stderr
    assert said in answer.stderr
    assert len(firm.paper.requests()) == asked
    assert not (firm.plans / "plan.yaml").exists()


def test_a_top_up_tells_and_logs_each_name_that_is_left_out_and_why(firm):
    (firm.plans / "base.yaml").write_text(small.plan(("SAA",), ("BAA",)), encoding="utf-8")
    (firm.plans / "few.csv").write_text(
        "symbol,score,price\nBBB,80,60\nBCC,70,40\nBAA,1,100\nGONE,1,5\n", encoding="utf-8"
    )
    # Equity is $76,000; $56,000 held, $2,000 of it sold, $2,000 bought: what the target leaves to add is $974.92.
    words = ("--top-up", str(firm.plans / "base.yaml"), "--target", "0.74967")

    answer = firm.firm("propose", str(firm.plans / "few.csv"), "-o", str(firm.plans / "plan.yaml"), *words)

    assert answer.returncode == 0, answer
    logged = firm.logged("candidate.skipped", department="operations")
    assert [line["symbol"] for line in logged] == ["BCC", "BAA", "GONE"]
    assert logged[0]["message"].startswith("Skipped BCC: $400 below $500 minimum")
    for line in logged:
        assert line["message"] in " ".join(answer.stdout.split())
    assert firm.logged("plan.proposed")[0]["message"].endswith("plan.yaml: 1 of 4 candidates bought")


def test_a_log_that_cant_be_written_is_said_and_keeps_no_plan_back(firm):
    firm.path.mkdir()
    (firm.path / "logs").write_text("a file", encoding="utf-8")

    answer = propose(firm, *TARGET)

    assert answer.returncode == 0, answer
    assert answer.stderr.startswith("firm propose: ")
    assert "the log can't be written" in answer.stderr
    assert (firm.plans / "plan.yaml").exists()


def test_averages_that_the_file_lacks_are_reckoned_from_daily_bars_and_too_few_leave_a_name_out(tmp_path):
    days = [f"2025-11-{day:02}" for day in (3, 4, 5, 6, 7)]
    few = [{"day": day, "open": "40", "high": "41", "low": "39", "close": "40", "volume": "1000"} for day in days]
    state = small.account(**STATE, bars={"BCC": few}, clock={"now": "2025-11-10T15:09:12Z", "is_open": True})
    (tmp_path / "c.csv").write_text("symbol,price,atr\nBAA,100,\nBBB,60,1.25\nBCC,40,\n", encoding="utf-8")
    with PaperAlpaca(state) as paper, Home(tmp_path, paper) as home:
        answer = home.firm(
            "propose", str(tmp_path / "c.csv"), "-o", str(tmp_path / "plan.yaml"),
            "--sizing", "inverse_volatility", *TARGET,
        )  # fmt: skip
        paper.fault({"on": "GET /v2/stocks/bars", "do": "error", "status": 500})
        unread = propose(home, "--sizing", "inverse_volatility", name="c.csv", output="other.yaml")
        asked = [request["query"] for request in paper.requests() if request["path"] == "/v2/stocks/bars"]

    assert answer.returncode == 0, answer
    assert "2 of 3 candidates bought" in answer.stdout
    assert (
        "Skipped BCC: what sizing by inverse_volatility needs: ATR missing against an ATR in the file" in answer.stdout
    )
    plan, _ = read_plan(tmp_path / "plan.yaml", accounts=["paper"])
    atr = {trade.symbol: trade.atr_usd for trade in plan.trades}
    assert atr["BBB"] == Decimal("1.25")
    assert Decimal(0) < atr["BAA"] < 20
    assert "BBB" not in str(asked[0])
    assert unread.returncode == 6
    assert "firm propose: http://127.0.0.1:" in unread.stderr
    assert not (tmp_path / "other.yaml").exists()


def test_bad_candidates_are_named_with_their_line_before_anybody_is_asked(firm):
    (firm.plans / "bad.csv").write_text("symbol,price\nBAA,100\nBAA,nan\n", encoding="utf-8")

    asked = len(firm.paper.requests())

    answer = propose(firm, name="bad.csv")

    assert answer.returncode == 2
    assert "bad.csv:3: candidate 2 (BAA): stands twice" in answer.stderr
    assert len(firm.paper.requests()) == asked


def test_an_account_that_cant_be_read_is_exit_6(tmp_path):
    with Home(tmp_path, None) as home:
        (tmp_path / "candidates.csv").write_text(CANDIDATES, encoding="utf-8")

        answer = propose(home)

    assert answer.returncode == 6
    assert "firm propose: http://127.0.0.1:9: " in answer.stderr
    assert not (tmp_path / "plan.yaml").exists()
