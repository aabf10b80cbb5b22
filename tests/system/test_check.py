"""`firm check`: the verdict, the rehearsal, and the proof that nothing is sent to the account."""

import json
import signal
import subprocess
import time

import pytest

from tests.builders import november, small
from tests.daemon import FIRM, Home, nap
from tests.paper import PaperAlpaca

LIMIT_S = 100


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The plan of November 10, checked once as a person types it."""
    folder = tmp_path_factory.mktemp("check")
    with PaperAlpaca(november.account()) as paper, Home(folder, paper) as home:
        path = folder / "plan.yaml"
        path.write_text(november.plan(), encoding="utf-8")
        answer = home.firm("check", str(path), "--json", limit_s=LIMIT_S)
        yield answer, paper.requests(), paper.orders(), home


def test_the_plan_of_november_10_passes(checked):
    answer, _, _, _ = checked

    assert answer.returncode == 0, answer
    assert answer.stderr == ""
    shown = json.loads(answer.stdout)
    assert (shown["passes"], shown["verdict"]) == (True, "completed")
    assert {leg["decision"] for leg in shown["legs"]} == {"keep"}
    assert [step["step"] for step in shown["sequence"]] == ["sell"] * 5 + ["gate"] + ["buy"] * 11
    assert [phase["cash"] for phase in shown["phases"]] == ["-64137.45", "-27662.21", "-61086.77"]
    assert [phase["positions"] for phase in shown["phases"]] == [22, 17, 28]
    assert shown["twin"]["verified"] is True
    assert (shown["twin"]["differences"], shown["twin"]["notes"]) == ([], [])
    assert shown["took_s"]["all"] > 0


def test_nothing_is_sent_to_the_account(checked):
    _, requests, orders, _ = checked

    assert {request["method"] for request in requests} == {"GET"}
    assert not [request for request in requests if "stream" in request["path"]]
    assert orders == []


def test_a_check_leaves_nothing_behind_in_the_firms_own_state(checked):
    _, _, _, home = checked

    assert not home.path.exists()


def test_what_would_happen_if_each_sell_failed_is_told(checked):
    answer, _, _, _ = checked

    failures = json.loads(answer.stdout)["if_a_sell_fails"]
    assert [one["symbol"] for one in failures] == list(november.SELLS)
    for one in failures:
        assert (one["then"], one["reason"], one["bought"]) == ("held", "sell_shortfall", {}), one
        assert set(one["sold"]) == set(november.SELLS) - {one["symbol"]}
        assert one["after_release"]["then"] == "completed"
        assert 0 < len(one["after_release"]["bought"]) <= len(november.BUYS)


def test_the_tables_say_it_to_people_with_the_policy_of_the_plan(tmp_path):
    with PaperAlpaca(small.account()) as paper, Home(tmp_path, paper) as home:
        path = tmp_path / "plan.yaml"
        path.write_text(small.plan(("SAA", "SBB"), ("BAA", "BBB"), sell_shortfall="resize"), encoding="utf-8")
        answer = home.firm("check", str(path), limit_s=LIMIT_S)

    assert answer.returncode == 0, answer
    for words in ("PASSES, nothing cut", "sell shortfall resize", "gate: cash", "nothing was sent to the account"):
        assert words in answer.stdout
    assert "held" not in answer.stdout


def test_a_plan_with_an_inactive_symbol_is_rejected(tmp_path):
    state = small.account(assets={"SAA": {"status": "inactive"}})
    with PaperAlpaca(state) as paper, Home(tmp_path, paper) as home:
        path = tmp_path / "plan.yaml"
        path.write_text(small.plan(), encoding="utf-8")
        answer = home.firm("check", str(path))
        as_json = home.inside("check", str(path), "--json")

        assert {request["method"] for request in paper.requests()} == {"GET"}
    assert answer.returncode == as_json.returncode == 4
    assert "DOES NOT PASS" in answer.stdout
    assert "REJECTED SELL SAA: asset status: inactive against active" in answer.stdout
    shown = json.loads(as_json.stdout)
    assert (shown["verdict"], shown["twin"]) == ("rejected", None)
    assert {"ASSET_NOT_ACTIVE", "ASSET_NOT_TRADABLE"} == {
        violation["code"] for leg in shown["legs"] for violation in leg["violations"]
    }


def test_a_dropped_buy_names_rule_figure_limit_file_and_key(tmp_path):
    with PaperAlpaca(small.account()) as paper, Home(tmp_path, paper) as home:
        paper.prices({"BAA": "120"})
        path = tmp_path / "plan.yaml"
        path.write_text(small.plan((), ("BAA", "BBB"), funding="buying_power"), encoding="utf-8")
        answer = home.firm("check", str(path), limit_s=LIMIT_S)

    assert answer.returncode == 0, answer
    told = "REJECTED BUY BAA: price deviation from the reference price: 0.2 against 0.1"
    assert f"{told} (compliance_config.yaml: prices.max_price_deviation_fraction)" in answer.stdout
    assert "with 0 BUYs cut and 1 dropped" in answer.stdout


def test_open_orders_of_the_account_hold_shares_in_the_twin_and_stay_open(tmp_path):
    with PaperAlpaca(small.account()) as paper, Home(tmp_path, paper) as home:
        paper.stranger(symbol="KEEP", side="sell", qty="100", type="limit", limit_price="500", time_in_force="gtc")
        before = paper.orders()
        path = tmp_path / "plan.yaml"
        path.write_text(small.plan(), encoding="utf-8")
        answer = home.firm("check", str(path), "--json", limit_s=LIMIT_S)

        assert paper.orders() == before
    shown = json.loads(answer.stdout)
    assert answer.returncode == 0, shown["reasons"]
    assert shown["twin"]["differences"] == []
    assert any(note.startswith("1 open orders") for note in shown["twin"]["notes"])


def test_a_closed_market_is_rehearsed_as_at_its_opening(tmp_path):
    with PaperAlpaca(small.account(clock={"is_open": False})) as paper, Home(tmp_path, paper) as home:
        path = tmp_path / "plan.yaml"
        path.write_text(small.plan(), encoding="utf-8")
        answer = home.firm("check", str(path), limit_s=LIMIT_S)

    assert answer.returncode == 0, answer
    assert "the market is closed: the run would wait until" in answer.stdout


def test_a_sell_whose_limit_nobody_pays_does_not_pass(tmp_path):
    trade = '{symbol: SAA, side: sell, qty: "20", reference_price: "100", order_type: limit, limit_price: "150"}'
    with PaperAlpaca(small.account()) as paper, Home(tmp_path, paper) as home:
        path = tmp_path / "plan.yaml"
        path.write_text(f"plan_id: P\naccount: paper\ntrades:\n  - {trade}\n", encoding="utf-8")
        answer = home.firm("check", str(path), limit_s=LIMIT_S)

    assert answer.returncode == 4, answer
    assert "in the twin the run is held: sell_timeout" in answer.stdout


def test_a_broker_that_is_away_and_keys_that_are_missing_exit_6(tmp_path):
    with Home(tmp_path, None) as home:
        path = tmp_path / "plan.yaml"
        path.write_text(small.plan(), encoding="utf-8")
        away = home.inside("check", str(path))
        del home.env["APCA_API_SECRET_KEY"]
        keyless = home.inside("check", str(path))

    assert (away.returncode, away.stdout) == (6, "")
    assert away.stderr.startswith("firm check: http://127.0.0.1:9")
    assert away.stderr.count("\n") == 1
    assert keyless.returncode == 6
    assert "APCA_API_SECRET_KEY is not set" in keyless.stderr


def test_a_plan_that_cannot_be_read_exits_2_and_asks_nobody(tmp_path):
    with Home(tmp_path, None) as home:
        path = tmp_path / "plan.yaml"
        path.write_text("plan_id: P\n", encoding="utf-8")
        answer = home.inside("check", str(path))

    assert answer.returncode == 2
    assert str(path) in answer.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_check_that_is_told_to_stop_leaves_nothing_behind(tmp_path, number):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with PaperAlpaca(small.account()) as paper, Home(tmp_path, paper) as home:
        path = tmp_path / "plan.yaml"
        path.write_text(small.plan(), encoding="utf-8")
        check = subprocess.Popen(
            [str(FIRM), "check", str(path)],
            env=home.env | {"TMPDIR": str(scratch)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        ends = time.monotonic() + LIMIT_S
        while not list(scratch.glob("firm-check.*/run.*/firm.db")):
            assert check.poll() is None
            assert time.monotonic() < ends
            nap(0.01)
        check.send_signal(number)
        complaint = check.communicate(timeout=LIMIT_S)[1]

    assert (check.returncode, complaint) == (130, "firm: interrupted\n")
    assert list(scratch.iterdir()) == []
