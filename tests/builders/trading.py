"""Builders for Trading's mail, and a harness that handles it: the world in one thread, with a clock we drive."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from departments.office.department import Note
from departments.office.settings import Settings, TradingSettings
from departments.trading.department import TradingDepartment
from departments.trading.orders import OrderRecord
from departments.trading.state import AccountPart, RunOrders, TradingState
from messages.broker import (
    DoorClosed,
    OrderAnswered,
    OrderMissing,
    OrderRefused,
    OrdersFetched,
    OrderStreamed,
    OutcomeUnknown,
    SnapshotFetched,
    StrangerStreamed,
)
from messages.control import AccountDeadlinePassed, Deadline, DeadlinePassed
from messages.envelope import Envelope, Outgoing
from messages.message import Message
from messages.orders import (
    CancelOrders,
    NotSentReason,
    OrderIntent,
    OrderUpdated,
    PlaceOrders,
    RequestSnapshot,
    SnapshotPurpose,
)
from messages.snapshots import BrokerStatus, ClockFacts, OrderFacts, Snapshot, SnapshotPart
from messages.values import (
    ClientOrderId,
    LegId,
    OrderId,
    Recipient,
    RunId,
    Side,
    TimeInForce,
    client_order_id_for,
    run_id_for,
)

NOON = datetime(2025, 11, 10, 12, tzinfo=UTC)
"""Store's clock when a test begins."""
BROKER_NOON = datetime(2024, 7, 1, 15, tzinfo=UTC)
"""The broker's clock then: it may be apart by any amount."""
RUN = run_id_for("paper", "a")
OTHER_RUN = run_id_for("paper", "b")
SETTINGS = Settings(firm={"accounts": {}}, trading=TradingSettings())  # type: ignore[arg-type]  # pydantic makes the model

MessageT = TypeVar("MessageT", bound=Message)


def an_intent(leg: str = "S01", *, run: RunId = RUN, attempt: int = 1, **changes: Any) -> OrderIntent:
    side = Side.SELL if leg.startswith("S") else Side.BUY
    symbol = {"S01": "CTVA", "S02": "DVN", "S03": "EXE", "B01": "COMM", "B02": "ALKS"}.get(leg, "PLD")
    given = {
        "leg": LegId(leg),
        "client_order_id": client_order_id_for(run, leg, attempt),
        "symbol": symbol,
        "side": side,
        "qty": Decimal(100),
    }
    return OrderIntent(**{**given, **changes})


def facts(
    intent: OrderIntent,
    status: BrokerStatus | str = BrokerStatus.NEW,
    filled: int | str = 0,
    *,
    at_s: float = 1,
    **changes: Any,
) -> OrderFacts:
    """What the broker shows of an order; `at_s` counts from BROKER_NOON."""
    status = BrokerStatus(status)
    as_of = BROKER_NOON + timedelta(seconds=at_s)
    qty = Decimal(filled)
    given = {
        "order_id": OrderId(f"id-{intent.client_order_id}"),
        "client_order_id": intent.client_order_id,
        "symbol": intent.symbol,
        "side": intent.side,
        "qty": intent.qty,
        "filled_qty": qty,
        "filled_avg_price_usd": Decimal("64.64") if qty else None,
        "status": status,
        "raw_status": status.value,
        "order_type": "market",
        "time_in_force": intent.time_in_force.value,
        "submitted_at": BROKER_NOON,
        "filled_at": as_of if status is BrokerStatus.FILLED else None,
        "as_of": as_of,
    }
    return OrderFacts(**{**given, **changes})


def a_strangers_order(symbol: str = "CTVA", order_id: str = "stranger-1", **changes: Any) -> OrderFacts:
    given = {"client_order_id": ClientOrderId("by-hand"), "order_id": OrderId(order_id)}
    return facts(an_intent("S01", symbol=symbol), **{**given, **changes})


def a_snapshot(
    *,
    open_orders: Iterable[OrderFacts] | None = (),
    run_orders: Iterable[OrderFacts] | None = (),
    clock_s: float | None = 0,
    begun_at: datetime = NOON,
) -> Snapshot:
    at = None if clock_s is None else BROKER_NOON + timedelta(seconds=clock_s)
    return Snapshot(
        begun_at=begun_at,
        open_orders=None if open_orders is None else tuple(open_orders),
        run_orders=None if run_orders is None else tuple(run_orders),
        clock=None if at is None else ClockFacts(at=at, is_open=True, next_open=at, next_close=at + timedelta(hours=4)),
    )


def place(*intents: OrderIntent, run: RunId = RUN) -> PlaceOrders:
    return PlaceOrders(run_id=run, side=intents[0].side, intents=intents)


def answered(shown: OrderFacts, *, leg: str = "S01", run: RunId = RUN) -> OrderAnswered:
    return OrderAnswered(run_id=run, leg=LegId(leg), order=shown)


def streamed(
    shown: OrderFacts, event: str = "new", *, execution: str | None = None, qty: int | None = None, run: RunId = RUN
) -> OrderStreamed:
    return OrderStreamed(
        run_id=run,
        event=event,
        order=shown,
        execution_id=execution,
        qty=None if qty is None else Decimal(qty),
        price_usd=None if qty is None else Decimal("64.64"),
        at=shown.as_of,
    )


def fetched(*shown: OrderFacts, others: Iterable[OrderFacts] = (), run: RunId = RUN) -> OrdersFetched:
    return OrdersFetched(run_id=run, run_orders=shown, other_orders=tuple(others))


def stranger(shown: OrderFacts, event: str = "new") -> StrangerStreamed:
    return StrangerStreamed(event=event, order=shown, at=shown.as_of)


