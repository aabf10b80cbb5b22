"""The position monitor in a real daemon: at its times it files what a person approves, by the broker's clock alone."""

import stat
import time

import pytest

from messages.proposals import AccountLook
from messages.values import Recipient
from tests.builders import small
from tests.daemon import Home, nap, orders_of
from tests.paper import PaperAlpaca

ON = {"monitor.enabled": True, "monitor.clock_poll_s": 1}
LIMIT_S = 30.0


def new_york(clock: str, day: str = "2025-11-10") -> str:
    """A time of a winter's day in New York."""
    hours, minutes = clock.split(":")
    return f"{day}T{int(hours) + 5:02}:{minutes}:00Z"


def account(at: str = new_york("09:45"), **changes):
    """One position that lost a sixth, one that is as it was; the market is open."""
    return small.account(
        cash="20000",
        positions=[
            {"symbol": "SAA", "qty": "20", "avg_entry_price": "120", "price": "100"},
            {"symbol": "SBB", "qty": "30", "avg_entry_price": "51", "price": "50"},
        ],
        clock={"now": at, "is_open": True},
        **changes,
    )


def looks(home: Home) -> int:
    """Looks that Operations has handled, durably."""
    mail = home._journal().history(Recipient.OPERATIONS, run_id=None)
    return sum(isinstance(one.envelope.message, AccountLook) for one in mail)


def watched(home: Home, more_than: int = 0) -> None:
    """Wait until the monitor knows the broker's time and waits for the next review."""
    ends = time.monotonic() + LIMIT_S
    while looks(home) <= more_than:
        assert time.monotonic() < ends
        nap(0.03)


@pytest.fixture
def paper():
    with PaperAlpaca(account()) as server:
        yield server


@pytest.fixture
def home(tmp_path, paper):
    with Home(tmp_path, paper, operations_config=ON) as made:
        made.start()
        yield made


def proposals(home: Home) -> list[str]:
    return sorted(path.name for path in (home.path / "proposals").glob("*.yaml"))


def test_at_its_time_a_proposal_appears_that_is_approved_and_executed(home, paper):
    watched(home)
    assert proposals(home) == []

    paper.clock(now=new_york("10:00"))

    filed = home.wait_log("monitor.filed", LIMIT_S)
    path = home.path / "proposals" / "EXITS_20251110_1000.yaml"
    assert filed["message"] == "1 exit proposal waits for approval: FIRM_HOME/proposals/EXITS_20251110_1000.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"1 exit proposal waits for approval: {path}" in home.inside("status").stdout.replace("\n", "")
    assert "Positions reviewed (2025-11-10 10:00 New York): 1 to sell, 1 kept" in home.sentences()
    assert orders_of(paper, "sell") == []
    assert home.inside("approve", str(path), "--yes").returncode == 0
    view = home.wait_end(home.inside("submit", str(path)).stdout.strip())
    assert (view["outcome"], view["verification"]["ok"]) == ("completed", True)
    assert [(order["symbol"], order["qty"]) for order in orders_of(paper, "sell")] == [("SAA", "20")]
    assert "waits for approval" not in home.inside("status").stdout

    paper.clock(now=new_york("15:30"))

    assert home.wait_log("monitor.reviewed", LIMIT_S, review="2025-11-10 15:30")["sells"] == 0
    assert proposals(home) == ["EXITS_20251110_1000.yaml"]


def test_killed_at_any_time_it_files_once(tmp_path):
    with PaperAlpaca(account()) as paper, Home(tmp_path, paper, operations_config=ON) as home:
        home.start()
        watched(home)
        home.kill()
        paper.clock(now=new_york("10:20"))

        home.start()
        home.wait_log("monitor.filed", LIMIT_S)
        first = (tmp_path / "home" / "proposals" / "EXITS_20251110_1000.yaml").read_bytes()
        home.kill()
        before = looks(home)
        home.start()
        watched(home, more_than=before)

        assert proposals(home) == ["EXITS_20251110_1000.yaml"]
        assert (tmp_path / "home" / "proposals" / "EXITS_20251110_1000.yaml").read_bytes() == first
        assert len(home.logged("monitor.reviewed")) == 1


def test_back_after_the_close_it_files_nothing_and_says_so(tmp_path):
    with PaperAlpaca(account()) as paper, Home(tmp_path, paper, operations_config=ON) as home:
        home.start()
        watched(home)
        home.kill()
        paper.clock(now=new_york("17:00"), is_open=False)

        home.start()

        skipped = home.wait_log("monitor.skipped", LIMIT_S, review="2025-11-10 15:30")
        assert skipped["why"] == "the market had closed"
        assert [line["review"] for line in home.logged("monitor.skipped")] == ["2025-11-10 10:00", "2025-11-10 15:30"]
        assert proposals(home) == []


def test_on_paper_the_firm_approves_itself_where_it_is_told_to(tmp_path):
    itself = ON | {"monitor.auto_approve_exits": True}
    with PaperAlpaca(account(new_york("10:05"))) as paper, Home(tmp_path, paper, operations_config=itself) as home:
        home.start()

        home.wait_log("monitor.approved", LIMIT_S, by="firm")
        home.wait_log("run.completed", LIMIT_S)

        (run,) = home.firm_status()["runs"]
        view = home.wait_end(run["run_id"])
        assert (view["outcome"], view["approved_by"]) == ("completed", "firm")
        assert [(order["symbol"], order["qty"]) for order in orders_of(paper, "sell")] == [("SAA", "20")]
        assert "waits for approval" not in home.inside("status").stdout
        key = home.path / "keys" / "firm_ed25519"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert "\nfirm namespaces=" in f"\n{(home.path / 'allowed_signers').read_text()}"


def test_with_live_money_neither_daemon_nor_doctor_let_the_firm_approve(tmp_path, paper):
    itself = ON | {"monitor.auto_approve_exits": True}
    with Home(tmp_path, paper, operations_config=itself) as home:
        firm = home.config / "firm.yaml"
        firm.write_text(firm.read_text().replace("mode: paper", "mode: live"), encoding="utf-8")

        started, examined = home.firm("start", "--live"), home.inside("doctor")

    assert started.returncode == 2
    assert "expected paper while operations_config.yaml says monitor.auto_approve_exits: true" in started.stderr
    assert examined.returncode == 1
    assert "monitor.auto_approve_exits" in examined.stdout.replace("\n", "")
    assert not (home.path / "keys").exists()


def test_a_broker_that_cant_be_read_at_the_time_delays_the_review(home, paper):
    watched(home)
    paper.fault({"on": "GET /v2/positions", "do": "error", "status": 500, "body": {"message": "no"}, "times": 2})

    paper.clock(now=new_york("10:00"))

    home.wait_log("monitor.filed", LIMIT_S)
    assert len(home.logged("broker.read_failed", call="account")) == 1
    assert proposals(home) == ["EXITS_20251110_1000.yaml"]
