"""Alpaca's JSON -> our facts, leniently where Alpaca may grow and strictly where money is concerned. Pure.

An unknown status, event, order type or exchange is kept as a word and never fails a list; timestamps may be null or
missing where another one can stand in. A quantity, price or amount that is missing or garbled raises `Untranslatable`:
an error is never a zero. Fields that Alpaca removed (pattern day trading, July 2026) are not read.

Source: Alpaca's OpenAPI file and its streaming page; numbers come as text or as JSON numbers (then as `Decimal`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from messages.broker import OrderStreamed, StrangerStreamed
from messages.snapshots import (
    AccountFacts,
    AssetFacts,
    BrokerStatus,
    ClockFacts,
    OrderFacts,
    PositionFacts,
    QuoteFacts,
)
from messages.values import ClientOrderId, OrderId, Side, run_of_client_order_id

_STATUSES = {status.value: status for status in BrokerStatus}
_SIDES = {side.value: side for side in Side}
_MOST_LEGS = 8
_DEEPEST_LEG = 1
_MOST_DIGITS = 30
_LONGEST_TEXT = 200
_FIRST_YEAR = 1970


class Untranslatable(ValueError):
    """A payload lacks what we can't do without. The text names the field, what was expected and what came."""


def order_facts(raw: Any) -> OrderFacts:
    """Translate one order, nested legs included.

    Raises:
        Untranslatable: No id, symbol, side or quantities, or no time at all.
    """
    return _order(raw, depth=0)


def _order(raw: Any, *, depth: int) -> OrderFacts:
    row = _mapping(raw, "order")
    filled_qty = _decimal(row, "filled_qty")
    submitted_at = _first_time(row, "submitted_at", "created_at", "updated_at")
    return OrderFacts(
        order_id=OrderId(_text(row, "id")),
        client_order_id=ClientOrderId(_text(row, "client_order_id")),
        symbol=_text(row, "symbol"),
        side=_side(row),
        qty=_positive(row, "qty"),
        filled_qty=_not_negative(filled_qty, "filled_qty"),
        filled_avg_price_usd=_fill_price(row, filled_qty),
        status=_STATUSES.get(_text(row, "status"), BrokerStatus.UNKNOWN),
        raw_status=_text(row, "status"),
        order_type=_word(row, "type") or _word(row, "order_type"),
        time_in_force=_word(row, "time_in_force"),
        limit_price_usd=_price_or_none(row, "limit_price"),
        submitted_at=submitted_at,
        filled_at=_time(row, "filled_at"),
        as_of=_first_time(row, "updated_at", "filled_at", "canceled_at", "submitted_at", "created_at"),
        replaced_by=OrderId(_word(row, "replaced_by")) if row.get("replaced_by") else None,
        legs=tuple(_order(leg, depth=depth + 1) for leg in _legs(row, depth=depth)),
    )


def orders_of(raw: Any) -> tuple[OrderFacts, ...]:
    """Translate a list of orders. An options combination has neither symbol nor side: its legs stand in for it.

    Raises:
        Untranslatable: No list, or an order in it can't be translated: the list can't be had whole.
    """
    found: list[OrderFacts] = []
    for row in _rows(raw, "orders"):
        order = _mapping(row, "order")
        legs = _legs(order)
        if not order.get("symbol") and legs:
            found.extend(order_facts(leg) for leg in legs)
        else:
            found.append(order_facts(order))
    return tuple(found)


def account_facts(raw: Any) -> AccountFacts:
    """Translate the account.

    Raises:
        Untranslatable: An amount, a flag or the status is missing.
    """
    row = _mapping(raw, "account")
    return AccountFacts(
        account_number=_text(row, "account_number"),
        status=_text(row, "status"),
        cash_usd=_decimal(row, "cash"),
        equity_usd=_decimal(row, "equity"),
        last_equity_usd=_decimal(row, "last_equity"),
        buying_power_usd=_decimal(row, "buying_power"),
        regt_buying_power_usd=_decimal_or_none(row, "regt_buying_power"),
        multiplier=_decimal(row, "multiplier"),
        long_market_value_usd=_decimal(row, "long_market_value"),
        short_market_value_usd=_decimal(row, "short_market_value"),
        trading_blocked=_flag(row, "trading_blocked"),
        account_blocked=_flag(row, "account_blocked"),
        trade_suspended_by_user=_flag(row, "trade_suspended_by_user"),
    )


