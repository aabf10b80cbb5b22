"""A simulated Alpaca: orders, fills, cancels, money, the market's hours, and everything that goes wrong there.

It lives through every crash of the firm. Its own books are the truth that the firm is judged by.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from messages.orders import OrderIntent
from messages.snapshots import (
    TERMINAL_BROKER_STATUSES,
    AccountFacts,
    AssetFacts,
    BrokerStatus,
    ClockFacts,
    FillFacts,
    OrderFacts,
    PositionFacts,
    QuoteFacts,
)
from messages.values import ClientOrderId, OrderId, OrderType, Side, TimeInForce
from tests.simulation.agenda import Agenda
from tests.simulation.luck import Luck

ZERO = Decimal(0)
SPREAD = Decimal("0.001")
FAR = timedelta(days=1)


class Declined(Exception):
    """The exchange says no."""

    def __init__(self, status_code: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.message = message


@dataclass(slots=True)
class Order:
    """One order as the exchange keeps it."""

    order_id: OrderId
    client_order_id: str
    symbol: str
    side: Side
    qty: Decimal
    order_type: OrderType
    time_in_force: TimeInForce
    limit_usd: Decimal | None
    status: BrokerStatus
    submitted_at: datetime
    visible_at: datetime
    updated_at: datetime
    filled_qty: Decimal = ZERO
    value_usd: Decimal = ZERO
    filled_at: datetime | None = None
    replaced_by: OrderId | None = None
    executions: int = 0

    @property
    def live(self) -> bool:
        """More may come of it."""
        return self.status not in TERMINAL_BROKER_STATUSES and self.status is not BrokerStatus.DONE_FOR_DAY

    @property
    def left(self) -> Decimal:
        """Shares not filled."""
        return self.qty - self.filled_qty

    def facts(self) -> OrderFacts:
        """What the exchange shows of it now."""
        average = (self.value_usd / self.filled_qty) if self.filled_qty else None
        return OrderFacts(
            order_id=self.order_id,
            client_order_id=ClientOrderId(self.client_order_id),
            symbol=self.symbol,
            side=self.side,
            qty=self.qty,
            filled_qty=self.filled_qty,
            filled_avg_price_usd=average,
            status=self.status,
            raw_status=self.status.value,
            order_type=self.order_type.value,
            time_in_force=self.time_in_force.value,
            limit_price_usd=self.limit_usd,
            submitted_at=self.submitted_at,
            filled_at=self.filled_at,
            as_of=self.updated_at,
            replaced_by=self.replaced_by,
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """What the stream tells."""

    event: str
    order: OrderFacts
    execution_id: str | None
    qty: Decimal | None
    price_usd: Decimal | None
    at: datetime


@dataclass(slots=True)
class Holding:
    """A position."""

    qty: Decimal
    cost_usd: Decimal


@dataclass
class Exchange:
    """The account and its orders.

    Attributes:
        skew: The exchange's clock minus the firm's.
        on_frame: Told of everything that happens to an order.
        declined: client_order_id -> how often a POST was declined.
        cheapest_usd: Lowest ask so far, by symbol.
        fills: Every execution.
        begun_with_usd: Equity at the beginning.
    """

    agenda: Agenda
    luck: Luck
    cash_usd: Decimal
    holdings: dict[str, Holding]
    prices_usd: dict[str, Decimal]
    skew: timedelta
    on_frame: Callable[[Frame], None]
    is_open: bool = True
    next_open: datetime = field(init=False)
    next_close: datetime = field(init=False)
    blocked: bool = False
    dead_assets: frozenset[str] = frozenset()
    orders: dict[OrderId, Order] = field(default_factory=dict)
    by_client_id: dict[str, Order] = field(default_factory=dict)
    declined: dict[str, int] = field(default_factory=dict)
    shown_cash_lag_usd: Decimal = ZERO
    cheapest_usd: dict[str, Decimal] = field(default_factory=dict)
    fills: list[FillFacts] = field(default_factory=list)
    begun_with_usd: Decimal = field(init=False)
    taken_back: bool = False
    _count: int = 0

    def __post_init__(self) -> None:
        self.next_open = self.clock_at() + FAR
        self.next_close = self.clock_at() + FAR
        self.cheapest_usd = {symbol: self.ask(symbol) for symbol in self.prices_usd}
        self.begun_with_usd = self.equity().quantize(Decimal("0.01"))

    # -- the market ----------------------------------------------------------------------------------------------

    def clock_at(self) -> datetime:
        """The exchange's clock."""
        return self.agenda.now() + self.skew

    def ask(self, symbol: str) -> Decimal:
        """USD a share."""
        return self.prices_usd[symbol] * (1 + SPREAD)

    def close_market(self, for_s: float) -> None:
        """Close; DAY orders may expire."""
        self.is_open = False
        self.next_open = self.clock_at() + timedelta(seconds=for_s)
        self.agenda.after(for_s, self.open_market)
        if self.luck.strikes("order.expires_at_close"):
            for order in tuple(self.orders.values()):
                if order.live:
                    self._end(order, BrokerStatus.EXPIRED, "expired")

    def open_market(self) -> None:
        """Open; what waited goes on."""
        self.is_open = True
        self.next_open = self.clock_at() + FAR
        self.next_close = self.clock_at() + FAR
        for order in tuple(self.orders.values()):
            if order.live and order.status is BrokerStatus.PENDING_CANCEL:
                self._end(order, BrokerStatus.CANCELED, "canceled")
            elif order.live:
                self._plan_fills(order)

    def move_prices(self) -> None:
        """Let every price move by up to half a percent."""
        for symbol, price in self.prices_usd.items():
            step = Decimal(self.luck.choose(11) - 5) / 1000
            self.prices_usd[symbol] = (price * (1 + step)).quantize(Decimal("0.01"))
            self.cheapest_usd[symbol] = min(self.cheapest_usd[symbol], self.ask(symbol))

    def fall(self) -> None:
        """Let every price fall by seven percent: more than a day may lose."""
        for symbol, price in self.prices_usd.items():
            self.prices_usd[symbol] = (price * Decimal("0.93")).quantize(Decimal("0.01"))
            self.cheapest_usd[symbol] = min(self.cheapest_usd[symbol], self.ask(symbol))

    # -- orders --------------------------------------------------------------------------------------------------

    def submit(self, intent: OrderIntent) -> Order:
        """Take an order, or decline it."""
        if intent.client_order_id in self.by_client_id:
            if self.luck.strikes("post.resend_refused_otherwise"):
                raise Declined(403, 40310000, "insufficient qty available for order")
            raise Declined(422, 40010001, "client_order_id must be unique")
        if self.luck.strikes("post.refused"):
            self._decline(intent, 403, 40310000, "account is not eligible to trade this")
        if self.blocked:
            self._decline(intent, 403, 40310000, "account is restricted")
        if intent.side is Side.SELL and intent.qty > self.free(intent.symbol):
            self._decline(intent, 403, 40310000, "insufficient qty available for order")
        if intent.side is Side.BUY and intent.qty * self.ask(intent.symbol) > self.buying_power():
            self._decline(intent, 403, 40310000, "insufficient buying power")
        order = self._book(
            client_order_id=intent.client_order_id,
            symbol=intent.symbol,
            side=intent.side,
            qty=intent.qty,
            order_type=intent.order_type,
            limit_usd=intent.limit_price_usd,
        )
        if self.luck.strikes("post.hidden"):
            order.visible_at = self.clock_at() + timedelta(seconds=self.luck.seconds(0.5, 5))
        return order

    def stranger(self, symbol: str, side: Side, qty: Decimal) -> Order:
        """Somebody else orders on the same account."""
        return self._book(
            client_order_id=f"their-own-{len(self.orders)}",
            symbol=symbol,
            side=side,
            qty=qty,
            order_type=OrderType.MARKET,
            limit_usd=None,
        )

    def cancel(self, order_id: OrderId) -> None:
        """Ask to cancel. Raises Declined when it is over, KeyError when there is no such order."""
        order = self.orders[order_id]
        if not order.live:
            raise Declined(422, 42210000, f"order is already in {order.status.value} state")
        if self.is_open and not self.luck.strikes("cancel.pending"):
            self._end(order, BrokerStatus.CANCELED, "canceled")
            return
        self._change(order, BrokerStatus.PENDING_CANCEL, "pending_cancel")
        if not self.is_open:
            return
        if self.luck.strikes("cancel.overtaken"):
            self.agenda.after(self.luck.seconds(0.05, 2), lambda: self._execute(order, order.left))
        self.agenda.after(self.luck.seconds(0.1, 40), lambda: self._end(order, BrokerStatus.CANCELED, "canceled"))

    def replace_by_somebody(self, order: Order) -> None:
        """Somebody else replaces a live order."""
        successor = self._book(
            client_order_id=f"their-own-{len(self.orders)}",
            symbol=order.symbol,
            side=order.side,
            qty=order.left,
            order_type=order.order_type,
            limit_usd=order.limit_usd,
            fills=False,
        )
        order.replaced_by = successor.order_id
        self._end(order, BrokerStatus.REPLACED, "replaced")
        self.agenda.after(30, lambda: self._end(successor, BrokerStatus.CANCELED, "canceled"))

    def visible(self) -> Iterable[Order]:
        """What lists and look-ups show."""
        at = self.clock_at()
        return (order for order in self.orders.values() if order.visible_at <= at)

    def free(self, symbol: str) -> Decimal:
        """Shares that no open order holds."""
        held = self.holdings.get(symbol)
        asked = (order.left for order in self.orders.values() if order.live and self._sells(order, symbol))
        return (ZERO if held is None else held.qty) - sum(asked, ZERO)

    def buying_power(self) -> Decimal:
        """Twice the equity, less what is held and reserved."""
        reserved = sum(
            (
                order.left * self.ask(order.symbol)
                for order in self.orders.values()
                if order.live and order.side is Side.BUY
            ),
            ZERO,
        )
        return max(ZERO, 2 * self.equity() - self.long_value() - reserved)

    def long_value(self) -> Decimal:
        """USD of all positions."""
        return sum((held.qty * self.prices_usd[symbol] for symbol, held in self.holdings.items()), ZERO)

    def equity(self) -> Decimal:
        """USD."""
        return self.cash_usd + self.long_value()

    # -- what it shows -------------------------------------------------------------------------------------------

    def account_facts(self) -> AccountFacts:
        """GET /v2/account; cash may lag."""
        cash = (self.cash_usd - self.shown_cash_lag_usd).quantize(Decimal("0.01"))
        return AccountFacts(
            account_number="PA000000001",
            status="ACTIVE",
            cash_usd=cash,
            equity_usd=self.equity().quantize(Decimal("0.01")),
            last_equity_usd=self.begun_with_usd,
            buying_power_usd=self.buying_power().quantize(Decimal("0.01")),
            multiplier=Decimal(2),
            long_market_value_usd=self.long_value().quantize(Decimal("0.01")),
            short_market_value_usd=ZERO,
            trading_blocked=self.blocked,
            account_blocked=False,
        )

    def positions(self) -> tuple[PositionFacts, ...]:
        """GET /v2/positions."""
        return tuple(
            PositionFacts(
                symbol=symbol,
                qty=held.qty,
                qty_available=self.free(symbol),
                avg_entry_price_usd=self.prices_usd[symbol],
                current_price_usd=self.prices_usd[symbol],
                market_value_usd=held.qty * self.prices_usd[symbol],
            )
            for symbol, held in self.holdings.items()
            if held.qty
        )

    def clock(self) -> ClockFacts:
        """GET /v2/clock."""
        return ClockFacts(
            at=self.clock_at(), is_open=self.is_open, next_open=self.next_open, next_close=self.next_close
        )

    def assets(self, symbols: Iterable[str]) -> tuple[AssetFacts, ...]:
        """GET /v2/assets."""
        return tuple(
            AssetFacts(
                symbol=symbol,
                status="inactive" if symbol in self.dead_assets else "active",
                tradable=symbol not in self.dead_assets,
                fractionable=True,
            )
            for symbol in symbols
        )

    def quotes(self, symbols: Iterable[str]) -> tuple[QuoteFacts, ...]:
        """Latest quotes."""
        return tuple(
            QuoteFacts(
                symbol=symbol,
                bid_usd=self.prices_usd[symbol] * (1 - SPREAD),
                ask_usd=self.ask(symbol),
                last_usd=self.prices_usd[symbol],
                at=self.clock_at(),
            )
            for symbol in symbols
        )

    # -- inside --------------------------------------------------------------------------------------------------

    @staticmethod
    def _sells(order: Order, symbol: str) -> bool:
        return order.side is Side.SELL and order.symbol == symbol

    def _decline(self, intent: OrderIntent, status_code: int, code: int, message: str) -> None:
        self.declined[intent.client_order_id] = self.declined.get(intent.client_order_id, 0) + 1
        raise Declined(status_code, code, message)

    def _book(
        self,
        *,
        client_order_id: str,
        symbol: str,
        side: Side,
        qty: Decimal,
        order_type: OrderType,
        limit_usd: Decimal | None,
        fills: bool = True,
    ) -> Order:
        at = self.clock_at()
        order = Order(
            order_id=OrderId(f"order-{len(self.orders) + 1}"),
            client_order_id=client_order_id,
            symbol=symbol,
            side=side,
            qty=qty,
            order_type=order_type,
            time_in_force=TimeInForce.DAY,
            limit_usd=limit_usd,
            status=BrokerStatus.PENDING_NEW if self.is_open else BrokerStatus.ACCEPTED,
            submitted_at=at,
            visible_at=at,
            updated_at=at,
        )
        self.orders[order.order_id] = order
        self.by_client_id[client_order_id] = order
        self.on_frame(Frame("pending_new", order.facts(), None, None, None, at))
        if fills and self.is_open:
            self._plan_fills(order)
        return order

    def _plan_fills(self, order: Order) -> None:
        """Decide what becomes of an order while the market is open."""
        luck, agenda = self.luck, self.agenda
        agenda.after(luck.seconds(0.001, 0.02), lambda: self._open(order))
        if luck.strikes("order.rejected"):
            agenda.after(luck.seconds(0.01, 3), lambda: self._end(order, BrokerStatus.REJECTED, "rejected"))
            return
        if luck.strikes("order.never_fills"):
            return
        if luck.strikes("order.replaced"):
            agenda.after(luck.seconds(0.1, 5), lambda: order.live and self.replace_by_somebody(order))
            return
        takes = luck.seconds(3, 45) if luck.strikes("order.slow") else luck.seconds(0.003, 0.6)
        ends_short = next(
            (
                end
                for end in (BrokerStatus.CANCELED, BrokerStatus.EXPIRED, BrokerStatus.DONE_FOR_DAY)
                if luck.strikes(f"order.{end.value}")
            ),
            None,
        )
        if ends_short is not None:
            part = (order.left / 2).to_integral_value() if luck.strikes("order.partial_before_end") else ZERO
            if part:
                agenda.after(takes / 2, lambda: self._execute(order, part))
            agenda.after(takes, lambda: self._end(order, ends_short, ends_short.value))
            return
        if luck.strikes("*order.in_parts") and order.left > 1:
            part = (order.left / 3).to_integral_value()
            agenda.after(takes / 3, lambda: self._execute(order, part))
        agenda.after(takes, lambda: self._execute(order, order.left))

    def _open(self, order: Order) -> None:
        if order.live and order.status in {BrokerStatus.PENDING_NEW, BrokerStatus.ACCEPTED}:
            self._change(order, BrokerStatus.NEW, "new")

    def _execute(self, order: Order, qty: Decimal) -> None:
        qty = min(qty, order.left)
        if not order.live or qty <= 0 or not self.is_open:
            return
        slip = Decimal(self.luck.choose(10)) / 2500
        price = self.prices_usd[order.symbol]
        price *= (1 - SPREAD - slip) if order.side is Side.SELL else (1 + SPREAD + slip)
        price = price.quantize(Decimal("0.0001"))
        if order.limit_usd is not None:
            price = min(price, order.limit_usd) if order.side is Side.BUY else max(price, order.limit_usd)
        order.filled_qty += qty
        order.value_usd += qty * price
        order.executions += 1
        held = self.holdings.setdefault(order.symbol, Holding(ZERO, ZERO))
        signed = qty if order.side is Side.BUY else -qty
        held.qty += signed
        self.cash_usd -= signed * price
        if order.side is Side.SELL and self.luck.strikes("cash.lags"):
            self._lag(qty * price)
        whole = order.left == 0
        status = BrokerStatus.FILLED if whole else order.status
        if not whole and order.status is not BrokerStatus.PENDING_CANCEL:
            status = BrokerStatus.PARTIALLY_FILLED
        if whole:
            order.filled_at = self.clock_at()
        execution = f"{order.order_id}-x{order.executions}"
        self.fills.append(
            FillFacts(
                activity_id=execution,
                order_id=order.order_id,
                symbol=order.symbol,
                side=order.side,
                qty=qty,
                price_usd=price,
                at=self.clock_at(),
                order_type="unknown",
            )
        )
        self._change(order, status, "fill" if whole else "partial_fill", execution=(execution, qty, price))

    def _lag(self, usd: Decimal) -> None:
        self.shown_cash_lag_usd += usd

        def catch_up() -> None:
            self.shown_cash_lag_usd -= usd

        self.agenda.after(self.luck.seconds(0.2, 25), catch_up)

    def bust(self, order: Order) -> None:
        """Take an execution back; the order's own figures stay, as people must look anyway."""
        at = self.clock_at()
        self.on_frame(Frame("trade_bust", order.facts(), f"{order.order_id}-x1", order.filled_qty, None, at))

    def _end(self, order: Order, status: BrokerStatus, event: str) -> None:
        if order.live:
            self._change(order, status, event)

    def _change(
        self,
        order: Order,
        status: BrokerStatus,
        event: str,
        execution: tuple[str, Decimal, Decimal] | None = None,
    ) -> None:
        order.status = status
        order.updated_at = max(self.clock_at(), order.updated_at)
        name, qty, price = execution or (None, None, None)
        self.on_frame(Frame(event, order.facts(), name, qty, price, order.updated_at))


def known(exchange: Exchange, prefix: str) -> Mapping[str, Order]:
    """Orders whose client_order_id begins so."""
    return {name: order for name, order in exchange.by_client_id.items() if name.startswith(prefix)}
