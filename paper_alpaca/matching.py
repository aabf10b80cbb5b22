"""At which price an order would execute now, and how its fill is drawn. Pure: randomness is passed in."""

from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Final, Literal

from paper_alpaca.figures import ONE, PRICE_STEP, SHARE_STEP, ZERO
from paper_alpaca.orders import Order

_TEN_THOUSAND: Final = Decimal(10_000)
_HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class FillSettings:
    """How fills come about, from the state file.

    Attributes:
        delay_ms: Milliseconds from order to fill. Two or more figures are evenly spaced quantiles of a distribution:
            two are a range, drawn evenly; five are minimum, lower quartile, median, upper quartile, maximum.
        slippage_bps: How much worse than the last price a market order executes, likewise; negative is better.
        partial_probability: Chance of an order to come in two parts.
        cash_delay_ms: Milliseconds from a SELL's fill until its proceeds show in cash.
    """

    delay_ms: tuple[Decimal, ...] = (Decimal(3),)
    slippage_bps: tuple[Decimal, ...] = (ZERO,)
    partial_probability: Decimal = ZERO
    cash_delay_ms: Decimal = ZERO


@dataclass(slots=True)
class FillPlan:
    """How one order is going to fill: drawn when it arrives, then bent by fault rules.

    Attributes:
        delay_s: Seconds from acceptance to the first execution.
        slippage_bps: Against the order, when it takes the last price.
        fraction: Part that the first execution is of the order; None for all at once.
        then: What follows that part: the rest of the order executes, or it is cancelled, expires or rests.
        held_back: Nothing executes until the faults are cleared.
        reject: Reason to reject the order with instead of filling it.
        cash_delay_s: Seconds that a SELL's proceeds stay unseen.
        stuck_cancel: A cancel never gets past `pending_cancel`.
        ready: Whether the delay is over.
        is_bent: Whether a fault rule had its hand in it.
        is_cash_bent: Whether one had it in `cash_delay_s`.
    """

    delay_s: float
    slippage_bps: Decimal
    fraction: Decimal | None = None
    then: Literal["fill", "cancel", "expire", "rest"] = "fill"
    held_back: bool = False
    reject: str | None = None
    cash_delay_s: float = 0.0
    stuck_cancel: bool = False
    ready: bool = False
    is_bent: bool = False
    is_cash_bent: bool = False


def draw_plan(settings: FillSettings, rng: Random) -> FillPlan:
    """Draw an order's plan. The same generator state and settings give the same plan."""
    delay = _draw(settings.delay_ms, rng)
    slippage = _draw(settings.slippage_bps, rng)
    part = Decimal(rng.randint(10, 90)) / _HUNDRED
    partial = settings.partial_probability > 0 and rng.random() < settings.partial_probability
    return FillPlan(
        delay_s=max(0.0, float(delay)) / 1000,
        slippage_bps=slippage,
        fraction=part if partial else None,
        cash_delay_s=float(settings.cash_delay_ms) / 1000,
    )


def price_now(order: Order, last: Decimal, slippage_bps: Decimal) -> Decimal | None:
    """Return the price at which the order would execute at this last price, or None while it wouldn't.

    Rounded half-even to a hundredth of a cent when slippage moves it; a limit is never passed.
    """
    kind = order.ticket.type
    if kind in {"stop", "stop_limit", "trailing_stop"} and not order.triggered:
        return None
    buys = order.side == "buy"
    price = last
    if slippage_bps:
        price = (last * (_TEN_THOUSAND + (slippage_bps if buys else -slippage_bps)) / _TEN_THOUSAND).quantize(
            PRICE_STEP
        )
        price = max(price, PRICE_STEP)
    if kind in {"limit", "stop_limit"} and order.limit_price is not None:
        limit = order.limit_price
        if (last > limit) if buys else (last < limit):
            return None
        return min(price, limit) if buys else max(price, limit)
    return price


def see_price(order: Order, last: Decimal) -> None:
    """Let a stop see a price: it triggers, or its trail follows."""
    kind, buys = order.ticket.type, order.side == "buy"
    if order.triggered or kind not in {"stop", "stop_limit", "trailing_stop"}:
        return
    if kind == "trailing_stop":
        best = last if order.hwm is None else (min if buys else max)(order.hwm, last)
        order.hwm = best
        if order.ticket.trail_percent is not None:
            trail = best * order.ticket.trail_percent / _HUNDRED
        else:
            trail = order.ticket.trail_price or ZERO
        order.stop_price = (best + trail if buys else best - trail).quantize(PRICE_STEP)
    if order.stop_price is not None:
        order.triggered = last >= order.stop_price if buys else last <= order.stop_price


def part_of(qty: Decimal, fraction: Decimal) -> Decimal:
    """Return a part of the quantity: whole shares of a whole quantity, at least one step, less than all.

    A single share can't be divided in whole ones: then the part is 0.
    """
    step = ONE if qty == qty.to_integral_value() else SHARE_STEP
    part = (qty * fraction).quantize(step, rounding="ROUND_DOWN")
    return min(max(part, step), qty - step) if qty > step else ZERO


def _draw(quantiles: tuple[Decimal, ...], rng: Random) -> Decimal:
    if len(quantiles) == 1:
        return quantiles[0]
    place = Decimal(rng.random()) * (len(quantiles) - 1)
    low = int(place)
    return quantiles[low] + (quantiles[low + 1] - quantiles[low]) * (place - low)
