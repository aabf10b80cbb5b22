"""One account at work: its book, the timers that move its orders, and who listens. The shell around `exchange.py`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final, Protocol
from uuid import UUID

from paper_alpaca import hours
from paper_alpaca.accounts import Account, Position
from paper_alpaca.exchange import Exchange, may_execute
from paper_alpaca.faults import Rule, bend
from paper_alpaca.figures import ZERO, micros
from paper_alpaca.market import Market, MarketClock
from paper_alpaca.matching import FillPlan, FillSettings, draw_plan, part_of, price_now, see_price
from paper_alpaca.orders import Happening, Order, Ticket
from paper_alpaca.past import last_close
from paper_alpaca.refusals import Refusal
from paper_alpaca.state import AccountState

_GTC_LIFE: Final = timedelta(days=90)
_ENDS: Final = {"cancel": "canceled", "expire": "expired"}
_IMMEDIATE: Final = frozenset({"ioc", "fok"})


class Listener(Protocol):
    """Whoever wants to hear what happens to the account's orders."""

    def update(self, happening: Happening) -> None:
        """Take what happened; it must be read at once, the order moves on."""


class Desk:
    """An account's orders over time.

    Attributes:
        record: What happened to each order: event, real time, and quantity and price of executions.
        begun_with: Equity at the beginning, USD.
        closes: Daily closes before it that are told, oldest first.
    """

    def __init__(self, key_id: str | None, secret_key: str | None) -> None:
        self.key_id = key_id
        self.secret_key = secret_key
        self.listeners: set[Listener] = set()
        self._generation = 0

    def begin(
        self, state: AccountState, *, number: int, seed: int, market: Market, clock: MarketClock, fills: FillSettings
    ) -> None:
        """Start from a state, forgetting whatever was before. Listeners stay."""
        self._generation += 1
        self._loop = asyncio.get_running_loop()
        self._seed = seed
        self.market = market
        self._clock = clock
        self._fills = fills
        self._counts: dict[tuple[str, str], int] = {}
        self.record: dict[str, list[tuple[str, datetime, Decimal | None, Decimal | None, str | None]]] = {}
        self.plans: dict[str, FillPlan] = {}
        self._lags: list[_Lag] = []
        # The account is the same after a reset; ids of orders and executions are new: no client sees one twice.
        ids = Random(f"{seed}:{number}:{self._generation}")  # noqa: S311 - repeatable on purpose
        account_id = Random(f"{seed}:{number}").getrandbits(128)  # noqa: S311 - as above
        now = clock.now(datetime.now(UTC))
        today = hours.new_york(now).date()
        account = Account(
            account_id=str(UUID(int=account_id, version=4)),
            number=f"PA3LOCAL{number:04d}",
            cash=state.cash,
            positions={h.symbol: Position(h.symbol, h.qty, h.qty * h.avg_entry_price) for h in state.holdings},
            created_at=micros(now - timedelta(days=365)),
            balance_asof=hours.day_before(today).isoformat(),
            shorting_enabled=state.shorting_enabled,
        )
        account.begin(market)
        self.begun_with, self.closes = account.last_equity, state.closes
        told = last_close(state.closes, today)
        account.last_equity = account.last_equity if told is None else told
        self.exchange = Exchange(account, market, ids, self._happened)
        self.exchange.remember(state.fills)

    @property
    def account(self) -> Account:
        """The account's money and positions."""
        return self.exchange.account

    def now(self) -> datetime:
        """Return market time."""
        return self._clock.now(datetime.now(UTC))

    # What clients ask for

    def submit(
        self, ticket: Ticket, received_at: datetime, rules: list[Rule], *, stranger: bool = False
    ) -> Order | Refusal:
        """Take an order and plan its fill, or refuse it."""
        now = self._clock.now(received_at)
        order = self.exchange.place(
            ticket,
            now,
            received_at=received_at,
            is_open=self._clock.is_open,
            expires_at=self._expiry(ticket, now),
            stranger=stranger,
        )
        if isinstance(order, Refusal):
            return order
        plan = self.plan_fill(order)
        bend(plan, rules)
        for leg in order.legs:
            self.plan_fill(leg)
        if order.status == "pending_new":
            self._later(0, self._acknowledge, order)
        return order

    def cancel(self, order: Order, rules: list[Rule]) -> Refusal | None:
        """Take a cancel; it is done a moment later, unless the order fills first or a rule keeps it stuck."""
        refusal = self.exchange.request_cancel(order, self.now())
        if refusal is not None:
            return refusal
        plan = self.plans[order.order_id]
        if any(rule.do == "stuck_cancel" for rule in rules):
            plan.held_back = plan.stuck_cancel = plan.is_bent = True
        else:
            self._later(float(self._fills.delay_ms[0]) / 1000, self._end, order, "canceled")
        return None

    def replace(self, order: Order, ticket: Ticket, qty: Decimal | None, received_at: datetime) -> Order | Refusal:
        """Take a replacement; which of the two orders lives shows a moment later."""
        new = self.exchange.begin_replace(order, ticket, qty, self.now(), received_at=received_at)
        if isinstance(new, Refusal):
            return new
        plan = self.plan_fill(new)
        self._later(plan.delay_s, self._finish_replace, order, new)
        return new

    # What the market does

    def price_moved(self, symbol: str) -> None:
        """Let every live order of the symbol see its new last price."""
        for order in list(self.exchange.live.values()):
            if order.symbol == symbol:
                self._work(order)

    def market_opened(self) -> None:
        """Acknowledge what was queued and go on with what was resting."""
        now = self.now()
        for order in list(self.exchange.live.values()):
            if order.status == "accepted":
                if order.replaces is None:
                    self._acknowledge(order)
            elif order.status == "done_for_day":
                self.exchange.force(order, "new", now)
            else:
                self._work(order)

    def market_closed(self) -> None:
        """Execute orders for the close and let DAY orders expire; those queued for the next session stay."""
        now = self.now()
        for order in list(self.exchange.live.values()):
            if not order.is_live:
                continue
            last = self.market.last.get(order.symbol)
            if order.ticket.time_in_force == "cls" and may_execute(order) and last is not None:
                price = price_now(order, last, ZERO)
                if price is not None:
                    self.execute(order, order.remaining(price), price, now)
                    continue
            if order.ticket.time_in_force in {"day", "cls"} and order.status not in {"accepted", "held"}:
                self.exchange.end(order, "expired", now)

    def release(self) -> None:
        """Let go of every order that a fault rule bent: it fills at the last price, a stuck cancel gets done.

        Proceeds that a rule held back show at once.
        """
        for lag in [lag for lag in self._lags if lag.by_rule]:
            self._show_cash(lag)
        for order_id, plan in list(self.plans.items()):
            if plan.is_cash_bent:
                plan.is_cash_bent, plan.cash_delay_s = False, float(self._fills.cash_delay_ms) / 1000
            if not plan.is_bent:
                continue
            stuck = plan.stuck_cancel
            plan.is_bent = plan.held_back = plan.stuck_cancel = False
            plan.fraction, plan.then, plan.reject = None, "fill", None
            plan.slippage_bps, plan.delay_s = ZERO, 0.0
            order = self.exchange.orders[order_id]
            if stuck and order.status == "pending_cancel":
                self._end(order, "canceled")
            elif may_execute(order):
                plan.ready = True
                self._work(order)

    # Inside

    def plan_fill(self, order: Order) -> FillPlan:
        """Draw a plan by what the order is, not by when it came: requests in parallel stay repeatable."""
        key = (order.symbol, order.side)
        count = self._counts[key] = self._counts.get(key, 0) + 1
        rng = Random(f"{self._seed}:{order.symbol}:{order.side}:{count}")  # noqa: S311 - repeatable on purpose
        plan = self.plans[order.order_id] = draw_plan(self._fills, rng)
        return plan

    def _acknowledge(self, order: Order) -> None:
        plan = self.plans[order.order_id]
        if plan.reject is not None:
            self._later(plan.delay_s, self._reject, order)
        else:
            self.exchange.acknowledge(order, self.now())

    def _reject(self, order: Order) -> None:
        plan = self.plans[order.order_id]
        if plan.reject is None:  # the rule was cleared meanwhile
            self.exchange.acknowledge(order, self.now())
        else:
            self.exchange.end(order, "rejected", self.now(), plan.reject)

    def _ready(self, order: Order) -> None:
        plan = self.plans[order.order_id]
        plan.ready = True
        if plan.held_back and plan.then in _ENDS and order.is_live:
            self._end(order, _ENDS[plan.then])
        else:
            self._work(order)

    def _work(self, order: Order) -> None:
        """Execute what can be executed now."""
        plan, ticket = self.plans[order.order_id], order.ticket
        last = self.market.last.get(order.symbol)
        if not may_execute(order) or not plan.ready or plan.held_back or last is None:
            return
        if ticket.time_in_force == "cls" or not (self._clock.is_open or ticket.extended_hours):
            return
        now = self.now()
        see_price(order, last)
        price = price_now(order, last, plan.slippage_bps)
        left = ZERO if price is None else order.remaining(price)
        if price is None or left <= 0:
            if ticket.time_in_force in _IMMEDIATE or (price is not None and left <= 0):
                self.exchange.end(order, "canceled", now)
            return
        if plan.fraction is None or (ticket.time_in_force == "fok" and not plan.is_bent):
            self.execute(order, left, price, now)
            return
        part = part_of(left, plan.fraction)
        plan.fraction = None
        if part:
            self.execute(order, part, price, now)
        if plan.then in _ENDS:
            self._end(order, _ENDS[plan.then])
        elif plan.then == "rest":
            plan.held_back = True
        elif ticket.time_in_force == "ioc" and part:
            self._end(order, "canceled")
        else:
            plan.ready = False
            self._later(plan.delay_s, self._ready, order)

    def execute(self, order: Order, qty: Decimal, price: Decimal, now: datetime) -> None:
        """Execute shares of an order; a plan may keep a SELL's proceeds out of sight for a while."""
        plan = self.plans[order.order_id]
        if order.side == "sell" and plan.cash_delay_s:
            self.account.lagging += qty * price
            lag = _Lag(qty * price, by_rule=plan.is_cash_bent)
            self._lags.append(lag)
            self._later(plan.cash_delay_s, self._show_cash, lag)
        self.exchange.execute(order, qty, price, now)

    def _show_cash(self, lag: "_Lag") -> None:
        if lag in self._lags:
            self._lags.remove(lag)
            self.account.lagging -= lag.amount

    def _end(self, order: Order, status: str) -> None:
        self.exchange.end(order, status, self.now())

    def _finish_replace(self, old: Order, new: Order) -> None:
        self.exchange.finish_replace(old, new, self.now())

    def _expiry(self, ticket: Ticket, now: datetime) -> datetime | None:
        if ticket.time_in_force in _IMMEDIATE:
            return None
        end = self._clock.next_close(now).astimezone(UTC)
        return end + _GTC_LIFE if ticket.time_in_force == "gtc" else end

    def _happened(self, happening: Happening) -> None:
        order, execution = happening.order, happening.execution
        self.record.setdefault(order.order_id, []).append(
            (
                happening.event,
                datetime.now(UTC),
                None if execution is None else execution.qty,
                None if execution is None else execution.price,
                happening.reason,
            )
        )
        if happening.event == "new":
            self._later(None, self._start, order)
        for listener in self.listeners:
            listener.update(happening)

    def _start(self, order: Order) -> None:
        """Let an armed order's delay begin. Runs in a turn of its own: its plan may be drawn after the event."""
        self._later(self.plans[order.order_id].delay_s, self._ready, order)

    def _later(self, delay_s: float | None, call: Callable[..., None], *args: Any) -> None:
        """Call in so many seconds, or in the loop's next turn for None or 0; never after a reset."""
        generation = self._generation

        def run() -> None:
            if generation == self._generation:
                call(*args)

        if delay_s:
            self._loop.call_later(delay_s, run)
        else:
            self._loop.call_soon(run)


@dataclass(eq=False, slots=True)
class _Lag:
    """Proceeds on their way to be seen."""

    amount: Decimal
    by_rule: bool
