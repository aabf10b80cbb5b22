"""The plan of November 10, 2025, through the real command, the real daemon and the local Alpaca."""

from decimal import Decimal

import pytest

from tests.builders import november
from tests.daemon import Home, orders_of, sent_once
from tests.paper import PaperAlpaca

UPS_HANGS = {"on": "POST /v2/orders", "symbol": "UPS", "do": "fill", "fill": "none"}


@pytest.fixture
def paper():
    with PaperAlpaca(november.account()) as server:
        yield server


def test_sells_first_then_buys_out_of_the_proceeds(tmp_path, paper):
    with Home(tmp_path, paper) as home:
        home.start()
        run_id = home.submit(november.plan())
        view = home.wait_end(run_id)

        orders = paper.orders()
        assert view["outcome"] == "completed"
        assert view["verification"] == {"ok": True, "differences": []}
        assert [order["side"] for order in orders] == ["sell"] * 5 + ["buy"] * 11
        assert sent_once(orders)
        last_fill = max(event["at"] for order in orders[:5] for event in order["events"] if event["event"] == "fill")
        assert min(order["received_at"] for order in orders[5:]) > last_fill
        assert [order["symbol"] for order in orders[5:]] == list(november.BUYS)
        assert all(leg["status"] == "filled" for leg in view["legs"])
        assert Decimal(view["money"]["cash_after"]) > november.CASH
        said = home.sentences()
        for sentence in (
            "STEP 1: Executing 5 SELL orders",
            "All SELL orders filled successfully",
            "STEP 2: Executing 11 BUY orders",
            "All BUY orders filled successfully",
        ):
            assert sentence in said
        assert home.stop() == 0


def test_no_buy_leaves_while_one_sell_hangs_across_a_kill(tmp_path, paper):
    with Home(tmp_path, paper, executive_config={"sell_timeout_s": 2}) as home:
        paper.fault(UPS_HANGS)
        home.start()
        run_id = home.submit(november.plan())
        held = home.wait_phase(run_id, "held")
        home.kill()
        home.start()
        still = home.wait_phase(run_id, "held")

        assert held["reason"] in {"sell_timeout", "sell_shortfall"}
        assert still["phase"] == "held"
        assert len(orders_of(paper, "sell")) == 5
        assert orders_of(paper, "buy") == []

        paper.clear_faults()
        view = home.wait_end(run_id)

        assert view["outcome"] == "completed"
        assert len(orders_of(paper, "buy")) == 11
        assert sent_once(paper.orders())


def test_release_buys_what_the_confirmed_proceeds_pay_for(tmp_path, paper):
    with Home(tmp_path, paper, executive_config={"sell_timeout_s": 2}) as home:
        paper.fault(UPS_HANGS)
        home.start()
        run_id = home.submit(november.plan())
        home.wait_phase(run_id, "held")
        assert home.firm("release", run_id).returncode == 0
        view = home.wait_end(run_id)

        ups = next(order for order in paper.orders() if order["symbol"] == "UPS")
        spent = sum(
            Decimal(event["qty"]) * Decimal(event["price"])
            for order in orders_of(paper, "buy")
            for event in order["events"]
            if event["event"] in {"fill", "partial_fill"}
        )
        assert view["outcome"] == "completed"
        assert ups["status"] == "canceled"
        assert 0 < spent <= Decimal(view["gate"]["proceeds"])
        assert view["gate"]["decision"] == "operator"


def test_abort_buys_nothing_and_leaves_nothing_open(tmp_path, paper):
    with Home(tmp_path, paper, executive_config={"sell_timeout_s": 2}) as home:
        paper.fault(UPS_HANGS)
        home.start()
        run_id = home.submit(november.plan())
        home.wait_phase(run_id, "held")
        assert home.firm("abort", run_id).returncode == 0
        view = home.wait_end(run_id)

        assert view["outcome"] == "aborted"
        assert orders_of(paper, "buy") == []
        assert {order["status"] for order in paper.orders()} <= {"filled", "canceled"}
        assert home.firm("status", run_id, "--json").returncode == 5


