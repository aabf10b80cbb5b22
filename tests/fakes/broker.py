"""A broker in memory that mirrors the port: what it promises, and every way in which it can fail.

`FakeExchange` is the account at the broker; `FakeBroker` is one client of it. Failures are planned by call:
`exchange.plan("submit", OutcomeUnknown("timeout"), taken=True)`. Held to the adapter by
`tests/contracts/test_broker_port.py`.
"""

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from departments.trading.broker import (
    FILLS_PAGE_LIMIT,
    ORDERS_PAGE_LIMIT,
    Broker,
    BrokerError,
    BrokerRefused,
    CancelReply,
    FillsPage,
    FillsQuery,
    Listing,
    OrdersPage,
    OrdersQuery,
    RateSeen,
)
from messages.broker import CancelOutcome
from messages.new_york import day_in_new_york, from_new_york
from messages.orders import OrderIntent
from messages.snapshots import (
    TERMINAL_BROKER_STATUSES,
    AccountFacts,
    AssetFacts,
    BarFacts,
    BrokerStatus,
    ClockFacts,
    EquityDay,
    FillFacts,
    OrderFacts,
    PositionFacts,
    QuoteFacts,
    TradingDay,
)
from messages.values import ClientOrderId, OrderId, Side

OPENED = datetime(2026, 10, 8, 13, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Planned:
    """A failure to come. `taken`: the call has its effect nevertheless, only the answer is lost."""

    error: BrokerError
    taken: bool = False


@dataclass
class FakeExchange:
    """The account at the broker. Orders fill at once, at their price, unless `fills` is False.

    Attributes:
        holidays: Weekdays on which the market stays closed.
        equity: Daily closes; None: every trading day closed at what the account is worth now.
        bars: Daily bars.
        executions: What was executed, before and now.
        calls: Every call that arrived, in order: its name and what it was about.
        before: Run inside each call, outside the lock: a test blocks or looks on here.
    """

    prices: dict[str, Decimal] = field(default_factory=dict)
    shares: dict[str, Decimal] = field(default_factory=dict)
    cash_usd: Decimal = Decimal(100_000)
    fills: bool = True
    is_open: bool = True
    now: datetime = OPENED + timedelta(hours=1)
    inactive: frozenset[str] = frozenset()
    page_limit: int = ORDERS_PAGE_LIMIT
    fills_page_limit: int = FILLS_PAGE_LIMIT
    holidays: frozenset[date] = frozenset()
    equity: dict[date, Decimal] | None = None
    bars: list[BarFacts] = field(default_factory=list)
    executions: list[FillFacts] = field(default_factory=list)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    orders: dict[ClientOrderId, OrderFacts] = field(default_factory=dict)
    before: Callable[[str, Any], None] = lambda _name, _about: None
    rate_seen: RateSeen | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    planned: Mapping[str, deque[Planned]] = field(default_factory=lambda: defaultdict(deque))

    def client(self) -> "FakeBroker":
        """A client of this account."""
        return FakeBroker(self)

    def plan(self, call: str, error: BrokerError, *, times: int = 1, taken: bool = False) -> None:
        """Let the next calls of that name fail."""
        self.planned[call].extend([Planned(error, taken)] * times)

    def count(self, call: str) -> int:
        """How many calls of that name arrived."""
        with self.lock:
            return sum(1 for name, _ in self.calls if name == call)

    def tick(self) -> datetime:
        """Let a little time pass; no two orders share an instant."""
        self.now += timedelta(milliseconds=1)
        return self.now

    def place(self, intent: OrderIntent, *, fills: bool | None = None) -> OrderFacts:
        """Take an order, whoever sends it."""
        at = self.tick()
        order = OrderFacts(
            order_id=OrderId(f"order-{len(self.orders) + 1}"),
            client_order_id=intent.client_order_id,
            symbol=intent.symbol,
            side=intent.side,
            qty=intent.qty,
            filled_qty=Decimal(0),
            filled_avg_price_usd=None,
            status=BrokerStatus.NEW,
            raw_status="new",
            order_type=intent.order_type.value,
            time_in_force=intent.time_in_force.value,
            limit_price_usd=intent.limit_price_usd,
            submitted_at=at,
            as_of=at,
        )
        self.orders[order.client_order_id] = order
        if self.fills if fills is None else fills:
            self.fill(order.client_order_id)
        return order

    def fill(self, client_order_id: ClientOrderId) -> OrderFacts:
        """Fill an order whole, now."""
        with self.lock:
            order = self.orders[client_order_id]
            qty = order.qty or Decimal(0)
            price = self.prices[order.symbol]
            sign = 1 if order.side is Side.BUY else -1
            self.shares[order.symbol] = self.shares.get(order.symbol, Decimal(0)) + sign * qty
            self.cash_usd -= sign * qty * price
            at = self.tick()
            self.executions.append(an_execution(len(self.executions) + 1, order, qty, price, at))
            return self.change(
                client_order_id,
                status=BrokerStatus.FILLED,
                filled_qty=qty,
                filled_avg_price_usd=price,
                filled_at=at,
            )

    def change(self, client_order_id: ClientOrderId, *, status: BrokerStatus, **facts: Any) -> OrderFacts:
        """Let an order become something else, now."""
        with self.lock:
            update = {"status": status, "raw_status": status.value, "as_of": self.tick(), **facts}
            order = self.orders[client_order_id].model_copy(update=update)
            self.orders[client_order_id] = order
            return order


def an_execution(number: int, order: OrderFacts, qty: Decimal, price_usd: Decimal, at: datetime) -> FillFacts:
    """An execution as the account's activities tell it."""
    return FillFacts(
        activity_id=f"{at:%Y%m%d%H%M%S%f}::{number:06}",
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        qty=qty,
        price_usd=price_usd,
        at=at,
        order_type="unknown",
    )


class FakeBroker(Broker):
    """One client."""

    def __init__(self, exchange: FakeExchange) -> None:
        self.exchange = exchange
        self.closed = False

    @property
    def rate_seen(self) -> RateSeen | None:
        return self.exchange.rate_seen

    def warm(self) -> None:
        if self.exchange.planned["warm"]:
            raise self.exchange.planned["warm"].popleft().error

    def submit(self, intent: OrderIntent, departed: Callable[[], None]) -> OrderFacts:
        return self._call("submit", intent, lambda: self._submit(intent), departed)

    def cancel(self, order_id: OrderId) -> CancelReply:
        return self._call("cancel", order_id, lambda: self._cancel(order_id))

    def order_by_client_id(self, client_order_id: ClientOrderId) -> OrderFacts | None:
        return self._call("order", client_order_id, lambda: self.exchange.orders.get(client_order_id))

    def orders(self, query: OrdersQuery) -> OrdersPage:
        return self._call("orders", query, lambda: self._orders(query))

    def account(self) -> AccountFacts:
        return self._call("account", None, self._account)

    def positions(self) -> tuple[PositionFacts, ...]:
        return self._call("positions", None, self._positions)

    def clock(self) -> ClockFacts:
        return self._call("clock", None, self._clock)

    def assets(self) -> tuple[AssetFacts, ...]:
        return self._call("assets", None, lambda: tuple(map(self._asset, self._active())))

    def asset(self, symbol: str) -> AssetFacts | None:
        known = {*self.exchange.prices, *self.exchange.inactive}
        return self._call("asset", symbol, lambda: self._asset(symbol) if symbol in known else None)

    def quotes(self, symbols: tuple[str, ...]) -> tuple[QuoteFacts, ...]:
        return self._call("quotes", symbols, lambda: self._quotes(symbols))

    def trading_days(self, first: date, last: date) -> tuple[TradingDay, ...]:
        return self._call("trading_days", (first, last), lambda: tuple(self._trading_days(first, last)))

    def fills(self, query: FillsQuery) -> FillsPage:
        return self._call("fills", query, lambda: self._fills(query))

    def equity_days(self, first: date, last: date) -> tuple[EquityDay, ...]:
        return self._call("equity_days", (first, last), lambda: tuple(self._equity_days(first, last)))

    def daily_bars(self, symbols: tuple[str, ...], first: date, last: date) -> tuple[BarFacts, ...]:
        found = [bar for bar in self.exchange.bars if bar.symbol in symbols and first <= bar.day <= last]
        return self._call("daily_bars", symbols, lambda: tuple(sorted(found, key=lambda bar: (bar.symbol, bar.day))))

    def close(self) -> None:
        self.closed = True

    def _call(
        self, name: str, about: Any, effect: Callable[[], Any], departed: Callable[[], None] = lambda: None
    ) -> Any:
        exchange = self.exchange
        with exchange.lock:
            exchange.calls.append((name, about))
            failure = exchange.planned[name].popleft() if exchange.planned[name] else None
        departed()
        exchange.before(name, about)
        with exchange.lock:
            if failure is not None and not failure.taken:
                raise failure.error
            answer = effect()
            if failure is not None:
                raise failure.error
            return answer

    def _submit(self, intent: OrderIntent) -> OrderFacts:
        exchange = self.exchange
        if intent.client_order_id in exchange.orders:
            raise BrokerRefused(422, 40010001, "client_order_id must be unique")
        if intent.symbol not in exchange.prices:
            raise BrokerRefused(422, 42210000, f'asset "{intent.symbol}" not found')
        held = exchange.shares.get(intent.symbol, Decimal(0))
        if intent.side is Side.SELL and held < intent.qty:
            message = f"insufficient qty available for order (requested: {intent.qty}, available: {held})"
            raise BrokerRefused(403, 40310000, message)
        return exchange.place(intent)

    def _cancel(self, order_id: OrderId) -> CancelReply:
        exchange = self.exchange
        for order in exchange.orders.values():
            if order.order_id == order_id:
                if order.status in TERMINAL_BROKER_STATUSES:
                    words = f'order is already in "{order.raw_status}" state'
                    return CancelReply(CancelOutcome.NOT_CANCELABLE, words)
                exchange.change(order.client_order_id, status=BrokerStatus.CANCELED)
                return CancelReply(CancelOutcome.ACCEPTED, "")
        return CancelReply(CancelOutcome.MISSING, f"order not found for {order_id}")

    def _orders(self, query: OrdersQuery) -> OrdersPage:
        found = sorted(self.exchange.orders.values(), key=lambda order: order.submitted_at)
        listed = [
            order
            for order in found
            if (query.after is None or order.submitted_at > query.after)
            and (not query.symbols or order.symbol in query.symbols)
            and (query.listing is Listing.ALL or order.status not in TERMINAL_BROKER_STATUSES)
        ][: self.exchange.page_limit]
        is_full = len(listed) == self.exchange.page_limit
        return OrdersPage(tuple(listed), ORDERS_PAGE_LIMIT if is_full else len(listed))

    def _trading_days(self, first: date, last: date) -> Iterator[TradingDay]:
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            if day.weekday() < 5 and day not in self.exchange.holidays:
                opens_at, closes_at = (from_new_york(day, at) for at in (time(9, 30), time(16)))
                yield TradingDay(day=day, opens_at=opens_at, closes_at=closes_at)

    def _fills(self, query: FillsQuery) -> FillsPage:
        after = None if query.after is None else query.after.replace(microsecond=0)
        found = sorted(
            (one for one in self.exchange.executions if after is None or one.at > after),
            key=lambda one: one.activity_id,
        )
        listed = [one for one in found if query.page_token is None or one.activity_id > query.page_token]
        page = tuple(listed[: self.exchange.fills_page_limit])
        return FillsPage(page, FILLS_PAGE_LIMIT if len(page) == self.exchange.fills_page_limit else len(page))

    def _equity_days(self, first: date, last: date) -> Iterator[EquityDay]:
        now_usd, equity = self._account().equity_usd, self.exchange.equity
        last = min(last, day_in_new_york(self.exchange.now))
        for one in self._trading_days(first, last):
            if equity is None or one.day in equity:
                yield EquityDay(day=one.day, equity_usd=now_usd if equity is None else equity[one.day])

    def _account(self) -> AccountFacts:
        exchange = self.exchange
        long_usd = sum((qty * exchange.prices[symbol] for symbol, qty in exchange.shares.items()), Decimal(0))
        return AccountFacts(
            account_number="PA3FAKE00001",
            status="ACTIVE",
            cash_usd=exchange.cash_usd,
            equity_usd=exchange.cash_usd + long_usd,
            last_equity_usd=exchange.cash_usd + long_usd,
            buying_power_usd=max(exchange.cash_usd, Decimal(0)),
            regt_buying_power_usd=max(exchange.cash_usd, Decimal(0)),
            multiplier=Decimal(1),
            long_market_value_usd=long_usd,
            short_market_value_usd=Decimal(0),
            trading_blocked=False,
            account_blocked=False,
        )

    def _positions(self) -> tuple[PositionFacts, ...]:
        exchange = self.exchange
        return tuple(
            PositionFacts(
                symbol=symbol,
                qty=qty,
                qty_available=qty,
                avg_entry_price_usd=exchange.prices[symbol],
                current_price_usd=exchange.prices[symbol],
                market_value_usd=qty * exchange.prices[symbol],
            )
            for symbol, qty in sorted(exchange.shares.items())
            if qty
        )

    def _clock(self) -> ClockFacts:
        close = OPENED + timedelta(hours=6.5)
        return ClockFacts(
            at=self.exchange.tick(),
            is_open=self.exchange.is_open,
            next_open=OPENED + timedelta(days=1),
            next_close=close,
        )

    def _active(self) -> list[str]:
        return [symbol for symbol in sorted(self.exchange.prices) if symbol not in self.exchange.inactive]

    def _asset(self, symbol: str) -> AssetFacts:
        status = "inactive" if symbol in self.exchange.inactive else "active"
        return AssetFacts(symbol=symbol, status=status, tradable=status == "active", fractionable=True)

    def _quotes(self, symbols: tuple[str, ...]) -> tuple[QuoteFacts, ...]:
        exchange = self.exchange
        return tuple(
            QuoteFacts(
                symbol=symbol,
                bid_usd=exchange.prices[symbol],
                ask_usd=exchange.prices[symbol],
                last_usd=exchange.prices[symbol],
                at=exchange.now,
            )
            for symbol in symbols
            if symbol in exchange.prices
        )
