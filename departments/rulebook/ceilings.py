"""Limits that a BUY can be cut to: how many shares each leaves room for, and what it says when they are too few.

Room is counted on the book (after the SELLs, orders in flight and the BUYs of higher priority included), at the value
a BUY reserves. A breach that was there leaves no room, so no BUY worsens one.
"""

from decimal import Decimal

from departments.rulebook.context import Context, fraction_of, named, plain
from departments.rulebook.limits import (
    ALLOW_FRACTIONAL,
    FUNDING,
    MAX_GROSS_EXPOSURE,
    MAX_ORDER_QTY,
    MAX_ORDER_VALUE,
    MAX_PLAN_RISK,
    MAX_POSITION_FRACTION,
    MAX_POSITIONS,
    MAX_SECTOR_FRACTION,
    sector_of,
)
from departments.rulebook.money import FRACTION_DECIMALS
from messages.plans import Trade
from messages.reviews import Violation
from messages.values import OrderType, TimeInForce

ZERO = Decimal(0)
WHOLE = Decimal(1)
FINEST = Decimal(1).scaleb(-FRACTION_DECIMALS)


def finest_lot(leg: Trade, context: Context, *, house_allows: bool) -> Decimal:
    """The smallest part of a share that may be ordered: fractions only of fractionable assets, at market, for the day.

    Source: alpaca.markets, fractional trading: DAY market orders, at most nine decimals.
    """
    asset = context.view.assets.get(leg.symbol)
    takes_fractions = (
        asset is not None
        and asset.fractionable
        and leg.order_type is OrderType.MARKET
        and leg.time_in_force is TimeInForce.DAY
    )
    return FINEST if takes_fractions and house_allows else WHOLE


def in_lots(qty: Decimal, leg: Trade, context: Context) -> Decimal:
    """Round a quantity to buy down to what may be ordered."""
    lot = finest_lot(leg, context, house_allows=context.limits.allow_fractional)
    return qty // lot * lot


def lots_room(leg: Trade, context: Context) -> Decimal:
    """Let in the part of the quantity that may be ordered."""
    return in_lots(leg.qty, leg, context)


def whole_shares(leg: Trade, context: Context) -> Violation | None:
    """Cut a fraction that the house or the broker doesn't take."""
    most = lots_room(leg, context)
    if leg.qty == most:
        return None
    return Violation(
        code="QUANTITY_NOT_WHOLE",
        leg=leg.leg,
        rule="whole shares, or fractions where they are allowed and the broker takes them",
        figure=plain(leg.qty),
        limit=plain(most),
        file=ALLOW_FRACTIONAL.file,
        key=ALLOW_FRACTIONAL.key,
    )


def order_qty_room(leg: Trade, context: Context) -> Decimal | None:  # noqa: ARG001 - every room has one shape
    """Let in the most shares of one order."""
    return context.limits.max_order_qty


def order_qty_at_most(leg: Trade, context: Context) -> Violation | None:
    """Limit the shares of one BUY: a slip of the finger is not an order."""
    most = context.limits.max_order_qty
    if leg.qty <= most:
        return None
    return Violation(
        code="ORDER_QTY_ABOVE_MAX",
        leg=leg.leg,
        rule="shares of one order",
        figure=plain(leg.qty),
        limit=plain(most),
        file=MAX_ORDER_QTY.file,
        key=MAX_ORDER_QTY.key,
    )


def order_value_room(leg: Trade, context: Context) -> Decimal | None:
    """Let in what keeps one order within its largest value."""
    return _shares(context.limits.max_order_value_usd, leg, context)


def order_value_at_most(leg: Trade, context: Context) -> Violation | None:
    """Limit what one BUY reserves: a slip of the finger is not an order."""
    reserved_usd = _reserved_usd(leg, context)
    most = context.limits.max_order_value_usd
    if reserved_usd is not None and reserved_usd <= most:
        return None
    return Violation(
        code="ORDER_VALUE_ABOVE_MAX",
        leg=leg.leg,
        rule="value of one order in USD",
        figure="ask price missing" if reserved_usd is None else plain(reserved_usd),
        limit=plain(most),
        file=MAX_ORDER_VALUE.file,
        key=MAX_ORDER_VALUE.key,
    )


