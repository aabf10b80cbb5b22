"""A TCP relay between the firm and the local Alpaca's stream: it can lose one end, and rewrite what Alpaca says.

`vanish` makes every open connection half-open as a pulled cable would: both sockets stay, nothing passes, no FIN, no
RST, no pong. What connects afterwards is served as ever.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Self
from urllib.parse import urlsplit

LIMIT_S = 10.0
_CHUNK_BYTES = 64 * 1024
_BINARY = 0x82
_DATA_OPCODES = frozenset({1, 2})


def frame(payload: bytes, *, head: int = _BINARY) -> bytes:
    """A WebSocket frame as servers send it, unmasked."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", head, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", head, 126, size) + payload
    return struct.pack("!BBQ", head, 127, size) + payload


class Relay:
    """The relay, as a context manager.

    Attributes:
        url: Where the firm finds it.
        target: Whom it serves: a stream's URL; the next connection goes there.
        rewrite: Given the payload of each data frame of Alpaca's, gives the bytes to send in its place.
        most_open: The most connections that the firm had open at a time.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.rewrite: Callable[[bytes], bytes] = frame
        self.open = 0
        self.most_open = 0
        self._links: list[_Link] = []
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._server.getsockname()[1]}/stream"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(LIMIT_S)
        self.let_go()

    def vanish(self) -> int:
        """Let nothing pass on the connections that are open; how many they were."""
        with self._lock:
            open_ones = [link for link in self._links if not link.over.is_set()]
        for link in open_ones:
            link.vanished.set()
        return len(open_ones)

    def let_go(self) -> None:
        """Close the sockets of every connection so far."""
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.close()

    def _accept(self) -> None:
        while True:
            try:
                firm, _ = self._server.accept()
            except OSError:
                return
            address = urlsplit(self.target)
            alpaca = socket.create_connection((address.hostname, address.port), timeout=LIMIT_S)
            alpaca.settimeout(None)
            link = _Link(self, firm, alpaca)
            with self._lock:
                self._links.append(link)
            link.start()

    def count(self, change: int) -> None:
        """The firm opened or closed a connection."""
        with self._lock:
            self.open += change
            self.most_open = max(self.most_open, self.open)


class _Link:
    def __init__(self, relay: Relay, firm: socket.socket, alpaca: socket.socket) -> None:
        self.vanished = threading.Event()
        self.over = threading.Event()
        self._relay = relay
        self._firm = firm
        self._alpaca = alpaca

    def start(self) -> None:
        self._relay.count(1)
        threading.Thread(target=self._to_alpaca, daemon=True).start()
        threading.Thread(target=self._to_firm, daemon=True).start()

    def close(self) -> None:
        self.over.set()
        for end in (self._firm, self._alpaca):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _to_alpaca(self) -> None:
        for data in _received(self._firm):
            if not self.vanished.is_set():
                with contextlib.suppress(OSError):
                    self._alpaca.sendall(data)
        self._relay.count(-1)  # the firm has closed its end
        if not self.vanished.is_set():
            self.close()

    def _to_firm(self) -> None:
        waiting = b""
        greeted = False
        for data in _received(self._alpaca):
            if self.vanished.is_set():
                continue
            waiting += data
            if not greeted:
                head, found, rest = waiting.partition(b"\r\n\r\n")
                if not found:
                    continue
                greeted = True
                waiting = rest
                self._say(head + found)
            waiting = self._frames(waiting)
        if waiting and not self.vanished.is_set():
            self._say(waiting)  # the body of a refused handshake
        if not self.vanished.is_set():
            self.close()

    def _frames(self, data: bytes) -> bytes:
        """Pass whole frames on; what is left is the begin of the next one."""
        while len(data) >= 2:
            size, begins = data[1] & 0x7F, 2
            if size >= 126:
                begins += 2 if size == 126 else 8
                if len(data) < begins:
                    break
                size = int.from_bytes(data[2:begins], "big")
            if len(data) < begins + size:
                break
            whole, data = data[: begins + size], data[begins + size :]
            is_data = whole[0] & 0x0F in _DATA_OPCODES
            self._say(self._relay.rewrite(whole[begins:]) if is_data else whole)
        return data

    def _say(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._firm.sendall(data)


def _received(end: socket.socket) -> Iterator[bytes]:
    """What comes from a socket until it ends, however it does."""
    with contextlib.suppress(OSError):
        while data := end.recv(_CHUNK_BYTES):
            yield data
