"""The HTTP session under alpaca-py: urllib3 with limits on everything, and JSON whose numbers stay exact.

It takes the place of the SDK's `requests.Session`, which knows no timeout, reads proxies and passwords from the
environment, turns JSON numbers into floats and costs twice the CPU. Only what the SDK's `RESTClient` uses is here.
Source: alpaca-py 0.44.0, alpaca/common/rest.py (`_one_request`).
"""

import json as jsonlib
import time
import weakref
from collections.abc import Callable, Mapping
from decimal import Decimal
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

import certifi
import requests
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

MAX_BODY_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024


class ConnectFailed(Exception):
    """No connection: not one byte of the request left."""


class ExchangeFailed(Exception):
    """The request left, or may have left, and no whole answer came."""


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
    """Read JSON exactly: no float, no NaN.

    Raises:
        UnreadableBody: It isn't JSON.
    """
    try:
        return jsonlib.loads(body, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        start = body[:80].decode("utf-8", errors="replace")
        raise UnreadableBody(f"expected JSON, was {start!r}") from error


def _no_constant(word: str) -> Any:
    raise ValueError(f"expected a number, was {word}")


class _Plain(HTTPConnection):
    """A connection that sends a request in one piece, when told to.

    One piece, so that a server which reads many connections takes requests in the order in which they were sent, and
    so that there is one moment before which nothing has left.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outgoing = bytearray()

    def send(self, data: Any) -> None:
        """Keep a part of the request."""
        self._outgoing += data

    def flush(self) -> None:
        """Send the request."""
        data, self._outgoing = bytes(self._outgoing), bytearray()
        super().send(data)


class _Secure(HTTPSConnection):
    """As `_Plain`, over TLS, certificates checked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, cert_reqs="CERT_REQUIRED", ca_certs=certifi.where(), **kwargs)
        self._outgoing = bytearray()

    def send(self, data: Any) -> None:
        """Keep a part of the request."""
        self._outgoing += data

    def flush(self) -> None:
        """Send the request."""
        data, self._outgoing = bytes(self._outgoing), bytearray()
        super().send(data)


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
        last_headers: Of the last answer; empty where there was none.
    """

    def __init__(self, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._connections: dict[tuple[str, str], _Plain | _Secure] = {}
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
        body = None
        if json is not None:
            body = jsonlib.dumps(json).encode()
            headers = {**headers, "Content-Type": "application/json"}
        self.last_headers = {}
        connection = self.connected(url)
        try:
            connection.request(method, target, body=body, headers=headers, preload_content=False)
            connection.flush()
            self.departed()
            connection.timeout = self._read_timeout_s
            raw = connection.getresponse()
            reply = Reply(raw.status, raw.headers, self._read(raw))
        except (HTTPError, HTTPException, OSError) as error:
            connection.close()
            raise ExchangeFailed(_one_line(error)) from error
        except BaseException:
            connection.close()  # what is left in it belongs to no later request
            raise
        self.last_headers = reply.headers
        return reply

    def connected(self, url: str) -> _Plain | _Secure:
        """Give the host's connection, opened anew if the server closed it meanwhile.

        Raises:
            ConnectFailed: No name, no host, no TLS.
        """
        parts = urlsplit(url)
        connection = self._connections.get((parts.scheme, parts.netloc))
        if connection is None:
            kind = _Secure if parts.scheme == "https" else _Plain
            connection = kind(parts.hostname or "", parts.port, timeout=self._connect_timeout_s)
            self._connections[parts.scheme, parts.netloc] = connection
        if not connection.is_connected:
            connection.close()
            connection.timeout = self._connect_timeout_s
            try:
                connection.connect()
            except (HTTPError, OSError) as error:
                connection.close()
                raise ConnectFailed(_one_line(error)) from error
        return connection

    def close(self) -> None:
        """Close every connection."""
        _close_all(self._connections)

    def _read(self, raw: urllib3.BaseHTTPResponse) -> bytes:
        deadline = time.monotonic() + self._read_timeout_s
        body = bytearray()
        while chunk := raw.read1(_CHUNK_BYTES):
            body += chunk
            _check_bounds(len(body), late=time.monotonic() > deadline)
        return bytes(body)


def _close_all(connections: Mapping[tuple[str, str], _Plain | _Secure]) -> None:
    for connection in connections.values():
        connection.close()


def _check_bounds(size_bytes: int, *, late: bool) -> None:
    if size_bytes > MAX_BODY_BYTES:
        raise ExchangeFailed(f"expected a body of at most {MAX_BODY_BYTES} bytes, was more")
    if late:
        raise ExchangeFailed("timeout: the body came too slowly")


def _one_line(error: Exception) -> str:
    """Name an error in a line: its kind in words that an operator knows, then its text."""
    if isinstance(error, (TimeoutError, urllib3.exceptions.TimeoutError)):
        kind = "timeout"
    elif isinstance(error, (HTTPException, ConnectionError, urllib3.exceptions.ProtocolError)):
        kind = "connection lost"
    else:
        kind = type(error).__name__
    return f"{kind}: {' '.join(str(error).split())}"[:300]
