"""The ASGI application: who may ask, how often, which route answers, and what the fault rules do to it."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from paper_alpaca import market_data, rest, rest_orders
from paper_alpaca.control import control, is_loopback
from paper_alpaca.desk import Desk
from paper_alpaca.faults import Rule
from paper_alpaca.refusals import DATA_RATE_LIMITED, RATE_LIMITED, UNAUTHORIZED, not_found
from paper_alpaca.state import State
from paper_alpaca.stream import PATHS, Receive, Scope, Send, Streams, refuse_handshake
from paper_alpaca.venue import Asked, Venue
from paper_alpaca.web import HTML, Answer, Call, ok, page, plain, read_json, refuse

Route = Callable[[Call], Answer]

# `{}` stands for one segment of the path.
ROUTES: Final[dict[str, Route]] = {
    "GET /v2/account": rest.get_account,
    "GET /v2/account/configurations": rest.get_configurations,
    "PATCH /v2/account/configurations": rest.patch_configurations,
    "GET /v2/account/activities": rest.get_activities,
    "GET /v2/account/activities/{}": rest.get_activities,
    "GET /v2/account/portfolio/history": rest.get_portfolio_history,
    "GET /v2/positions": rest.get_positions,
    "GET /v2/positions/{}": rest.get_position,
    "DELETE /v2/positions": rest_orders.delete_positions,
    "DELETE /v2/positions/{}": rest_orders.delete_position,
    "POST /v2/orders": rest_orders.post_order,
    "GET /v2/orders": rest_orders.get_orders,
    "DELETE /v2/orders": rest_orders.delete_orders,
    "GET /v2/orders/{}": rest_orders.get_order,
    "PATCH /v2/orders/{}": rest_orders.patch_order,
    "DELETE /v2/orders/{}": rest_orders.delete_order,
    "GET /v2/orders:by_client_order_id": rest_orders.get_order_by_client_id,
    "GET /v2/assets": rest.get_assets,
    "GET /v2/assets/{}": rest.get_asset,
    "GET /v2/clock": rest.get_clock,
    "GET /v2/calendar": rest.get_calendar,
    "GET /v2/stocks/quotes/latest": market_data.latest_quotes,
    "GET /v2/stocks/{}/quotes/latest": market_data.latest_quote,
    "GET /v2/stocks/trades/latest": market_data.latest_trades,
    "GET /v2/stocks/{}/trades/latest": market_data.latest_trade,
    "GET /v2/stocks/bars/latest": market_data.latest_bars,
    "GET /v2/stocks/{}/bars/latest": market_data.latest_bar,
    "GET /v2/stocks/snapshots": market_data.snapshots,
    "GET /v2/stocks/{}/snapshot": market_data.snapshot,
    "GET /v2/stocks/bars": market_data.bars,
    "GET /v2/stocks/{}/bars": market_data.bars_of,
}
_PATHS: Final = frozenset(route.partition(" ")[2] for route in ROUTES)
_NGINX_PATHS: Final = frozenset({"/v2/clock", "/v2/calendar"})  # a page of the gateway refuses these
_GATEWAY_TITLES: Final = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Temporarily Unavailable"}


class App:
    """The server as ASGI sees it."""

    def __init__(self, state: State, seed: int) -> None:
        self._venue = Venue(state, seed)
        self._streams = Streams(self._venue)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one stream connection."""
        at = datetime.now(UTC)
        path: str = scope["path"]
        if scope["type"] == "websocket":
            asked = self._venue.ask("GET", path, scope["query_string"], at)
            if path in PATHS:
                await self._streams.serve(receive, send, asked)
            else:
                asked.status = 404
                await receive()
                await refuse_handshake(send, 404, b"{}")
            return
        body = b"" if scope["method"] == "GET" else await _read_body(receive)
        if path.startswith("/paper/"):
            await _answer(send, self._control(scope, path, body))
            return
        asked = self._venue.ask(scope["method"], path, scope["query_string"], at)
        asked.body = body
        await self._serve(scope, receive, send, asked)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, asked: Asked) -> None:
        venue, path = self._venue, asked.path
        desk = self._who(scope["headers"])
        if desk is None:
            answer = page(401, "Authorization Required") if path in _NGINX_PATHS else refuse(UNAUTHORIZED)
            asked.status = answer.status
            await _answer(send, answer)
            return
        is_data = path.startswith("/v2/stocks/")
        limit = venue.limits[id(desk), "data" if is_data else "trading"]
        now_s = time.monotonic()
        admitted = limit.take(now_s)
        headers: list[tuple[bytes, bytes]] = []
        if venue.state.rate_headers:
            headers = [
                (b"x-ratelimit-limit", b"%d" % limit.per_minute),
                (b"x-ratelimit-remaining", b"%d" % limit.remaining),
                (b"x-ratelimit-reset", b"%d" % (time.time() + limit.reset_in_s(now_s) + 1)),
            ]
        if not admitted:
            asked.status = 429
            await _answer(send, refuse(DATA_RATE_LIMITED if is_data else RATE_LIMITED), headers)
            return
        call = Call(venue, desk, asked.method, path, asked.query, asked.body, asked.at)
        if venue.faults.rules:
            call.rules = venue.faults.for_request(call.method, path, *_what_about(call))
        if not call.rules:
            answer = respond(call)
        else:
            faulty = await _respond_faultily(call)
            if faulty is None:
                await _reset(scope, receive)
                return
            answer = faulty
        asked.status = answer.status
        await _answer(send, answer, headers)

    def _control(self, scope: Scope, path: str, body: bytes) -> Answer:
        client = scope.get("client")
        if not is_loopback(client[0] if client else None):
            return ok({"message": "the control API is for this machine only"}, 403)
        apply_rules = self._streams.apply_rules
        return control(self._venue, scope["method"], path, scope["query_string"], body, apply_rules)

    def _who(self, headers: list[tuple[bytes, bytes]]) -> Desk | None:
        key_id = secret_key = b""
        for name, value in headers:
            if name == b"apca-api-key-id":
                key_id = value
            elif name == b"apca-api-secret-key":
                secret_key = value
        return self._venue.desk_for(key_id.decode("latin-1"), secret_key.decode("latin-1"))


