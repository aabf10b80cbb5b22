"""A book to try things on: an exchange whose every word is kept, with a clock that stands still."""

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

from paper_alpaca.accounts import Account, Position
from paper_alpaca.exchange import Exchange
from paper_alpaca.market import Market
from paper_alpaca.orders import Happening, Order, Ticket
from paper_alpaca.refusals import Refusal

NOW = datetime(2025, 11, 10, 15, 9, 12, tzinfo=UTC)


class Book:
    """An exchange, and what it said."""

    def __init__(self, *, cash="100000", holdings=(), prices=(("KO", "80"), ("HAL", "30"))):
        self.market = Market({symbol: Decimal(price) for symbol, price in prices})
        positions = {
            symbol: Position(symbol, Decimal(qty), Decimal(qty) * Decimal(entry)) for symbol, qty, entry in holdings
        }
        self.account = Account("id", "PA1", Decimal(cash), positions, "2025-01-01T00:00:00Z", "2025-11-07")
        self.account.begin(self.market)
        self.said: list[Happening] = []
        self.events: list[tuple[str, str]] = []
        self.exchange = Exchange(self.account, self.market, Random(0), self._hear)

    def _hear(self, happening: Happening) -> None:
        self.said.append(happening)
        self.events.append((happening.order.symbol, happening.event))

    def place(self, side="buy", symbol="KO", qty: str | None = "10", *, is_open=True, **fields) -> Order | Refusal:
        ticket = Ticket(
            symbol=symbol,
            side=side,
            type=fields.pop("type", "market"),
            time_in_force=fields.pop("time_in_force", "day"),
            qty=None if qty is None else Decimal(qty),
            **{
                key: Decimal(value) if key not in {"client_order_id", "order_class"} else value
                for key, value in fields.items()
            },
        )
        return self.exchange.place(ticket, NOW, received_at=NOW, is_open=is_open, expires_at=NOW)

    def placed(self, side="buy", symbol="KO", qty: str | None = "10", **fields) -> Order:
        order = self.place(side, symbol, qty, **fields)
        assert isinstance(order, Order), order
        self.exchange.acknowledge(order, NOW)
        return order

    def refused(self, side="buy", symbol="KO", qty: str | None = "10", **fields) -> Refusal:
        refusal = self.place(side, symbol, qty, **fields)
        assert isinstance(refusal, Refusal), refusal
        return refusal

    def execute(self, order: Order, qty: str, price: str):
        return self.exchange.execute(order, Decimal(qty), Decimal(price), NOW)
