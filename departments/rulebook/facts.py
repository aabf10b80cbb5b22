"""Rules on facts: what the broker says of a symbol, of its shares and its price. No smaller quantity meets them.

Each is pure and total; a rule that lacks what another rule already misses stays silent.
"""

from decimal import Decimal

from departments.rulebook.ceilings import finest_lot
from departments.rulebook.context import Context, fraction_of, plain
from departments.rulebook.limits import MAX_PRICE, MAX_PRICE_DEVIATION, MIN_POSITION_VALUE, MIN_PRICE, RESTRICTED
from departments.rulebook.money import plan_value_usd
from messages.plans import Trade
from messages.reviews import Violation
from messages.values import OrderType

ZERO = Decimal(0)
ACTIVE_ASSET = "active"


def asset_is_known(leg: Trade, context: Context) -> Violation | None:
    """Refuse a symbol that the broker doesn't know, or said nothing of."""
    if leg.symbol in context.view.assets:
        return None
    return Violation(
        code="ASSET_UNKNOWN", leg=leg.leg, rule="symbol known to the broker", figure="asset data missing", limit="known"
    )


def asset_is_active(leg: Trade, context: Context) -> Violation | None:
    """Refuse a symbol that is not active."""
    asset = context.view.assets.get(leg.symbol)
    if asset is None or asset.status == ACTIVE_ASSET:
        return None
    return Violation(code="ASSET_NOT_ACTIVE", leg=leg.leg, rule="asset status", figure=asset.status, limit=ACTIVE_ASSET)


def asset_is_tradable(leg: Trade, context: Context) -> Violation | None:
    """Refuse a symbol that the broker doesn't let trade."""
    asset = context.view.assets.get(leg.symbol)
    if asset is None or asset.tradable:
        return None
    return Violation(
        code="ASSET_NOT_TRADABLE", leg=leg.leg, rule="asset tradable", figure="not tradable", limit="tradable"
    )


def limit_price_is_given(leg: Trade, context: Context) -> Violation | None:  # noqa: ARG001 - every rule has one shape
    """Refuse a limit order without its limit."""
    if leg.order_type is not OrderType.LIMIT or leg.limit_price_usd is not None:
        return None
    return Violation(
        code="LIMIT_PRICE_MISSING",
        leg=leg.leg,
        rule="limit price of a limit order",
        figure="limit price missing",
        limit="above 0",
    )


def no_order_of_others(leg: Trade, context: Context) -> Violation | None:
    """Refuse a symbol on which somebody else's order is live: it holds shares, or crosses ours."""
    others = context.view.orders_of_others(leg.symbol)
    if not others:
        return None
    named = ", ".join(
        f"{order.side.value} {'by value' if order.qty is None else plain(order.qty - order.filled_qty)}"
        f" (order {order.order_id})"
        for order in others
    )
    return Violation(
        code="ORDER_OF_OTHERS_OPEN", leg=leg.leg, rule="open orders of others on the symbol", figure=named, limit="none"
    )


def shares_are_held(leg: Trade, context: Context) -> Violation | None:
    """Refuse to SELL more than is held."""
    held = context.view.positions.get(leg.symbol)
    held_qty = ZERO if held is None else held.qty
    if leg.qty <= held_qty:
        return None
    return Violation(
        code="SHARES_NOT_HELD", leg=leg.leg, rule="shares held", figure=plain(leg.qty), limit=plain(held_qty)
    )


def shares_are_free(leg: Trade, context: Context) -> Violation | None:
    """Refuse to SELL shares that open orders hold."""
    held = context.view.positions.get(leg.symbol)
    free_qty = ZERO if held is None else held.qty_available
    if leg.qty <= free_qty:
        return None
    return Violation(
        code="SHARES_NOT_FREE",
        leg=leg.leg,
        rule="shares free of open orders",
        figure=plain(leg.qty),
        limit=plain(free_qty),
    )


