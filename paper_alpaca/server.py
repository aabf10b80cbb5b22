"""The local Alpaca as a program: `python -m paper_alpaca --port 0 --state state.yaml`."""

import contextlib
import gc
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected

from paper_alpaca.app import App
from paper_alpaca.state import State, load_state
from paper_alpaca.stream import HandshakeRefusedError, Receive, Scope, Send

# Longer than clients keep idle connections: a connection that closes under a POST leaves its outcome unknown.
KEEP_ALIVE_S: Final = 300
_STOP_WITHIN_S: Final = 1
_ABORT: Final = struct.pack("ii", 1, 0)  # SO_LINGER that makes close() send a TCP reset


def serve(host: str, port: int, state_path: Path | str | None, seed: int, *, stop_with_stdin: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; prints `listening on http://H:P` once it does.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        state_path: The state file; None for a plain account with $100,000.
        seed: What all randomness is drawn from.
        stop_with_stdin: Stop when standard input ends: with the process at its other end, however that dies.

    Raises:
        StateError: The state file can't be used.
        OSError: The port can't be listened on.
    """
    state = load_state(None if state_path is None else Path(state_path))
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    config = uvicorn.Config(
        _LateApp(state, seed),
        loop="uvloop",
        http=_Protocol,
        ws="websockets-sansio",
        interface="asgi3",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_WITHIN_S,
        ws_per_message_deflate=False,
        backlog=512,
    )
    server = _Server(config)
    # What stands now stays: the collector need not look at it while requests wait.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    if stop_with_stdin:
        threading.Thread(target=server.stop_at_end_of_stdin, daemon=True).start()
    server.run(sockets=[listener])


class _LateApp:
    """Makes the application with the first request: it needs the running loop."""

    def __init__(self, state: State, seed: int) -> None:
        self._state = state
        self._seed = seed
        self._app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.get()(scope, receive, send)
        except HandshakeRefusedError:
            # What uvicorn takes quietly; a plain return it reports as a handshake left unanswered.
            raise ClientDisconnected from None

    def get(self) -> App:
        """Return the application, making it if need be."""
        if self._app is None:
            self._app = App(self._state, self._seed)
        return self._app


class _Server(uvicorn.Server):
    """Says when it listens, and takes a signal as a wish to stop, not as a way to die."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.loaded_app.get()
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            sys.stdout.write(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}\n")
            sys.stdout.flush()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True
        # Whoever still waits for an answer is cut off; uvicorn reports that as a failure.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

    def stop_at_end_of_stdin(self) -> None:
        """Wait for the end of standard input, then stop."""
        while os.read(sys.stdin.fileno(), 1024):
            pass
        self._stop(signal.SIGTERM, None)


class _Protocol(HttpToolsProtocol):
    """HTTP that the application can break off: `scope["paper.reset"]` sends a TCP reset."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # uvicorn's scope takes no keys of ours
        scope["paper.reset"] = self._break

    def _break(self) -> None:
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.transport.abort()
