"""Alpaca's `trade_updates` stream: one connection, watched, brought back, every gap told.

A small client of our own over `websockets`; docs/adr/0003 says why not the SDK's. It promises:

- a half-open socket is noticed within `PING_EVERY_S + PING_TIMEOUT_S + CLOSE_TIMEOUT_S`, a server that is silent while
  we connect within `OPEN_TIMEOUT_S`, one that is silent while we authenticate or subscribe within `AUTH_TIMEOUT_S`;
- it reconnects by itself, ever later up to `MAX_BACK_OFF_S`, with jitter, at once to the shortest wait after it has
  listened again; a refused key pair and a handshake refused with 429 (one connection an account) begin further out;
- `StreamLost` and `StreamConnected` frame every gap. A frame that can't be read is a gap, too: something happened and
  nobody knows what. So Trading reconciles, which is all that can be done about either;
- nothing that arrives can end the thread, nor a bug of ours in reading it; `stop` returns within `STOP_TIMEOUT_S`.

The stream is the fast path and never the proof.
"""

import json
import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from departments.office.containment import Broke, contained
from departments.office.department import Note
from departments.trading.alpaca.http import UnreadableBody, read_json
from departments.trading.alpaca.translate import Unreadable, streamed
from messages.broker import StreamConnected, StreamLost
from messages.message import Message

OPEN_TIMEOUT_S = 10.0
AUTH_TIMEOUT_S = 5.0
PING_EVERY_S = 5.0
PING_TIMEOUT_S = 6.0
CLOSE_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 4.5
FIRST_BACK_OFF_S = 1.0
MAX_BACK_OFF_S = 30.0
SLOW_BACK_OFF_S = 8.0
"""Where waiting begins after a refused key pair or a 429 (times the first back-off): nothing is won by hurrying."""
GAP_EVERY_S = 2.0
"""Unreadable frames are told at most this often; none is swallowed."""
_MAX_FRAME_BYTES = 4 * 1024 * 1024
_QUEUE_FRAMES = 1024
_TICK_S = 1.0
_TRY_SLOWLY = frozenset({401, 403, 429})


class Ended(Enum):
    """How a connection came to its end."""

    LOST = "lost"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class _End:
    how: Ended
    detail: str
    listened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSeen:
    """How the stream has done since it was started.

    Attributes:
        listening: Connected, authorised and subscribed now.
        connects: How often it came to listen.
        unreadable: Trade updates that could not be read.
        frames: Trade updates that could.
        last_trouble: Why it was last lost; None while it never was.
    """

    listening: bool = False
    connects: int = 0
    unreadable: int = 0
    frames: int = 0
    last_trouble: str | None = None


