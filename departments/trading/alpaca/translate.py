"""Alpaca's JSON -> our facts, leniently where Alpaca may grow and strictly where money is concerned. Pure.

An unknown status, event, order type or exchange is kept as a word and never fails a list; timestamps may be null or
missing where another one can stand in. A quantity, price or amount that is missing or garbled raises `Untranslatable`:
an error is never a zero. Fields that Alpaca removed (pattern day trading, July 2026) are not read.

Source: Alpaca's OpenAPI file and its streaming page; numbers come as text or as JSON numbers (then as `Decimal`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from departments.trading.alpaca.fields import (
    Untranslatable,
    decimal,
    decimal_or_none,
    first_time,
    flag,
    mapping_of,
    not_negative,
    positive,
    price_or_none,
    rows_of,
    short,
    side_of,
    text,
    time_or_none,
    word,
)
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
from messages.values import ClientOrderId, OrderId, run_of_client_order_id

_STATUSES = {status.value: status for status in BrokerStatus}
_MOST_LEGS = 8
_DEEPEST_LEG = 1


def order_facts(raw: Any) -> OrderFacts:
    """Translate one order, nested legs included.

    Raises:
        Untranslatable: No id, symbol, side or quantities, or no time at all.
    """
    return _order(raw, depth=0)


def _order(raw: Any, *, depth: int) -> OrderFacts:
    row = mapping_of(raw, "order")
    filled_qty = decimal(row, "filled_qty")
    submitted_at = first_time(row, "submitted_at", "created_at", "updated_at")
    return OrderFacts(
        order_id=OrderId(text(row, "id")),
        client_order_id=ClientOrderId(text(row, "client_order_id")),
        symbol=text(row, "symbol"),
        side=side_of(row),
        qty=positive(row, "qty"),
        filled_qty=not_negative(filled_qty, "filled_qty"),
        filled_avg_price_usd=_fill_price(row, filled_qty),
        status=_STATUSES.get(text(row, "status"), BrokerStatus.UNKNOWN),
        raw_status=text(row, "status"),
        order_type=word(row, "type") or word(row, "order_type"),
        time_in_force=word(row, "time_in_force"),
        limit_price_usd=price_or_none(row, "limit_price"),
        submitted_at=submitted_at,
        filled_at=time_or_none(row, "filled_at"),
        as_of=first_time(row, "updated_at", "filled_at", "canceled_at", "submitted_at", "created_at"),
        replaced_by=OrderId(word(row, "replaced_by")) if row.get("replaced_by") else None,
        legs=tuple(_order(leg, depth=depth + 1) for leg in _legs(row, depth=depth)),
    )


def orders_of(raw: Any) -> tuple[OrderFacts, ...]:
    """Translate a list of orders. An options combination has neither symbol nor side: its legs stand in for it.

    Raises:
        Untranslatable: No list, or an order in it can't be translated: the list can't be had whole.
    """
    found: list[OrderFacts] = []
    for row in rows_of(raw, "orders"):
        order = mapping_of(row, "order")
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
    row = mapping_of(raw, "account")
    return AccountFacts(
        account_number=text(row, "account_number"),
        status=text(row, "status"),
        cash_usd=decimal(row, "cash"),
        equity_usd=decimal(row, "equity"),
        last_equity_usd=decimal(row, "last_equity"),
        buying_power_usd=decimal(row, "buying_power"),
        regt_buying_power_usd=decimal_or_none(row, "regt_buying_power"),
        multiplier=decimal(row, "multiplier"),
        long_market_value_usd=decimal(row, "long_market_value"),
        short_market_value_usd=decimal(row, "short_market_value"),
        trading_blocked=flag(row, "trading_blocked"),
        account_blocked=flag(row, "account_blocked"),
        trade_suspended_by_user=flag(row, "trade_suspended_by_user"),
    )


def positions_of(raw: Any) -> tuple[PositionFacts, ...]:
    """Translate a list of positions.

    Raises:
        Untranslatable: No list, or a position without symbol, quantities or entry price.
    """
    return tuple(
        PositionFacts(
            symbol=text(row, "symbol"),
            qty=decimal(row, "qty"),
            qty_available=decimal(row, "qty_available"),
            avg_entry_price_usd=decimal(row, "avg_entry_price"),
            current_price_usd=decimal_or_none(row, "current_price"),
            market_value_usd=decimal_or_none(row, "market_value"),
        )
        for row in (mapping_of(row, "position") for row in rows_of(raw, "positions"))
    )


def clock_facts(raw: Any) -> ClockFacts:
    """Translate the clock.

    Raises:
        Untranslatable: A time or the flag is missing.
    """
    row = mapping_of(raw, "clock")
    return ClockFacts(
        at=first_time(row, "timestamp"),
        is_open=flag(row, "is_open"),
        next_open=first_time(row, "next_open"),
        next_close=first_time(row, "next_close"),
    )


def asset_facts(raw: Any) -> AssetFacts:
    """Translate one asset.

    Raises:
        Untranslatable: The symbol, the status or a flag is missing.
    """
    row = mapping_of(raw, "asset")
    return AssetFacts(
        symbol=text(row, "symbol"),
        status=text(row, "status"),
        tradable=flag(row, "tradable"),
        fractionable=flag(row, "fractionable"),
    )


def assets_of(raw: Any) -> tuple[AssetFacts, ...]:
    """Translate a list of assets, leaving out those that can't be: whoever misses one asks for it by name.

    Raises:
        Untranslatable: No list.
    """
    found: list[AssetFacts] = []
    for row in rows_of(raw, "assets"):
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
    for symbol, value in mapping_of(raw, "snapshots").items():
        if value is None:
            continue
        row = mapping_of(value, f"snapshot of {symbol}")
        quote = mapping_of(row.get("latestQuote") or {}, "latestQuote")
        trade = mapping_of(row.get("latestTrade") or {}, "latestTrade")
        bid, ask, last = (price_or_none(of, key) for of, key in ((quote, "bp"), (quote, "ap"), (trade, "p")))
        if bid is None and ask is None and last is None:
            continue
        times = [at for at in (time_or_none(quote, "t"), time_or_none(trade, "t")) if at is not None]
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
        return Unreadable(f"frame: expected an object, was {short(frame)}")
    if frame.get("stream") != "trade_updates":
        return None
    try:
        return _streamed(mapping_of(frame.get("data"), "data"))
    except Untranslatable as error:
        return Unreadable(str(error))


def _streamed(data: Mapping[str, Any]) -> Streamed:
    order = order_facts(data.get("order"))
    event = text(data, "event")
    at = time_or_none(data, "timestamp") or time_or_none(data, "at") or order.as_of
    execution_id = word(data, "execution_id") or None
    run_id = run_of_client_order_id(order.client_order_id)
    name = execution_id or f"{order.order_id}:{at.isoformat()}"
    message: OrderStreamed | StrangerStreamed
    if run_id is None:
        message = StrangerStreamed(event=event, order=order, at=at)
    else:
        qty = decimal_or_none(data, "qty")
        message = OrderStreamed(
            run_id=run_id,
            event=event,
            order=order,
            execution_id=execution_id,
            qty=None if qty is None else not_negative(qty, "qty"),
            price_usd=price_or_none(data, "price"),
            at=at,
        )
    return Streamed(message, f"stream:{name}:{event}")


def _legs(row: Mapping[str, Any], *, depth: int = 0) -> Sequence[Any]:
    legs = row.get("legs")
    if legs is None:
        return ()
    found = rows_of(legs, "legs")
    if depth >= _DEEPEST_LEG and found:
        raise Untranslatable("legs: expected none under a leg")
    if len(found) > _MOST_LEGS:
        raise Untranslatable(f"legs: expected at most {_MOST_LEGS}, were {len(found)}")
    return found


def _fill_price(row: Mapping[str, Any], filled_qty: Decimal) -> Decimal | None:
    if filled_qty <= 0:
        return None
    price = price_or_none(row, "filled_avg_price")
    if price is None:
        raise Untranslatable(f"filled_avg_price: expected > 0 with filled_qty {filled_qty}, was none")
    return price
