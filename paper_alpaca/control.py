"""The control API under /paper/: what tests and people do to the market and read of it. Never part of Alpaca.

GET    /paper/requests                 every request, in order
GET    /paper/orders                   every order, in arrival order, with what happened to it
POST   /paper/prices                   {"AAPL": "101.5"}
POST   /paper/clock                    {"now": ISO, "is_open": bool, "advance_s": N}
POST   /paper/faults, DELETE           fault rules; GET shows them with their counts
POST   /paper/reset                    back to the state file
POST   /paper/orders/{id}/event        {"event": "done_for_day"}: by the order's or its client's id
POST   /paper/account                  {"trading_blocked": true}
POST   /paper/assets                   {"AAPL": {"status": "inactive"}}
POST   /paper/stranger                 an order request; someone else places it
"""

import ipaddress
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

from paper_alpaca.accounts import BrokenBookError
from paper_alpaca.desk import Desk
from paper_alpaca.faults import RuleError, read_rules
from paper_alpaca.figures import micros, parse, parse_time, text, text_or_none
from paper_alpaca.forcing import force
from paper_alpaca.intake import read_ticket
from paper_alpaca.orders import Order
from paper_alpaca.refusals import Refusal
from paper_alpaca.rest import asset_view
from paper_alpaca.venue import Asked, Venue
from paper_alpaca.web import Answer, ok, plain, read_json, refuse

_EVENTS: Final = frozenset(
    {
        "new", "fill", "partial_fill", "canceled", "expired", "done_for_day", "replaced", "rejected", "stopped",
        "pending_cancel", "pending_replace", "calculated", "suspended", "order_replace_rejected", "restated",
        "order_cancel_rejected", "accepted", "held", "trade_bust", "trade_correct", "accepted_for_bidding",
        "pending_review",
    }
)  # fmt: skip
_ACCOUNT_KEYS: Final = frozenset({"trading_blocked", "account_blocked", "shorting_enabled", "cash", "max_multiplier"})
_ASSET_FLAGS: Final = frozenset({"tradable", "fractionable", "marginable", "shortable", "easy_to_borrow"})
_ASSET_TEXTS: Final = frozenset({"status", "name", "exchange"})


class ControlError(ValueError):
    """A control call that makes no sense; the message says what was expected."""


def control(venue: Venue, method: str, path: str, raw_query: bytes, body: bytes, closer: Callable[[], None]) -> Answer:
    """Answer one control call.

    Args:
        venue: What it acts on.
        method: GET, POST or DELETE.
        path: The whole path.
        raw_query: The query string.
        body: The body, JSON.
        closer: Lets stream faults that need not wait act at once.
    """
    try:
        sent = read_json(body) if body.strip() else None
    except ValueError:
        return _wrong("expected a JSON body")
    query = dict(parse_qsl(raw_query.decode("latin-1")))
    try:
        return _answer(venue, f"{method} {path.rstrip('/')}", query, sent, closer)
    except (ControlError, RuleError, BrokenBookError) as error:
        return _wrong(str(error))


def is_loopback(host: str | None) -> bool:
    """Tell whether a peer's address is this machine's own."""
    try:
        return host is None or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _answer(venue: Venue, what: str, query: dict[str, str], sent: Any, closer: Callable[[], None]) -> Answer:
    match what:
        case "GET /paper/requests":
            since = int(query.get("since", "0"))
            return ok([_asked_view(asked) for asked in venue.asked if asked.n > since])
        case "GET /paper/orders":
            return ok(orders_view(venue))
        case "POST /paper/prices":
            venue.set_prices({symbol.upper(): _price(symbol, price) for symbol, price in _mapping(sent).items()})
            return ok({symbol: text(price) for symbol, price in venue.market.last.items()})
        case "POST /paper/clock":
            return _set_clock(venue, _mapping(sent))
        case "GET /paper/faults":
            return ok(plain([rule.view() for rule in venue.faults.rules]))
        case "POST /paper/faults":
            venue.faults.add(read_rules(sent))
            closer()
            return ok(plain([rule.view() for rule in venue.faults.rules]))
        case "DELETE /paper/faults":
            venue.clear_faults()
            return ok([])
        case "POST /paper/reset":
            venue.reset()
            return ok({})
        case "POST /paper/account":
            return _change_account(venue, query, _mapping(sent))
        case "POST /paper/assets":
            return _change_assets(venue, _mapping(sent))
        case "POST /paper/stranger":
            return _place_as_stranger(venue, query, _mapping(sent))
        case _:
            return _answer_about_order(venue, what, sent)


def _answer_about_order(venue: Venue, what: str, sent: Any) -> Answer:
    parts = what.split("/")
    if what.startswith("POST /paper/orders/") and len(parts) == 5 and parts[4] == "event":
        return _force_event(venue, parts[3], _mapping(sent))
    return Answer(404, b'{"message":"no such control call"}')


def orders_view(venue: Venue) -> list[dict[str, object]]:
    """Return every order of every account in arrival order, with real times."""
    rows = [
        (order.received_at, order.n, desk, order) for desk in venue.desks for order in desk.exchange.orders.values()
    ]
    rows.sort(key=lambda row: row[:2])
    return [_order_view(n, desk, order) for n, (_, _, desk, order) in enumerate(rows, 1)]


