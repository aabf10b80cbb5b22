"""The trade_updates stream: login, listening, frames - and everything that can go wrong with them.

Frames are binary and hold JSON, as Alpaca's do. One connection an account: a second handshake is answered with 429.
Pings are answered below this, by the WebSocket protocol, whatever a rule does here.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any, Final

from paper_alpaca.desk import Desk
from paper_alpaca.faults import Rule
from paper_alpaca.figures import micros, nanos, text
from paper_alpaca.orders import Happening
from paper_alpaca.venue import Asked, Venue

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATHS: Final = frozenset({"/stream", "/stream/"})
_CROWDED: Final = "connection limit exceeded"
_REORDER_WAIT_S: Final = 0.25
_DATA_NULL: Final = b'{"stream":"trade_updates","data":null}'
_event_ids = count(1)


class HandshakeRefusedError(Exception):
    """The handshake was answered with plain HTTP; there is no connection to go on with."""


class Streams:
    """All stream connections of a venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._open: set[_Connection] = set()

    async def serve(self, receive: Receive, send: Send, asked: Asked) -> None:
        """Serve one connection from handshake to close."""
        await receive()  # websocket.connect
        crowded = len(self._open) >= len(self._venue.desks)
        if crowded or self._venue.faults.for_connection("handshake_429"):
            asked.status = 429
            await refuse_handshake(send, 429, b'{"code":42910000,"message":"' + _CROWDED.encode() + b'"}')
        asked.status = 101
        connection = _Connection(self._venue, send, self._is_taken)
        self._open.add(connection)
        try:
            await send({"type": "websocket.accept"})
            await connection.run(receive)
        finally:
            self._open.discard(connection)
            connection.leave()

    def _is_taken(self, desk: Desk) -> bool:
        return any(connection.desk is desk for connection in self._open)

    def apply_rules(self) -> None:
        """Close what a `close` rule that waits for nothing in particular closes at once."""
        if self._open:
            for rule in self._venue.faults.take("close"):
                for connection in self._open:
                    connection.close(rule)


