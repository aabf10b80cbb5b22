"""Whether an account may place an order: one check a rule, the first that refuses decides. Pure."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from paper_alpaca.accounts import Account
from paper_alpaca.figures import SHARE_STEP, ZERO, decimals
from paper_alpaca.market import Asset, Market
from paper_alpaca.orders import Order, Ticket
from paper_alpaca.refusals import (
    Refusal,
    forbidden,
    insufficient_buying_power,
    insufficient_qty,
    unprocessable,
    wash_trade_limit,
    wash_trade_market,
)

# A market order reserves above the last price. Source: Alpaca's "Placing Orders", buying power checks.
MARKET_CUSHION: Final = Decimal("1.03")


def order_value(
    ticket: Ticket, qty: Decimal | None, limit: Decimal | None, stop: Decimal | None, last: Decimal | None
) -> Decimal:
    """Return what an order may cost, USD: its limit or stop, else the last price and a cushion."""
    if ticket.notional is not None and qty is None:
        return ticket.notional
    price = limit if limit is not None else stop
    if price is None:
        price = ZERO if last is None else last * MARKET_CUSHION
    return (qty or ZERO) * price


def reserved_value(live: Iterable[Order], market: Market) -> Decimal:
    """Return what the live orders that open or enlarge a position may still cost, USD."""
    largest: dict[str, Decimal] = {}
    for order in live:
        if order.position_intent.endswith("_to_open") and not order.awaits_entry:
            left = None if order.qty is None else order.qty - order.filled_qty
            value = order_value(order.ticket, left, order.limit_price, order.stop_price, market.last.get(order.symbol))
            if left is None:
                value -= order.filled_value
            largest[order.group] = max(value, largest.get(order.group, ZERO))
    return sum(largest.values(), ZERO)


def holders(live: Iterable[Order], symbol: str, side: str) -> dict[str, Decimal]:
    """Return the shares that live orders of one side hold, by order; each group holds once."""
    held: dict[str, tuple[str, Decimal]] = {}
    for order in live:
        if order.symbol != symbol or order.side != side or order.awaits_entry:
            continue
        left = order.held()
        known = held.get(order.group)
        if known is None or known[1] < left:
            held[order.group] = (order.order_id, left)
    return dict(held.values())


def admit(ticket: Ticket, account: Account, market: Market, live: list[Order], *, is_open: bool) -> str | Refusal:
    """Return the position intent of an order that may be placed, or the refusal."""
    if account.trading_blocked or account.account_blocked or account.configurations["suspend_trade"]:
        return forbidden("account is not authorized to trade")
    asset = market.asset(ticket.symbol)
    refusal = (
        _check_asset(ticket, asset) or _check_time_in_force(ticket, is_open=is_open) or _check_wash_trade(ticket, live)
    )
    if refusal is not None or asset is None:
        return refusal or unprocessable(f'asset "{ticket.symbol}" not found')
    held_qty = account.qty(ticket.symbol)
    if ticket.order_class == "bracket" and (held_qty < 0 if ticket.side == "buy" else held_qty > 0):
        return unprocessable("bracket orders must be entry orders")
    if held_qty > 0 and ticket.side == "sell":
        return _check_free(ticket, held_qty, market, live) or "sell_to_close"
    if held_qty < 0 and ticket.side == "buy":
        return _check_free(ticket, held_qty, market, live) or "buy_to_close"
    if ticket.side == "sell":
        refusal = _check_short(ticket, asset, account, market, live)
        return refusal or _check_power(ticket, account, market, live) or "sell_to_open"
    return _check_power(ticket, account, market, live) or "buy_to_open"


def _check_asset(ticket: Ticket, asset: Asset | None) -> Refusal | None:
    if asset is None:
        return unprocessable(f'asset "{ticket.symbol}" not found')
    if asset.status != "active":
        return unprocessable(f'asset "{ticket.symbol}" is not active')
    if not asset.tradable:
        return unprocessable(f'asset "{ticket.symbol}" is not tradable')
    fractional = ticket.notional is not None or (ticket.qty is not None and decimals(ticket.qty) > 0)
    if fractional and not asset.fractionable:
        return forbidden(f'asset "{ticket.symbol}" is not fractionable')
    return None


def _check_time_in_force(ticket: Ticket, *, is_open: bool) -> Refusal | None:
    if not is_open and ticket.time_in_force in {"ioc", "fok"}:
        return unprocessable(f"{ticket.time_in_force} orders are only accepted during market hours")
    return None


def _check_wash_trade(ticket: Ticket, live: list[Order]) -> Refusal | None:
    if ticket.order_class:
        return None
    for order in live:
        if order.symbol != ticket.symbol or order.side == ticket.side or order.ticket.order_class:
            continue
        mine, theirs = ticket.limit_price, order.limit_price
        if ticket.type != "limit" or order.ticket.type != "limit" or mine is None or theirs is None:
            return wash_trade_market(order.order_id)
        buy, sell = (mine, theirs) if ticket.side == "buy" else (theirs, mine)
        if buy >= sell:
            return wash_trade_limit(order.order_id, ticket.side, buy, sell)
    return None


def wanted_qty(ticket: Ticket, market: Market) -> Decimal:
    """Return the shares an order asks for; of a notional one, those its dollars are now."""
    if ticket.qty is not None:
        return ticket.qty
    last = market.last.get(ticket.symbol)
    if not last:
        return ZERO
    return ((ticket.notional or ZERO) / last).quantize(SHARE_STEP, rounding="ROUND_DOWN")


def _check_free(ticket: Ticket, held_qty: Decimal, market: Market, live: list[Order]) -> Refusal | None:
    existing = abs(held_qty)
    holding = holders(live, ticket.symbol, ticket.side)
    held = sum(holding.values(), ZERO)
    wanted = wanted_qty(ticket, market)
    if wanted <= existing - held:
        return None
    return insufficient_qty(
        ticket.symbol, wanted, held_qty, held if held_qty > 0 else -held, sorted(holding) if held else []
    )


def _check_short(ticket: Ticket, asset: Asset, account: Account, market: Market, live: list[Order]) -> Refusal | None:
    if ticket.notional is not None or (ticket.qty is not None and decimals(ticket.qty) > 0):
        return unprocessable("fractional orders cannot be sold short")
    if not account.may_short(account.totals(market, reserved_value(live, market)).equity):
        return forbidden("account is not allowed to short")
    if not (asset.shortable and asset.easy_to_borrow):
        return forbidden(f'asset "{asset.symbol}" cannot be sold short')
    return None


def _check_power(ticket: Ticket, account: Account, market: Market, live: list[Order]) -> Refusal | None:
    limit = ticket.take_profit if ticket.order_class == "oco" else ticket.limit_price
    cost = order_value(ticket, ticket.qty, limit, ticket.stop_price, market.last.get(ticket.symbol))
    power = account.totals(market, reserved_value(live, market)).buying_power
    return insufficient_buying_power(power, cost) if cost > power else None
