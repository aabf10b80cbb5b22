"""The control API, market hours, and the server as a process."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from paper_alpaca.control import is_loopback
from tests.contracts.paper_clients import Stream, Wire, trading

ROOT = Path(__file__).resolve().parents[2]
RESTING = {"type": "limit", "limit_price": "90"}


def status(paper, n=0):
    return paper.orders()[n]["status"]


def test_every_request_is_recorded_in_order(paper):
    with Wire(paper) as wire:
        wire.ask("GET", "/v2/orders?status=all&limit=5")
        wire.order(symbol="ZZZZ")
        wire.ask("POST", "/v2/orders", "not json")
        wire.ask("GET", "/v2/account", headers={})

    requests = paper.requests()

    assert [request["n"] for request in requests] == [1, 2, 3, 4]
    assert [request["status"] for request in requests] == [200, 422, 400, 401]
    assert requests[0]["query"] == {"status": "all", "limit": "5"}
    assert (requests[1]["body"]["symbol"], requests[2]["body"]) == ("ZZZZ", "not json")
    assert [request["at"] for request in requests] == sorted(request["at"] for request in requests)


def test_every_order_is_recorded_with_real_times(paper):
    with Wire(paper) as wire:
        wire.order(client_order_id="a")
        wire.order(client_order_id="b", symbol="HAL", **RESTING)
    paper.wait_for_orders(lambda orders: [order["status"] for order in orders] == ["filled", "new"])

    first, second = paper.orders()

    assert (first["n"], first["client_order_id"], first["symbol"], first["side"], first["qty"]) == (
        1,
        "a",
        "KO",
        "sell",
        "10",
    )
    assert (second["n"], second["filled_qty"]) == (2, "0")
    assert [event["event"] for event in first["events"]] == ["pending_new", "new", "fill"]
    assert (first["events"][2]["qty"], first["events"][2]["price"]) == ("10", "80")
    times = [first["received_at"], *(event["at"] for event in first["events"])]
    assert times == sorted(times)
    assert all(len(at) == len("2026-01-02T03:04:05.678901Z") and not at.startswith("2025-11-10") for at in times)


def test_prices_match_resting_orders_before_the_call_returns(paper):
    with Wire(paper) as wire:
        wire.order(**RESTING)
        wire.order(symbol="HAL", type="stop", stop_price="25")
    paper.wait_for_orders(lambda orders: all(order["status"] == "new" for order in orders))
    # The fill's delay has passed once another order, placed later, has filled.
    with Wire(paper) as wire:
        wire.order(symbol="CTVA", side="buy", qty="1")
    paper.wait_for_order(lambda order: order["symbol"] == "CTVA" and order["status"] == "filled")

    paper.prices({"KO": "89.99", "HAL": 25.01})
    before = [order["status"] for order in paper.orders()[:2]]
    paper.prices({"KO": "90", "HAL": 24.5})

    assert before == ["new", "new"]
    assert [order["filled_avg_price"] for order in paper.orders()[:2]] == ["90", "24.5"]


def test_a_price_makes_a_symbol_known(paper):
    paper.prices({"NEWS": "5"})

    assert trading(paper).get_asset("NEWS").tradable
    with pytest.raises(ValueError, match=r"400 .*expected a price > 0"):
        paper.prices({"NEWS": "0"})


def test_a_market_order_waits_for_the_opening(paper):
    paper.clock(now="2025-11-10T13:00:00Z", is_open=False)
    with Wire(paper) as wire:
        answer = wire.order()
        clock = wire.ask("GET", "/v2/clock").json
        refused = wire.order(time_in_force="ioc")

    before = paper.orders()[0]
    paper.clock(now="2025-11-10T14:30:00Z", is_open=True)

    assert (answer.json["status"], before["status"]) == ("accepted", "accepted")
    assert (clock["is_open"], clock["next_open"]) == (False, "2025-11-10T09:30:00-05:00")
    assert refused.status == 422
    done = paper.wait_for_order(lambda order: order["status"] == "filled")
    assert [event["event"] for event in done["events"]] == ["accepted", "new", "fill"]


def test_the_close_expires_day_orders_and_executes_those_for_the_close(paper):
    with Wire(paper) as wire:
        wire.order(**RESTING)
        wire.order(**RESTING, time_in_force="gtc", symbol="HAL")
        wire.order(time_in_force="cls", symbol="HAL")
    paper.wait_for_orders(lambda orders: all(order["status"] == "new" for order in orders))

    paper.clock(is_open=False)

    assert [order["status"] for order in paper.orders()] == ["expired", "new", "filled"]


def test_an_order_for_the_opening_waits_for_the_next_one(paper):
    with Wire(paper) as wire:
        assert wire.order(time_in_force="opg").json["status"] == "accepted"

    paper.clock(is_open=False)
    paper.clock(is_open=True)

    paper.wait_for_order(lambda order: order["status"] == "filled")


def test_market_time_advances(paper):
    before = paper.clock()["timestamp"]

    after = paper.clock(advance_s=3600)

    assert before.startswith("2025-11-10T10:09")
    assert after["timestamp"].startswith("2025-11-10T11:09")
    with pytest.raises(ValueError, match=r"400 .*unknown hour"):
        paper.clock(hour=5)


def test_a_reset_goes_back_to_the_state_file_and_keeps_the_stream(paper):
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order()
        stream.read_events("fill")
        paper.prices({"KO": "1"})
        paper.fault({"on": "GET /v2/account", "do": "error", "status": 500})
        paper.clock(is_open=False)

        paper.reset()

        assert (paper.orders(), paper.requests(), paper.faults()) == ([], [], [])
        account = wire.ask("GET", "/v2/account").json
        assert (account["cash"], account["equity"]) == ("100000", "109515")
        assert wire.ask("GET", "/v2/clock").json["is_open"]
        wire.order()
        assert stream.read_events("fill") == ["pending_new", "new", "fill"]


def test_no_id_comes_twice_across_a_reset_and_the_account_stays_the_same(paper):
    def lived():
        with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
            account, order = wire.ask("GET", "/v2/account").json["id"], wire.order().json["id"]
            frames = [stream.read()["data"] for _ in range(3)]
        return account, {order, *(frame["execution_id"] for frame in frames)}

    before = lived()
    paper.reset()
    after = lived()

    assert before[0] == after[0]
    assert not before[1] & after[1]


@pytest.mark.parametrize(
    "event",
    ["done_for_day", "suspended", "pending_cancel", "stopped", "calculated", "accepted_for_bidding", "pending_review"],
)
def test_an_order_can_be_put_into_any_status_and_stays_there(paper, event):
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order(**RESTING, client_order_id="a")
        stream.read_events("new")

        paper.event("a", event)
        paper.prices({"KO": "95"})

        assert stream.read()["data"]["event"] == event
        assert status(paper) == event


@pytest.mark.parametrize("event", ["canceled", "expired", "rejected"])
def test_an_order_can_be_ended(paper, event):
    with Wire(paper) as wire:
        order = wire.order(**RESTING).json

    paper.event(order["id"], event, reason="because")

    assert status(paper) == event
    with pytest.raises(ValueError, match=r"400 .*expected a live order"):
        paper.event(order["id"], event)


def test_an_order_can_be_executed_in_parts(paper):
    with Wire(paper) as wire:
        wire.order(**RESTING, client_order_id="a")

    paper.event("a", "partial_fill", qty="3", price="90.5")
    paper.event("a", "fill")

    (order,) = paper.orders()
    assert [(event["qty"], event["price"]) for event in order["events"] if event["qty"]] == [("3", "90.5"), ("7", "80")]
    with pytest.raises(ValueError, match="400"):
        paper.event("a", "fill")


def test_an_order_can_be_replaced_by_someone_else(paper):
    with Wire(paper) as wire:
        wire.order(**RESTING, client_order_id="a")

    paper.event("a", "replaced")

    old, new = paper.orders()
    assert (old["status"], new["status"], new["stranger"]) == ("replaced", "new", True)
    with Wire(paper) as wire:
        assert wire.ask("GET", f"/v2/orders/{old['id']}").json["replaced_by"] == new["id"]


def test_a_trade_can_be_busted(paper):
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order(client_order_id="a")
        stream.read_events("fill")

        paper.event("a", "trade_bust")

        bust = stream.read()["data"]
        assert (bust["event"], bust["qty"], bust["price"], bust["position_qty"]) == ("trade_bust", "10", "80", "100")
        assert wire.ask("GET", "/v2/account").json["cash"] == "100000"


def test_account_and_assets_can_be_changed(paper):
    paper.account(trading_blocked=True)
    with Wire(paper) as wire:
        blocked = wire.order()
        paper.account(trading_blocked=False, cash="5000")
        (asset,) = paper.assets({"KO": {"status": "inactive"}})
        inactive = wire.order()

    assert blocked.json["message"] == "account is not authorized to trade"
    assert (asset["status"], asset["tradable"]) == ("inactive", False)
    assert inactive.json["message"] == 'asset "KO" is not active'
    assert trading(paper).get_account().cash == "5000"
    with pytest.raises(ValueError, match=r"400 .*unknown bogus"):
        paper.account(bogus=True)
    with pytest.raises(ValueError, match=r"400 .*tradable can't be"):
        paper.assets({"KO": {"tradable": "yes"}})


def test_a_stranger_can_place_an_order(paper):
    order = paper.stranger(symbol="KO", side="sell", qty="5", type="limit", limit_price="90")

    (found,) = paper.orders()
    assert (found["id"], found["stranger"]) == (order["id"], True)
    assert trading(paper).get_open_position("KO").qty_available == "95"


def test_an_unknown_control_call_is_404(paper):
    with Wire(paper) as wire:
        assert wire.ask("GET", "/paper/nothing").status == 404
        assert wire.ask("POST", "/paper/prices", "{").status == 400
        assert wire.ask("POST", "/paper/orders/nobody/event", {"event": "fill"}).status == 404


def test_only_this_machine_may_control():
    hosts = ["127.0.0.1", "::1", None, "10.0.0.1", "testclient"]

    assert [is_loopback(host) for host in hosts] == [True, True, True, False, False]


# The process


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "paper_alpaca", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_whoever_still_waits(number):
    process = start("--port", "0")
    line = process.stdout.readline()
    url = line.removeprefix("listening on ").strip()
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as hanging:
        rule = b'{"on": "GET /v2/clock", "do": "hang"}'
        hanging.sendall(b"POST /paper/faults HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(rule) + rule)
        assert hanging.recv(1000).startswith(b"HTTP/1.1 200")
        hanging.sendall(b"GET /v2/clock HTTP/1.1\r\nHost: x\r\nAPCA-API-KEY-ID: k\r\nAPCA-API-SECRET-KEY: s\r\n\r\n")
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)

    assert line == f"listening on http://127.0.0.1:{port}\n"
    assert (process.returncode, errors) == (0, "")


def test_it_stops_with_its_standard_input_when_asked_to():
    process = start("--port", "0", "--stop-with-stdin")
    process.stdout.readline()

    _, errors = process.communicate(timeout=20)  # closes its input

    assert (process.returncode, errors) == (0, "")


def test_a_wrong_state_file_or_address_exits_2_in_one_line(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("cash: 5\npositons: []\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = start("--port", str(taken.getsockname()[1]))
        wrong = start("--state", str(path))
        results = [(process.communicate(timeout=20)[1], process.returncode) for process in (wrong, busy)]

    assert results[0] == (f"{path}:2: unknown key positons, expected did you mean positions?\n", 2)
    assert results[1][1] == 2
    assert results[1][0].count("\n") == 1


def test_it_imports_nothing_heavy_and_nothing_of_the_firm():
    code = "import paper_alpaca.server, sys; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    heavy = {"alpaca", "pandas", "sqlalchemy", "pydantic", "holidays", "starlette", "messages", "departments"}
    assert not heavy & set(eval(found.stdout))  # noqa: S307 - a list this test printed
