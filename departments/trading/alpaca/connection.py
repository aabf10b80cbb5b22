"""One keep-alive HTTP/1.1 connection: a request in one piece, an answer parsed by httptools, limits on everything.

`http.client` reads an answer's headers with the mail package, which costs as much as all the rest of a call. httptools
(the parser under uvicorn) takes microseconds. Sending in one piece has two more ends: a server that reads many
connections takes requests in the order in which they were sent, and there is one moment before which nothing has left.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from functools import cache

import certifi
import httptools

MAX_BODY_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}


class ConnectFailed(Exception):
    """No connection: not one byte of the request left."""


class ExchangeFailed(Exception):
    """The request left, or may have left, and no whole answer came."""


class Connection:
    """One connection. Not thread-safe.

    Args:
        scheme: `http` or `https`; certificates are checked.
        host: Name or address.
        port: None: the scheme's own.
        connect_timeout_s: For TCP and TLS.
        read_timeout_s: Longest silence, and longest time for an answer's body.

    Attributes:
        sock: None while there is no connection.
    """

    def __init__(
        self, scheme: str, host: str, port: int | None, *, connect_timeout_s: float, read_timeout_s: float
    ) -> None:
        self._scheme = scheme
        self._host = host
        self._port = port or _DEFAULT_PORTS[scheme]
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self.sock: socket.socket | None = None

    @property
    def is_connected(self) -> bool:
        """False once the server closed it, or said something that nobody asked for."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def connect(self) -> None:
        """Open it, anew if need be.

        Raises:
            ConnectFailed: No name, no host, no TLS.
        """
        self.close()
        try:
            plain = socket.create_connection((self._host, self._port), self._connect_timeout_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = plain
            if self._scheme == "https":
                self.sock = _tls().wrap_socket(plain, server_hostname=self._host)
        except (OSError, UnicodeError) as error:
            self.close()
            raise ConnectFailed(one_line(error)) from error

    def exchange(self, request: bytes, departed: Callable[[], None]) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request and read its answer.

        Args:
            request: Whole.
            departed: Called when it has left whole.

        Returns:
            Status, headers by lower-case name, body.

        Raises:
            ExchangeFailed: It may have left; the connection is closed.
        """
        if self.sock is None:
            raise AssertionError("expected a connection, was none")
        answer, sock = _Answer(), self.sock
        try:
            sock.settimeout(self._read_timeout_s)
            sock.sendall(request)
            departed()
            self._read(answer, sock)
        except (OSError, httptools.HttpParserError) as error:
            self.close()
            raise ExchangeFailed(one_line(error)) from error
        except BaseException:
            self.close()  # what is left in it belongs to no later request
            raise
        if not answer.keep_alive:
            self.close()
        return answer.status, answer.headers, bytes(answer.body)

    def close(self) -> None:
        """Close it; it can be opened again."""
        sock, self.sock = self.sock, None
        if sock is not None:
            sock.close()

    def _read(self, answer: "_Answer", sock: socket.socket) -> None:
        deadline_s: float | None = None
        while not answer.done:
            data = sock.recv(_CHUNK_BYTES)
            if not data:
                answer.ended()
                return
            answer.feed(data)
            now_s = time.monotonic()
            deadline_s = deadline_s or now_s + self._read_timeout_s
            if now_s > deadline_s and not answer.done:
                raise ExchangeFailed("timeout: the body came too slowly")


class _Answer:
    """An answer as it comes in; httptools calls the `on_` methods."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.done = False
        self.keep_alive = False
        self._has_headers = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take in what came.

        Raises:
            ExchangeFailed: The body is too large.
            httptools.HttpParserError: It isn't HTTP.
        """
        self._parser.feed_data(data)
        if len(self.body) > MAX_BODY_BYTES:
            raise ExchangeFailed(f"expected a body of at most {MAX_BODY_BYTES} bytes, was more")

    def ended(self) -> None:
        """Take in that the server closed the connection: the end of a body without a length, else too early.

        Raises:
            ExchangeFailed: The answer is not whole.
        """
        has_length = "content-length" in self.headers or "transfer-encoding" in self.headers
        if not self._has_headers or has_length:
            raise ExchangeFailed("connection lost: the server closed it before its answer was whole")
        self.done = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; of one that comes twice the last."""
        if not self.done:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note the status. 1xx is no answer yet."""
        if not self.done:
            self.status = self._parser.get_status_code()
            self._has_headers = self.status >= 200

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if not self.done:
            self.body += data

    def on_message_begin(self) -> None:
        """Start over after a 1xx; a connection that goes on after a whole answer is not used again."""
        if self.done:
            self.keep_alive = False
        else:
            self.headers.clear()

    def on_message_complete(self) -> None:
        """Note that the answer is whole."""
        if self._has_headers and not self.done:
            self.done = True
            self.keep_alive = bool(self._parser.should_keep_alive())


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


def one_line(error: Exception) -> str:
    """Name an error in a line: its kind in words that an operator knows, then its text."""
    if isinstance(error, TimeoutError):
        kind = "timeout"
    elif isinstance(error, ConnectionError | httptools.HttpParserError):
        kind = "connection lost"
    else:
        kind = type(error).__name__
    return f"{kind}: {' '.join(str(error).split())}"[:300]