def plan_risk_room(leg: Trade, context: Context) -> Decimal | None:
    """Let in what keeps the loss at all stops within its fraction of equity."""
    book = context.book
    risk_usd = context.risk_a_share_usd(leg)
    if risk_usd is None:
        return ZERO
    left_usd = context.limits.max_plan_risk_fraction * book.equity_usd - book.risk_usd
    if risk_usd <= 0:
        return None if left_usd >= 0 else ZERO
    return _shares_for(left_usd, risk_usd)


def plan_risk_at_most(leg: Trade, context: Context) -> Violation | None:
    """Limit what the plan's BUYs lose together if every stop is hit (a stop is assumed where a leg has none)."""
    book = context.book
    risk_usd = context.risk_a_share_usd(leg)
    most = context.limits.max_plan_risk_fraction
    if risk_usd is None:
        figure = "ask price missing"
    elif book.risk_usd + leg.qty * risk_usd <= most * book.equity_usd:
        return None
    else:
        figure = fraction_of(book.risk_usd + leg.qty * risk_usd, book.equity_usd)
    return Violation(
        code="PLAN_RISK_ABOVE_MAX",
        leg=leg.leg,
        rule="loss of the plan's BUYs at their stops as a fraction of equity",
        figure=figure,
        limit=plain(most),
        file=MAX_PLAN_RISK.file,
        key=MAX_PLAN_RISK.key,
    )


def positions_room(leg: Trade, context: Context) -> Decimal | None:
    """Let in any quantity of a symbol that is there, and of a new one while there is a place."""
    return None if positions_at_most(leg, context) is None else ZERO


def positions_at_most(leg: Trade, context: Context) -> Violation | None:
    """Refuse a new symbol past the most positions."""
    symbols = context.book.symbols
    most = context.limits.max_positions_total
    if leg.symbol in symbols or len(symbols) < most:
        return None
    return Violation(
        code="POSITIONS_ABOVE_MAX",
        leg=leg.leg,
        rule="number of positions",
        figure=str(len(symbols) + 1),
        limit=str(most),
        file=MAX_POSITIONS.file,
        key=MAX_POSITIONS.key,
    )


def position_fraction_room(leg: Trade, context: Context) -> Decimal | None:
    """Let in what keeps held and bought of the symbol within its fraction of equity."""
    book = context.book
    held_usd = book.held_usd(leg.symbol)
    if held_usd is None:
        return ZERO
    return _shares(context.limits.max_position_fraction * book.equity_usd - held_usd, leg, context)


def position_fraction_at_most(leg: Trade, context: Context) -> Violation | None:
    """Limit held and bought of a symbol to a fraction of equity."""
    book = context.book
    held_usd = book.held_usd(leg.symbol)
    reserved_usd = _reserved_usd(leg, context)
    most = context.limits.max_position_fraction
    if held_usd is None or reserved_usd is None:
        figure = "price of what is held or in flight missing" if held_usd is None else "ask price missing"
    elif held_usd + reserved_usd <= most * book.equity_usd:
        return None
    else:
        figure = fraction_of(held_usd + reserved_usd, book.equity_usd)
    return Violation(
        code="POSITION_FRACTION_ABOVE_MAX",
        leg=leg.leg,
        rule="position as a fraction of equity",
        figure=figure,
        limit=plain(most),
        file=MAX_POSITION_FRACTION.file,
        key=MAX_POSITION_FRACTION.key,
    )


def gross_exposure_room(leg: Trade, context: Context) -> Decimal | None:
    """Let in what keeps the value of all positions within its multiple of equity."""
    book = context.book
    if book.gross_usd is None:
        return ZERO
    return _shares(context.limits.max_gross_exposure_fraction * book.equity_usd - book.gross_usd, leg, context)


def gross_exposure_at_most(leg: Trade, context: Context) -> Violation | None:
    """Limit the value of all positions, long and short, to a multiple of equity."""
    book = context.book
    reserved_usd = _reserved_usd(leg, context)
    most = context.limits.max_gross_exposure_fraction
    if book.gross_usd is None or reserved_usd is None:
        figure = _unknown(context)
    elif book.gross_usd + reserved_usd <= most * book.equity_usd:
        return None
    else:
        figure = fraction_of(book.gross_usd + reserved_usd, book.equity_usd)
    return Violation(
        code="GROSS_EXPOSURE_ABOVE_MAX",
        leg=leg.leg,
        rule="gross exposure as a fraction of equity",
        figure=figure,
        limit=plain(most),
        file=MAX_GROSS_EXPOSURE.file,
        key=MAX_GROSS_EXPOSURE.key,
    )


