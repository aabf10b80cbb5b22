"""The desk's reads: one order, the run's orders, a whole look whose parts are read side by side and joined.

A look is a snapshot and, where it is asked for, what went before it. The history begins once the broker's clock is
read, which says what day it is today: first the trading days, then the rest side by side. A part that can't be read
fails the look; nothing is made up. A 429 is asked again a few times first.
"""

import math
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
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
from departments.trading.histories import Histories
from departments.trading.looks import (
    AssetCache,
    OrdersHorizon,
    QuoteCache,
    joined,
    live_orders,
    live_orders_of_others,
    orders_of_run,
)
from departments.trading.pacing import Kind
from departments.trading.turns import Job, Requests, Turns
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
from messages.snapshots import AssetFacts, History, HistoryPart, OrderFacts, QuoteFacts, Snapshot, SnapshotPart

MOST_TRIES = 3
"""A read that is refused with a 429 goes again so often."""
MOST_PAGES = 40
"""Of orders; 20,000 orders since the start of a run are no account of ours."""
_STOCK = re.compile(r"[A-Z][A-Z0-9]{0,9}(\.[A-Z0-9]{1,5})?")
_MARKET_DATA = frozenset({SnapshotPart.QUOTES, HistoryPart.BARS})


class _Look:
    """A look being put together by several threads.

    Attributes:
        pending: Parts that are still to be read.
        waiting: Those among them that are not queued yet: they build on others.
    """

    def __init__(self, envelope: Envelope, call: FetchSnapshot) -> None:
        self.envelope = envelope
        self.call = call
        self.kind = Kind.GATE if call.purpose is SnapshotPurpose.GATE else Kind.READ
        self.error: BrokerError | None = None
        self.begun_at: datetime | None = None
        self.past_begun_at: datetime | None = None
        self.today: date | None = None
        self.values: dict[str, Any] = {}
        self.past: dict[str, Any] = {}
        self.waiting: set[HistoryPart] = {HistoryPart.DAYS, *call.history} if call.history else set()
        self.pending: set[SnapshotPart | HistoryPart] = {*call.parts, *self.waiting}

    def next_of_the_past(self) -> set[HistoryPart]:
        """Take the parts of the history whose ground is laid out of those that wait."""
        builds_on: set[SnapshotPart | HistoryPart] = {SnapshotPart.CLOCK}
        if HistoryPart.BARS in self.call.history:
            builds_on.add(SnapshotPart.POSITIONS)
        if HistoryPart.DAYS not in self.waiting:
            builds_on.add(HistoryPart.DAYS)
        if builds_on & self.pending:
            return set()
        ready = {HistoryPart.DAYS} if HistoryPart.DAYS in self.waiting else set(self.waiting)
        self.waiting -= ready
        return ready

    def give_up(self, error: BrokerError) -> None:
        """Take that a part could not be read: what waits is not read at all."""
        self.error = self.error or error
        self.pending -= self.waiting
        self.waiting.clear()