def positions_of(raw: Any) -> tuple[PositionFacts, ...]:
    """Translate a list of positions.

    Raises:
        Untranslatable: No list, or a position without symbol, quantities or entry price.
    """
    return tuple(
        PositionFacts(
            symbol=_text(row, "symbol"),
            qty=_decimal(row, "qty"),
            qty_available=_decimal(row, "qty_available"),
            avg_entry_price_usd=_decimal(row, "avg_entry_price"),
            current_price_usd=_decimal_or_none(row, "current_price"),
            market_value_usd=_decimal_or_none(row, "market_value"),
        )
        for row in (_mapping(row, "position") for row in _rows(raw, "positions"))
    )


def clock_facts(raw: Any) -> ClockFacts:
    """Translate the clock.

    Raises:
        Untranslatable: A time or the flag is missing.
    """
    row = _mapping(raw, "clock")
    return ClockFacts(
        at=_first_time(row, "timestamp"),
        is_open=_flag(row, "is_open"),
        next_open=_first_time(row, "next_open"),
        next_close=_first_time(row, "next_close"),
    )


def asset_facts(raw: Any) -> AssetFacts:
    """Translate one asset.

    Raises:
        Untranslatable: The symbol, the status or a flag is missing.
    """
    row = _mapping(raw, "asset")
    return AssetFacts(
        symbol=_text(row, "symbol"),
        status=_text(row, "status"),
        tradable=_flag(row, "tradable"),
        fractionable=_flag(row, "fractionable"),
    )


def assets_of(raw: Any) -> tuple[AssetFacts, ...]:
    """Translate a list of assets, leaving out those that can't be: whoever misses one asks for it by name.

    Raises:
        Untranslatable: No list.
    """
    found: list[AssetFacts] = []
    for row in _rows(raw, "assets"):
        try:
            found.append(asset_facts(row))
        except Untranslatable:
            continue
    return tuple(found)


