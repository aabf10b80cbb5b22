"""The ways Alpaca says no: status and body. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from paper_alpaca.figures import money, text


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that refuses a request.

    Attributes:
        status: The HTTP status.
        body: The JSON body, as Alpaca words it.
    """

    status: int
    body: dict[str, object]


def invalid(message: str) -> Refusal:
    """Refuse a request that is wrong in itself: a missing or impossible field."""
    return Refusal(422, {"code": 40010001, "message": message})


def unprocessable(message: str) -> Refusal:
    """Refuse a well-formed request that the rules of the venue don't allow."""
    return Refusal(422, {"code": 42210000, "message": message})


def forbidden(message: str, **facts: object) -> Refusal:
    """Refuse what the account may not do."""
    return Refusal(403, {"code": 40310000, "message": message, **facts})


def not_found(message: str) -> Refusal:
    """Say that there is no such thing."""
    return Refusal(404, {"code": 40410000, "message": message})


def order_not_found(order_id: str) -> Refusal:
    """Say that no order has this id."""
    return not_found(f"order not found for {order_id}")


def insufficient_buying_power(buying_power: Decimal, cost: Decimal) -> Refusal:
    """Refuse a BUY that costs more than the buying power."""
    return forbidden("insufficient buying power", buying_power=money(buying_power), cost_basis=money(cost))


def insufficient_qty(symbol: str, asked: Decimal, existing: Decimal, held: Decimal, holders: list[str]) -> Refusal:
    """Refuse to sell (or to buy back) more than is free."""
    available = existing - held
    related: dict[str, object] = {"related_orders": holders} if holders else {}
    return forbidden(
        f"insufficient qty available for order (requested: {text(asked)}, available: {text(available)})",
        available=text(available),
        existing_qty=text(existing),
        held_for_orders=text(held),
        symbol=symbol,
        **related,
    )


def wash_trade_market(existing_order_id: str) -> Refusal:
    """Refuse an order against a market or stop order of one's own."""
    return forbidden(
        "potential wash trade detected. use complex orders",
        existing_order_id=existing_order_id,
        reject_reason="opposite side market/stop order exists",
    )


def wash_trade_limit(existing_order_id: str, side: str, buy_limit: Decimal, sell_limit: Decimal) -> Refusal:
    """Refuse a limit order that crosses a limit order of one's own."""
    reason = (
        "sell order exists, buy limit price should be less than existing sell limit price"
        if side == "buy"
        else "buy order exists, sell limit price should be greater than existing buy limit price"
    )
    return forbidden(
        "potential wash trade detected. use complex orders",
        existing_order_id=existing_order_id,
        reject_reason=reason,
        buy_limit_price=text(buy_limit),
        sell_limit_price=text(sell_limit),
    )


def sub_penny(field: str, price: Decimal) -> Refusal:
    """Refuse a price with too many decimals."""
    return unprocessable(
        f"invalid {field} {text(price)}. sub-penny increment does not fulfill minimum pricing criteria"
    )


def not_cancelable(status: str) -> Refusal:
    """Refuse to cancel an order that is past it."""
    return unprocessable(f'order is already in "{status}" state')


UNAUTHORIZED = Refusal(401, {"message": "unauthorized."})
RATE_LIMITED = Refusal(429, {"code": 42910000, "message": "rate limit exceeded"})
DATA_RATE_LIMITED = Refusal(429, {"message": "too many requests."})
DUPLICATE_ID = invalid("client_order_id must be unique")
NO_POSITION = not_found("position does not exist")
