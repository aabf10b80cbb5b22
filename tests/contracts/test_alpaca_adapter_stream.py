"""The stream against servers that behave as Alpaca's does, and as badly as Alpaca's may."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.trading.alpaca import stream
from departments.trading.alpaca.stream import Ended, TradesStream, back_off_s
from departments.trading.alpaca.translate import streamed
from messages.broker import OrderStreamed, StrangerStreamed, StreamConnected, StreamLost
from messages.message import Message
from tests.fakes.alpaca_json import a_frame, an_order
from tests.fakes.trade_updates import (
    TradeUpdates,
    freeze,
    mute,
    refuse_keys,
    say,
    serve_frames,
    welcome_and_close,
)

LIMIT_S = 15.0
SECRET = "S3CRET"  # noqa: S105 - of nobody


@dataclass
class Heard:
    """What the stream told, and the lines it wrote."""

    stream: TradesStream = field(init=False)
    messages: list[Message] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)

    def take(self, message: Message, message_id: str | None) -> None:
        with self.came:
            self.messages.append(message)
            self.ids.append(message_id)
            self.came.notify_all()

    def note(self, note) -> None:
        with self.came:
            self.notes.append((note.event, str(note.fields)))
            self.came.notify_all()

    def fail(self, error: BaseException) -> None:
        with self.came:
            self.failures.append(error)
            self.came.notify_all()

    def until(self, condition) -> None:
        with self.came:
            assert self.came.wait_for(condition, LIMIT_S), (self.messages, self.notes)

    def kinds(self) -> list[type[Message]]:
        return [type(message) for message in self.messages]

    def of(self, kind):
        return [message for message in self.messages if isinstance(message, kind)]


@contextmanager
def listening(url, *, take=None, **options) -> Iterator[Heard]:
    heard = Heard()
    defaults = {"first_back_off_s": 0.02, "ping_every_s": 0.2, "ping_timeout_s": 5.0, "auth_timeout_s": 5.0}
    heard.stream = TradesStream(
        url=url,
        key_id="K",
        secret_key=SECRET,
        on_message=take or heard.take,
        note=heard.note,
        on_failure=heard.fail,
        **(defaults | options),
    )
    heard.stream.start()
    try:
        yield heard
    finally:
        assert heard.stream.stop()


def test_it_authenticates_listens_and_says_so():
    with TradeUpdates() as server, listening(server.url) as heard:
        heard.until(lambda: heard.messages)

        assert heard.kinds() == [StreamConnected]
        assert server.said == [
            {"action": "authenticate", "data": {"key_id": "K", "secret_key": SECRET}},
            {"action": "listen", "data": {"streams": ["trade_updates"]}},
        ]
        assert heard.stream.seen().listening


@pytest.mark.parametrize("text", [True, False])
def test_frames_are_taken_as_text_and_as_binary(text):
    with TradeUpdates(serve_frames(a_frame(), text=text)) as server, listening(server.url) as heard:
        heard.until(lambda: heard.of(OrderStreamed))

        assert heard.of(OrderStreamed)[0].event == "fill"
        assert heard.ids[-1] is not None


def test_the_same_news_twice_has_one_id_to_be_known_by():
    frames = [a_frame(), a_frame(), a_frame("canceled")]
    with TradeUpdates(serve_frames(*frames)) as server, listening(server.url) as heard:
        heard.until(lambda: len(heard.messages) == 4)

        assert heard.ids[1] == heard.ids[2] != heard.ids[3]


def test_strangers_are_told_apart():
    with (
        TradeUpdates(serve_frames(a_frame(order=an_order(client_order_id="x")))) as server,
        listening(server.url) as heard,
    ):
        heard.until(lambda: heard.of(StrangerStreamed))


@pytest.mark.parametrize(
    "bad",
    [
        {"stream": "trade_updates", "data": None},
        b"\x00\xff\xfe",
        b"",
        "no json",
        b"[" * 50_000,
        a_frame(order=an_order(filled_qty=None)),
        json.dumps(a_frame(order=an_order(symbol="half"))).replace("half", "\\ud83d"),
    ],
)
def test_a_frame_that_can_not_be_read_is_a_gap_and_the_next_one_is_taken(bad):
    with TradeUpdates(serve_frames(bad, a_frame())) as server, listening(server.url) as heard:
        heard.until(lambda: heard.of(OrderStreamed))

        assert heard.kinds() == [StreamConnected, StreamLost, StreamConnected, OrderStreamed]
        assert "unreadable" in heard.of(StreamLost)[0].detail
        assert heard.stream.seen().unreadable == 1
        assert server.handshakes == 1


def test_a_bug_in_the_reading_of_a_frame_is_a_gap_and_the_next_one_is_taken(monkeypatch):
    def broken(frame):
        if frame["data"]["event"] == "canceled":
            raise KeyError("of ours")
        return streamed(frame)

    monkeypatch.setattr(stream, "streamed", broken)
    frames = (a_frame("canceled"), a_frame())
    with TradeUpdates(serve_frames(*frames)) as server, listening(server.url) as heard:
        heard.until(lambda: heard.of(OrderStreamed))

        assert heard.kinds() == [StreamConnected, StreamLost, StreamConnected, OrderStreamed]
        assert "our reading of it failed: KeyError: 'of ours'" in heard.of(StreamLost)[0].detail
        assert server.handshakes == 1


def test_a_storm_of_unreadable_frames_is_told_now_and_then_but_always_once_more():
    def storm(server, connection):
        server.welcome(connection)
        for _ in range(200):
            say(connection, {"stream": "trade_updates", "data": None})
        say(connection, a_frame())
        server.stay(connection)

    with TradeUpdates(storm) as server, listening(server.url, gap_every_s=0.5) as heard:
        heard.until(lambda: len(heard.of(StreamLost)) >= 2)

        told = len(heard.of(StreamLost))
        assert heard.stream.seen().unreadable == 200
        assert told <= 5
        assert heard.kinds().index(OrderStreamed) < len(heard.messages) - 2


def test_a_closed_connection_is_told_and_made_anew():
    visits = (welcome_and_close, serve_frames(a_frame()))
    with TradeUpdates(*visits) as server, listening(server.url) as heard:
        heard.until(lambda: heard.of(OrderStreamed))

        assert heard.kinds() == [StreamConnected, StreamLost, StreamConnected, OrderStreamed]
        assert server.most_open == 1


def test_an_outage_is_told_once_however_often_it_tries():
    with TradeUpdates(503, 502, 500, serve_frames()) as server, listening(server.url) as heard:
        heard.until(lambda: heard.of(StreamConnected))

        assert heard.kinds() == [StreamLost, StreamConnected]
        assert "503" in heard.messages[0].detail
        assert server.handshakes == 4


def test_a_half_open_socket_is_noticed_by_its_missing_pong():
    visits = (freeze, serve_frames(a_frame()))
    with (
        TradeUpdates(*visits) as server,
        listening(server.url, ping_every_s=0.1, ping_timeout_s=0.2) as heard,
    ):
        heard.until(lambda: heard.of(OrderStreamed))

        assert heard.kinds() == [StreamConnected, StreamLost, StreamConnected, OrderStreamed]


def test_the_limits_notice_a_half_open_socket_within_fifteen_seconds():
    assert stream.PING_EVERY_S + stream.PING_TIMEOUT_S + stream.CLOSE_TIMEOUT_S <= 15


def test_a_server_that_is_silent_while_we_authenticate_is_left():
    with TradeUpdates(mute, serve_frames()) as server, listening(server.url, auth_timeout_s=0.2) as heard:
        heard.until(lambda: heard.of(StreamConnected))

        assert "no answer to authenticate" in heard.of(StreamLost)[0].detail


def test_a_server_that_never_confirms_the_subscription_is_left():
    def authorise_only(server, connection):
        server.hear(connection)
        say(connection, {"stream": "authorization", "data": {"status": "authorized"}})
        server.stay(connection)

    with TradeUpdates(authorise_only, serve_frames()) as server, listening(server.url, auth_timeout_s=0.2) as heard:
        heard.until(lambda: heard.of(StreamConnected))

        assert "no answer to listen" in heard.of(StreamLost)[0].detail


def test_refused_keys_are_told_with_alpacas_words_and_tried_again_slowly():
    with TradeUpdates(refuse_keys, refuse_keys, serve_frames()) as server, listening(server.url) as heard:
        heard.until(lambda: heard.of(StreamConnected))

        assert heard.of(StreamLost)[0].detail == "keys refused: access key verification failed"
        assert len(heard.of(StreamLost)) == 1
        waits = [float(fields.split("'in_s': ")[1].rstrip("}")) for event, fields in heard.notes if "reconn" in event]
        assert min(waits) >= 0.02 * stream.SLOW_BACK_OFF_S / 2


def test_a_refused_subscription_is_told():
    def refuse(server, connection):
        server.hear(connection)
        say(connection, {"stream": "authorization", "data": {"status": "authorized"}})
        server.hear(connection)
        say(connection, {"stream": "authorization", "data": {"action": "listen", "status": "unauthorized"}})
        server.stay(connection)

    with TradeUpdates(refuse, serve_frames()) as server, listening(server.url) as heard:
        heard.until(lambda: heard.of(StreamConnected))

        assert "subscription refused" in heard.of(StreamLost)[0].detail


def test_a_handshake_refused_with_429_is_tried_slowly():
    with TradeUpdates(429, 429, serve_frames()) as server, listening(server.url) as heard:
        heard.until(lambda: heard.of(StreamConnected))

        assert heard.of(StreamLost)[0].detail == "handshake refused: http 429"
        assert server.handshakes == 3


def test_a_trade_update_before_the_confirmation_is_not_lost():
    def early(server, connection):
        server.hear(connection)
        say(connection, {"stream": "authorization", "data": {"status": "authorized"}})
        server.hear(connection)
        say(connection, a_frame())
        say(connection, {"stream": "listening", "data": {"streams": ["trade_updates"]}})
        server.stay(connection)

    with TradeUpdates(early) as server, listening(server.url) as heard:
        heard.until(lambda: heard.of(StreamConnected))

        assert heard.of(OrderStreamed)


def test_no_server_at_all_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with listening(f"ws://127.0.0.1:{taken.getsockname()[1]}/stream") as heard:
            heard.until(lambda: heard.messages)

            assert "could not connect" in heard.messages[0].detail


def test_a_server_that_speaks_no_websocket_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer_nonsense, args=(server,), daemon=True).start()
        with listening(f"ws://127.0.0.1:{server.getsockname()[1]}/stream") as heard:
            heard.until(lambda: heard.messages)

            assert isinstance(heard.messages[0], StreamLost)


def _answer_nonsense(server):
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.recv(4096)
            connection.sendall(b"220 mail.example ESMTP\r\n")


@pytest.mark.parametrize("visit", [serve_frames(), mute, freeze, 503])
def test_it_stops_within_five_seconds_whatever_the_server_does(visit):
    with TradeUpdates(visit, default=mute) as server:
        heard = Heard()
        one = TradesStream(
            url=server.url, key_id="K", secret_key=SECRET, on_message=heard.take, note=heard.note, jitter=lambda: 0.99
        )
        one.start()
        assert server.greeted.wait(LIMIT_S)
        begun = time.monotonic()

        assert one.stop()
        assert time.monotonic() - begun < 5.0
        assert not one.seen().listening


def test_it_can_be_stopped_before_it_starts_and_twice():
    one = TradesStream(url="ws://127.0.0.1:1/stream", key_id="K", secret_key=SECRET, on_message=lambda _m, _i: None)

    assert one.stop()
    assert one.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_store_that_breaks_under_a_frame_is_told_to_the_firm():
    def broken(_message, _id):
        raise RuntimeError("the store is gone")

    with TradeUpdates() as server, listening(server.url, take=broken) as heard:
        heard.until(lambda: heard.failures)

        assert isinstance(heard.failures[0], RuntimeError)


def test_the_secret_is_never_logged(caplog):
    caplog.set_level(logging.DEBUG)
    with TradeUpdates(refuse_keys, serve_frames(a_frame())) as server, listening(server.url) as heard:
        heard.until(lambda: heard.of(OrderStreamed))

    ours = [record for record in caplog.records if not record.name.startswith("websockets.server")]
    assert not [record for record in ours if SECRET in record.getMessage()]
    assert SECRET not in str(heard.notes)
    assert SECRET not in str(heard.messages)


def test_waits_grow_to_thirty_seconds_and_no_further():
    waits = [back_off_s(n, Ended.LOST, first_s=1.0, jitter=0.0) * 2 for n in range(12)]

    assert waits[:6] == [1, 2, 4, 8, 16, 30]
    assert set(waits[6:]) == {30}


@given(failures=st.integers(0, 10_000), how=st.sampled_from(Ended), jitter=st.floats(0, 0.999))
def test_a_wait_is_never_a_storm_and_never_for_ever(failures, how, jitter):
    wait_s = back_off_s(failures, how, first_s=1.0, jitter=jitter)

    assert 0.5 <= wait_s <= 30.0
    assert how is not Ended.REFUSED or wait_s >= 4.0


def test_listening_again_makes_the_next_wait_short_again():
    with TradeUpdates(503, 503, 503, welcome_and_close, serve_frames()) as server, listening(server.url) as heard:
        heard.until(lambda: len(heard.of(StreamConnected)) == 2)

        waits = [float(fields.split("'in_s': ")[1].rstrip("}")) for event, fields in heard.notes if "reconn" in event]
        assert waits[-1] <= 0.02 < waits[2]