class _Connection:
    """One client of the stream."""

    def __init__(self, venue: Venue, send: Send, is_taken: Callable[[Desk], bool]) -> None:
        self._venue = venue
        self._is_taken = is_taken
        self._send = send
        self.desk: Desk | None = None
        self._outbox: asyncio.Queue[bytes | int] = asyncio.Queue()
        self._swapped: bytes | None = None
        self._loop = asyncio.get_running_loop()

    async def run(self, receive: Receive) -> None:
        """Read what the client sends until it goes."""
        pump = self._loop.create_task(self._pump())
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return
                raw = message.get("bytes") or (message.get("text") or "").encode()
                self._read(raw)
        finally:
            pump.cancel()

    def leave(self) -> None:
        """Stop listening."""
        if self.desk is not None:
            self.desk.listeners.discard(self)

    def close(self, rule: Rule) -> None:
        """Close the connection as a rule says."""
        code = rule.facts.get("code")
        self._outbox.put_nowait(code if isinstance(code, int) else 1001)

    def update(self, happening: Happening) -> None:
        """Take what happened to an order and send it, unless rules have it otherwise."""
        if not self._venue.faults.rules:
            self._put(frame(happening))
            return
        order = happening.order
        rules = {rule.do: rule for rule in self._venue.faults.for_update(happening.event, order.symbol, order.side)}
        if "close" in rules:
            self.close(rules["close"])
            return
        if "mute" in rules or "drop" in rules:
            return
        raw = _DATA_NULL if "data_null" in rules else frame(happening, rules)
        copies = 1
        if "duplicate" in rules:
            given = rules["duplicate"].facts.get("count")
            copies = given if isinstance(given, int) and given > 0 else 2
        delay_s = (rules["delay"].seconds or 1.0) if "delay" in rules else 0.0
        for _ in range(copies):
            if "reorder" in rules and self._swapped is None:
                self._swapped = raw
                self._loop.call_later(rules["reorder"].seconds or _REORDER_WAIT_S, self._put_swapped)
            elif delay_s:
                self._loop.call_later(delay_s, self._put, raw)
            else:
                self._put(raw)

    def _put(self, raw: bytes) -> None:
        self._outbox.put_nowait(raw)
        if self._swapped is not None:
            self._put_swapped()

    def _put_swapped(self) -> None:
        """Send the frame that waited for another to overtake it."""
        raw, self._swapped = self._swapped, None
        if raw is not None:
            self._outbox.put_nowait(raw)

    async def _pump(self) -> None:
        while True:
            item = await self._outbox.get()
            try:
                if isinstance(item, int):
                    await self._send({"type": "websocket.close", "code": item})
                    return
                await self._send({"type": "websocket.send", "bytes": item})
            except OSError:  # the client is gone; `run` sees it too
                return

    def _read(self, raw: bytes) -> None:
        try:
            message = json.loads(raw)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            self._say("error", {"error_message": "invalid message"})
            return
        data = message.get("data")
        fields = data if isinstance(data, dict) else {}
        match message.get("action"):
            case "authenticate":
                self._log_in(str(fields.get("key_id") or ""), str(fields.get("secret_key") or ""))
            case "auth":
                self._log_in(str(message.get("key") or ""), str(message.get("secret") or ""))
            case "listen":
                self._listen(fields.get("streams"))
            case action:
                self._say("error", {"action": action, "error_message": "unknown action"})

    def _log_in(self, key_id: str, secret_key: str) -> None:
        if self._venue.faults.for_connection("auth_mute"):
            return
        desk = self._venue.desk_for(key_id, secret_key)
        if desk is not None and desk is not self.desk and self._is_taken(desk):
            self._say("authorization", {"action": "authenticate", "message": _CROWDED, "status": "unauthorized"})
            self._outbox.put_nowait(1008)
            return
        self.desk = desk
        if desk is None:
            self._say(
                "authorization",
                {
                    "action": "authenticate",
                    "message": "access key verification failed",
                    "status": "unauthorized",
                },
            )
        else:
            self._say("authorization", {"action": "authenticate", "status": "authorized"})

    def _listen(self, streams: object) -> None:
        if self.desk is None:
            self._say("authorization", {"action": "listen", "status": "unauthorized"})
            return
        wanted = [stream for stream in streams if stream == "trade_updates"] if isinstance(streams, list) else []
        if wanted:
            self.desk.listeners.add(self)
        else:
            self.desk.listeners.discard(self)
        self._say("listening", {"streams": wanted})

    def _say(self, stream: str, data: dict[str, object]) -> None:
        self._outbox.put_nowait(json.dumps({"stream": stream, "data": data}).encode())


async def refuse_handshake(send: Send, status: int, body: bytes) -> None:
    """Answer a handshake with plain HTTP.

    Raises:
        HandshakeRefusedError: Always, once that is sent.
    """
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
    raise HandshakeRefusedError


def frame(happening: Happening, rules: dict[str, Rule] | None = None) -> bytes:
    """Return the trade_updates frame of what happened; rules may put unknown words into it."""
    order_view = happening.order.view()
    order_view["cancel_requested_at"] = None
    data: dict[str, object] = {
        "at": micros(happening.at),
        "event": happening.event,
        "event_id": f"01{next(_event_ids):024d}",
        "execution_id": happening.execution_id,
        "order": order_view,
        "timestamp": nanos(happening.at),
    }
    if happening.execution is not None and happening.position_qty is not None:
        data["price"] = text(happening.execution.price)
        data["qty"] = text(happening.execution.qty)
        data["position_qty"] = text(happening.position_qty)
    if happening.reason is not None:
        data["reason"] = happening.reason
    if rules:
        if "unknown_event" in rules:
            data["event"] = str(rules["unknown_event"].facts.get("name") or "some_future_event")
        if "unknown_status" in rules:
            order_view["status"] = str(rules["unknown_status"].facts.get("name") or "some_future_status")
    return json.dumps({"stream": "trade_updates", "data": data}, separators=(",", ":")).encode()
