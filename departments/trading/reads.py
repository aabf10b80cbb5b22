"""The desk's reads: one order, the run's orders, a whole snapshot whose parts are read side by side and joined.

A part that can't be read fails the snapshot; nothing is made up. A 429 is asked again a few times first.
"""

import math
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from departments.office.department import Note
from departments.trading.broker import (
    Broker,
    BrokerError,
    BrokerUnavailable,
    Listing,
    OrdersQuery,
    RateLimited,
    next_page,
)
from departments.trading.looks import (
    AssetCache,
    OrdersHorizon,
    joined,
    live_orders,
    live_orders_of_others,
    orders_of_run,
)
from departments.trading.pacing import Kind
from departments.trading.turns import Job, Turns
from messages.broker import (
    FetchFailed,
    FetchOrder,
    FetchOrders,
    FetchSnapshot,
    OrderAnswered,
    OrderMissing,
    OrdersFetched,
    SnapshotFetched,
)
from messages.envelope import Envelope
from messages.message import Message
from messages.orders import SnapshotPurpose
from messages.snapshots import AssetFacts, OrderFacts, Snapshot, SnapshotPart

MOST_TRIES = 3
"""A read that is refused with a 429 goes again so often."""
MOST_PAGES = 40
"""Of orders; 20,000 orders since the start of a run are no account of ours."""


class _Look:
    """A snapshot being put together by several threads."""

    def __init__(self, envelope: Envelope, call: FetchSnapshot) -> None:
        self.envelope = envelope
        self.call = call
        self.error: BrokerError | None = None
        self.begun_at: datetime | None = None
        self.values: dict[str, Any] = {}
        self.pending = set(call.parts)