def quotes_of(raw: Any) -> tuple[QuoteFacts, ...]:
    """Translate the answer of `/v2/stocks/snapshots`: symbol -> latest quote and trade. A price of zero is none.

    Raises:
        Untranslatable: No object, or a price that is no number.
    """
    found: list[QuoteFacts] = []
    for symbol, value in _mapping(raw, "snapshots").items():
        if value is None:
            continue
        row = _mapping(value, f"snapshot of {symbol}")
        quote = _mapping(row.get("latestQuote") or {}, "latestQuote")
        trade = _mapping(row.get("latestTrade") or {}, "latestTrade")
        bid, ask, last = (_price_or_none(of, key) for of, key in ((quote, "bp"), (quote, "ap"), (trade, "p")))
        if bid is None and ask is None and last is None:
            continue
        times = [at for at in (_time(quote, "t"), _time(trade, "t")) if at is not None]
        found.append(
            QuoteFacts(symbol=symbol, bid_usd=bid, ask_usd=ask, last_usd=last, at=max(times) if times else None)
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Streamed:
    """A frame that says something about an order.

    Attributes:
        message_id: The same for the same news, so that a frame told twice is taken in once.
    """

    message: OrderStreamed | StrangerStreamed
    message_id: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A trade update that can't be read: something happened and we don't know what."""

    why: str


def streamed(frame: Any) -> Streamed | Unreadable | None:
    """Translate one frame of the stream; None for frames that are no trade update. Never raises."""
    if not isinstance(frame, Mapping):
        return Unreadable(f"frame: expected an object, was {_short(frame)}")
    if frame.get("stream") != "trade_updates":
        return None
    try:
        return _streamed(_mapping(frame.get("data"), "data"))
    except Untranslatable as error:
        return Unreadable(str(error))


def _streamed(data: Mapping[str, Any]) -> Streamed:
    order = order_facts(data.get("order"))
    event = _text(data, "event")
    at = _time(data, "timestamp") or _time(data, "at") or order.as_of
    execution_id = _word(data, "execution_id") or None
    run_id = run_of_client_order_id(order.client_order_id)
    name = execution_id or f"{order.order_id}:{at.isoformat()}"
    message: OrderStreamed | StrangerStreamed
    if run_id is None:
        message = StrangerStreamed(event=event, order=order, at=at)
    else:
        qty = _decimal_or_none(data, "qty")
        message = OrderStreamed(
            run_id=run_id,
            event=event,
            order=order,
            execution_id=execution_id,
            qty=None if qty is None else _not_negative(qty, "qty"),
            price_usd=_price_or_none(data, "price"),
            at=at,
        )
    return Streamed(message, f"stream:{name}:{event}")


# Fields


def _short(value: Any) -> str:
    return repr(value)[:60]


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Untranslatable(f"{what}: expected an object, was {_short(value)}")
    return value


def _rows(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise Untranslatable(f"{what}: expected a list, was {_short(value)}")
    return value


def _legs(row: Mapping[str, Any], *, depth: int = 0) -> Sequence[Any]:
    legs = row.get("legs")
    if legs is None:
        return ()
    found = _rows(legs, "legs")
    if depth >= _DEEPEST_LEG and found:
        raise Untranslatable("legs: expected none under a leg")
    if len(found) > _MOST_LEGS:
        raise Untranslatable(f"legs: expected at most {_MOST_LEGS}, were {len(found)}")
    return found


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value or len(value) > _LONGEST_TEXT:
        raise Untranslatable(f"{key}: expected text, was {_short(value)}")
    return value


def _word(row: Mapping[str, Any], key: str) -> str:
    """Read text that nobody decides by; empty where there is none."""
    value = row.get(key)
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""


def _side(row: Mapping[str, Any]) -> Side:
    side = _SIDES.get(_word(row, "side"))
    if side is None:
        raise Untranslatable(f"side: expected buy or sell, was {_short(row.get('side'))}")
    return side


def _flag(row: Mapping[str, Any], key: str) -> bool:
    value = row.get(key)
    if not isinstance(value, bool):
        raise Untranslatable(f"{key}: expected true or false, was {_short(value)}")
    return value


def _decimal_or_none(row: Mapping[str, Any], key: str) -> Decimal | None:
    value = row.get(key)
    if value is None or value == "":
        return None
    number: Decimal | None = None
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, (str, int)) and not isinstance(value, bool):
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = None
    if number is None or not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        raise Untranslatable(f"{key}: expected a decimal, was {_short(value)}")
    return number


def _decimal(row: Mapping[str, Any], key: str) -> Decimal:
    number = _decimal_or_none(row, key)
    if number is None:
        raise Untranslatable(f"{key}: expected a decimal, was {_short(row.get(key))}")
    return number


def _not_negative(number: Decimal, key: str) -> Decimal:
    if number < 0:
        raise Untranslatable(f"{key}: expected >= 0, was {number}")
    return number


def _positive(row: Mapping[str, Any], key: str) -> Decimal | None:
    number = _decimal_or_none(row, key)
    if number is not None and number <= 0:
        raise Untranslatable(f"{key}: expected > 0, was {number}")
    return number


def _price_or_none(row: Mapping[str, Any], key: str) -> Decimal | None:
    """Read a price; zero means that there is none (Alpaca sends 0 for an empty side of the book)."""
    number = _decimal_or_none(row, key)
    return None if number is None or number <= 0 else number


def _fill_price(row: Mapping[str, Any], filled_qty: Decimal) -> Decimal | None:
    if filled_qty <= 0:
        return None
    price = _price_or_none(row, "filled_avg_price")
    if price is None:
        raise Untranslatable(f"filled_avg_price: expected > 0 with filled_qty {filled_qty}, was none")
    return price


def _time(row: Mapping[str, Any], key: str) -> datetime | None:
    """Read an aware time, cut to microseconds; None where it is missing, no such time, or Go's zero time."""
    value = row.get(key)
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.tzinfo is not None and at.year >= _FIRST_YEAR else None
    except (ValueError, OverflowError):
        return None


def _first_time(row: Mapping[str, Any], *keys: str) -> datetime:
    for key in keys:
        at = _time(row, key)
        if at is not None:
            return at
    raise Untranslatable(f"{' or '.join(keys)}: expected an aware time, was {_short(row.get(keys[0]))}")
