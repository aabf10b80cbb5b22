"""What `firm approve` shows of the account before a person says yes, and that it never keeps a person waiting."""

import os
import subprocess

import pytest

from scripts import approve_effect
from tests.builders import small
from tests.daemon import FIRM, Home
from tests.paper import PaperAlpaca

REJECTED = small.plan().replace('"20", reference', '"21", reference')
"""Sells a share more than is held."""


@pytest.fixture(scope="module")
def alpaca():
    with PaperAlpaca(small.account()) as paper:
        yield paper


@pytest.fixture
def home(tmp_path, alpaca):
    alpaca.clear_faults()
    with Home(tmp_path, alpaca) as made:
        yield made


def written(home, text):
    path = home.plans / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def is_approved(home):
    return (home.plans / "plan.yaml.approval").exists()


def at_a_terminal(home, path, typed):
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [str(FIRM), "approve", str(path)], env=home.env, stdin=theirs, stdout=subprocess.PIPE, text=True
    )
    os.write(ours, typed.encode())
    said, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    return process.returncode, said


def rows(said):
    """The cells of a table's rows by their first."""
    return {line.split("  ")[0].strip(): line.split() for line in said.splitlines() if line.strip()}


def test_the_effect_on_cash_exposure_and_positions_is_shown_and_nothing_is_sent(home, alpaca):
    asked = len(alpaca.requests())

    answer = home.firm("approve", str(written(home, small.plan(("SAA",), ("BBB",)))), "--yes")

    assert answer.returncode == 0, answer
    assert answer.stderr == ""
    assert "the rules let it pass, nothing cut" in answer.stdout
    shown = rows(answer.stdout)
    assert shown["now"][1:3] == ["-$1,000.00", "$1,000.00"]
    assert shown["after the plan"][3:] == ["-$800.00", "$800.00", "$55,800.00", "1.0145", "4"]
    assert (shown["SAA"][1:4], shown["BBB"][1:4]) == (["20", "0", "$0.00"], ["0", "30", "$1,800.00"])
    assert {request["method"] for request in alpaca.requests()[asked:]} == {"GET"}
    assert is_approved(home)


def test_what_the_rules_cut_is_said_before_the_question(home):
    answer = home.firm("approve", str(written(home, small.plan(("SAA",), ("BAA", "BBB")))), "--yes")

    assert answer.returncode == 0, answer
    assert "the rules let it pass, with 1 BUYs cut and 1 dropped by the rules" in answer.stdout
    assert "REJECTED BUY BBB: value reserved in USD within what is left to spend" in answer.stdout


@pytest.mark.parametrize(("typed", "code"), [("y\n", 2), ("\n", 2), ("yes\n", 0)])
def test_a_plan_that_the_rules_reject_takes_a_whole_yes(home, typed, code):
    path = written(home, REJECTED)

    returned, said = at_a_terminal(home, path, typed)

    assert returned == code
    assert is_approved(home) is (code == 0)
    assert "THE RULES REJECT THE PLAN: nothing would be sent" in said
    assert "REJECTED SELL SAA: shares held: 21 against 20" in said
    assert "though the rules reject the plan" in said


def test_a_rejected_plan_is_approved_by_yes_and_its_violations_are_printed(home):
    answer = home.inside("approve", str(written(home, REJECTED)), "--yes")

    assert answer.returncode == 0, answer
    assert "REJECTED SELL SAA: shares held: 21 against 20" in answer.stdout
    assert is_approved(home)


def test_without_a_broker_the_plan_is_approved_and_said_to_be_so(tmp_path):
    with Home(tmp_path, None) as home:
        away = home.firm("approve", str(written(home, small.plan())), "--yes")
        del home.env["APCA_API_KEY_ID"]
        keyless = home.inside("approve", str(written(home, small.plan())), "--yes")

    assert (away.returncode, keyless.returncode) == (0, 0)
    assert "effect not shown: http://127.0.0.1:9: " in away.stdout
    assert "effect not shown: APCA_API_KEY_ID is not set" in keyless.stdout


@pytest.mark.parametrize("fault", [{"do": "error", "status": 500}, {"do": "html", "status": 502}, {"do": "reset"}])
def test_a_broker_that_fails_is_said(home, alpaca, fault):
    alpaca.fault({"on": "GET /v2/positions", **fault})

    answer = home.inside("approve", str(written(home, small.plan())), "--yes")

    assert answer.returncode == 0, answer
    assert "effect not shown: http://127.0.0.1:" in answer.stdout
    assert "after the plan" not in answer.stdout


def test_a_broker_that_hangs_keeps_nobody_waiting(home, alpaca, monkeypatch):
    monkeypatch.setattr(approve_effect, "LOOK_WITHIN_S", 0.2)
    alpaca.fault({"on": "GET /v2/positions", "do": "hang", "seconds": 20})

    answer = home.inside("approve", str(written(home, small.plan())), "--yes")

    alpaca.clear_faults()
    assert answer.returncode == 0, answer
    assert "effect not shown: Alpaca did not answer within 0.2 s" in answer.stdout
    assert is_approved(home)


def test_another_account_than_the_plans_is_not_taken_for_it(home):
    firm = home.config / "firm.yaml"
    firm.write_text(firm.read_text().replace("account_number: null", "account_number: PA123"))

    answer = home.inside("approve", str(written(home, small.plan())), "--yes")

    assert answer.returncode == 0, answer
    assert "effect not shown: the keys in the environment are of account PA3LOCAL0001, firm.yaml says PA123" in (
        answer.stdout
    )


def test_what_the_firm_has_done_today_counts_for_the_approval_and_the_proposal(tmp_path):
    limits = {"compliance_config": {"daily.max_plans": 1}}
    with PaperAlpaca(small.account(cash="20000")) as paper, Home(tmp_path, paper, **limits) as home:
        first = home.inside("approve", str(written(home, small.plan())), "--yes")
        home.start()
        home.wait_end(home.submit(small.plan((), ("BAA",))))

        second = home.inside("approve", str(written(home, small.plan((), ("BBB",)))), "--yes")
        (tmp_path / "c.csv").write_text("symbol,price\nBCC,40\n", encoding="utf-8")
        proposed = home.inside(
            "propose", str(tmp_path / "c.csv"), "-o", str(tmp_path / "new.yaml"), "--target", "1.0"
        )  # fmt: skip

    assert "plans begun today" not in first.stdout
    assert "REJECTED BUY BBB: plans begun today: 2 against 1" in second.stdout
    assert "Skipped BCC: plans begun today: 2 against 1" in proposed.stdout
