"""Clients of the local Alpaca for its contract tests: alpaca-py as it is, and the bare wire."""

import contextlib
import http.client
import json
import threading
from urllib.parse import urlsplit

import websockets.sync.client
from alpaca.trading.client import TradingClient
from alpaca.trading.stream import TradingStream

LIMIT_S = 15.0
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
PLAIN = {"symbol": "KO", "qty": "10", "side": "sell", "type": "market", "time_in_force": "day"}


def trading(paper, **options) -> TradingClient:
    """Return alpaca-py's client with its strict models; it does not retry by itself."""
    client = TradingClient("key", "secret", paper=True, url_override=paper.url, **options)
    client._retry_codes = []
    return client


class Answered:
    """An answer read to its end."""

    def __init__(self, response: http.client.HTTPResponse):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Wire:
    """One kept-alive HTTP connection, keys on every request."""

    def __init__(self, paper, *, timeout_s: float = LIMIT_S):
        self.connection = http.client.HTTPConnection(urlsplit(paper.url).netloc, timeout=timeout_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, method, path, body=None, headers=None) -> Answered:
        sent = json.dumps(body) if isinstance(body, dict | list) else body
        self.connection.request(method, path, sent, KEYS if headers is None else headers)
        return Answered(self.connection.getresponse())

    def order(self, **changes) -> Answered:
        return self.ask("POST", "/v2/orders", {**PLAIN, **changes})


class Stream:
    """A raw connection to the stream."""

    def __init__(self, url: str):
        self.socket = websockets.sync.client.connect(url, open_timeout=LIMIT_S, proxy=None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, message) -> None:
        self.socket.send(json.dumps(message))

    def read(self, limit_s: float = LIMIT_S):
        raw = self.socket.recv(timeout=limit_s)
        assert isinstance(raw, bytes), "frames are binary"
        return json.loads(raw)

    def log_in(self) -> "Stream":
        self.send({"action": "authenticate", "data": {"key_id": "key", "secret_key": "secret"}})
        assert self.read()["data"]["status"] == "authorized"
        self.send({"action": "listen", "data": {"streams": ["trade_updates"]}})
        assert self.read() == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        return self

    def read_events(self, last: str) -> list[str]:
        """Read updates up to and with the event named."""
        found: list[str] = []
        while not found or found[-1] != last:
            found.append(self.read()["data"]["event"])
        return found


@contextlib.contextmanager
def listening(paper):
    """Yield a list that alpaca-py's TradingStream fills, and a function that waits for its content."""
    stream = TradingStream("key", "secret", url_override=paper.stream_url)
    heard, changed = [], threading.Condition()

    async def hear(update):
        with changed:
            heard.append(update)
            changed.notify_all()

    def wait(condition):
        with changed:
            assert changed.wait_for(lambda: condition(heard), LIMIT_S), heard
        return heard

    stream.subscribe_trade_updates(hear)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    # Its first update proves that it listens: a stranger's order that comes to nothing.
    probe = paper.stranger(symbol="DVN", side="buy", qty="1", type="limit", limit_price="1")
    while True:
        paper.event(probe["id"], "restated")
        with changed:
            if changed.wait_for(lambda: heard, 0.05):
                break
    paper.event(probe["id"], "canceled")
    wait(lambda found: any(update.event == "canceled" for update in found))
    heard.clear()
    try:
        yield heard, wait
    finally:
        stream.stop()
        paper.fault({"on": "stream", "do": "close", "times": 1})  # it looks up from its wait only every 5 s
        thread.join(LIMIT_S)
