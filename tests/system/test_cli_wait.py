"""`firm submit --wait` beside a real daemon: what it shows, and the exit code of each outcome."""

import os
import re
import select
import signal
import subprocess
import threading

import pytest

from tests.builders import november, small
from tests.daemon import FIRM, Home
from tests.paper import PaperAlpaca

WAIT_LIMIT_S = 90
UPS_HANGS = {"on": "POST /v2/orders", "symbol": "UPS", "do": "fill", "fill": "none"}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with (
        PaperAlpaca(november.account()) as paper,
        Home(
            tmp_path_factory.mktemp("wait"),
            paper,
            executive_config={"sell_timeout_s": 1},
            compliance_config=small.MANY_A_DAY,
        ) as home,
    ):
        home.start()
        yield home, paper
        assert home.stop() == 0


def wait(home: Home, text: str, name: str) -> subprocess.CompletedProcess[str]:
    return home.firm("submit", str(home.plan(text, name)), "--wait", "--timeout", "80", limit_s=WAIT_LIMIT_S)


def test_a_run_that_completes_is_0_and_every_step_is_shown(house):
    home, _ = house

    answer = wait(home, november.plan(sells=("CTVA",), buys=("COMM",), plan_id="DONE"), "done.yaml")

    assert answer.returncode == 0, answer
    assert re.fullmatch(r"R[0-9a-f]{20}\n", answer.stdout)
    assert "completed" in answer.stderr
    assert "SELL CTVA   190 of 190 filled" in answer.stderr
    assert "\x1b" not in answer.stderr
    report = home.firm("report", answer.stdout.strip()).stdout
    for words in (
        "cash before",
        "proceeds of the SELLs",
        "margin debt after",
        "verified: Alpaca shows what was expected",
    ):
        assert words in report


def test_a_plan_that_is_rejected_is_4(house):
    home, _ = house

    not_held = november.plan(sells=("CTVA",), buys=(), plan_id="AGAIN").replace("CTVA", "DBX")

    answer = wait(home, not_held, "again.yaml")

    assert answer.returncode == 4, answer
    assert "rejected" in answer.stderr
    assert home.firm("status", answer.stdout.strip()).returncode == 4


def test_a_run_that_is_held_is_3_and_aborted_it_is_5(house):
    home, paper = house
    paper.fault(UPS_HANGS)
    text = november.plan(sells=("UPS",), buys=("ALKS",), plan_id="HELD")

    held = wait(home, text, "held.yaml")
    shown = home.firm("status", held.stdout.strip())
    assert home.firm("abort", held.stdout.strip()).returncode == 0
    aborted = wait(home, text, "held.yaml")
    paper.clear_faults()

    assert held.returncode == 3, held
    assert f"firm abort {held.stdout.strip()} ends it" in shown.stdout
    assert aborted.returncode == 5, aborted
    assert aborted.stdout == held.stdout
    assert "has ended" in home.firm("release", held.stdout.strip()).stderr


def test_a_terminal_gets_a_live_display(house):
    home, _ = house
    path = home.plan(november.plan(sells=("EXE",), buys=("CRDO",), plan_id="LIVE"), "live.yaml")
    ours, theirs = os.openpty()
    seen: list[bytes] = []

    def read() -> None:
        while select.select([ours], [], [], WAIT_LIMIT_S)[0]:
            try:
                data = os.read(ours, 4096)
            except OSError:
                return
            seen.append(data)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    process = subprocess.Popen(
        [str(FIRM), "submit", str(path), "--wait"],
        env={**home.env, "TERM": "xterm-256color"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    out, _ = process.communicate(timeout=WAIT_LIMIT_S)
    os.close(theirs)
    reader.join(WAIT_LIMIT_S)
    os.close(ours)

    screen = b"".join(seen).decode()
    assert process.returncode == 0, screen
    assert re.fullmatch(rb"R[0-9a-f]{20}\n", out)
    assert "completed: 2 of 2 orders filled" in screen
    assert "\x1b[" in screen
    assert "Traceback" not in screen


def test_watching_can_be_interrupted_and_the_run_goes_on(house):
    home, paper = house
    paper.clock(is_open=False)
    path = home.plan(november.plan(sells=("PLD",), buys=(), plan_id="CTRL_C"), "ctrl_c.yaml")
    process = subprocess.Popen(
        [str(FIRM), "submit", str(path), "--wait"],
        env=home.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    home.wait_phase(run_id, "awaiting_open")

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert said.endswith("firm: interrupted\n")
    assert "Traceback" not in said
    paper.clock(is_open=True)
    assert home.wait_end(run_id)["outcome"] == "completed"
