"""Drives one run through the machine by hand: answers what it asks, with orders and money that the test decides on."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from departments.executive.execution import Step, advance
from departments.executive.phases import Held, Phase, Queued
from departments.executive.run import Leg, Run
from departments.office.settings import Settings
from messages.control import BeginRun, DayTally, Deadline, DeadlinePassed
from messages.envelope import Outgoing
from messages.message import Message, RunMessage
from messages.orders import (
    Evidence,
    OrderNotSent,
    OrderStatus,
    OrderUpdated,
    PlaceOrders,
    RequestSnapshot,
    SnapshotReady,
)
from messages.plans import Plan
from messages.proposals import BuysFitted, FitBuys
from messages.reviews import Decision, LegDecision, PlanReviewed, ReviewPlan
from messages.snapshots import (
    AccountFacts,
    BrokerStatus,
    ClockFacts,
    OrderFacts,
    PositionFacts,
    Snapshot,
)
from messages.values import Funding, LegId, OrderId, SellShortfall, Side, client_order_id_for
from tests.builders.plans import NOW, a_plan, an_approval, run_id_of, some_settings
from tests.builders.portfolio import history as a_history

PRICE = Decimal(100)
CASH = Decimal(1000)
BROKER_STATUS = {
    OrderStatus.OPEN: BrokerStatus.NEW,
    OrderStatus.PARTIALLY_FILLED: BrokerStatus.PARTIALLY_FILLED,
    OrderStatus.FILLED: BrokerStatus.FILLED,
    OrderStatus.CANCELED: BrokerStatus.CANCELED,
    OrderStatus.EXPIRED: BrokerStatus.EXPIRED,
    OrderStatus.REJECTED: BrokerStatus.REJECTED,
    OrderStatus.REPLACED: BrokerStatus.REPLACED,
}
MessageT = TypeVar("MessageT", bound=Message)


def a_run(plan: Plan | None = None, **more: Any) -> Run:
    """A run as the CEO accepts it."""
    plan = a_plan() if plan is None else plan
    fields: dict[str, Any] = {
        "run_id": run_id_of(plan),
        "plan": plan,
        "approval": an_approval(plan),
        "shortfall": plan.sell_shortfall or SellShortfall.HOLD,
        "funding": plan.funding or Funding.PROCEEDS,
        "legs": tuple(Leg(trade=trade, qty=trade.qty) for trade in plan.trades),
        "accepted_at": NOW,
        "expires_at": NOW + timedelta(days=1),
    }
    return Run(**(fields | more))


def an_update(run: Run, leg: str, status: OrderStatus, filled: Any = None, **more: Any) -> OrderUpdated:
    """Word of an order, by REST unless said otherwise."""
    found = run.leg(LegId(leg))
    assert found is not None
    qty = found.qty if status is OrderStatus.FILLED and filled is None else Decimal(filled or 0)
    at_broker = status in BROKER_STATUS
    fields: dict[str, Any] = {
        "run_id": run.run_id,
        "leg": leg,
        "client_order_id": client_order_id_for(run.run_id, leg, found.attempt),
        "order_id": OrderId(f"order-{leg}") if at_broker else None,
        "status": status,
        "evidence": Evidence.REST if at_broker or status is OrderStatus.REFUSED else Evidence.NONE,
        "filled_qty": qty,
        "filled_avg_price_usd": PRICE if qty else None,
        "submitted_at": NOW if at_broker else None,
        "filled_at": NOW if status is OrderStatus.FILLED else None,
        "as_of": NOW,
    }
    return OrderUpdated(**(fields | more))


def facts_of(run: Run, leg: Leg) -> OrderFacts | None:
    """The order behind a leg as Alpaca would list it; None where there is none."""
    order = leg.order
    if order is None or order.status not in BROKER_STATUS:
        return None
    entry = OrderFacts(
        order_id=order.order_id or OrderId("?"),
        client_order_id=run.client_order_id(leg),
        symbol=leg.trade.symbol,
        side=leg.trade.side,
        qty=leg.qty or leg.trade.qty,
        filled_qty=order.filled_qty,
        filled_avg_price_usd=order.filled_avg_price_usd,
        status=BROKER_STATUS[order.status],
        raw_status=BROKER_STATUS[order.status].value,
        order_type="market",
        time_in_force="day",
        submitted_at=NOW,
        as_of=NOW,
    )
    if leg.trade.stop_loss_usd is None or order.status is not OrderStatus.FILLED:
        return entry
    stands = {"order_id": OrderId(f"stop of {entry.order_id}"), "client_order_id": "alpacas-own", "side": Side.SELL}
    stands |= {"order_type": "stop", "status": BrokerStatus.NEW, "raw_status": "new", "filled_qty": Decimal(0)}
    return entry.model_copy(update={"legs": (entry.model_copy(update=stands),)})


def a_snapshot(run: Run, **changes: Any) -> Snapshot:
    """The account as it is when everything that the run's legs say is true. Parts may be changed by name.

    `cash`, `is_open`, `closes_in_s` and `blocked` stand for themselves.
    """
    cash = changes.pop("cash", CASH + run.proceeds_usd - run.spent_usd)
    is_open = changes.pop("is_open", True)
    closes_in = timedelta(seconds=changes.pop("closes_in_s", 3600))
    blocked = changes.pop("blocked", False)
    listed = tuple(facts for leg in run.legs if (facts := facts_of(run, leg)) is not None)
    fields: dict[str, Any] = {
        "begun_at": NOW,
        "account": AccountFacts(
            account_number="PA1",
            status="ACTIVE",
            cash_usd=cash,
            equity_usd=Decimal(100_000),
            last_equity_usd=Decimal(100_000),
            buying_power_usd=Decimal(200_000),
            multiplier=Decimal(2),
            long_market_value_usd=Decimal(0),
            short_market_value_usd=Decimal(0),
            trading_blocked=blocked,
            account_blocked=False,
        ),
        "positions": positions_after(run),
        "open_orders": (),
        "run_orders": listed,
        "clock": ClockFacts(at=NOW, is_open=is_open, next_open=NOW + timedelta(minutes=5), next_close=NOW + closes_in),
        "assets": (),
        "quotes": (),
    }
    return Snapshot(**(fields | changes))


def positions_after(run: Run) -> tuple[PositionFacts, ...]:
    """What is held after the run's executions, where what was to be sold was held before."""
    held = {leg.trade.symbol: leg.trade.qty - leg.filled_qty for leg in run.sells}
    held |= {leg.trade.symbol: leg.filled_qty for leg in run.buys}
    return tuple(
        PositionFacts(
            symbol=symbol,
            qty=qty,
            qty_available=qty,
            avg_entry_price_usd=PRICE,
            current_price_usd=PRICE,
            market_value_usd=qty * PRICE,
        )
        for symbol, qty in held.items()
        if qty
    )


