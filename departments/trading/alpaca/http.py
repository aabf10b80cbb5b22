"""The HTTP session under alpaca-py: limits on everything, and JSON whose numbers stay exact.

It takes the place of the SDK's `requests.Session`, which knows no timeout, reads proxies and passwords from the
environment, turns JSON numbers into floats and costs twice the CPU. Only what the SDK's `RESTClient` uses is here.
Source: alpaca-py 0.44.0, alpaca/common/rest.py (`_one_request`).
"""

import json as jsonlib
import weakref
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests

from departments.trading.alpaca.connection import ConnectFailed, Connection


class UnreadableBody(ValueError):
    """The answer's body is not JSON."""


class Reply:
    """An answer, as far as the SDK looks at one."""

    __slots__ = ("body", "headers", "status_code")

    def __init__(self, status_code: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status_code = status_code
        self.headers = headers
        self.body = body

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced, they are only ever shown."""
        return self.body.decode("utf-8", errors="replace")

    def raise_for_status(self) -> None:
        """Raise for everything that is not 2xx; redirects too, which requests lets pass.

        Raises:
            requests.HTTPError: The error that the SDK catches.
        """
        if not 200 <= self.status_code < 300:
            raise requests.HTTPError(f"http {self.status_code}", response=self)  # type: ignore[arg-type]  # the SDK reads status_code alone

    def json(self) -> Any:
        """Read the body as JSON, numbers with a point as Decimal.

        Raises:
            UnreadableBody: It isn't JSON.
        """
        return read_json(self.body)


def read_json(body: bytes) -> Any:
    """Read JSON exactly: no float, no NaN, no text that can't be written down again (half a character, escaped).

    Raises:
        UnreadableBody: It isn't JSON.
    """
    try:
        read = jsonlib.loads(body, parse_float=Decimal, parse_constant=_no_constant)
        if b"\\ud" in body or b"\\uD" in body:
            jsonlib.dumps(read, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError) as error:
        start = body[:80].decode("utf-8", errors="replace")
        raise UnreadableBody(f"expected JSON, was {start!r}") from error
    return read


def _no_constant(word: str) -> Any:
    raise ValueError(f"expected a number, was {word}")


def _nobody() -> None:
    """Tell nobody."""


class LightSession:
    """One keep-alive connection a host, timeouts on connect, on silence and on the whole, no retry, no redirect.

    Not thread-safe: one a worker.

    Args:
        connect_timeout_s: For TCP and TLS.
        read_timeout_s: Longest silence, and longest time for the body.

    Attributes:
        departed: Called when a request has left whole; whoever sets it takes it back.
        last_headers: Of the last answer, by lower-case name; empty where there was none.
    """

    def __init__(self, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._connections: dict[tuple[str, str], Connection] = {}
        weakref.finalize(self, _close_all, self._connections)  # whoever drops a session needn't close it
        self.last_headers: Mapping[str, str] = {}
        self.departed: Callable[[], None] = _nobody

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        allow_redirects: bool = False,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
    ) -> Reply:
        """Make one request.

        Raises:
            ConnectFailed: Nothing left.
            ExchangeFailed: It may have left.
        """
        if allow_redirects:
            raise AssertionError("expected the SDK to refuse redirects, was asked to follow them")
        parts = urlsplit(url)
        target = f"{parts.path}?{urlencode(params)}" if params else parts.path
        body = b"" if json is None else jsonlib.dumps(json).encode()
        data = _request(method, target, parts.netloc, headers, body, is_json=json is not None)
        self.last_headers = {}
        status, answered, content = self.connected(url).exchange(data, self.departed)
        self.last_headers = answered
        return Reply(status, answered, content)

    def connected(self, url: str) -> Connection:
        """Give the host's connection, opened anew if the server closed it meanwhile.

        Raises:
            ConnectFailed: No name, no host, no TLS.
        """
        parts = urlsplit(url)
        connection = self._connections.get((parts.scheme, parts.netloc))
        if connection is None:
            connection = Connection(
                parts.scheme,
                parts.hostname or "",
                parts.port,
                connect_timeout_s=self._connect_timeout_s,
                read_timeout_s=self._read_timeout_s,
            )
            self._connections[parts.scheme, parts.netloc] = connection
        if not connection.is_connected:
            connection.connect()
        return connection

    def close(self) -> None:
        """Close every connection."""
        _close_all(self._connections)


def _close_all(connections: Mapping[tuple[str, str], Connection]) -> None:
    for connection in connections.values():
        connection.close()


def _request(method: str, target: str, host: str, headers: Mapping[str, str], body: bytes, *, is_json: bool) -> bytes:
    """Write a request down.

    Raises:
        ConnectFailed: A line break or a foreign character where HTTP allows none (a key pasted with its line end, say).
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Accept-Encoding: identity"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if is_json:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if any("\r" in line or "\n" in line for line in lines):
        raise ConnectFailed("expected one line in every header, was a line break in one: look at the keys")
    try:
        head = "\r\n".join(lines).encode("ascii")
    except UnicodeEncodeError as error:
        raise ConnectFailed(
            f"expected ASCII in every header, was otherwise: look at the keys ({error.reason})"
        ) from None
    return head + b"\r\n\r\n" + body