def refused(intent: OrderIntent, *, resend: bool = False, run: RunId = RUN, **changes: Any) -> OrderRefused:
    given = {"status_code": 403, "code": 40310000, "message": "insufficient buying power"}
    return OrderRefused(
        run_id=run, leg=intent.leg, client_order_id=intent.client_order_id, resend=resend, **{**given, **changes}
    )


def unknown(intent: OrderIntent, call: str = "submit", *, run: RunId = RUN) -> OutcomeUnknown:
    return OutcomeUnknown(run_id=run, leg=intent.leg, client_order_id=intent.client_order_id, call=call, why="timeout")


def missing(intent: OrderIntent, *, run: RunId = RUN) -> OrderMissing:
    return OrderMissing(run_id=run, leg=intent.leg, client_order_id=intent.client_order_id)


def door_closed(intent: OrderIntent, *, resend: bool = False, run: RunId = RUN) -> DoorClosed:
    return DoorClosed(
        run_id=run,
        leg=intent.leg,
        client_order_id=intent.client_order_id,
        resend=resend,
        reason=NotSentReason.HALTED,
        detail="halted by the operator",
    )


def cancel(*legs: str, run: RunId = RUN) -> CancelOrders:
    return CancelOrders(run_id=run, legs=tuple(LegId(leg) for leg in legs), reason="buy_timeout")


def ask(
    number: int = 1,
    purpose: SnapshotPurpose = SnapshotPurpose.RECEIVED,
    symbols: tuple[str, ...] = ("CTVA", "COMM"),
    *,
    run: RunId = RUN,
) -> RequestSnapshot:
    parts = (SnapshotPart.ACCOUNT, SnapshotPart.ORDERS, SnapshotPart.CLOCK)
    return RequestSnapshot(run_id=run, ask=number, purpose=purpose, parts=parts, symbols=symbols)


def brought(
    snapshot: Snapshot, number: int = 1, purpose: SnapshotPurpose = SnapshotPurpose.RECEIVED, *, run: RunId = RUN
) -> SnapshotFetched:
    return SnapshotFetched(run_id=run, ask=number, purpose=purpose, snapshot=snapshot)


@dataclass
class Desk:
    """Hands mail to Trading and keeps what comes of it; mail to itself goes back in, timers when they are due."""

    now: datetime = NOON
    state: TradingState = field(default_factory=TradingState)
    sent: list[tuple[Recipient, Message]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    timers: list[tuple[datetime, Message]] = field(default_factory=list)
    journal: list[tuple[Message, datetime, tuple[Outgoing, ...]]] = field(default_factory=list)
    settings: Settings = SETTINGS
    seq: int = 0

    def give(self, *messages: Message, after_s: float = 0) -> list[tuple[Recipient, Message]]:
        """Handle messages, and at once what Trading writes to itself. Returns what went to others."""
        self.now += timedelta(seconds=after_s)
        before = len(self.sent)
        waiting = list(messages)
        while waiting:
            waiting[0:1] = self._handle(waiting[0])
        return self.sent[before:]

    def _handle(self, message: Message) -> list[Message]:
        self.seq += 1
        envelope = Envelope(
            seq=self.seq,
            message_id=str(self.seq),
            sender="test",
            recipient=Recipient.TRADING,
            sent_at=self.now,
            message=message,
        )
        handled = TradingDepartment().handle(self.state, envelope, self.now, self.settings)
        self.journal.append((message, self.now, handled.outgoing))
        self.state = handled.state
        self.notes += handled.notes
        to_self = []
        for outgoing in handled.outgoing:
            if outgoing.due_at is not None:
                self.timers.append((outgoing.due_at, outgoing.message))
            elif outgoing.recipient is Recipient.TRADING:
                to_self.append(outgoing.message)
            else:
                self.sent.append((outgoing.recipient, outgoing.message))
        return to_self

    def wait(self, seconds: float, answer: Callable[[Message], Iterable[Message]] | None = None) -> None:
        """Let time pass: timers fall due in order; `answer` plays the broker for each call made meanwhile."""
        end = self.now + timedelta(seconds=seconds)
        while self.timers and min(self.timers, key=lambda timer: timer[0])[0] <= end:
            timer = min(self.timers, key=lambda one: one[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            for recipient, call in self.give(timer[1]):
                if answer is not None and recipient is Recipient.BROKER:
                    self.give(*answer(call))
        self.now = end

    def all_of(self, kind: type[MessageT]) -> list[MessageT]:
        return [message for _, message in self.sent if isinstance(message, kind)]

    def last_update(self, intent: OrderIntent) -> OrderUpdated:
        return [one for one in self.all_of(OrderUpdated) if one.client_order_id == intent.client_order_id][-1]

    def noted(self, event: str) -> list[Note]:
        return [note for note in self.notes if note.event == event]

    def timers_of(self, deadline: Deadline) -> list[tuple[datetime, Message]]:
        return [
            timer
            for timer in self.timers
            if isinstance(timer[1], DeadlinePassed | AccountDeadlinePassed) and timer[1].deadline is deadline
        ]

    @property
    def run(self) -> RunOrders:
        return self.state.runs[RUN]

    @property
    def account(self) -> AccountPart:
        return self.state.account

    def record(self, intent: OrderIntent) -> OrderRecord:
        return self.run.records[intent.client_order_id]


def kinds(sent: Iterable[tuple[Recipient, Message]]) -> list[str]:
    return [type(message).__name__ for _, message in sent]


def of_kind(sent: Iterable[tuple[Recipient, Message]], kind: type[MessageT]) -> list[MessageT]:
    return [message for _, message in sent if isinstance(message, kind)]


GTC = TimeInForce.GTC
