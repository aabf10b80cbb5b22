"""Orders over HTTP: place, look up, list, replace, cancel; and closing positions, which is placing orders too."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from paper_alpaca.figures import SHARE_STEP, decimals, parse, parse_time
from paper_alpaca.intake import check_id, check_step, is_true, read_ticket
from paper_alpaca.orders import Order, Ticket
from paper_alpaca.refusals import NO_POSITION, Refusal, invalid, order_not_found, unprocessable
from paper_alpaca.web import BAD_JSON, Answer, Call, ok, read_json, refuse

_LIMIT: Final = 50
_MOST: Final = 500


def post_order(call: Call) -> Answer:
    """POST /v2/orders."""
    try:
        body = read_json(call.body)
    except ValueError:
        return refuse(BAD_JSON)
    if not isinstance(body, dict):
        return refuse(BAD_JSON)
    ticket = read_ticket(body)
    if isinstance(ticket, Refusal):
        return refuse(ticket)
    order = call.desk.submit(ticket, call.received_at, call.rules)
    return refuse(order) if isinstance(order, Refusal) else ok(order.view())


def get_orders(call: Call) -> Answer:
    """GET /v2/orders: newest first and 50 of the open ones unless asked otherwise."""
    query = call.query
    status = query.get("status") or "open"
    if status not in {"open", "closed", "all"}:
        return refuse(invalid(f'invalid status "{status}", expected open, closed or all'))
    try:
        limit = int(query.get("limit") or _LIMIT)
    except ValueError:
        limit = 0
    if not 1 <= limit <= _MOST:
        return refuse(invalid(f"limit must be from 1 to {_MOST}"))
    times = {key: parse_time(query[key]) for key in ("after", "until") if query.get(key)}
    if None in times.values():
        return refuse(invalid("invalid after or until, expected an RFC 3339 time"))
    after, until = times.get("after"), times.get("until")
    symbols = {symbol.strip().upper() for symbol in query.get("symbols", "").split(",") if symbol.strip()}
    nested = is_true(query.get("nested"))
    exchange = call.desk.exchange
    book = exchange.live if status == "open" else exchange.past | exchange.orders
    found = [
        order
        for order in book.values()
        if (status != "closed" or not order.is_live)
        and (not symbols or order.symbol in symbols)
        and query.get("side") in {None, "", order.side}
        and (after is None or order.submitted_at > after)
        and (until is None or order.submitted_at < until)
        and not (nested and order.parent is not None)
    ]
    found.sort(key=lambda order: (order.submitted_at, order.n), reverse=query.get("direction", "desc") != "asc")
    return ok([order.view(nested=nested) for order in found[:limit]])


def get_order(call: Call) -> Answer:
    """GET /v2/orders/{id}."""
    order = call.desk.exchange.shown(call.tail)
    if order is None:
        return refuse(order_not_found(call.tail))
    return ok(order.view(nested=is_true(call.query.get("nested"))))


def get_order_by_client_id(call: Call) -> Answer:
    """GET /v2/orders:by_client_order_id?client_order_id=."""
    client_order_id = call.query.get("client_order_id", "")
    order = call.desk.exchange.by_client_id.get(client_order_id)
    return refuse(order_not_found(client_order_id)) if order is None else ok(order.view())


def patch_order(call: Call) -> Answer:
    """PATCH /v2/orders/{id}: answers with the order that is to take over, which is not certain yet."""
    order = call.desk.exchange.orders.get(call.tail)
    if order is None:
        return refuse(order_not_found(call.tail))
    try:
        body = read_json(call.body)
    except ValueError:
        return refuse(BAD_JSON)
    if not isinstance(body, dict):
        return refuse(BAD_JSON)
    change = _read_change(order, body)
    if isinstance(change, Refusal):
        return refuse(change)
    new = call.desk.replace(order, change, change.qty, call.received_at)
    return refuse(new) if isinstance(new, Refusal) else ok(new.view())


def delete_order(call: Call) -> Answer:
    """DELETE /v2/orders/{id}: 204 says that the cancel was taken, not that it is done."""
    order = call.desk.exchange.orders.get(call.tail)
    if order is None:
        return refuse(order_not_found(call.tail))
    refusal = call.desk.cancel(order, call.rules)
    return Answer(204) if refusal is None else refuse(refusal)


def delete_orders(call: Call) -> Answer:
    """DELETE /v2/orders: 207, a status for each order that was open."""
    answers: list[dict[str, object]] = []
    for order in list(call.desk.exchange.live.values()):
        if not order.is_live:
            continue
        refusal = call.desk.cancel(order, call.rules)
        if refusal is None:
            answers.append({"id": order.order_id, "status": 200})
        else:
            answers.append({"id": order.order_id, "status": refusal.status, "body": refusal.body})
    return ok(answers, 207)


def delete_position(call: Call) -> Answer:
    """DELETE /v2/positions/{symbol or asset id}?qty=|percentage=: a market order that closes it or a part."""
    asset = call.venue.market.find_asset(call.tail)
    position = None if asset is None else call.desk.account.positions.get(asset.symbol)
    if position is None:
        return refuse(NO_POSITION)
    whole = abs(position.qty)
    query, qty = call.query, whole
    if query.get("qty"):
        qty = parse(query["qty"]) or Decimal(0)
    elif query.get("percentage"):
        share = parse(query["percentage"]) or Decimal(0)
        qty = (whole * share / 100).quantize(SHARE_STEP, rounding="ROUND_DOWN")
    if not 0 < qty <= whole:
        return refuse(invalid("qty or percentage must be more than 0 and at most the position"))
    order = _close(call, position.symbol, qty)
    return refuse(order) if isinstance(order, Refusal) else ok(order.view())


def delete_positions(call: Call) -> Answer:
    """DELETE /v2/positions?cancel_orders=: 207, an order or an error for each position."""
    if is_true(call.query.get("cancel_orders")):
        for order in list(call.desk.exchange.live.values()):
            if order.is_live:
                call.desk.exchange.end(order, "canceled", call.desk.now())
    answers: list[dict[str, object]] = []
    for position in list(call.desk.account.positions.values()):
        result = _close(call, position.symbol, abs(position.qty))
        if isinstance(result, Refusal):
            answers.append({"symbol": position.symbol, "status": result.status, "body": result.body})
        else:
            answers.append({"symbol": position.symbol, "status": 200, "body": result.view()})
    return ok(answers, 207)


def _close(call: Call, symbol: str, qty: Decimal) -> Order | Refusal:
    ticket = Ticket(
        symbol=symbol,
        side="sell" if call.desk.account.qty(symbol) > 0 else "buy",
        type="market",
        time_in_force="day",
        qty=qty,
    )
    return call.desk.submit(ticket, datetime.now(UTC), call.rules)


def _read_change(order: Order, body: dict[str, Any]) -> Ticket | Refusal:
    """Return what the replacement asks for: the old order's terms, changed."""
    changes: dict[str, Any] = {}
    for key in ("qty", "limit_price", "stop_price"):
        sent = body.get(key)
        figure = parse(sent)
        if sent is not None and (figure is None or figure <= 0):
            return invalid(f"{key} must be > 0")
        changes[key] = getattr(order, key) if figure is None else figure
    if body.get("trail") is not None:
        trail = parse(body["trail"])
        if trail is None or trail <= 0:
            return invalid("trail must be > 0")
        changes["trail_price" if order.ticket.trail_price is not None else "trail_percent"] = trail
    refusal = check_step("limit_price", changes["limit_price"]) or check_step("stop_price", changes["stop_price"])
    if refusal is not None:
        return refusal
    if order.ticket.notional is not None or (changes["qty"] is not None and decimals(changes["qty"])):
        return unprocessable("fractional orders cannot be replaced")
    changes["time_in_force"] = str(body.get("time_in_force") or order.ticket.time_in_force)
    client_order_id = str(body.get("client_order_id") or "")
    changes["client_order_id"] = client_order_id or None
    return check_id(client_order_id) or replace(order.ticket, **changes)