def quantity_can_be_ordered(leg: Trade, context: Context) -> Violation | None:
    """Refuse to SELL a fraction that the broker doesn't take: the house may limit BUYs to whole shares, not SELLs."""
    finest = finest_lot(leg, context, house_allows=True)
    if leg.qty % finest == 0:
        return None
    return Violation(
        code="QUANTITY_NOT_ORDERABLE",
        leg=leg.leg,
        rule="smallest fraction of a share the broker takes",
        figure=plain(leg.qty),
        limit=plain(finest),
    )


def price_is_known(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY without an ask price."""
    quote = context.view.quotes.get(leg.symbol)
    if quote is not None and quote.ask_usd is not None:
        return None
    return Violation(
        code="QUOTE_MISSING",
        leg=leg.leg,
        rule="price deviation from the reference price",
        figure="ask price missing" if quote is not None else "quote missing",
        limit=plain(context.limits.max_price_deviation_fraction),
        file=MAX_PRICE_DEVIATION.file,
        key=MAX_PRICE_DEVIATION.key,
    )


def price_is_near_reference(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY whose price has moved too far, up or down, from what was approved."""
    quote = context.view.quotes.get(leg.symbol)
    if quote is None or quote.ask_usd is None:
        return None
    moved_usd = abs(quote.ask_usd - leg.reference_price_usd)
    most = context.limits.max_price_deviation_fraction
    if moved_usd <= most * leg.reference_price_usd:
        return None
    return Violation(
        code="PRICE_DEVIATION",
        leg=leg.leg,
        rule="price deviation from the reference price",
        figure=fraction_of(moved_usd, leg.reference_price_usd),
        limit=plain(most),
        file=MAX_PRICE_DEVIATION.file,
        key=MAX_PRICE_DEVIATION.key,
    )


def price_is_high_enough(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY of a share too cheap for the house."""
    price_usd = context.buy_price_usd(leg)
    least = context.limits.min_price_usd
    if price_usd is None or price_usd >= least:
        return None
    return Violation(
        code="PRICE_BELOW_MIN",
        leg=leg.leg,
        rule="minimum price of a share in USD",
        figure=plain(price_usd),
        limit=plain(least),
        file=MIN_PRICE.file,
        key=MIN_PRICE.key,
    )


def price_is_low_enough(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY of a share too dear to be true."""
    price_usd = context.buy_price_usd(leg)
    most = context.limits.max_price_usd
    if price_usd is None or price_usd <= most:
        return None
    return Violation(
        code="PRICE_ABOVE_MAX",
        leg=leg.leg,
        rule="maximum price of a share in USD",
        figure=plain(price_usd),
        limit=plain(most),
        file=MAX_PRICE.file,
        key=MAX_PRICE.key,
    )


def stop_is_below_price(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY whose stop would be hit at once."""
    price_usd = context.buy_price_usd(leg)
    if price_usd is None or leg.stop_loss_usd is None or leg.stop_loss_usd < price_usd:
        return None
    return Violation(
        code="STOP_NOT_BELOW_PRICE",
        leg=leg.leg,
        rule="stop below the price in USD",
        figure=plain(leg.stop_loss_usd),
        limit=f"below {plain(price_usd)}",
    )


def symbol_is_not_restricted(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY of what the house doesn't buy; selling it stays allowed."""
    if leg.symbol not in context.limits.restricted:
        return None
    return Violation(
        code="SYMBOL_RESTRICTED",
        leg=leg.leg,
        rule="restricted symbol",
        figure=leg.symbol,
        limit="not bought",
        file=RESTRICTED.file,
        key=RESTRICTED.key,
    )


def position_value_at_least(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY too small to matter (compliance_config.yaml: position_sizing.min_position_value)."""
    value_usd = plan_value_usd(leg)
    if value_usd >= context.limits.min_position_value_usd:
        return None
    return Violation(
        code="POSITION_VALUE_BELOW_MIN",
        leg=leg.leg,
        rule="minimum position value in USD",
        figure=plain(value_usd),
        limit=plain(context.limits.min_position_value_usd),
        file=MIN_POSITION_VALUE.file,
        key=MIN_POSITION_VALUE.key,
    )
