"""A run that waits for the market: looks at the clock are no mail, and every word is still heard at once."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.builders import small
from tests.daemon import Home
from tests.paper import PaperAlpaca
from tests.stage import staged

CLOSED = {"now": "2025-11-09T15:00:00Z", "is_open": False}
OPEN = {"now": "2025-11-10T15:09:12Z", "is_open": True}
LOOKS = 3
AT_ONCE_S = 5.0


@pytest.fixture
def stage(tmp_path):
    with staged(tmp_path, small.account(clock=CLOSED)) as one:
        yield one


def test_a_wait_for_the_market_is_the_same_few_rows_however_long_it_takes(stage):
    run_id = waiting(stage)
    rows = settled_rows(stage.home)
    before = looks(stage.paper)
    stage.home.wait(run_id, lambda _: looks(stage.paper) >= before + LOOKS)

    assert rows_of(stage.home) == rows
    assert stage.home.status(run_id)["waiting_for"] == "market open"

    stage.paper.clock(**OPEN)
    assert stage.home.wait_end(run_id)["outcome"] == "completed"


def test_a_clock_that_is_turned_on_is_noticed_within_the_poll(stage):
    run_id = waiting(stage)
    stage.paper.clock(**OPEN)
    opened_at = datetime.now(UTC)
    told = stage.home.wait_log("market.open", run_id=run_id)

    assert datetime.fromisoformat(told["timestamp"]) - opened_at < timedelta(seconds=AT_ONCE_S)


@pytest.mark.parametrize("word", ["abort", "expiry"])
def test_a_run_that_waits_for_the_market_ends_at_once_when_told_or_when_its_time_is_over(stage, word):
    expires_at = datetime.now(UTC) + timedelta(seconds=4 if word == "expiry" else 3600)
    run_id = waiting(stage, expires_at=f'"{expires_at.isoformat(timespec="seconds")}"')
    if word == "abort":
        assert stage.home.inside("abort", run_id).returncode == 0
    view = stage.home.wait_end(run_id, limit_s=4 + AT_ONCE_S)
    stage.home.wait(run_id, lambda _: unhandled(stage.home) == 0)

    assert view["outcome"] == ("aborted" if word == "abort" else "expired")
    assert stage.paper.orders() == []


def test_halts_and_restarts_of_a_wait_ask_anew_and_leave_nothing_behind(tmp_path):
    with (
        PaperAlpaca(small.account(clock=CLOSED)) as paper,
        Home(tmp_path, paper, executive_config=small.QUICK_CEO, trading_config=small.QUICK_TRADING) as home,
    ):
        home.start()
        run_id = home.submit(small.plan())
        home.wait_phase(run_id, "awaiting_open")
        for _ in range(2):
            home.inside("halt", "--reason", "lunch")
            home.wait_phase(run_id, "held")
            home.kill()
            home.start()
            home.inside("resume")
            home.wait_phase(run_id, "awaiting_open")
        paper.clock(**OPEN)
        view = home.wait_end(run_id)
        home.wait(run_id, lambda _: unhandled(home) == 0)

        assert view["outcome"] == "completed"
        assert len(paper.orders()) == 2


def test_a_broker_that_is_away_while_the_market_is_closed_is_told_once_and_found_again(stage):
    run_id = waiting(stage)
    stage.paper.fault({"on": "GET /v2/clock", "do": "error", "status": 503})
    stage.home.wait_log("broker.rest_down")
    rows = settled_rows(stage.home)
    before = looks(stage.paper)
    stage.home.wait(run_id, lambda _: looks(stage.paper) >= before + LOOKS)

    assert rows_of(stage.home) == rows
    assert len(stage.home.logged("broker.rest_down")) == 1

    stage.paper.clear_faults()
    stage.home.wait_log("broker.rest_up")
    stage.paper.clock(**OPEN)
    assert stage.home.wait_end(run_id)["outcome"] == "completed"


def waiting(stage, **top):
    run_id = stage.run(small.plan(**top))
    stage.home.wait_phase(run_id, "awaiting_open")
    return run_id


def looks(paper):
    return sum(one["path"] == "/v2/clock" for one in paper.requests())


def settled_rows(home):
    """Rows of the journal once nothing is on its way: none more from one look at the clock to the next."""
    (run,) = home.firm_status()["runs"]
    seen = -1
    while seen != (seen := rows_of(home)):
        before = looks(home.paper)
        home.wait(run["run_id"], lambda _, before=before: looks(home.paper) > before)
    return seen


def rows_of(home):
    return counted(home, "SELECT count(*) FROM mail")


def unhandled(home):
    """Calls to the broker that nobody has answered."""
    return counted(home, "SELECT count(*) FROM mail WHERE recipient = 'broker' AND handled_seq IS NULL")


def counted(home, query):
    with closing(sqlite3.connect(f"file:{home.path / 'firm.db'}?mode=ro", uri=True, timeout=10)) as store:
        return store.execute(query).fetchone()[0]