class TradesStream:
    """The stream, on a thread of its own.

    Args:
        url: `ws://` or `wss://`, whole.
        key_id: Alpaca's key.
        secret_key: Its secret; never logged.
        on_message: Takes what the stream tells, with an id for news that may come twice; called on the stream's thread.
        note: Where lines for the log go.
        on_failure: Told once if the thread dies of an error in `on_message` (a broken store): the firm must stop.
        hold: Called before a frame is taken in; may keep it waiting a moment.
        jitter: Draws from [0, 1).
        first_back_off_s: Shortest wait before connecting again; tests shorten it.
    """

    def __init__(
        self,
        *,
        url: str,
        key_id: str,
        secret_key: str,
        on_message: Callable[[Message, str | None], None],
        note: Callable[[Note], None] = lambda _: None,
        on_failure: Callable[[BaseException], None] = lambda _: None,
        hold: Callable[[], None] = lambda: None,
        jitter: Callable[[], float] = random.random,
        first_back_off_s: float = FIRST_BACK_OFF_S,
        ping_every_s: float = PING_EVERY_S,
        ping_timeout_s: float = PING_TIMEOUT_S,
        auth_timeout_s: float = AUTH_TIMEOUT_S,
        gap_every_s: float = GAP_EVERY_S,
    ) -> None:
        self._url = url
        self._key_id = key_id
        self._secret_key = secret_key
        self._on_message = on_message
        self._note = note
        self._on_failure = on_failure
        self._hold = hold
        self._jitter = jitter
        self._first_back_off_s = first_back_off_s
        self._ping_every_s = ping_every_s
        self._ping_timeout_s = ping_timeout_s
        self._auth_timeout_s = auth_timeout_s
        self._gap_every_s = gap_every_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._socket: ClientConnection | None = None
        self._lock = threading.Lock()
        self._seen = StreamSeen()
        self._told_lost: Ended | None = None
        self._gap_told_at_s = -MAX_BACK_OFF_S
        self._gap: str | None = None

    def start(self) -> None:
        """Start the thread; it connects by itself."""
        self._thread = threading.Thread(target=self._run, name="trades-stream", daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """Close the connection and end the thread. Returns within five seconds: whether it ended."""
        self._stopping.set()
        with self._lock:
            socket = self._socket
        if socket is not None:
            socket.close()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S - CLOSE_TIMEOUT_S)
            return not self._thread.is_alive()
        return True

    def seen(self) -> StreamSeen:
        """How the stream has done."""
        return self._seen

    # On the stream's thread

    def _run(self) -> None:
        ended_well = False
        try:
            self._keep_listening()
            ended_well = True
        finally:
            self._seen = replace(self._seen, listening=False)
            error = sys.exc_info()[1]
            if not ended_well and error is not None:
                self._on_failure(error)

    def _keep_listening(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            end = self._connection()
            if end.how is Ended.STOPPED or self._stopping.is_set():
                return
            if end.listened:
                failures = 0
            self._tell_lost(end)
            wait_s = back_off_s(failures, end.how, first_s=self._first_back_off_s, jitter=self._jitter())
            failures += 1
            self._note(Note("stream.reconnecting", {"why": end.detail, "in_s": round(wait_s, 2)}, "warning"))
            self._stopping.wait(wait_s)

    def _connection(self) -> _End:
        """Connect, authenticate, subscribe and read until the connection ends."""
        try:
            socket = connect(
                self._url,
                open_timeout=OPEN_TIMEOUT_S,
                ping_interval=self._ping_every_s,
                ping_timeout=self._ping_timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=_MAX_FRAME_BYTES,
                max_queue=_QUEUE_FRAMES,
                compression=None,
                proxy=None,
                logger=_quiet_logger(),
            )
        except InvalidStatus as error:
            status_code = error.response.status_code
            how = Ended.REFUSED if status_code in _TRY_SLOWLY else Ended.LOST
            return _End(how, f"handshake refused: http {status_code}")
        except (WebSocketException, OSError) as error:
            return _End(Ended.LOST, _one_line("could not connect", error))
        with self._lock:
            self._socket = socket
        try:
            return self._converse(socket)
        finally:
            with self._lock:
                self._socket = None
            self._seen = replace(self._seen, listening=False)
            socket.close()

    def _converse(self, socket: ClientConnection) -> _End:
        listened = False
        try:
            refusal = self._subscribe(socket)
            if refusal is not None:
                return refusal
            listened = True
            self._tell_connected()
            while not self._stopping.is_set():
                self._tell_gap()
                with suppress(TimeoutError):
                    data = socket.recv(timeout=_TICK_S)
                    self._hold()
                    self._take(data)
        except (ConnectionClosed, OSError) as error:
            if not self._stopping.is_set():
                return _End(Ended.LOST, _one_line("connection lost", error), listened)
        return _End(Ended.STOPPED, "stopped", listened)

    def _subscribe(self, socket: ClientConnection) -> _End | None:
        """Authenticate and ask for trade updates; None once Alpaca says that it listens.

        Source: Alpaca, WebSocket streaming of trade updates. A trade update that comes before the answer counts as one.
        """
        keys = {"key_id": self._key_id, "secret_key": self._secret_key}
        socket.send(json.dumps({"action": "authenticate", "data": keys}))
        answer = self._await(socket, "authorization")
        if answer is None:
            return _End(Ended.LOST, f"no answer to authenticate within {self._auth_timeout_s} s")
        if answer.get("status") != "authorized":
            said = answer.get("message") or answer.get("status") or answer
            return _End(Ended.REFUSED, f"keys refused: {str(said)[:200]}")
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        answer = self._await(socket, "listening")
        if answer is None:
            return _End(Ended.LOST, f"no answer to listen within {self._auth_timeout_s} s")
        streams = answer.get("streams")
        if not isinstance(streams, list) or "trade_updates" not in streams:
            return _End(Ended.REFUSED, f"subscription refused: {str(answer)[:200]}")
        return None

    def _await(self, socket: ClientConnection, name: str) -> Mapping[str, Any] | None:
        """Read until the answer called `name` comes; None if it doesn't in time. Trade updates are taken in passing."""
        deadline_s = time.monotonic() + self._auth_timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0 and not self._stopping.is_set():
            try:
                data = socket.recv(timeout=left_s)
            except TimeoutError:
                return None
            frame = _frame(data)
            if isinstance(frame, Mapping) and frame.get("stream") in {name, "authorization"}:
                said = frame.get("data")
                return said if isinstance(said, Mapping) else {}
            self._take(data)
        return None

    def _take(self, data: str | bytes) -> None:
        """Take in one frame, text or binary."""
        if self._stopping.is_set():
            return
        frame = _frame(data)
        news = frame if isinstance(frame, Unreadable) else contained(streamed, frame)
        if news is None:
            return
        if isinstance(news, Broke):
            news = Unreadable(f"our reading of it failed: {news.why}")
        if isinstance(news, Unreadable):
            self._seen = replace(self._seen, unreadable=self._seen.unreadable + 1)
            self._note(Note("stream.unreadable", {"why": news.why}, "error"))
            self._gap = news.why
            self._tell_gap()
            return
        self._seen = replace(self._seen, frames=self._seen.frames + 1)
        self._on_message(news.message, news.message_id)

    # What Trading is told

    def _tell_connected(self) -> None:
        self._told_lost = None
        self._seen = replace(self._seen, listening=True, connects=self._seen.connects + 1)
        self._gap = None  # Trading reconciles now anyway
        self._on_message(StreamConnected(), None)

    def _tell_lost(self, end: _End) -> None:
        """Tell once an outage, and again if what is wrong changes from bad luck to a refusal or back."""
        self._seen = replace(self._seen, listening=False, last_trouble=end.detail)
        if self._told_lost is not end.how:
            self._told_lost = end.how
            self._on_message(StreamLost(detail=end.detail), None)

    def _tell_gap(self) -> None:
        now_s = time.monotonic()
        if self._gap is None or not self._seen.listening or now_s - self._gap_told_at_s < self._gap_every_s:
            return
        why, self._gap, self._gap_told_at_s = self._gap, None, now_s
        self._on_message(StreamLost(detail=f"unreadable frame: {why}"[:300]), None)
        self._on_message(StreamConnected(), None)


def back_off_s(failures: int, how: Ended, *, first_s: float, jitter: float) -> float:
    """Seconds to wait before connecting again.

    Args:
        failures: Attempts in a row that failed before this one.
        how: A refusal begins at `SLOW_BACK_OFF_S`.
        first_s: Where bad luck begins.
        jitter: From [0, 1): spreads the wait over its upper half.
    """
    begin_s = max(first_s, SLOW_BACK_OFF_S * first_s) if how is Ended.REFUSED else first_s
    whole_s = min(MAX_BACK_OFF_S, begin_s * 2.0 ** min(failures, 10))
    return whole_s / 2 + whole_s / 2 * jitter


def _frame(data: str | bytes) -> Any:
    try:
        return read_json(data if isinstance(data, bytes) else data.encode())
    except UnreadableBody as error:
        return Unreadable(str(error))


def _one_line(what: str, error: Exception) -> str:
    return f"{what}: {' '.join(str(error).split()) or type(error).__name__}"[:300]


def _quiet_logger() -> logging.Logger:
    """A logger for `websockets` that never goes down to DEBUG, where frames are shown, the secret in them."""
    logger = logging.getLogger("departments.trading.alpaca.stream.websockets")
    logger.setLevel(logging.WARNING)
    return logger