@dataclass
class Driver:
    """One run, the clock, and everything the machine said."""

    phase: Phase
    settings: Settings = field(default_factory=some_settings)
    now: datetime = NOW
    sent: list[Outgoing] = field(default_factory=list)
    last: Step | None = None

    @classmethod
    def of(cls, plan: Plan | None = None, settings: Settings | None = None, **run: Any) -> "Driver":
        """A run that waits for its turn."""
        return cls(Queued(run=a_run(plan, **run)), settings or some_settings())

    @property
    def run(self) -> Run:
        """The run as it is now."""
        return self.phase.run

    def tell(self, event: RunMessage) -> Step:
        """Let the machine take an event."""
        step = advance(self.phase, event, self.now, self.settings)
        self.phase, self.last = step.phase, step
        self.sent.extend(step.outgoing)
        return step

    def all_sent(self, kind: type[MessageT]) -> list[MessageT]:
        """Everything of a kind that was sent so far."""
        return [mail.message for mail in self.sent if isinstance(mail.message, kind)]

    def last_sent(self, kind: type[MessageT]) -> MessageT:
        """The newest of a kind."""
        return self.all_sent(kind)[-1]

    def events(self) -> list[str]:
        """The log lines of the last step."""
        assert self.last is not None
        return [note.event for note in self.last.notes]

    # -- what others answer ----------------------------------------------------------------------------------------

    def begin(self, tally: DayTally | None = None) -> "Driver":
        """It is the run's turn."""
        self.tell(BeginRun(run_id=self.run.run_id, plan_id=self.run.plan.plan_id, tally=tally))
        return self

    def look(self, **changes: Any) -> "Driver":
        """Trading answers the newest ask, with a history in which nothing happened where one is asked for."""
        ask = self.last_sent(RequestSnapshot)
        history = a_history(read_at=self.now) if ask.history else None
        snapshot = a_snapshot(self.run, **changes)
        self.tell(
            SnapshotReady(run_id=self.run.run_id, ask=ask.ask, purpose=ask.purpose, snapshot=snapshot, history=history)
        )
        return self

    def review(self, drop: tuple[str, ...] = (), **changes: Any) -> "Driver":
        """Compliance lets everything pass but what is named."""
        ask = self.last_sent(ReviewPlan)
        fields: dict[str, Any] = {
            "run_id": self.run.run_id,
            "review": ask.review,
            "snapshot_id": ask.snapshot.snapshot_id,
            "rejected": False,
            "legs": decisions(ask.trades, drop),
        }
        self.tell(PlanReviewed(**(fields | changes)))
        return self

    def fit(self, drop: tuple[str, ...] = (), **changes: Any) -> "Driver":
        """Operations fits everything but what is named."""
        ask = self.last_sent(FitBuys)
        fields: dict[str, Any] = {
            "run_id": self.run.run_id,
            "fit": ask.fit,
            "snapshot_id": ask.snapshot.snapshot_id,
            "legs": decisions(ask.trades, drop),
        }
        self.tell(BuysFitted(**(fields | changes)))
        return self

    def order(self, leg: str, status: OrderStatus, filled: Any = None, **more: Any) -> "Driver":
        """Trading tells of an order."""
        self.tell(an_update(self.run, leg, status, filled, **more))
        return self

    def fill(self, *legs: str) -> "Driver":
        """These legs fill whole, by REST."""
        for leg in legs:
            self.order(leg, OrderStatus.FILLED)
        return self

    def not_sent(self, leg: str, reason: Any) -> "Driver":
        """The last door hands a leg back."""
        found = self.run.leg(LegId(leg))
        assert found is not None
        name = self.run.client_order_id(found)
        self.tell(OrderNotSent(run_id=self.run.run_id, leg=leg, client_order_id=name, reason=reason, detail="shut"))
        return self

    def timer(self, deadline: Deadline, leg: str | None = None, token: int | None = None) -> "Driver":
        """A timer of the current tick falls due."""
        current = self.run.tick if token is None else token
        passed = DeadlinePassed(run_id=self.run.run_id, deadline=deadline, token=current, leg=leg, due_at=self.now)
        self.tell(passed)
        return self

    # -- how far ---------------------------------------------------------------------------------------------------

    def to_selling(self) -> "Driver":
        """The SELLs are handed over."""
        return self.begin().look().review()

    def to_gate(self) -> "Driver":
        """The SELLs are filled and proved; the cash doesn't show it yet."""
        self.to_selling().fill(*(leg.leg for leg in self.run.sells))
        return self.look(cash=CASH)

    def to_fitting(self) -> "Driver":
        """The gate is open."""
        self.to_selling().fill(*(leg.leg for leg in self.run.sells))
        return self.look()

    def to_rechecking(self) -> "Driver":
        """The BUYs are fitted."""
        return self.to_fitting().fit()

    def to_buying(self) -> "Driver":
        """The BUYs are handed over."""
        return self.to_rechecking().review()

    def to_verifying(self) -> "Driver":
        """Everything is filled."""
        return self.to_buying().fill(*(leg.leg for leg in self.run.buys))

    def placed(self, side: Side) -> list[list[str]]:
        """The legs of every order list of a side, in order."""
        return [[i.leg for i in orders.intents] for orders in self.all_sent(PlaceOrders) if orders.side is side]


def decisions(trades: Any, drop: tuple[str, ...] = ()) -> tuple[LegDecision, ...]:
    """Keep what is asked about, drop what is named."""
    return tuple(
        LegDecision(
            leg=trade.leg,
            decision=Decision.DROP if trade.leg in drop else Decision.KEEP,
            planned_qty=trade.qty,
            qty=Decimal(0) if trade.leg in drop else trade.qty,
        )
        for trade in trades
    )


def held_for(phase: Phase) -> list[str]:
    """Why a run is held, outermost first."""
    reasons = []
    while isinstance(phase, Held):
        reasons.append(phase.reason.value)
        phase = phase.resume_to
    return reasons
