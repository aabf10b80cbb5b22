"""The HTTP session under alpaca-py: urllib3 with limits on everything, and JSON whose numbers stay exact.

It takes the place of the SDK's `requests.Session`, which knows no timeout, reads proxies and passwords from the
environment, turns JSON numbers into floats and costs twice the CPU. Only what the SDK's `RESTClient` uses is here.
Source: alpaca-py 0.44.0, alpaca/common/rest.py (`_one_request`).
"""

import json as jsonlib
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

import certifi
import requests
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

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
    """A connection that tells when a request has left whole and only the answer is waited for."""

    def __init__(self, *args: Any, departed: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._departed = departed

    def getresponse(self) -> Any:
        self._departed()
        return super().getresponse()


class _Secure(HTTPSConnection):
    """As `_Plain`, over TLS."""

    def __init__(self, *args: Any, departed: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._departed = departed

    def getresponse(self) -> Any:
        self._departed()
        return super().getresponse()


def _nobody() -> None:
    """Tell nobody."""


class LightSession:
    """One keep-alive connection a host, timeouts on connect, on silence and on the whole, no retry, no redirect.

    Not thread-safe: one a worker.

    Args:
        connect_timeout_s: For name, TCP and TLS.
        read_timeout_s: Longest silence, and longest time for the body.

    Attributes:
        departed: Called when a request has left whole; whoever sets it takes it back.
        last_headers: Of the last answer; empty where there was none.
    """

    def __init__(self, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._timeout = urllib3.Timeout(connect=connect_timeout_s, read=read_timeout_s)
        self._read_timeout_s = read_timeout_s
        self._pools: dict[str, urllib3.HTTPConnectionPool] = {}
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
        try:
            raw = self._pool(f"{parts.scheme}://{parts.netloc}").urlopen(
                method, target, body=body, headers=headers, retries=False, redirect=False, preload_content=False
            )
            reply = Reply(raw.status, raw.headers, self._read(raw))
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise ConnectFailed(_one_line(error)) from error
        except (HTTPError, OSError) as error:
            raise ExchangeFailed(_one_line(error)) from error
        self.last_headers = reply.headers
        return reply

    def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.close()

    def _pool(self, origin: str) -> urllib3.HTTPConnectionPool:
        pool = self._pools.get(origin)
        if pool is None:
            trust = {"ca_certs": certifi.where()} if origin.startswith("https:") else {}
            pool = urllib3.connection_from_url(origin, maxsize=1, timeout=self._timeout, **trust)
            kind: Any = _Secure if origin.startswith("https:") else _Plain
            pool.ConnectionCls = partial(kind, departed=self._tell_departed)  # type: ignore[assignment]  # a factory does
            self._pools[origin] = pool
        return pool

    def _tell_departed(self) -> None:
        self.departed()

    def _read(self, raw: urllib3.BaseHTTPResponse) -> bytes:
        deadline = time.monotonic() + self._read_timeout_s
        body = bytearray()
        whole = False
        try:
            while chunk := raw.read1(_CHUNK_BYTES):
                body += chunk
                _check_bounds(len(body), late=time.monotonic() > deadline)
            whole = True
        finally:
            if whole:
                raw.release_conn()
            else:
                raw.close()
        return bytes(body)


def _check_bounds(size_bytes: int, *, late: bool) -> None:
    if size_bytes > MAX_BODY_BYTES:
        raise ExchangeFailed(f"expected a body of at most {MAX_BODY_BYTES} bytes, was more")
    if late:
        raise ExchangeFailed("timeout: the body came too slowly")


_KINDS = {
    "ReadTimeoutError": "timeout",
    "ConnectTimeoutError": "connect timeout",
    "ProtocolError": "connection lost",
}


def _one_line(error: Exception) -> str:
    """Name an error in a line: its kind in words that an operator knows, then its text."""
    kind = type(error).__name__
    return f"{_KINDS.get(kind, kind)}: {' '.join(str(error).split())}"[:300]
