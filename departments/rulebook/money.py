"""Money: the one definition of what BUYs may cost, used by Compliance, Operations and the CEO's gate.

    proceeds   = sum over the run's SELL executions of qty x price
    spendable  = min(proceeds + max(cash_before, 0) - spent, cash_now - min(cash_before, 0))
                 - reservations of other open BUYs - cash_reserve                            (funding: proceeds)
    spendable  = min(proceeds + cash_before - spent, cash_now)
                 - reservations of other open BUYs - cash_reserve                            (funding: cash)
    spendable  = the broker's buying power - cash_reserve                                    (funding: buying_power)
    reserved   = qty x max(ask, reference_price) x (1 + price_cushion_fraction)              (limit orders: qty x limit)
    money seen = cash_now + spent >= cash_before + proceeds - max($5, 5 bps of proceeds)

`spent` is what BUYs of the same run have cost already. The cash of a later look is lower by it, the proceeds are not:
so it is taken off the first term only, and added back to the cash where the question is whether the proceeds came.
Nothing is quantised here. USD throughout.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import assert_never

from messages.plans import Trade
from messages.reviews import Money
from messages.snapshots import OrderFacts, QuoteFacts
from messages.values import Funding, OrderType, Side

SEEN_TOLERANCE_USD = Decimal(5)
SEEN_TOLERANCE_FRACTION = Decimal("0.0005")
FRACTION_DECIMALS = 9
"""Alpaca takes at most nine decimals of a share."""

ZERO = Decimal(0)
EXACT_DIGITS = 60
"""Sums and products of prices, quantities and fractions stay exact within these."""


def spendable_usd(
    money: Money, *, buying_power_usd: Decimal, reservations_usd: Decimal, cash_reserve_usd: Decimal
) -> Decimal:
    """What the BUYs still to be sent may reserve; negative when even nothing is too much.

    `proceeds` never lets a margin debt grow; `cash` allows no debt at all, so a debt is paid back first; `buying_power`
    takes the broker's figure, which is net of open orders already (the limit on gross exposure bounds it besides).

    Args:
        money: The figures of the gate, or the expected ones.
        buying_power_usd: The broker's, after the SELLs.
        reservations_usd: What open BUYs, strangers' and our own, may still cost.
        cash_reserve_usd: What is never spent.
    """
    earned_usd = money.proceeds_usd - money.spent_usd
    debt_usd = min(money.cash_before_usd, ZERO)
    match money.funding:
        case Funding.PROCEEDS:
            own = min(earned_usd + max(money.cash_before_usd, ZERO), money.cash_now_usd - debt_usd) - reservations_usd
        case Funding.CASH:
            own = min(earned_usd + money.cash_before_usd, money.cash_now_usd) - reservations_usd
        case Funding.BUYING_POWER:
            own = buying_power_usd
        case never:
            assert_never(never)
    return own - cash_reserve_usd


def seen_tolerance_usd(proceeds_usd: Decimal) -> Decimal:
    """How far cash may stay behind the proceeds (fees, rounding): $5 or 5 bps, the larger."""
    return max(SEEN_TOLERANCE_USD, SEEN_TOLERANCE_FRACTION * proceeds_usd)


def money_seen(money: Money) -> bool:
    """Whether the account's cash shows the proceeds."""
    expected = money.cash_before_usd + money.proceeds_usd - seen_tolerance_usd(money.proceeds_usd)
    return money.cash_now_usd + money.spent_usd >= expected


def reserve_price_usd(trade: Trade, quote: QuoteFacts | None, price_cushion_fraction: Decimal) -> Decimal | None:
    """What one share of a BUY reserves; None when a market order has no ask price to reckon with."""
    price_usd = buy_price_usd(trade, quote)
    if price_usd is None or trade.order_type is OrderType.LIMIT:
        return price_usd
    return price_usd * (1 + price_cushion_fraction)


def buy_price_usd(trade: Trade, quote: QuoteFacts | None) -> Decimal | None:
    """What one share of a BUY should cost: its limit, or the dearer of ask and reference price; None without an ask."""
    if trade.order_type is OrderType.LIMIT:
        return trade.limit_price_usd
    if quote is None or quote.ask_usd is None:
        return None
    return max(quote.ask_usd, trade.reference_price_usd)


def plan_value_usd(trade: Trade) -> Decimal:
    """What a leg is worth as the plan prices it, at its limit or its reference price: still from approval to gate."""
    return trade.qty * (_limit_usd(trade) or trade.reference_price_usd)


def open_buy_usd(
    order: OrderFacts, quote: QuoteFacts | None, price_usd: Decimal | None, price_cushion_fraction: Decimal
) -> Decimal | None:
    """What an open BUY order may still cost: remaining quantity at its limit, or at max(ask, last) with the cushion.

    Args:
        order: A live order.
        quote: Latest prices of its symbol, where there are any.
        price_usd: The price of a position in its symbol, for want of a quote.
        price_cushion_fraction: As for our own orders.

    Returns:
        None when it can't be known: an order by notional value, a stop, or a market order without any price.
    """
    if order.qty is None:
        return None
    remaining = order.qty - order.filled_qty
    if order.limit_price_usd is not None:
        return remaining * order.limit_price_usd
    if order.order_type != OrderType.MARKET:
        return None
    quoted = () if quote is None else (quote.ask_usd, quote.last_usd)
    known = [price for price in quoted if price is not None] or ([] if price_usd is None else [price_usd])
    return remaining * max(known) * (1 + price_cushion_fraction) if known else None


def expected_proceeds_usd(trades: Iterable[Trade], quotes: Mapping[str, QuoteFacts]) -> Decimal:
    """What the SELLs of a plan should bring before any is sent: at their limit, else bid, last, or reference price.

    A missing quote never stops a SELL, so the plan's own price stands in. Only a forecast: BUYs are cut to it before
    the start, and what they may really cost is counted anew at the gate.
    """
    sells = (trade for trade in trades if trade.side is Side.SELL)
    return sum((trade.qty * _expected_price_usd(trade, quotes.get(trade.symbol)) for trade in sells), ZERO)


def expected_money(funding: Funding, *, cash_usd: Decimal, proceeds_usd: Decimal) -> Money:
    """The gate's figures as they should be once every SELL has filled."""
    return Money(
        funding=funding,
        proceeds_usd=proceeds_usd,
        cash_before_usd=cash_usd,
        cash_now_usd=cash_usd + proceeds_usd,
    )


def _limit_usd(trade: Trade) -> Decimal | None:
    return trade.limit_price_usd if trade.order_type is OrderType.LIMIT else None


def _expected_price_usd(trade: Trade, quote: QuoteFacts | None) -> Decimal:
    quoted = None if quote is None else quote.bid_usd or quote.last_usd
    return _limit_usd(trade) or quoted or trade.reference_price_usd
