"""A request body becomes a Ticket, or a refusal that says which field is wrong. Pure; knows no account.

What it is lenient in, other clients are careless in: figures as numbers or strings, booleans as "True", unknown fields.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, cast

from paper_alpaca.figures import ONE, decimals, parse, text
from paper_alpaca.orders import Side, Ticket
from paper_alpaca.refusals import Refusal, forbidden, invalid, sub_penny, unprocessable

_TYPES: Final = frozenset({"market", "limit", "stop", "stop_limit", "trailing_stop"})
_TIMES_IN_FORCE: Final = frozenset({"day", "gtc", "ioc", "fok", "opg", "cls"})
_CLASSES: Final = frozenset({"", "simple", "bracket", "oco", "oto"})
_ID_LIMIT: Final = 128
_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9./]{0,11}\Z")
_PRICES: Final = ("limit_price", "stop_price", "trail_price", "trail_percent")


def read_ticket(body: Mapping[str, object]) -> Ticket | Refusal:
    """Check an order request for form."""
    figures = _read_figures(body)
    if isinstance(figures, Refusal):
        return figures
    words = _read_words(body)
    if isinstance(words, Refusal):
        return words
    legs = _read_legs(body)
    if isinstance(legs, Refusal):
        return legs
    ticket = Ticket(
        symbol=words["symbol"],
        side=cast("Side", words["side"]),
        type=words["type"],
        time_in_force=words["time_in_force"],
        order_class=words["order_class"],
        client_order_id=words["client_order_id"] or None,
        extended_hours=is_true(body.get("extended_hours")),
        **figures,
        **legs,
    )
    return _check_size(ticket) or _check_prices(ticket) or _check_class(ticket) or ticket


def is_true(value: object) -> bool:
    """Read a boolean as clients send it: true, "true", "True", 1."""
    return value is True or (isinstance(value, str | int) and str(value).lower() in {"true", "1"})


def check_step(field: str, price: Decimal | None) -> Refusal | None:
    """Refuse a price that is not positive, or finer than cents from $1 and than four decimals below."""
    if price is None:
        return None
    if price <= 0:
        return invalid(f"{field} must be > 0")
    return sub_penny(field, price) if decimals(price) > (2 if price >= ONE else 4) else None


def check_id(client_order_id: str) -> Refusal | None:
    """Refuse an id that is too long."""
    if len(client_order_id) > _ID_LIMIT:
        return invalid(f"client_order_id must be no more than {_ID_LIMIT} characters")
    return None


def _read_figures(body: Mapping[str, object]) -> dict[str, Decimal | None] | Refusal:
    found: dict[str, Decimal | None] = {}
    for name in ("qty", "notional", *_PRICES):
        sent = body.get(name)
        if sent is None or sent == "":
            found[name] = None
            continue
        figure = parse(sent)
        if figure is None:
            return invalid(f"{name} must be a number, was {sent!r}")
        found[name] = figure
    return found


def _read_words(body: Mapping[str, object]) -> dict[str, str] | Refusal:
    def word(name: str, default: str = "") -> str:
        sent = body.get(name)
        return default if sent is None else str(sent)

    words = {
        "symbol": word("symbol").upper(),
        "side": word("side").lower(),
        "type": (word("type") or word("order_type")).lower(),
        "time_in_force": word("time_in_force", "day").lower(),
        "order_class": word("order_class").lower(),
        "client_order_id": word("client_order_id"),
    }
    if not words["symbol"]:
        return invalid("symbol is required")
    if not _SYMBOL.match(words["symbol"]):
        return unprocessable(f'asset "{words["symbol"]}" not found')
    if words["side"] not in {"buy", "sell"}:
        return invalid("invalid side" if words["side"] else "side is required")
    if words["type"] not in _TYPES:
        return invalid("invalid order type" if words["type"] else "type is required")
    if words["time_in_force"] not in _TIMES_IN_FORCE:
        return invalid("invalid time_in_force")
    if words["order_class"] not in _CLASSES:
        return invalid("invalid order_class")
    if words["order_class"] == "simple":
        words["order_class"] = ""
    return check_id(words["client_order_id"]) or words


def _read_legs(body: Mapping[str, object]) -> dict[str, Decimal | None] | Refusal:
    def price(leg: str, name: str) -> Decimal | Refusal | None:
        sent = body.get(leg)
        if sent is None:
            return None
        if not isinstance(sent, Mapping):
            return invalid(f"{leg} must be an object")
        value = sent.get(name)
        if value is None or value == "":
            return None
        figure = parse(value)
        if figure is None:
            return invalid(f"{leg}.{name} must be a number")
        return check_step(f"{leg}.{name}", figure) or figure

    found: dict[str, Decimal | None] = {}
    for field, leg, name in (
        ("take_profit", "take_profit", "limit_price"),
        ("stop_loss", "stop_loss", "stop_price"),
        ("stop_loss_limit", "stop_loss", "limit_price"),
    ):
        figure = price(leg, name)
        if isinstance(figure, Refusal):
            return figure
        found[field] = figure
    return found


def _check_size(ticket: Ticket) -> Refusal | None:
    if ticket.qty is not None and ticket.notional is not None:
        return invalid("only one of qty or notional is accepted")
    if ticket.notional is not None:
        if ticket.notional < ONE:
            return forbidden("cost basis must be >= minimal amount of order 1")
        if decimals(ticket.notional) > 2:
            return unprocessable("notional amount must be limited to 2 decimal places")
        fractional = True
    elif ticket.qty is not None:
        if ticket.qty <= 0:
            return invalid("qty must be > 0")
        if decimals(ticket.qty) > 9:
            return unprocessable(f"qty must be limited to 9 decimal places, was {text(ticket.qty)}")
        fractional = decimals(ticket.qty) > 0
    else:
        return invalid("qty or notional is required")
    if fractional and ticket.time_in_force != "day":
        return unprocessable("fractional orders must be DAY orders")
    if fractional and ticket.order_class:
        return unprocessable("fractional orders must be simple orders")
    return None


def _check_prices(ticket: Ticket) -> Refusal | None:
    kind = ticket.type
    # The first order of an OCO is its take-profit: clients give its limit there and only there.
    needs_limit = kind in {"limit", "stop_limit"} and not (ticket.order_class == "oco" and ticket.take_profit)
    if needs_limit and ticket.limit_price is None:
        return invalid(f"{kind.replace('_', ' ')} orders require limit price")
    if kind in {"stop", "stop_limit"} and ticket.stop_price is None:
        return invalid(f"{kind.replace('_', ' ')} orders require stop price")
    if kind == "market" and (ticket.limit_price is not None or ticket.stop_price is not None):
        return invalid("market orders require no stop or limit price")
    if kind == "limit" and ticket.stop_price is not None:
        return invalid("limit orders require only limit price")
    if kind == "trailing_stop" and (ticket.trail_price is None) == (ticket.trail_percent is None):
        return invalid("trailing stop orders must specify one of trail_price or trail_percent")
    if ticket.extended_hours and (kind != "limit" or ticket.time_in_force not in {"day", "gtc"}):
        return unprocessable("extended hours order must be DAY limit orders")
    if ticket.time_in_force in {"opg", "cls"} and kind not in {"market", "limit"}:
        return unprocessable(f"{ticket.time_in_force} orders must be market or limit orders")
    return check_step("limit_price", ticket.limit_price) or check_step("stop_price", ticket.stop_price)


def _check_class(ticket: Ticket) -> Refusal | None:
    kind, take, stop = ticket.order_class, ticket.take_profit, ticket.stop_loss
    if not kind:
        return None
    if ticket.time_in_force not in {"day", "gtc"}:
        return unprocessable("complex orders must be DAY or GTC orders")
    if kind in {"bracket", "oco"}:
        if take is None and not (kind == "oco" and ticket.limit_price is not None):
            return unprocessable(f"{kind} orders require take_profit.limit_price")
        if stop is None:
            return unprocessable(f"{kind} orders require stop_loss.stop_price")
    if kind == "oco" and ticket.type != "limit":
        return unprocessable("oco orders must be limit orders")
    if kind == "oto" and (take is None) == (stop is None):
        return unprocessable("oto orders require either take_profit or stop_loss")
    target = take if take is not None else ticket.limit_price if kind == "oco" else None
    if target is not None and stop is not None:
        long = (ticket.side == "buy") == (kind != "oco")
        if (target <= stop) if long else (target >= stop):
            sign = ">" if long else "<"
            return unprocessable(f"take_profit.limit_price must be {sign} stop_loss.stop_price")
    return None
