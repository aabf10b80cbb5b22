"""The trade_updates stream: on the wire, through alpaca-py, and broken in every way there is."""

import json

import pytest
import websockets.exceptions
from alpaca.trading.models import TradeUpdate

from tests.contracts.paper_clients import LIMIT_S, Stream, Wire, listening, trading
from tests.paper import PaperAlpaca

WHOLE = ["pending_new", "new", "fill"]
QUIET_S = 0.3  # long enough for a frame that must not come


def on_stream(do, **fields):
    return {"on": "stream", "do": do, **fields}


def test_alpaca_py_reads_every_update_with_its_strict_models(paper):
    with listening(paper) as (_, wait):
        with Wire(paper) as wire:
            wire.order(client_order_id="leg-1")

        heard = wait(lambda found: any(update.event == "fill" for update in found))

    assert [update.event for update in heard] == WHOLE
    fill = heard[-1]
    assert isinstance(fill, TradeUpdate)
    assert (fill.price, fill.qty, fill.position_qty) == (80.0, 10.0, 90.0)
    assert (fill.order.client_order_id, fill.order.filled_qty, fill.order.filled_avg_price) == ("leg-1", "10", "80")
    assert len({update.execution_id for update in heard}) == 3


def test_updates_carry_that_executions_figures_and_the_orders_sums(paper):
    paper.fault({"on": "POST /v2/orders", "do": "fill", "fill": "partial", "fraction": "0.4"})

    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order()
        while (first := stream.read()["data"])["event"] != "partial_fill":
            pass
        paper.prices({"KO": "90"})
        paper.clear_faults()
        second = stream.read()["data"]

    assert (first["qty"], first["price"], first["position_qty"], first["order"]["filled_qty"]) == ("4", "80", "96", "4")
    assert (second["event"], second["qty"], second["price"], second["position_qty"]) == ("fill", "6", "90", "90")
    assert (second["order"]["filled_qty"], second["order"]["filled_avg_price"]) == ("10", "86")
    assert first["execution_id"] != second["execution_id"]


@pytest.mark.parametrize("path", ["/stream", "/stream/"])
@pytest.mark.parametrize("new", [False, True])
def test_both_paths_and_both_logins_work(paper, path, new):
    with Stream(paper.stream_url.replace("/stream", path)) as stream:
        keys = {"action": "auth", "key": "k", "secret": "s"}
        stream.send(keys if new else {"action": "authenticate", "data": {"key_id": "k", "secret_key": "s"}})

        assert stream.read() == {
            "stream": "authorization",
            "data": {"action": "authenticate", "status": "authorized"},
        }


def test_wrong_keys_and_listening_without_login_are_unauthorized():
    state = {"accounts": [{"key_id": "A", "secret_key": "S"}, {"key_id": "B", "secret_key": "T"}]}
    with PaperAlpaca(state) as paper, Stream(paper.stream_url) as stream, Stream(paper.stream_url) as other:
        stream.send({"action": "listen", "data": {"streams": ["trade_updates"]}})
        unheard = stream.read()
        stream.send({"action": "authenticate", "data": {"key_id": "A", "secret_key": "wrong"}})
        wrong = stream.read()
        stream.send({"action": "authenticate", "data": {"key_id": "A", "secret_key": "S"}})
        right = stream.read()
        other.send({"action": "authenticate", "data": {"key_id": "A", "secret_key": "S"}})
        second = other.read()

    assert unheard == {"stream": "authorization", "data": {"action": "listen", "status": "unauthorized"}}
    assert wrong["data"]["message"] == "access key verification failed"
    assert right["data"]["status"] == "authorized"
    assert (second["data"]["status"], second["data"]["message"]) == ("unauthorized", "connection limit exceeded")


@pytest.mark.parametrize("message", ["{", "[]", '{"action": "sing"}'])
def test_nonsense_is_answered_with_an_error(paper, message):
    with Stream(paper.stream_url) as stream:
        stream.socket.send(message)

        assert stream.read()["stream"] == "error"


def test_a_second_connection_gets_429_until_the_first_is_gone(paper):
    with Stream(paper.stream_url):
        with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
            Stream(paper.stream_url)
        assert caught.value.response.status_code == 429

    with Stream(paper.stream_url) as again:
        again.log_in()
    paths = [(request["path"], request["status"]) for request in paper.requests()]
    assert paths == [("/stream", 101), ("/stream", 429), ("/stream", 101)]


def test_another_path_has_no_stream(paper):
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        Stream(paper.stream_url + "s")

    assert caught.value.response.status_code == 404


def test_pings_are_answered_by_a_muted_stream_too(paper):
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        paper.fault(on_stream("mute"))
        wire.order()
        paper.wait_for_order(lambda order: order["status"] == "filled")

        assert stream.socket.ping().wait(LIMIT_S)
        with pytest.raises(TimeoutError):
            stream.read(QUIET_S)