@pytest.mark.parametrize(
    "rule",
    [
        {
            "on": "POST /v2/orders",
            "symbol": "UPS",
            "do": "fill",
            "fill": "partial",
            "fraction": "0.5",
            "then": "cancel",
        },
        {"on": "POST /v2/orders", "symbol": "UPS", "do": "reject", "reason": "halted"},
        {
            "on": "POST /v2/orders",
            "symbol": "UPS",
            "do": "error",
            "status": 403,
            "body": {"code": 40310000, "message": "no"},
        },
    ],
    ids=["partial fill then cancel", "rejected after new", "refused at the post"],
)
def test_a_sell_that_falls_short_holds_the_run(tmp_path, paper, rule):
    with Home(tmp_path, paper) as home:
        paper.fault(rule)
        home.start()
        run_id = home.submit(november.plan())
        view = home.wait_phase(run_id, "held")

        assert view["reason"] == "sell_shortfall"
        assert "UPS" in view["waiting_for"]
        assert orders_of(paper, "buy") == []
        assert home.firm("status", run_id, "--json").returncode == 3


def test_cash_that_lags_the_fill_is_waited_for(tmp_path):
    state = november.account(fills={"cash_delay_ms": 2500})
    with PaperAlpaca(state) as paper, Home(tmp_path, paper) as home:
        home.start()
        run_id = home.submit(november.plan())
        view = home.wait_end(run_id)

        assert view["outcome"] == "completed"
        assert any("cash" in line["message"].lower() for line in home.log() if line["event"] == "gate.waiting")
        assert len(orders_of(paper, "buy")) == 11


@pytest.mark.parametrize(
    ("sells", "buys", "outcome"),
    [
        ((), ("COMM",), "completed"),
        (("UPS", "CTVA"), (), "completed"),
        ((), (), "completed"),
    ],
    ids=["no sells", "no buys", "neither"],
)
def test_plans_of_one_side_or_none(tmp_path, sells, buys, outcome):
    state = november.account(cash="20000")
    with PaperAlpaca(state) as paper, Home(tmp_path, paper) as home:
        home.start()
        run_id = home.submit(november.plan(sells=sells, buys=buys))
        view = home.wait_end(run_id)

        assert view["outcome"] == outcome
        assert len(paper.orders()) == len(sells) + len(buys)


def test_the_same_bytes_twice_are_one_run_and_two_plans_run_one_after_the_other(tmp_path, paper):
    with Home(tmp_path, paper) as home:
        home.start()
        first = home.submit(november.plan(sells=("UPS",), buys=("COMM",)))
        again = home.firm("submit", str(home.plans / "plan.yaml"))
        second = home.submit(november.plan(sells=("CTVA",), buys=("ALKS",), plan_id="PLAN_2"), "second.yaml")
        one, two = home.wait_end(first), home.wait_end(second)

        assert again.stdout.strip() == first
        assert first != second
        assert (one["outcome"], two["outcome"]) == ("completed", "completed")
        assert [order["symbol"] for order in paper.orders()] == ["UPS", "COMM", "CTVA", "ALKS"]
        assert one["ended_at"] <= two["started_at"]


def test_a_second_daemon_is_told_who_holds_the_account(tmp_path, paper):
    with Home(tmp_path, paper) as home:
        home.start()
        second = home.firm("start")

        assert second.returncode == 6
        assert len(second.stderr.strip().splitlines()) == 1
        assert str(home.daemon.pid) in second.stderr


def test_a_closed_market_is_waited_for(tmp_path):
    sunday = november.account(clock={"now": "2025-11-09T15:00:00Z", "is_open": False})
    with PaperAlpaca(sunday) as paper, Home(tmp_path, paper, executive_config={"market_poll_s": 1}) as home:
        home.start()
        run_id = home.submit(november.plan())
        waiting = home.wait_phase(run_id, "awaiting_open")
        assert paper.orders() == []
        assert waiting["waiting_for"] == "market open"

        paper.clock(now="2025-11-10T15:09:12Z", is_open=True)
        view = home.wait_end(run_id)

        assert view["outcome"] == "completed"


def test_without_a_daemon_a_plan_is_accepted_and_runs_when_one_starts(tmp_path, paper):
    with Home(tmp_path, paper) as home:
        run_id = home.submit(november.plan())
        waiting = home.status(run_id)
        home.start()
        view = home.wait_end(run_id)

        assert (waiting["phase"], waiting["waiting_for"]) == ("received", "the daemon")
        assert view["outcome"] == "completed"


def test_nothing_listening_and_no_keys_are_one_line_each(tmp_path, paper):
    with Home(tmp_path, None) as home:
        nobody = home.firm("start")
        home.env |= {"APCA_API_BASE_URL": paper.url}
        del home.env["APCA_API_KEY_ID"]
        keyless = home.firm("start")

        for answer in (nobody, keyless):
            assert answer.returncode == 6, answer
            assert len(answer.stderr.strip().splitlines()) == 1
            assert "Traceback" not in answer.stderr
