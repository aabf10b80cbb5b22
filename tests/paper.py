"""The local Alpaca as a process of its own, for tests: `with PaperAlpaca({...}) as paper: ... paper.url`."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_ROOT = Path(__file__).resolve().parent.parent
_START_LIMIT_S = 30.0
_STOP_LIMIT_S = 10.0
# The control API answers at once; a busy machine may not.
_CALL_LIMIT_S = 20.0


class PaperAlpaca:
    """A `python -m paper_alpaca` on a free port.

    Attributes:
        url: `http://127.0.0.1:PORT`, for REST and market data.
        stream_url: `ws://127.0.0.1:PORT/stream`.
        process: The server's process.
    """

    def __init__(self, state: Mapping[str, Any] | None = None, *, seed: int = 0, port: int = 0) -> None:
        """Start the server and wait until it listens.

        Args:
            state: The state file's content; figures are best given as text.
            seed: For everything that is drawn.
            port: 0 for a free one.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="paper_alpaca.")
        path = Path(self._folder.name) / "state.yaml"
        # JSON is YAML, and needs no library to write.
        path.write_text(json.dumps(dict(state or {}), default=str), encoding="utf-8")
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "paper_alpaca",
                "--port",
                str(port),
                "--state",
                str(path),
                "--seed",
                str(seed),
                "--stop-with-stdin",  # with this process, however it ends
            ],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.url = self._read_url()
        self.stream_url = self.url.replace("http://", "ws://") + "/stream"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def requests(self) -> list[dict[str, Any]]:
        """Return every request received so far: n, at, method, path, query, body, status."""
        return self._call("GET", "/paper/requests")

    def orders(self) -> list[dict[str, Any]]:
        """Return every order in arrival order, with its events."""
        return self._call("GET", "/paper/orders")

    def fault(self, *rules: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Put fault rules in force and return all that are."""
        return self._call("POST", "/paper/faults", list(rules))

    def faults(self) -> list[dict[str, Any]]:
        """Return the rules in force, each with how often it was `seen` and has `fired`."""
        return self._call("GET", "/paper/faults")

    def clear_faults(self) -> None:
        """Drop all rules; held-back orders fill at the last price."""
        self._call("DELETE", "/paper/faults")

    def prices(self, prices: Mapping[str, object]) -> None:
        """Set last prices; orders match before this returns."""
        self._call("POST", "/paper/prices", {symbol: str(price) for symbol, price in prices.items()})

    def clock(self, **change: Any) -> dict[str, Any]:
        """Move market time (`now`, `advance_s`) or open and close the market (`is_open`)."""
        return self._call("POST", "/paper/clock", change)

    def reset(self) -> None:
        """Go back to the state file: orders, requests, prices, clock and faults."""
        self._call("POST", "/paper/reset")

    def event(self, order_id: str, event: str, **details: object) -> dict[str, Any]:
        """Let something happen to an order, named by its id or its client's id, that nobody asked for."""
        return self._call("POST", f"/paper/orders/{order_id}/event", {"event": event, **details})

    def account(self, **changes: object) -> dict[str, Any]:
        """Change the account: trading_blocked, account_blocked, shorting_enabled, cash."""
        return self._call("POST", "/paper/account", changes)

    def assets(self, changes: Mapping[str, Mapping[str, object]]) -> list[dict[str, Any]]:
        """Change asset facts: {"AAPL": {"status": "inactive"}}."""
        return self._call("POST", "/paper/assets", dict(changes))

    def stranger(self, **order: object) -> dict[str, Any]:
        """Place an order that the firm did not place."""
        return self._call("POST", "/paper/stranger", order)

    def wait_for_order(self, predicate: Callable[[dict[str, Any]], bool], limit_s: float = 10.0) -> dict[str, Any]:
        """Return the first order that the predicate holds for, once there is one.

        Raises:
            TimeoutError: None came within the limit; the message shows all orders.
        """
        return self.wait_for_orders(lambda orders: any(map(predicate, orders)), limit_s, predicate)[0]

    def wait_for_orders(
        self,
        condition: Callable[[Sequence[dict[str, Any]]], bool],
        limit_s: float = 10.0,
        choose: Callable[[dict[str, Any]], bool] = lambda _: True,
    ) -> list[dict[str, Any]]:
        """Return the orders, chosen ones first asked for only, once the condition holds for all of them.

        Raises:
            TimeoutError: It didn't within the limit.
        """
        ends = time.monotonic() + limit_s
        pause = 0.002
        while True:
            orders = self.orders()
            if condition(orders):
                return [order for order in orders if choose(order)]
            if time.monotonic() > ends:
                raise TimeoutError(f"not within {limit_s} s; orders: {json.dumps(orders, indent=1)}")
            select.select([], [], [], pause)
            pause = min(pause * 1.5, 0.05)

    def stop(self) -> int:
        """Stop the server and return its exit code; 0 is a clean stop."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self._folder.cleanup()
        return self.process.returncode

    def _read_url(self) -> str:
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], _START_LIMIT_S)
        line = self.process.stdout.readline() if readable else ""
        if not line.startswith("listening on "):
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"the local Alpaca did not start: {line!r}")
        return line.removeprefix("listening on ").strip()

    def _call(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - a loopback address
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body, default=str).encode(),
            headers={"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_CALL_LIMIT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(f"{method} {path}: {error.code} {error.read().decode()}") from error