def test_dropped_updates_do_not_come(paper):
    paper.fault(on_stream("drop", event="new"))
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order()

        assert stream.read_events("fill") == ["pending_new", "fill"]


def test_a_dropped_symbol_leaves_the_others(paper):
    paper.fault(on_stream("drop", symbol="KO"))
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order()
        wire.order(symbol="CTVA", side="buy")

        assert {stream.read()["data"]["order"]["symbol"] for _ in range(3)} == {"CTVA"}


def test_duplicates_come_twice_and_are_the_same(paper):
    paper.fault(on_stream("duplicate", event="fill"))
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order()
        frames = [stream.read() for _ in range(4)]

    assert [frame["data"]["event"] for frame in frames] == [*WHOLE, "fill"]
    assert frames[2] == frames[3]


def test_a_reordered_update_comes_after_the_next(paper):
    paper.fault(on_stream("reorder", event="new", times=1))
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order()

        assert [stream.read()["data"]["event"] for _ in range(3)] == ["pending_new", "fill", "new"]


def test_a_reordered_update_without_a_next_one_comes_late(paper):
    paper.fault(on_stream("reorder", event="fill", times=1))
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order()

        assert stream.read_events("fill") == WHOLE


def test_delayed_updates_come_after_those_that_are_not(paper):
    paper.fault(on_stream("delay", ms=150, symbol="KO"))
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order()
        paper.wait_for_order(lambda order: order["status"] == "filled")
        wire.order(symbol="CTVA", side="buy")

        symbols = [stream.read()["data"]["order"]["symbol"] for _ in range(6)]

    assert sorted(symbols[-3:] + symbols[:3]) == ["CTVA"] * 3 + ["KO"] * 3
    assert symbols[-1] == "KO"


def test_a_close_without_conditions_closes_at_once(paper):
    with Stream(paper.stream_url).log_in() as stream:
        paper.fault(on_stream("close", times=1, code=1011))

        with pytest.raises(websockets.exceptions.ConnectionClosed) as caught:
            stream.read()

    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1011


def test_a_close_may_come_in_place_of_an_update(paper):
    paper.fault(on_stream("close", event="fill", times=1))
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order()

        with pytest.raises(websockets.exceptions.ConnectionClosed):
            stream.read_events("fill")
    with Stream(paper.stream_url) as again:
        again.log_in()


def test_a_handshake_may_be_refused(paper):
    paper.fault(on_stream("handshake_429", times=1))

    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        Stream(paper.stream_url)
    with Stream(paper.stream_url) as stream:
        stream.log_in()

    assert caught.value.response.status_code == 429


def test_a_login_may_stay_unanswered(paper):
    paper.fault(on_stream("auth_mute", times=1))
    with Stream(paper.stream_url) as stream:
        stream.send({"action": "authenticate", "data": {"key_id": "k", "secret_key": "s"}})
        with pytest.raises(TimeoutError):
            stream.read(QUIET_S)

        stream.log_in()


def test_data_may_be_null(paper):
    paper.fault(on_stream("data_null", event="new"))
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order()
        frames = [stream.read() for _ in range(3)]

    assert frames[1] == {"stream": "trade_updates", "data": None}


def test_events_and_statuses_may_be_unknown(paper):
    paper.fault(on_stream("unknown_event", event="new"), on_stream("unknown_status", event="fill"))
    with Stream(paper.stream_url).log_in() as stream, Wire(paper) as wire:
        wire.order()
        frames = [stream.read()["data"] for _ in range(3)]

    assert (frames[1]["event"], frames[1]["order"]["status"]) == ("some_future_event", "new")
    assert (frames[2]["event"], frames[2]["order"]["status"]) == ("fill", "some_future_status")


def test_stream_faults_do_not_touch_what_rest_says(paper):
    paper.fault(on_stream("drop"))
    with Stream(paper.stream_url).log_in(), Wire(paper) as wire:
        wire.order()

        assert paper.wait_for_order(lambda order: order["status"] == "filled")["filled_qty"] == "10"
        assert wire.ask("GET", "/v2/orders").json == []


def test_a_bracket_tells_its_exits_too(paper):
    with Stream(paper.stream_url).log_in() as stream:
        trading(paper, raw_data=True).post(
            "/orders",
            {
                "symbol": "CTVA",
                "qty": "10",
                "side": "buy",
                "type": "market",
                "time_in_force": "day",
                "order_class": "bracket",
                "take_profit": {"limit_price": "70"},
                "stop_loss": {"stop_price": "50"},
            },
        )
        frames = [stream.read()["data"] for _ in range(5)]

    assert [(frame["event"], frame["order"]["type"]) for frame in frames] == [
        ("pending_new", "market"),
        ("new", "market"),
        ("fill", "market"),
        ("new", "limit"),
        ("new", "stop"),
    ]
    assert [leg["status"] for leg in frames[0]["order"]["legs"]] == ["held", "held"]
    json.dumps(frames)
