"""Everything that can go wrong with the stream: the run ends right, over REST where it must, and people are told."""

from datetime import datetime
from itertools import pairwise

import pytest

from tests.builders import small
from tests.daemon import Home, sent_once
from tests.paper import PaperAlpaca
from tests.stage import filled, staged

POST = "POST /v2/orders"
SELLS = ("SAA", "SBB")
BUYS = ("BAA", "BBB")
NOTICED_WITHIN_S = 10.0


def stream(do, **fields):
    return {"on": "stream", "do": do, **fields}


@pytest.fixture(scope="module")
def whole_stage(tmp_path_factory):
    with staged(
        tmp_path_factory.mktemp("stream"),
        executive_config={"sell_timeout_s": 30},
        trading_config={"reconcile_interval_s": 1},
    ) as one:
        yield one


@pytest.fixture
def stage(whole_stage):
    yield whole_stage
    whole_stage.clear()


FRAMES = {
    "every frame dropped": [stream("drop")],
    "fills dropped": [stream("drop", event="fill")],
    "first frames of each kind dropped": [stream("drop", times=3)],
    "every frame twice": [stream("duplicate")],
    "every frame five times": [stream("duplicate", count=5)],
    "neighbours swapped": [stream("reorder", ms=50)],
    "half a second late": [stream("delay", ms=500)],
    "a minute late": [stream("delay", seconds=60)],
    "fills a minute late": [stream("delay", seconds=60, event="fill")],
    "null data": [stream("data_null")],
    "null data now and then": [stream("data_null", after=2, times=3)],
    "an event that is new to us": [stream("unknown_event")],
    "a status that is new to us": [stream("unknown_status")],
    "new events and statuses": [stream("unknown_event"), stream("unknown_status")],
    "fills with a status that is new to us": [stream("unknown_status", event="fill", name="gefüllt")],
    "twice, swapped and late": [stream("duplicate"), stream("reorder", ms=30), stream("delay", ms=100)],
    "lost here, twice there": [stream("drop", symbol="SAA"), stream("duplicate", symbol="BAA"), stream("delay", ms=50)],
    "null, late and twice": [stream("data_null", times=4), stream("delay", ms=200, times=6), stream("duplicate")],
}


@pytest.mark.parametrize("case", FRAMES)
def test_frames_lost_doubled_late_or_unreadable_change_nothing(stage, case):
    stage.paper.fault(*FRAMES[case])
    run_id = stage.run(small.plan(SELLS, BUYS))
    view = stage.home.wait_end(run_id)

    assert_done_once(stage.paper, view)


@pytest.mark.parametrize("event", ["pending_new", "new", "fill"])
def test_a_connection_closed_at_any_frame_is_brought_back_once(stage, event):
    before = len(connects(stage.paper))
    stage.paper.fault(stream("close", event=event, times=1))
    run_id = stage.run(small.plan(SELLS, BUYS))
    view = stage.home.wait_end(run_id)
    stage.home.wait(run_id, lambda _: stage.home.firm_status()["stream"] == "up")

    assert_done_once(stage.paper, view)
    assert len(connects(stage.paper)) - before == 1


@pytest.fixture
def alone(tmp_path):
    """A firm of its own, for faults that a stream remembers; the shipped settings but for the waits of the CEO."""
    with (
        PaperAlpaca(small.account()) as paper,
        Home(tmp_path, paper, executive_config={"sell_timeout_s": 30}) as home,
    ):
        yield home, paper


def test_a_mute_stream_is_noticed_while_orders_are_open_and_trading_goes_on_over_rest(alone):
    home, paper = alone
    home.start()
    home.wait_log("stream.up")
    paper.fault(
        stream("mute"),
        {"on": POST, "symbol": "SAA", "do": "fill", "fill": "partial", "fraction": "0.5", "then": "rest"},
    )
    run_id = home.submit(small.plan(SELLS, BUYS))
    order = paper.wait_for_order(lambda order: order["symbol"] == "SBB" and order["status"] == "filled")
    home.wait_log("stream.mute", limit_s=20)
    shown = home.firm("status", "--json").stdout
    logged = home.logged("stream.mute")[0]
    assert home.status(run_id)["phase"] == "selling"
    paper.event(next(order["id"] for order in paper.orders() if order["symbol"] == "SAA"), "fill")
    view = home.wait_end(run_id)
    mute_still = home.firm_status()
    paper.clear_faults()
    second = home.submit(small.plan(("SCC",), ()))
    home.wait(second, lambda _: home.firm_status()["stream"] == "up")

    filled_at = next(event["at"] for event in order["events"] if event["event"] == "fill")
    assert seconds_between(filled_at, logged["timestamp"]) <= NOTICED_WITHIN_S
    assert '"stream": "mute"' in shown
    assert "The stream is mute" in logged["message"]
    assert mute_still["stream"] == "mute"
    assert len(connects(paper)) == 1
    assert home.wait_end(second)["outcome"] == "completed"
    assert view["verification"]["ok"]
    assert sent_once(paper.orders())


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (stream("handshake_429"), "handshake refused: http 429"),
        (stream("auth_mute"), "no answer to authenticate"),
    ],
    ids=["handshake answered with 429", "silence after the log-in"],
)
def test_a_stream_that_never_comes_up_is_told_and_missed_by_nobody(alone, rule, why):
    home, paper = alone
    paper.fault(rule)
    home.start()
    run_id = home.submit(small.plan(SELLS, BUYS))
    view = home.wait_end(run_id)
    home.wait(run_id, lambda _: home.firm_status()["stream"] == "down", limit_s=20)
    tries = connects(paper)

    assert_done_once(paper, view)
    assert why in home.firm_status()["stream_detail"]
    assert why in home.logged("stream.down")[-1]["message"]
    assert no_storm(tries)

    paper.clear_faults()
    home.wait(run_id, lambda _: home.firm_status()["stream"] == "up", limit_s=40)


def test_a_stream_closed_again_and_again_is_brought_back_ever_later(alone):
    home, paper = alone
    paper.fault(stream("close"), {"on": POST, "do": "fill_delay", "ms": 1500})
    home.start()
    home.wait_log("stream.up")
    run_id = home.submit(small.plan(SELLS, BUYS))
    view = home.wait_end(run_id)

    assert_done_once(paper, view)
    assert len(connects(paper)) > 1
    assert no_storm(connects(paper))


def connects(paper):
    """Handshakes that the server saw, refused ones included."""
    return [one for one in paper.requests() if one["path"].startswith("/stream")]


def no_storm(handshakes):
    """Half a second at least between two of them: the shortest wait is one second, its upper half jittered."""
    times = [one["at"] for one in handshakes]
    return all(seconds_between(one, other) >= 0.5 for one, other in pairwise(times))


def seconds_between(one, other):
    return (datetime.fromisoformat(other) - datetime.fromisoformat(one)).total_seconds()


def assert_done_once(paper, view):
    orders = paper.orders()
    assert view["outcome"] == "completed", view
    assert view["verification"] == {"ok": True, "differences": []}
    assert sent_once(orders)
    assert {order["symbol"] for order in orders} == {*SELLS, *BUYS}
    assert all(filled(order) for order in orders)
    sells, buys = ([order for order in orders if order["side"] == side] for side in ("sell", "buy"))
    last_fill = max(event["at"] for order in sells for event in order["events"] if event["event"] == "fill")
    assert min(order["received_at"] for order in buys) > last_fill