def respond(call: Call) -> Answer:
    """Let the route answer that the method and path name."""
    path = call.path.rstrip("/")
    route = ROUTES.get(f"{call.method} {path}")
    if route is not None:
        return route(call)
    parts = path.split("/")
    shape = path
    for place in range(len(parts) - 1, 2, -1):
        shape = "/".join([*parts[:place], "{}", *parts[place + 1 :]])
        route = ROUTES.get(f"{call.method} {shape}")
        if route is not None:
            call.tail = parts[place]
            return route(call)
        if shape in _PATHS:
            break
    if path in _PATHS or shape in _PATHS:
        return ok({"code": 40510000, "message": "method not allowed"}, 405)
    return refuse(not_found("endpoint not found"))


async def _respond_faultily(call: Call) -> Answer | None:
    """Answer as the rules have it; None for a connection that breaks without an answer."""
    outcome: Rule | None = None
    for rule in call.rules:
        if rule.do == "latency":
            await asyncio.sleep(rule.seconds or 0.0)
        elif rule.kind == "outcome":
            outcome = rule
    if outcome is None:
        return respond(call)
    status = outcome.facts.get("status")
    code = status if isinstance(status, int) else 500
    match outcome.do:
        case "error":
            return _error(outcome, code)
        case "accept_then_error":
            respond(call)
            return _error(outcome, code)
        case "accept_then_hang":
            answer = respond(call)
            await asyncio.sleep(_hang_s(outcome))
            return answer
        case "accept_then_reset":
            respond(call)
            return None
        case "hang":
            await asyncio.sleep(_hang_s(outcome))
            return page(504, "Gateway Time-out")
        case "html":
            given = outcome.facts.get("body")
            code = status if isinstance(status, int) else 502
            if isinstance(given, str):
                return Answer(code, given.encode(), HTML)
            return page(code, _GATEWAY_TITLES.get(code, "Gateway Time-out" if code == 504 else "Error"))
        case _:
            return None


def _hang_s(rule: Rule) -> float:
    return 30.0 if rule.seconds is None else rule.seconds


def _error(rule: Rule, status: int) -> Answer:
    body = rule.facts.get("body")
    headers = rule.facts.get("headers")
    extra: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(headers, dict):
        extra = tuple((str(k).lower().encode(), str(v).encode()) for k, v in headers.items())
    if isinstance(body, str):
        return Answer(status, body.encode(), HTML if body.lstrip().startswith("<") else b"text/plain", extra)
    if body is None:
        body = RATE_LIMITED.body if status == 429 else UNAUTHORIZED.body if status == 401 else None
    if body is None:
        title = _GATEWAY_TITLES.get(status, "Gateway Time-out" if status == 504 else "error")
        body = {"message": title} if status >= 500 else {"code": status * 100_000, "message": title}
    answer = ok(plain(body), status)
    return Answer(status, answer.body, answer.content_type, extra)


def _what_about(call: Call) -> tuple[str | None, str | None]:
    """Return symbol and side of the order or position that a request is about, as far as it says."""
    if call.body:
        try:
            body = read_json(call.body)
        except ValueError:
            body = None
        if isinstance(body, dict) and "symbol" in body:
            return str(body["symbol"]).upper(), str(body.get("side") or "").lower() or None
    last = call.path.rstrip("/").rpartition("/")[2]
    key = call.query.get("client_order_id", "") if last == "orders:by_client_order_id" else last
    order = call.desk.exchange.find(key)
    if order is not None:
        return order.symbol, order.side
    return last.upper(), None


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


async def _answer(send: Send, answer: Answer, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    all_headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        *(headers or ()),
        *answer.headers,
    ]
    if answer.status == 204:
        del all_headers[:2]
    await send({"type": "http.response.start", "status": answer.status, "headers": all_headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _reset(scope: Scope, receive: Receive) -> None:
    """Break the connection without a word and wait until it is gone."""
    scope["paper.reset"]()
    while (await receive())["type"] != "http.disconnect":
        pass
