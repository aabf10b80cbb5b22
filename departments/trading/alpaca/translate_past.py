"""Alpaca's JSON about the past -> our facts: trading days, executions, daily equity, daily bars. Pure.

A row that can't be read fails the list: what is missing from the past would let a rule pass that should not. Days are
New York's.

Source: Alpaca's OpenAPI files (`legacy_calendar_day`, `TradingActivities`, `PortfolioHistory`, `stock_bar`).
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import dropwhile
from typing import Any

from departments.trading.alpaca.fields import (
    Untranslatable,
    decimal,
    first_time,
    mapping_of,
    not_negative,
    positive,
    rows_of,
    short,
    side_of,
    text,
    word,
)
from departments.trading.broker import FillsPage
from messages.new_york import day_in_new_york, from_new_york
from messages.snapshots import BarFacts, EquityDay, FillFacts, TradingDay
from messages.values import OrderId, Side

UNKNOWN_ORDER_TYPE = "unknown"
_SHORT_SALE = "sell_short"


def trading_days_of(raw: Any) -> tuple[TradingDay, ...]:
    """Translate the calendar; its times are New York's.

    Raises:
        Untranslatable: No list, or a day without date, open and close.
    """
    found: list[TradingDay] = []
    for row in (mapping_of(row, "trading day") for row in rows_of(raw, "calendar")):
        try:
            day = date.fromisoformat(text(row, "date"))
            opens, closes = time.fromisoformat(text(row, "open")), time.fromisoformat(text(row, "close"))
        except ValueError as error:
            raise Untranslatable(f"calendar: expected date, open and close, was {short(dict(row))}") from error
        found.append(TradingDay(day=day, opens_at=from_new_york(day, opens), closes_at=from_new_york(day, closes)))
    return tuple(sorted(found, key=lambda one: one.day))


def fills_of(raw: Any) -> FillsPage:
    """Translate a page of FILL activities, in the order in which it came: the last one's id leads to the next page.

    Raises:
        Untranslatable: No list, or an execution without id, order, symbol, side, quantity, price or time.
    """
    rows = rows_of(raw, "activities")
    return FillsPage(tuple(_fill(mapping_of(row, "activity")) for row in rows), len(rows))


def _fill(row: Mapping[str, Any]) -> FillFacts:
    if word(row, "activity_type") != "FILL":
        raise Untranslatable(f"activity_type: expected FILL, was {short(row.get('activity_type'))}")
    return FillFacts(
        activity_id=text(row, "id"),
        order_id=OrderId(text(row, "order_id")),
        symbol=text(row, "symbol"),
        side=Side.SELL if word(row, "side") == _SHORT_SALE else side_of(row),
        qty=_above_zero(row, "qty"),
        price_usd=_above_zero(row, "price"),
        at=first_time(row, "transaction_time"),
        order_type=UNKNOWN_ORDER_TYPE,
    )


def equity_days_of(raw: Any, first: date, last: date) -> tuple[EquityDay, ...]:
    """Translate a portfolio history with one value a day; zeros before the first other value are left out.

    A day's value is stamped 20:00 in New York, when its last session ends: the day there is the day.

    Raises:
        Untranslatable: No object, lists of different lengths, a value that is none, a day twice.
    """
    row = mapping_of(raw, "portfolio history")
    stamps, values = rows_of(row.get("timestamp"), "timestamp"), rows_of(row.get("equity"), "equity")
    if len(stamps) != len(values):
        raise Untranslatable(f"equity: expected {len(stamps)} values, one a timestamp, were {len(values)}")
    by_day: dict[date, Decimal] = {}
    for stamp, value in zip(stamps, values, strict=True):
        day = _stamped_day(stamp)
        if day in by_day:
            raise Untranslatable(f"timestamp: expected each day once, was {day} twice")
        by_day[day] = decimal({"equity": value}, "equity")
    funded = dropwhile(lambda one: not one[1], sorted(by_day.items()))
    return tuple(EquityDay(day=day, equity_usd=usd) for day, usd in funded if first <= day <= last)


def _stamped_day(stamp: Any) -> date:
    try:
        if isinstance(stamp, int) and not isinstance(stamp, bool):
            return day_in_new_york(datetime.fromtimestamp(stamp, UTC))
    except (ValueError, OverflowError, OSError):
        pass
    raise Untranslatable(f"timestamp: expected seconds since 1970, was {short(stamp)}")


def bars_of(raw: Any) -> tuple[tuple[BarFacts, ...], str | None]:
    """Translate a page of daily bars.

    Returns:
        The bars, and what leads to the next page; None on the last one.

    Raises:
        Untranslatable: No object, a bar without time, prices above zero or volume.
    """
    answer = mapping_of(raw, "bars")
    by_symbol = answer.get("bars", "missing")
    found: list[BarFacts] = []
    for symbol, rows in mapping_of({} if by_symbol is None else by_symbol, "bars").items():
        listed = rows_of([] if rows is None else rows, symbol)
        found += [_bar(symbol, mapping_of(row, f"bar of {symbol}")) for row in listed]
    token = answer.get("next_page_token")
    if token is not None and (not isinstance(token, str) or not token):
        raise Untranslatable(f"next_page_token: expected text or null, was {short(token)}")
    return tuple(found), token


def _bar(symbol: str, row: Mapping[str, Any]) -> BarFacts:
    return BarFacts(
        symbol=symbol,
        day=day_in_new_york(first_time(row, "t")),
        open_usd=_above_zero(row, "o"),
        high_usd=_above_zero(row, "h"),
        low_usd=_above_zero(row, "l"),
        close_usd=_above_zero(row, "c"),
        volume=not_negative(decimal(row, "v"), "v"),
    )


def _above_zero(row: Mapping[str, Any], key: str) -> Decimal:
    number = positive(row, key)
    if number is None:
        raise Untranslatable(f"{key}: expected > 0, was {short(row.get(key))}")
    return number
