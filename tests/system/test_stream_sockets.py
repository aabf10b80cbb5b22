"""The stream's socket itself gone bad, with a real daemon: half-open, refused, full of what nobody can read."""

import json
import zlib
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from tests.builders import small
from tests.daemon import ROOT, Home
from tests.fakes.relay import Relay, frame
from tests.paper import PaperAlpaca
from tests.stage import filled
from tests.system.test_stream_faults import assert_done_once, connects, no_storm, seconds_between

SELLS = ("SAA", "SBB")
BUYS = ("BAA", "BBB")
LATE = {"on": "POST /v2/orders", "do": "fill_delay", "ms": 300}
HALF_OPEN_WITHIN_S = 15.0
REFUSED_KEYS_REST_S = 4.0


@contextmanager
def behind_a_relay(folder):
    """A firm that has its stream through a relay; everything else it has from the local Alpaca itself."""
    with (
        PaperAlpaca(small.account()) as paper,
        Relay(paper.stream_url) as relay,
        Home(folder, paper, executive_config={"sell_timeout_s": 30}, compliance_config=small.MANY_A_DAY) as home,
    ):
        home.env["APCA_API_STREAM_URL"] = relay.url
        yield home, paper, relay


def test_a_half_open_stream_is_noticed_and_the_run_ends_right_meanwhile(tmp_path):
    with behind_a_relay(tmp_path) as (home, paper, relay):
        paper.fault(LATE)
        home.start()
        home.wait_log("stream.up")
        assert relay.vanish() == 1
        gone_at = datetime.now(UTC).isoformat()
        run_id = home.submit(small.plan(SELLS, BUYS))
        view = home.wait_end(run_id)
        lost = home.wait_log("stream.down")
        home.wait_log("stream.reconnecting", why="handshake refused: http 429")
        shown = home.firm_status()

        assert_done_once(paper, view)
        assert seconds_between(gone_at, lost["timestamp"]) <= HALF_OPEN_WITHIN_S
        assert "keepalive ping timeout" in lost["message"]
        assert shown["stream"] == "down"

        relay.let_go()  # Alpaca has reaped the connection that nobody is at
        home.wait_log("stream.up", limit_s=40)
        second = home.submit(small.plan(("SCC",), ()))
        home.wait_end(second)
        assert {one["status"] for one in connects(paper)} == {101, 429}
        assert no_storm(connects(paper))
        assert relay.most_open == 1


def test_a_run_whose_stream_vanishes_in_mid_sell_ends_right(tmp_path):
    with behind_a_relay(tmp_path) as (home, paper, relay):
        paper.fault({"on": "POST /v2/orders", "symbol": "SAA", "do": "fill", "fill": "none"})
        home.start()
        home.wait_log("stream.up")
        run_id = home.submit(small.plan(SELLS, BUYS))
        paper.wait_for_order(lambda order: order["symbol"] == "SBB" and filled(order))
        assert relay.vanish() == 1
        paper.clear_faults()
        view = home.wait_end(run_id)

        assert_done_once(paper, view)


def test_keys_that_the_stream_refuses_are_told_tried_slowly_and_missed_by_nobody(tmp_path):
    locked = {"accounts": [{"key_id": "SOMEBODY", "secret_key": "else", "cash": "1", "positions": []}]}
    with PaperAlpaca(locked) as elsewhere, behind_a_relay(tmp_path) as (home, paper, relay):
        relay.target = elsewhere.stream_url
        home.start()
        run_id = home.submit(small.plan(SELLS, BUYS))
        view = home.wait_end(run_id)
        home.wait(run_id, lambda _: len(connects(elsewhere)) >= 2, limit_s=40)
        told = home.logged("stream.down")
        shown = home.firm("status", "--json").stdout
        tries = connects(elsewhere)

        assert_done_once(paper, view)
        assert all(seconds_between(a["at"], b["at"]) >= REFUSED_KEYS_REST_S for a, b in pairwise(tries))
        assert [line["message"] for line in told] == [
            "The stream is down: keys refused: access key verification failed"
        ]
        assert json.loads(shown)["stream_detail"] == "keys refused: access key verification failed"
        assert relay.most_open == 1

        relay.target = paper.stream_url
        home.wait_log("stream.up", limit_s=40)


def garbled(payload):
    return frame(bytes(reversed(payload)))


def half_a_character(payload):
    return frame(payload.replace(b'"side"', b'"side\\ud83d"').replace(b'"symbol":"', b'"symbol":"\\ud83d'))


REWRITTEN = {
    "binary garbage": lambda payload: frame(b"\x00\xff\xfe" * 100),
    "text that is no text": lambda payload: frame(b"\xff\xfe\xfd", head=0x81),
    "backwards": garbled,
    "nothing at all": lambda payload: frame(b""),
    "a thousand brackets too many": lambda payload: frame(b"[" * 60_000),
    "cut in the middle": lambda payload: frame(payload[: len(payload) // 2]),
    "null data": lambda payload: frame(b'{"stream":"trade_updates","data":null}'),
    "an order that is a list": lambda payload: frame(b'{"stream":"trade_updates","data":{"event":"fill","order":[]}}'),
    "half a character": half_a_character,
    "larger than any frame may be": lambda payload: frame(b" " * (5 * 1024 * 1024)),
    "no frame at all": lambda payload: b"HTTP/1.1 500 Oops\r\n\r\n",
    "two of three garbled": lambda payload: garbled(payload) if zlib.crc32(payload) % 3 else frame(payload),
}


@pytest.fixture(scope="module")
def relayed(tmp_path_factory):
    with behind_a_relay(tmp_path_factory.mktemp("relayed")) as (home, paper, relay):
        home.start()
        yield home, paper, relay


@pytest.mark.parametrize("case", REWRITTEN)
def test_updates_that_nobody_can_read_change_nothing(relayed, case):
    home, paper, relay = relayed
    home.wait_log("stream.up")
    relay.rewrite = lambda payload: REWRITTEN[case](payload) if b"trade_updates" in payload[:40] else frame(payload)
    paper.reset()
    before = len(home.logged("stream.up"))
    try:
        view = home.wait_end(home.submit(small.plan(SELLS, BUYS)))
    finally:
        relay.rewrite = frame
    home.wait(view["run_id"], lambda _: len(home.logged("stream.up")) > before)
    home.wait(view["run_id"], lambda _: home.firm_status()["stream"] == "up")

    assert_done_once(paper, view)
    assert relay.most_open == 1
    assert {one["status"] for one in connects(paper)} <= {101}


PLANTED = """
from departments.trading.alpaca import stream

reads = stream.streamed

def broken(frame):
    if frame["stream"] == "trade_updates":
        raise ZeroDivisionError("of ours")
    return reads(frame)

stream.streamed = broken
"""


def test_a_bug_in_our_reading_of_updates_ends_no_daemon_and_no_run(tmp_path):
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "sitecustomize.py").write_text(PLANTED, encoding="utf-8")
    with (
        PaperAlpaca(small.account()) as paper,
        Home(tmp_path, paper, executive_config={"sell_timeout_s": 30}, compliance_config=small.MANY_A_DAY) as home,
    ):
        home.env["PYTHONPATH"] = f"{planted}:{ROOT}"
        home.start()
        home.wait_log("stream.up")
        view = home.wait_end(home.submit(small.plan(SELLS, BUYS)))

        assert_done_once(paper, view)
        assert "our reading of it failed: ZeroDivisionError: of ours" in home.logged("stream.unreadable")[0]["message"]
        assert len(connects(paper)) == 1
        assert home.stop() == 0
