"""A server that answers byte by byte what a test wants: broken answers that no honest broker sends on purpose."""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that arrived whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Reply = Callable[["_Handler"], None]


class Wire:
    """The server. `answers` are used up in order; then `default` answers."""

    def __init__(self, *answers: Reply, default: Reply | None = None) -> None:
        self.asked: list[Asked] = []
        self.answers = list(answers)
        self.default = default or send(500, b"no more answers")
        self.let_go = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.wire = self  # type: ignore[attr-defined]  # how a handler finds its test
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = LIMIT_S

    def handle_any(self) -> None:
        wire: Wire = self.server.wire  # type: ignore[attr-defined]  # see Wire
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        wire.asked.append(Asked(self.command, self.path, dict(self.headers), body, self.client_address[1]))
        (wire.answers.pop(0) if wire.answers else wire.default)(self)

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        pass


def send(status: int, body: bytes | str | dict[str, Any] | list[Any] = b"", **headers: str) -> Reply:
    """Answer whole."""
    data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    data = data.encode() if isinstance(data, str) else data

    def reply(handler: _Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return reply


def chunked(status: int, *chunks: bytes) -> Reply:
    """Answer in chunks."""

    def reply(handler: _Handler) -> None:
        handler.send_response(status)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for chunk in (*chunks, b""):
            handler.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")

    return reply


def cut(status: int, body: bytes, *, of: int) -> Reply:
    """Announce `of` bytes, send fewer, hang up."""

    def reply(handler: _Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(of))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return reply


def reset(handler: _Handler) -> None:
    """Reset the connection instead of answering."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()
    handler.wfile = handler.rfile = _Nowhere()  # type: ignore[assignment]  # http.server flushes what is gone


def hang_up(handler: _Handler) -> None:
    """Close without a word."""
    handler.close_connection = True


def hang(handler: _Handler) -> None:
    """Say nothing until the test is over."""
    handler.server.wire.let_go.wait(LIMIT_S)  # type: ignore[attr-defined]  # see Wire
    handler.close_connection = True


def drip(handler: _Handler) -> None:
    """Send a byte of the body now and then, never ending it."""
    let_go: threading.Event = handler.server.wire.let_go  # type: ignore[attr-defined]  # see Wire
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not let_go.wait(0.05):
        try:
            handler.wfile.write(b" ")
        except OSError:
            break
    handler.close_connection = True


def garbage(handler: _Handler) -> None:
    """Answer something that is no HTTP."""
    handler.wfile.write(b"\x00\x01 not http at all\r\n\r\n")
    handler.close_connection = True


class _Nowhere:
    closed = True

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def readline(self, *_: Any) -> bytes:
        return b""