class Reads:
    """Reads for the desk. Thread-safe.

    Args:
        turns: The queue.
        answer: Records an answer and delivers it.
        clock: Store's clock.
        note: Where lines for the log go.
    """

    def __init__(
        self,
        *,
        turns: Turns,
        answer: Callable[[Envelope, Message], None],
        clock: Callable[[], datetime],
        note: Callable[[Note], None],
    ) -> None:
        self._turns = turns
        self._answer = answer
        self._clock = clock
        self._note = note
        self._lock = threading.Lock()
        self._horizon = OrdersHorizon()
        self._assets = AssetCache()

    def warm(self) -> None:
        """Ask for what every run needs, before there is one: the broker's time, live orders, today's assets."""
        self._turns.put(Kind.READ, self._warm_orders)
        self._turns.put(Kind.READ, self._warm_assets)

    def order(self, envelope: Envelope, call: FetchOrder) -> None:
        """Look an order up by its client_order_id."""

        def work(broker: Broker, job: Job) -> None:
            try:
                order = self._turns.ask(job, broker, lambda client: client.order_by_client_id(call.client_order_id))
            except BrokerError as error:
                if not self._goes_again(job, error):
                    self._fail(envelope, FetchFailed(run_id=call.run_id, call="order", leg=call.leg, **_why(error)))
                return
            if order is None:
                missing = OrderMissing(run_id=call.run_id, leg=call.leg, client_order_id=call.client_order_id)
                self._answer(envelope, missing)
            else:
                self._answer(envelope, OrderAnswered(run_id=call.run_id, leg=call.leg, order=order))

        self._turns.put(Kind.PROOF, work)

    def orders(self, envelope: Envelope, call: FetchOrders) -> None:
        """List the run's orders and live orders of others on its symbols."""

        def work(broker: Broker, job: Job) -> None:
            try:
                listed = self._list(broker, job, call.after, call.symbols)
            except BrokerError as error:
                if not self._goes_again(job, error):
                    self._fail(envelope, FetchFailed(run_id=call.run_id, call="orders", **_why(error)))
                return
            fetched = OrdersFetched(
                run_id=call.run_id,
                run_orders=orders_of_run(listed, call.run_id),
                other_orders=live_orders_of_others(listed, call.run_id, call.symbols),
            )
            self._answer(envelope, fetched)

        self._turns.put(Kind.PROOF, work)

    def snapshot(self, envelope: Envelope, call: FetchSnapshot) -> None:
        """Read every part on whichever thread is free and answer once."""
        look = _Look(envelope, call)
        kind = Kind.PROOF if call.purpose is SnapshotPurpose.GATE else Kind.READ
        if not look.pending:
            look.begun_at = self._clock()
            self._finish(look)
        for part in sorted(look.pending):
            self._turns.put(kind, partial(self._part, look, part), market_data=part is SnapshotPart.QUOTES)

    # A snapshot's parts

    def _part(self, look: _Look, part: SnapshotPart, broker: Broker, job: Job) -> None:
        with self._lock:
            given_up = look.error is not None
            look.begun_at = look.begun_at or self._clock()
        values: dict[str, Any] = {}
        error: BrokerError | None = None
        if given_up:
            self._turns.give_back(job)
        else:
            try:
                values = self._read(look.call, part, broker, job)
            except BrokerError as failure:
                if self._goes_again(job, failure):
                    return
                error = failure
        with self._lock:
            look.values.update(values)
            look.error = look.error or error
            look.pending.discard(part)
            is_last = not look.pending
        if is_last:
            self._finish(look)

    def _finish(self, look: _Look) -> None:
        call = look.call
        if look.error is not None:
            failed = FetchFailed(
                run_id=call.run_id, call="snapshot", ask=call.ask, purpose=call.purpose, **_why(look.error)
            )
            self._fail(look.envelope, failed)
            return
        snapshot = Snapshot(begun_at=look.begun_at, **look.values)
        fetched = SnapshotFetched(run_id=call.run_id, ask=call.ask, purpose=call.purpose, snapshot=snapshot)
        self._answer(look.envelope, fetched)

    def _read(self, call: FetchSnapshot, part: SnapshotPart, broker: Broker, job: Job) -> dict[str, Any]:
        """Read one part; the fields of `Snapshot` that it fills."""
        match part:
            case SnapshotPart.ACCOUNT:
                return {"account": self._turns.ask(job, broker, lambda client: client.account())}
            case SnapshotPart.POSITIONS:
                return {"positions": self._turns.ask(job, broker, lambda client: client.positions())}
            case SnapshotPart.ORDERS:
                listed = self._list(broker, job, call.run_orders_after)
                return {"open_orders": live_orders(listed), "run_orders": orders_of_run(listed, call.run_id)}
            case SnapshotPart.CLOCK:
                clock = self._turns.ask(job, broker, lambda client: client.clock())
                with self._lock:
                    self._horizon.saw_clock(clock.at)
                return {"clock": clock}
            case SnapshotPart.ASSETS:
                return {"assets": self._read_assets(broker, job, call.symbols)}
            case SnapshotPart.QUOTES:
                if not call.symbols:
                    self._turns.give_back(job)
                    return {"quotes": ()}
                return {"quotes": self._turns.ask(job, broker, lambda client: client.quotes(call.symbols))}

    def _read_assets(self, broker: Broker, job: Job, symbols: Sequence[str]) -> tuple[AssetFacts, ...]:
        with self._lock:
            self._assets.turn_to(self._clock().date())
            missing = self._assets.missing(symbols)
            list_first = self._assets.wants_list(missing)
        has_slot = True
        if list_first:
            listed = self._turns.ask(job, broker, lambda client: client.assets())
            has_slot = False
            with self._lock:
                self._assets.learn_list(listed)
                missing = self._assets.missing(symbols)
        for symbol in missing:
            self._need_slot(job, has_slot=has_slot)
            has_slot = False
            asset = self._turns.ask(job, broker, partial(_asset, symbol=symbol))
            with self._lock:
                self._assets.learn(symbol, asset)
        if has_slot:
            self._turns.give_back(job)
        with self._lock:
            return self._assets.known(symbols)

    # Lists of orders

    def _list(self, broker: Broker, job: Job, after: datetime, symbols: tuple[str, ...] = ()) -> tuple[OrderFacts, ...]:
        """List all orders after a time and all live ones, of some symbols or (none given) of the account."""
        with self._lock:
            queries = self._horizon.queries(after, symbols)
            asked_at = self._horizon.broker_time
        listed = self._pages(broker, job, queries)
        if not symbols:
            with self._lock:
                self._horizon.saw_account(listed, asked_at=asked_at)
        return listed

    def _pages(
        self, broker: Broker, job: Job, queries: Sequence[OrdersQuery], *, has_slot: bool = True
    ) -> tuple[OrderFacts, ...]:
        pages: list[tuple[OrderFacts, ...]] = []
        for first in queries:
            query: OrdersQuery | None = first
            while query is not None:
                if len(pages) >= MOST_PAGES:
                    raise BrokerUnavailable(f"orders: expected at most {MOST_PAGES} pages, were more")
                self._need_slot(job, has_slot=has_slot)
                has_slot = False
                page = self._turns.ask(job, broker, partial(_orders, query=query))
                pages.append(page.orders)
                query = next_page(query, page)
        return joined(pages)

    # Before any run

    def _warm_orders(self, broker: Broker, job: Job) -> None:
        try:
            clock = self._turns.ask(job, broker, lambda client: client.clock())
            listed = self._pages(broker, job, (OrdersQuery(listing=Listing.OPEN),), has_slot=False)
        except BrokerError as error:
            self._note(Note("broker.not_warm", {"what": "orders", "why": str(error)}, "warning"))
            return
        with self._lock:
            self._horizon.saw_clock(clock.at)
            self._horizon.saw_account(listed, asked_at=clock.at)

    def _warm_assets(self, broker: Broker, job: Job) -> None:
        try:
            listed = self._turns.ask(job, broker, lambda client: client.assets())
        except BrokerError as error:
            self._note(Note("broker.not_warm", {"what": "assets", "why": str(error)}, "warning"))
            return
        with self._lock:
            self._assets.turn_to(self._clock().date())
            self._assets.learn_list(listed)

    # Small things

    def _need_slot(self, job: Job, *, has_slot: bool) -> None:
        if not has_slot and not self._turns.one_more(job):
            raise BrokerUnavailable("the desk is closing")

    def _goes_again(self, job: Job, error: BrokerError) -> bool:
        again = isinstance(error, RateLimited) and job.tries < MOST_TRIES
        if again:
            self._turns.again(job, 0.0)
        return again

    def _fail(self, envelope: Envelope, failed: FetchFailed) -> None:
        self._note(Note("broker.read_failed", {"call": failed.call, "why": failed.why}, "warning"))
        self._answer(envelope, failed)


def _asset(client: Broker, symbol: str) -> AssetFacts | None:
    return client.asset(symbol)


def _orders(client: Broker, query: OrdersQuery) -> Any:
    return client.orders(query)


def _why(error: BrokerError) -> dict[str, Any]:
    retry_after_s = error.retry_after_s if isinstance(error, RateLimited) else None
    return {"why": str(error)[:300], "retry_after_s": None if retry_after_s is None else math.ceil(retry_after_s)}
