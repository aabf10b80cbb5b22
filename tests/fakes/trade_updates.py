"""A `trade_updates` server that does to each connection what a test wants. Speaks Alpaca's words over websockets."""

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

LIMIT_S = 10.0
Visit = Callable[["TradeUpdates", ServerConnection], None]


class TradeUpdates:
    """The server. `visits` are used up in order, one a connection; then `default` is had."""

    def __init__(self, *visits: Visit | int, default: Visit | None = None) -> None:
        self.visits: list[Visit | int] = list(visits)
        self.default: Visit = default or serve_frames()
        self.said: list[Any] = []
        self.handshakes = 0
        self.open = 0
        self.most_open = 0
        self.greeted = threading.Event()
        self.over = threading.Event()
        self.lock = threading.Lock()
        self._server = serve(
            self._serve, "127.0.0.1", 0, process_request=self._greet, ping_interval=None, close_timeout=1
        )
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/stream"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join(LIMIT_S)

    def hear(self, connection: ServerConnection) -> Any:
        """Read one message of the client's."""
        said = json.loads(connection.recv(timeout=LIMIT_S))
        self.said.append(said)
        return said

    def welcome(self, connection: ServerConnection) -> None:
        """Authorise and subscribe, as Alpaca does: binary frames that hold JSON."""
        self.hear(connection)
        say(connection, {"stream": "authorization", "data": {"action": "authenticate", "status": "authorized"}})
        self.hear(connection)
        say(connection, {"stream": "listening", "data": {"streams": ["trade_updates"]}})

    def stay(self, connection: ServerConnection) -> None:
        """Keep the connection until the client or the test ends it."""
        while not self.over.is_set():
            try:
                connection.recv(timeout=0.05)
            except TimeoutError:
                continue
            except ConnectionClosed:
                return

    def _greet(self, connection: ServerConnection, _request: Request) -> Response | None:
        with self.lock:
            self.handshakes += 1
            self.greeted.set()
            if self.visits and isinstance(self.visits[0], int):
                return connection.respond(HTTPStatus(self.visits.pop(0)), "no\n")
        return None

    def _serve(self, connection: ServerConnection) -> None:
        with self.lock:
            visit = self.visits.pop(0) if self.visits else self.default
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            assert callable(visit)
            visit(self, connection)
        except ConnectionClosed:
            pass
        finally:
            with self.lock:
                self.open -= 1


def say(connection: ServerConnection, frame: Any, *, text: bool = False) -> None:
    """Send one frame; text or binary."""
    data = frame if isinstance(frame, (str, bytes)) else json.dumps(frame)
    if text:
        connection.send(data if isinstance(data, str) else data.decode())
    else:
        connection.send(data if isinstance(data, bytes) else data.encode())


def serve_frames(*frames: Any, text: bool = False) -> Visit:
    """Welcome the client, send these, stay."""

    def visit(server: TradeUpdates, connection: ServerConnection) -> None:
        server.welcome(connection)
        for frame in frames:
            say(connection, frame, text=text)
        server.stay(connection)

    return visit


def welcome_and_close(server: TradeUpdates, connection: ServerConnection) -> None:
    """Welcome the client and hang up."""
    server.welcome(connection)


def refuse_keys(server: TradeUpdates, connection: ServerConnection) -> None:
    """Say what Alpaca says to a wrong key pair."""
    server.hear(connection)
    data = {"action": "authenticate", "status": "unauthorized", "message": "access key verification failed"}
    say(connection, {"stream": "authorization", "data": data})
    server.stay(connection)


def mute(server: TradeUpdates, connection: ServerConnection) -> None:
    """Accept the connection and never say a word."""
    server.stay(connection)


def freeze(server: TradeUpdates, connection: ServerConnection) -> None:
    """Welcome the client, then be gone without a goodbye: no frame, no pong. A half-open socket."""
    server.welcome(connection)
    with connection.recv_flow_control:
        server.over.wait(LIMIT_S)
