"""What Trading remembers: one entry a run, and one part for the account. Frozen; changed by replacing. Pure.

The two parts never write into each other. A closed run's mail isn't folded any more when the daemon starts, so a fact
of the account part may only come from account mail; what a run's mail finds out for the account, Trading writes to
itself (`WatchOrder`, `BrokerJudged`, `RunTrades`). The other way round account mail leaves every run's entry alone and
sends to the run what it means for it. It doesn't even read an entry: what it sends must replay to the same mail.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from departments.trading.orders import OrderRecord
from messages.orders import OrderIntent, SnapshotPurpose, StreamHealth
from messages.snapshots import HistoryPart, OrderFacts, SnapshotPart
from messages.values import ClientOrderId, LegId, OrderId, RunId, Symbol

BEFORE_ANY_CLOCK: Final = timedelta(days=1)
"""How far a list of orders looks back while the broker's clock has not been seen."""
LIST_SLACK: Final = timedelta(seconds=2)
"""Taken off the broker's own clock for lists of orders: each one more is paid for on the way to the BUYs.

An order of ours that fell out all the same is looked up by its id, and the gate stays shut meanwhile.
"""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def earlier(at: datetime, slack: timedelta) -> datetime:
    """Take slack off a time of the broker's; a zero time (year 1, as some services send) counts as 1970."""
    return max(at, _EPOCH) - slack


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotAsk:
    """The newest look that the CEO asked for.

    Attributes:
        waits_for: Legs whose orders must be terminal before it is fetched; empty once it was fetched.
        answered: It was brought; a second answer only counts as a look at orders.
        told: The reason the CEO was given last for having to wait.
        retry_token: The timer of the next try; None while none runs.
    """

    ask: int
    purpose: SnapshotPurpose
    parts: tuple[SnapshotPart, ...]
    symbols: tuple[Symbol, ...]
    history: tuple[HistoryPart, ...] = ()
    waits_for: tuple[LegId, ...] = ()
    answered: bool = False
    told: str | None = None
    retry_token: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrders:
    """One run.

    Attributes:
        records: In the order they were placed.
        symbols: Of its legs.
        orders_after: No order of the run was submitted before: broker's time, once the broker told any.
        broker_clock_at: The broker's clock as the newest snapshot told it; None before.
        watches_strangers: Orders were placed; a stranger that appears from now on is news.
        early: Frames about strangers that came before, the newest ones.
        known_orders: Alpaca's ids of orders that are not news: open before the run began, or children of ours.
        strangers: Alpaca's ids of strangers that the CEO knows.
        once: What was said and is not to be said again.
        tick_token: The reconcile timer; None while none runs.
        hurried: It was set to judge the stream, and comes no later than that needs.
        last_token: Timers set so far.
        listed_at: When the orders were listed last, store's clock.
        list_asked_at: When the list was asked for that is not here yet, store's clock.
        failed_reads: In a row.
    """

    run_id: RunId
    orders_after: datetime
    broker_clock_at: datetime | None = None
    records: Mapping[ClientOrderId, OrderRecord] = field(default_factory=dict)
    symbols: frozenset[str] = frozenset()
    ask: SnapshotAsk | None = None
    watches_strangers: bool = False
    early: tuple[OrderFacts, ...] = ()
    known_orders: frozenset[OrderId] = frozenset()
    strangers: frozenset[OrderId] = frozenset()
    once: frozenset[str] = frozenset()
    tick_token: int | None = None
    hurried: bool = False
    last_token: int = 0
    listed_at: datetime | None = None
    list_asked_at: datetime | None = None
    failed_reads: int = 0

    @property
    def is_settled(self) -> bool:
        """Nothing is left to find out about its orders."""
        return all(record.is_settled for record in self.records.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """An order that may still appear, perhaps after its run has ended.

    Attributes:
        not_before: As `OrderRecord.not_before`.
        until: Store's clock.
        order_id: Once it was seen and its cancel sent.
    """

    run_id: RunId
    intent: OrderIntent
    not_before: datetime | None
    until: datetime
    order_id: OrderId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPart:
    """What belongs to no run.

    Attributes:
        up_since: When the stream connected last, store's clock; None while it is down.
        down_because: Why the stream is down, in words; None while it isn't, or has not been heard of yet.
        open_runs: The symbols each open run trades: whom a reconnect or a stranger concerns.
        watch_token: The timer of the next look at what is watched; None while none runs.
        last_token: Timers set so far.
    """

    stream: StreamHealth = StreamHealth.DOWN
    up_since: datetime | None = None
    down_because: str | None = None
    rest_ok: bool = True
    watched: Mapping[ClientOrderId, Watch] = field(default_factory=dict)
    open_runs: Mapping[RunId, frozenset[str]] = field(default_factory=dict)
    watch_token: int | None = None
    last_token: int = 0


@dataclass(frozen=True, slots=True)
class TradingState:
    """All of it."""

    runs: Mapping[RunId, RunOrders] = field(default_factory=dict)
    account: AccountPart = AccountPart()


def begun_run(run_id: RunId, now: datetime) -> RunOrders:
    """Open a run's entry with its first mail."""
    return RunOrders(run_id=run_id, orders_after=now - BEFORE_ANY_CLOCK)