def _order_view(n: int, desk: Desk, order: Order) -> dict[str, object]:
    view: dict[str, object] = {
        "n": n,
        "received_at": micros(order.received_at),
        "id": order.order_id,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": order.side,
        "qty": text_or_none(order.qty),
        "status": order.status,
        "filled_qty": text(order.filled_qty),
        "filled_avg_price": text_or_none(order.average()),
        "type": order.ticket.type,
        "stranger": order.stranger,
        "events": [
            {
                "event": event,
                "at": micros(at),
                "qty": text_or_none(qty),
                "price": text_or_none(price),
                **({} if reason is None else {"reason": reason}),
            }
            for event, at, qty, price, reason in desk.record.get(order.order_id, [])
        ],
    }
    if desk.key_id is not None:
        view["account"] = desk.key_id
    return view


def _asked_view(asked: Asked) -> dict[str, object]:
    try:
        body = read_plain(asked.body) if asked.body else None
    except ValueError:
        body = asked.body.decode("utf-8", "replace")
    return {
        "n": asked.n,
        "at": micros(asked.at),
        "method": asked.method,
        "path": asked.path,
        "query": dict(parse_qsl(asked.query.decode("latin-1"), keep_blank_values=True)),
        "body": body,
        "status": asked.status,
    }


def read_plain(body: bytes) -> Any:
    """Decode a recorded body as it was sent; its figures keep their JSON type."""
    import json

    return json.loads(body)


def _set_clock(venue: Venue, sent: Mapping[str, Any]) -> Answer:
    _only(sent, {"now", "is_open", "advance_s"})
    now = None
    if sent.get("now") is not None:
        now = parse_time(str(sent["now"]))
        if now is None:
            raise ControlError(f"expected now to be an ISO time, was {sent['now']!r}")
    step = None
    if sent.get("advance_s") is not None:
        figure = parse(sent["advance_s"])
        if figure is None:
            raise ControlError(f"expected advance_s to be seconds, was {sent['advance_s']!r}")
        step = timedelta(seconds=float(figure))
    is_open = sent.get("is_open")
    if is_open is not None and not isinstance(is_open, bool):
        raise ControlError(f"expected is_open to be true or false, was {is_open!r}")
    venue.set_clock(now, step, is_open=is_open)
    return ok(venue.clock.view(datetime.now(UTC)))


def _change_account(venue: Venue, query: dict[str, str], sent: Mapping[str, Any]) -> Answer:
    _only(sent, _ACCOUNT_KEYS)
    desk = _desk(venue, query)
    for key, value in sent.items():
        if key in {"cash", "max_multiplier"}:
            figure = parse(value)
            if figure is None:
                raise ControlError(f"expected {key} to be a figure, was {value!r}")
            setattr(desk.account, key, figure if key == "cash" else int(figure))
        elif isinstance(value, bool):
            setattr(desk.account, key, value)
        else:
            raise ControlError(f"expected {key} to be true or false, was {value!r}")
    return ok(desk.account.view(desk.exchange.totals()))


def _change_assets(venue: Venue, sent: Mapping[str, Any]) -> Answer:
    changed = []
    for symbol, facts in sent.items():
        given = dict(_mapping(facts))
        _only(given, _ASSET_FLAGS | _ASSET_TEXTS)
        for key, value in given.items():
            if isinstance(value, bool) != (key in _ASSET_FLAGS) or not isinstance(value, bool | str):
                raise ControlError(f"{symbol}: {key} can't be {value!r}")
        if given.get("status") == "inactive":
            given.setdefault("tradable", False)
        elif given.get("status") == "active":
            given.setdefault("tradable", True)
        changed.append(asset_view(venue.market.set_asset(symbol.upper(), **given)))
    return ok(changed)


def _place_as_stranger(venue: Venue, query: dict[str, str], sent: Mapping[str, Any]) -> Answer:
    ticket = read_ticket({"type": "market", "time_in_force": "day", **sent})
    if isinstance(ticket, Refusal):
        return refuse(ticket)
    order = _desk(venue, query).submit(ticket, datetime.now(UTC), [], stranger=True)
    return refuse(order) if isinstance(order, Refusal) else ok(order.view())


def _force_event(venue: Venue, order_id: str, sent: Mapping[str, Any]) -> Answer:
    _only(sent, {"event", "qty", "price", "reason"})
    event = str(sent.get("event", ""))
    if event not in _EVENTS:
        raise ControlError(f"expected event to be one of {', '.join(sorted(_EVENTS))}, was {event!r}")
    for desk in venue.desks:
        order = desk.exchange.find(order_id)
        if order is None:
            continue
        if not order.is_live and event not in {"trade_bust", "trade_correct", "restated"}:
            raise ControlError(f"expected a live order for {event}, was {order.status}")
        reason = sent.get("reason")
        force(
            desk,
            order,
            event,
            parse(sent.get("qty")),
            parse(sent.get("price")),
            None if reason is None else str(reason),
        )
        return ok(order.view())
    return Answer(404, b'{"message":"no such order"}')


def _desk(venue: Venue, query: dict[str, str]) -> Desk:
    wanted = query.get("account")
    for desk in venue.desks:
        if wanted in {None, desk.key_id}:
            return desk
    raise ControlError(f"no account {wanted}")


def _mapping(sent: Any) -> Mapping[str, Any]:
    if not isinstance(sent, Mapping):
        raise ControlError(f"expected a JSON object, was {sent!r}")
    return sent


def _only(sent: Mapping[str, Any], known: frozenset[str] | set[str]) -> None:
    unknown = set(sent) - known
    if unknown:
        raise ControlError(f"unknown {', '.join(sorted(unknown))}, expected of {', '.join(sorted(known))}")


def _price(symbol: str, sent: Any) -> Decimal:
    figure = parse(sent)
    if figure is None or figure <= 0:
        raise ControlError(f"expected a price > 0 for {symbol}, was {sent!r}")
    return figure


def _wrong(message: str) -> Answer:
    return ok({"message": message}, 400)