class Reads:
    """Reads for the desk. Thread-safe.

    Args:
        turns: The queue.
        answer: Records an answer and delivers it.
        clock: Store's clock.
        note: Where lines for the log go.
        gate_quote_age: Quotes read less than this before serve at the gate again.
    """

    def __init__(
        self,
        *,
        turns: Turns,
        answer: Callable[[Envelope, Message], None],
        clock: Callable[[], datetime],
        note: Callable[[Note], None],
        gate_quote_age: timedelta,
    ) -> None:
        self._turns = turns
        self._answer = answer
        self._clock = clock
        self._note = note
        self._lock = threading.Lock()
        self._horizon = OrdersHorizon()
        self._assets = AssetCache()
        self._quotes = QuoteCache()
        self._gate_quote_age = gate_quote_age
        self._past = Histories()

    def warm(self, history: Sequence[HistoryPart] = ()) -> None:
        """Ask for what every run needs, before there is one: the broker's time, live orders, today's assets, the past.

        Args:
            history: The parts of it that looks will ask for; bars are only known for a plan's symbols.
        """
        self._turns.put(Kind.READ, partial(self._warm, "orders", partial(self._warm_orders, history)))
        self._turns.put(Kind.READ, partial(self._warm, "assets", self._warm_assets))

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
                listed = self._list(Requests(self._turns, job, broker), call.after, call.symbols)
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
        if not look.pending:
            look.begun_at = self._clock()
            self._finish(look)
            return
        with self._lock:
            past = look.next_of_the_past()
        self._queue(look, call.parts)
        self._queue(look, past)

    # A look's parts

    def _queue(self, look: _Look, parts: Iterable[SnapshotPart | HistoryPart]) -> None:
        for part in sorted(parts):
            self._turns.put(look.kind, partial(self._part, look, part), market_data=part in _MARKET_DATA)

    def _part(self, look: _Look, part: SnapshotPart | HistoryPart, broker: Broker, job: Job) -> None:
        with self._lock:
            given_up = look.error is not None
            look.begun_at = look.begun_at or self._clock()
        requests = Requests(self._turns, job, broker)
        values: dict[str, Any] = {}
        past: dict[str, Any] = {}
        error: BrokerError | None = None
        try:
            if given_up:
                pass
            elif isinstance(part, SnapshotPart):
                values = self._read(look.call, part, requests)
            else:
                past = self._read_past(look, part, requests)
        except BrokerError as failure:
            if self._goes_again(job, failure):
                return
            error = failure
        finally:
            requests.over()
        with self._lock:
            look.values.update(values)
            look.past.update(past)
            look.pending.discard(part)
            if error is not None:
                look.give_up(error)
            following = look.next_of_the_past()
            is_last = not look.pending
        self._queue(look, following)
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
        fetched = SnapshotFetched(
            run_id=call.run_id,
            ask=call.ask,
            purpose=call.purpose,
            snapshot=Snapshot(begun_at=look.begun_at, **look.values),
            history=History(read_at=look.past_begun_at, **look.past) if call.history else None,
        )
        self._answer(look.envelope, fetched)

    def _read(self, call: FetchSnapshot, part: SnapshotPart, ask: Requests) -> dict[str, Any]:
        """Read one part; the fields of `Snapshot` that it fills."""
        match part:
            case SnapshotPart.ACCOUNT:
                return {"account": ask(lambda client: client.account())}
            case SnapshotPart.POSITIONS:
                return {"positions": ask(lambda client: client.positions())}
            case SnapshotPart.ORDERS:
                listed = self._list(ask, call.run_orders_after)
                return {"open_orders": live_orders(listed), "run_orders": orders_of_run(listed, call.run_id)}
            case SnapshotPart.CLOCK:
                clock = ask(lambda client: client.clock())
                with self._lock:
                    self._horizon.saw_clock(clock.at)
                return {"clock": clock}
            case SnapshotPart.ASSETS:
                return {"assets": self._read_assets(ask, call.symbols)}
            case SnapshotPart.QUOTES:
                return {"quotes": self._read_quotes(call, ask)}

    def _read_past(self, look: _Look, part: HistoryPart, ask: Requests) -> dict[str, Any]:
        """Read one part; the field of `History` that it fills."""
        if look.today is None:  # the days come before all others, and alone
            look.past_begun_at = self._clock()
            clock = look.values.get("clock") or ask(lambda client: client.clock())
            look.today = self._past.turn_to(clock.at)
        held = [one.symbol for one in look.values.get("positions") or () if one.qty and _STOCK.fullmatch(one.symbol)]
        found = self._past.read(part, look.today, (*look.call.symbols, *held), ask)
        return found if part in look.call.history else {}

    def _read_quotes(self, call: FetchSnapshot, ask: Requests) -> tuple[QuoteFacts, ...]:
        if not call.symbols:
            return ()
        begun_at = self._clock()
        if call.purpose is SnapshotPurpose.GATE:
            with self._lock:
                recent = self._quotes.recent(begun_at, call.symbols, self._gate_quote_age)
            if recent is not None:
                return recent
        quotes = ask(lambda client: client.quotes(call.symbols))
        with self._lock:
            self._quotes.learn(begun_at, call.symbols, quotes)
        return quotes

    def _read_assets(self, ask: Requests, symbols: Sequence[str]) -> tuple[AssetFacts, ...]:
        with self._lock:
            self._assets.turn_to(self._clock().date())
            missing = self._assets.missing(symbols)
            list_first = self._assets.wants_list(missing)
        if list_first:
            listed = ask(lambda client: client.assets())
            with self._lock:
                self._assets.learn_list(listed)
                missing = self._assets.missing(symbols)
        for symbol in missing:
            asset = ask(partial(_asset, symbol=symbol))
            with self._lock:
                self._assets.learn(symbol, asset)
        with self._lock:
            return self._assets.known(symbols)

    # Lists of orders

    def _list(self, ask: Requests, after: datetime, symbols: tuple[str, ...] = ()) -> tuple[OrderFacts, ...]:
        """List all orders after a time and all live ones, of some symbols or (none given) of the account."""
        with self._lock:
            queries = self._horizon.queries(after, symbols)
            asked_at = self._horizon.broker_time
        listed = self._pages(ask, queries)
        if not symbols:
            with self._lock:
                self._horizon.saw_account(listed, asked_at=asked_at)
        return listed

    @staticmethod
    def _pages(ask: Requests, queries: Sequence[OrdersQuery]) -> tuple[OrderFacts, ...]:
        pages: list[tuple[OrderFacts, ...]] = []
        for first in queries:
            query: OrdersQuery | None = first
            while query is not None:
                if len(pages) >= MOST_PAGES:
                    raise BrokerUnavailable(f"orders: expected at most {MOST_PAGES} pages, were more")
                page = ask(partial(_orders, query=query))
                pages.append(page.orders)
                query = next_page(query, page)
        return joined(pages)

    # Before any run

    def _warm(self, what: str, read: Callable[[Requests], None], broker: Broker, job: Job) -> None:
        requests = Requests(self._turns, job, broker)
        try:
            read(requests)
        except BrokerError as error:
            self._note(Note("broker.not_warm", {"what": what, "why": str(error)}, "warning"))
        finally:
            requests.over()

    def _warm_orders(self, history: Sequence[HistoryPart], ask: Requests) -> None:
        clock = ask(lambda client: client.clock())
        if history:
            self._turns.put(Kind.READ, partial(self._warm, "history", partial(self._warm_history, history, clock.at)))
        listed = self._pages(ask, (OrdersQuery(listing=Listing.OPEN),))
        with self._lock:
            self._horizon.saw_clock(clock.at)
            self._horizon.saw_account(listed, asked_at=clock.at)

    def _warm_assets(self, ask: Requests) -> None:
        listed = ask(lambda client: client.assets())
        with self._lock:
            self._assets.turn_to(self._clock().date())
            self._assets.learn_list(listed)

    def _warm_history(self, history: Sequence[HistoryPart], at: datetime, ask: Requests) -> None:
        today = self._past.turn_to(at)
        for part in HistoryPart:
            if part in history and part is not HistoryPart.BARS:
                self._past.read(part, today, (), ask)

    # Small things

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