def sector_fraction_room(leg: Trade, context: Context) -> Decimal | None:
    """Let in what keeps the leg's sector within its fraction of gross value."""
    most = context.limits.max_sector_fraction
    if most is None:
        return None
    held_usd = _sector_usd(leg, context)
    gross_usd = context.book.gross_usd
    if isinstance(held_usd, str) or gross_usd is None:
        return ZERO
    if context.sector_base_usd is not None:
        return _shares(most * context.sector_base_usd - held_usd, leg, context)
    if most >= 1:
        return None
    return _shares((most * gross_usd - held_usd) / (1 - most), leg, context)


def sector_fraction_at_most(leg: Trade, context: Context) -> Violation | None:
    """Limit the value of a sector, long and short, to a fraction of the gross value, the plan's BUYs included."""
    most = context.limits.max_sector_fraction
    if most is None:
        return None
    gross_usd = context.book.gross_usd
    held_usd = _sector_usd(leg, context)
    reserved_usd = _reserved_usd(leg, context)
    if isinstance(held_usd, str):
        figure = held_usd
    elif gross_usd is None or reserved_usd is None:
        figure = _unknown(context)
    else:
        whole_usd = gross_usd + reserved_usd if context.sector_base_usd is None else context.sector_base_usd
        if held_usd + reserved_usd <= most * whole_usd:
            return None
        figure = fraction_of(held_usd + reserved_usd, whole_usd)
    return Violation(
        code="SECTOR_FRACTION_ABOVE_MAX",
        leg=leg.leg,
        rule="sector as a fraction of gross value",
        figure=figure,
        limit=plain(most),
        file=MAX_SECTOR_FRACTION.file,
        key=MAX_SECTOR_FRACTION.key,
    )


def _sector_usd(leg: Trade, context: Context) -> Decimal | str:
    """What the book holds in the leg's sector, or what is missing to know it."""
    book = context.book
    sector = book.sectors.get(leg.symbol) or sector_of(leg.sector)
    missing = sorted(symbol for symbol in book.symbols if symbol not in book.sectors and symbol != leg.symbol)
    if sector is None:
        missing.insert(0, leg.symbol)
    if missing:
        return f"sector missing of {named(missing)}"
    values = {symbol: book.held_usd(symbol) for symbol in book.symbols}
    unpriced = sorted(symbol for symbol, value in values.items() if value is None)
    if unpriced:
        return f"price missing of {named(unpriced)}"
    same = (value for symbol, value in values.items() if value and book.sectors.get(symbol, sector) == sector)
    return sum(same, ZERO)


def funding_room(leg: Trade, context: Context) -> Decimal | None:
    """Let in what the money left pays for."""
    return ZERO if context.book.left_usd is None else _shares(context.book.left_usd, leg, context)


def funding_suffices(leg: Trade, context: Context) -> Violation | None:
    """Limit what BUYs reserve to the money that the funding policy lets them spend."""
    left_usd = context.book.left_usd
    reserved_usd = _reserved_usd(leg, context)
    if left_usd is None or reserved_usd is None:
        figure = _unknown(context)
    elif reserved_usd <= left_usd:
        return None
    else:
        figure = plain(reserved_usd)
    return Violation(
        code="FUNDING_EXCEEDED",
        leg=leg.leg,
        rule="value reserved in USD within what is left to spend",
        figure=figure,
        limit="known" if left_usd is None else plain(left_usd),
        file=FUNDING.file,
        key=FUNDING.key,
    )


def _unknown(context: Context) -> str:
    unpriced = context.book.unpriced
    return f"price missing of {', '.join(unpriced)}" if unpriced else "ask price missing"


def _reserved_usd(leg: Trade, context: Context) -> Decimal | None:
    price_usd = context.reserve_price_usd(leg)
    return None if price_usd is None else leg.qty * price_usd


def _shares(room_usd: Decimal, leg: Trade, context: Context) -> Decimal:
    """The most shares whose reserved value is within some room, to nine decimals, rounded down."""
    price_usd = context.reserve_price_usd(leg)
    return ZERO if price_usd is None else _shares_for(room_usd, price_usd)


def _shares_for(room_usd: Decimal, a_share_usd: Decimal) -> Decimal:
    return ZERO if room_usd <= 0 else room_usd.scaleb(FRACTION_DECIMALS) // a_share_usd * FINEST
