"""`firm doctor`, as a person types it: ready where all is well, and not where one thing is wrong."""

import json
import sqlite3
from datetime import date, time

import pytest

from departments.trading.alpaca.endpoints import endpoints
from departments.trading.alpaca.inspection import InspectingBroker, Session, stream_trouble
from departments.trading.broker import BrokerUnavailable
from tests.builders import small
from tests.daemon import Home
from tests.paper import PaperAlpaca

KEYS = {"key_id": "K", "secret_key": "S"}


@pytest.fixture
def paper():
    with PaperAlpaca(small.account()) as server:
        yield server


@pytest.fixture
def home(tmp_path, paper):
    with Home(tmp_path, paper) as made:
        assert made.inside("init").returncode == 0
        for path in (made.config, *made.config.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield made


def examined(home):
    """The exit code and each check's finding."""
    answer = home.inside("doctor", "--json")
    assert answer.stderr == "", answer
    shown = json.loads(answer.stdout)
    assert shown["ok"] is (answer.returncode == 0)
    return answer.returncode, {one["check"]: one for one in shown["checks"]}


def failed(checks):
    return {name for name, one in checks.items() if one["level"] == "fail"}


def test_a_fresh_set_up_is_ready_and_only_reads(home, paper):
    answer = home.firm("doctor")

    assert answer.returncode == 0, answer
    assert "ready to trade" in answer.stdout
    assert {request["method"] for request in paper.requests()} == {"GET"}
    assert not (home.path / "firm.db").exists()


def test_a_firm_that_has_traded_is_ready_and_its_positions_are_as_recorded(home, paper):
    home.start()
    run_id = home.submit(small.plan())
    home.wait_end(run_id)
    home.wait(run_id, lambda _: home.firm_status()["stream"] == "up")
    connects = [request for request in paper.requests() if request["path"].startswith("/stream")]
    code, checks = examined(home)

    assert code == 0, checks
    assert checks["positions"]["level"] == "pass"
    assert run_id in checks["positions"]["detail"]
    assert checks["journal"]["level"] == checks["daemon"]["level"] == "pass"
    assert checks["stream"]["detail"].startswith("up: the daemon says so")
    assert len(connects) == 1
    assert [r for r in paper.requests() if r["path"].startswith("/stream")] == connects  # the daemon's one connection

    paper.stranger(symbol="KEEP", side="sell", qty="1")
    paper.wait_for_order(lambda order: (order["symbol"], order["status"]) == ("KEEP", "filled"))
    code, checks = examined(home)

    assert code == 0
    assert (checks["positions"]["level"], "KEEP 499" in checks["positions"]["detail"]) == ("warn", True)


def test_a_broken_chain_is_found(home):
    home.start()
    home.wait_end(home.submit(small.plan()))
    assert home.stop() == 0
    assert examined(home)[0] == 0
    with sqlite3.connect(home.path / "firm.db") as store:
        changed = store.execute(
            "UPDATE mail SET handled_at = '2020-01-01T00:00:00+00:00' WHERE handled_seq = 3"
        ).rowcount
    store.close()
    code, checks = examined(home)

    assert (code, changed) == (1, 1)
    assert failed(checks) == {"journal"}
    assert "broken" in checks["journal"]["detail"]


def test_an_unreachable_broker_fails_whatever_hangs_on_it(home, paper):
    paper.stop()
    code, checks = examined(home)

    assert code == 1
    assert failed(checks) >= {"keys", "account", "market", "stream", "orders of others", "positions"}
    assert not checks["account"]["checked"]
    assert checks["disk"]["level"] == checks["configuration"]["level"] == "pass"


def test_a_halt_fails_even_before_any_daemon_has_read_it(home):
    assert home.inside("halt", "--reason", "smoke").returncode == 0
    code, checks = examined(home)

    assert (code, failed(checks)) == (1, {"trading"})
    assert "smoke" in checks["trading"]["detail"]


@pytest.mark.parametrize("bits", [0o664, 0o646])
def test_a_config_file_that_others_may_write_fails(home, bits):
    (home.config / "hard_constraints.yaml").chmod(bits)
    code, checks = examined(home)

    assert (code, failed(checks)) == (1, {"file modes"})
    assert "hard_constraints.yaml" in checks["file modes"]["detail"]


def test_a_store_that_others_may_write_fails(home):
    home.path.chmod(0o770)
    code, checks = examined(home)

    assert (code, failed(checks)) == (1, {"file modes"})


def test_a_blocked_account_and_refused_reads_are_told(home, paper):
    paper.account(trading_blocked=True)
    paper.fault({"on": "GET /v2/positions", "do": "error", "status": 500, "body": "{}"})
    code, checks = examined(home)

    assert (code, failed(checks)) == (1, {"account", "positions"})
    assert "trading is blocked" in checks["account"]["detail"]
    assert not checks["positions"]["checked"]


def test_orders_of_others_are_named(home, paper):
    paper.stranger(symbol="KEEP", side="sell", qty="1", type="limit", limit_price="900", client_order_id="by hand")
    code, checks = examined(home)

    assert code == 0
    assert checks["orders of others"]["level"] == "warn"
    assert "SELL KEEP (by hand)" in checks["orders of others"]["detail"]


def test_a_configuration_that_cannot_be_read_is_one_finding_and_the_rest_goes_on(home):
    (home.config / "trading_config.yaml").write_text("workers: many\n", encoding="utf-8")
    code, checks = examined(home)

    assert code == 1
    assert "trading_config.yaml:1" in checks["configuration"]["detail"]
    assert checks["account"]["level"] == "pass"


def test_missing_keys_are_named(home):
    del home.env["APCA_API_KEY_ID"]
    code, checks = examined(home)

    assert code == 1
    assert checks["keys"]["detail"] == "APCA_API_KEY_ID not set"
    assert not checks["stream"]["checked"]


def test_a_held_run_fails(tmp_path, paper):
    with Home(tmp_path, paper, executive_config=small.QUICK_CEO) as home:
        home.start()
        paper.fault({"on": "POST /v2/orders", "symbol": "SAA", "do": "reject", "reason": "no"})
        run_id = home.submit(small.plan())
        home.wait(run_id, lambda view: view["phase"] == "held")
        code, checks = examined(home)

    assert code == 1
    assert run_id in checks["runs"]["detail"]
    assert "runs" in failed(checks)


def test_a_stream_that_does_not_listen_is_down(home, paper):
    paper.fault({"on": "stream", "do": "handshake_429"})
    code, checks = examined(home)

    assert (code, failed(checks)) == (1, {"stream"})
    assert "429" in checks["stream"]["detail"]


def test_a_stream_that_stays_silent_is_given_up(paper):
    paper.fault({"on": "stream", "do": "auth_mute"})
    alpaca = endpoints({"APCA_API_BASE_URL": paper.url})

    trouble = stream_trouble(alpaca, **KEYS, within_s=0.2)

    assert trouble == "no answer within 0 s"


def test_the_calendar_and_the_time_on_an_answer_are_read(paper):
    broker = inspecting(paper)

    days = broker.calendar(date(2025, 11, 26), date(2025, 12, 1))

    whole, half = (time(9, 30), time(16)), (time(9, 30), time(13))
    assert days == (
        Session(date(2025, 11, 26), *whole),
        Session(date(2025, 11, 28), *half),
        Session(date(2025, 12, 1), *whole),
    )
    assert broker.answered_at is not None
    assert broker.answered_at.tzinfo is not None
    broker.close()


@pytest.mark.parametrize("body", ["{}", '[{"date": "2025-11-26", "open": "09:30"}]', '[{"date": 7}]', "[7]"])
def test_a_calendar_that_makes_no_sense_is_an_error(paper, body):
    paper.fault({"on": "GET /v2/calendar", "do": "error", "status": 200, "body": body})
    broker = inspecting(paper)

    with pytest.raises(BrokerUnavailable, match="calendar"):
        broker.calendar(date(2025, 11, 26), date(2025, 12, 1))
    broker.close()


def inspecting(paper):
    return InspectingBroker(
        endpoints=endpoints({"APCA_API_BASE_URL": paper.url}),
        **KEYS,
        connect_timeout_s=3,
        read_timeout_s=10,
    )
