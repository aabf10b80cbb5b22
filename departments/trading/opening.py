"""Waiting for the market: the broker's clock is looked at again and again, and each run is answered once.

A weekend is 30,000 looks. None of them is mail: a run's call lies in the desk's inbox, asked and unanswered, until the
clock says that the market can be used; a restart finds it there and looks on. Only what people should know meanwhile is
mail as well: that the clock can't be read, once an outage.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial

from departments.office.settings import Settings
from departments.rulebook.hours import look_again_in_s, why_closed
from departments.trading.broker import Broker, BrokerError
from departments.trading.health import FAILURES_TO_TELL
from departments.trading.pacing import Kind
from departments.trading.turns import Job, Turns
from messages.broker import BrokerJudged, FetchSnapshot, SnapshotFetched, StopWatching
from messages.envelope import Envelope
from messages.message import Message
from messages.snapshots import Snapshot
from messages.values import RunId


class Opening:
    """The desk's watch over the broker's clock. Thread-safe.

    Args:
        turns: The queue; every look takes its turn as a read.
        settings: `executive.market_poll_s` and `executive.min_time_to_close_s` are read.
        now: Store's clock.
        answer: Records an answer and delivers it.
        drop: Notes a call as done that nobody waits for any more.
        judge: Tells Trading whether the clock could be read, when that has changed.
    """

    def __init__(
        self,
        *,
        turns: Turns,
        settings: Settings,
        now: Callable[[], datetime],
        answer: Callable[[Envelope, Message], None],
        drop: Callable[[Envelope], None],
        judge: Callable[[BrokerJudged], None],
    ) -> None:
        self._turns = turns
        self._poll_s = settings.executive.market_poll_s
        self._min_time_to_close_s = settings.executive.min_time_to_close_s
        self._now = now
        self._answer = answer
        self._drop = drop
        self._judge = judge
        self._lock = threading.Lock()
        self._waiting: dict[RunId, tuple[Envelope, FetchSnapshot]] = {}
        self._round = 0
        self._failures = 0
        self._is_told = False

    def wait(self, envelope: Envelope, call: FetchSnapshot) -> None:
        """Look now, and on until the market can be used. An earlier call of the same run is dropped."""
        with self._lock:
            before = self._waiting.get(call.run_id)
            self._waiting[call.run_id] = (envelope, call)
            self._round += 1
            look = partial(self._look, self._round)
        if before is not None:
            self._drop(before[0])
        self._turns.put(Kind.READ, look)

    def stop(self, envelope: Envelope, call: StopWatching) -> None:
        """The run waits no longer."""
        with self._lock:
            waiting = self._waiting.pop(call.run_id, None)
        if waiting is not None:
            self._drop(waiting[0])
        self._drop(envelope)

    def _look(self, number: int, broker: Broker, job: Job) -> None:
        with self._lock:
            is_over = number != self._round or not self._waiting
        if is_over:  # a later call looks on, or nobody waits
            self._turns.give_back(job)
            return
        begun_at = self._now()
        try:
            clock = self._turns.ask(job, broker, lambda client: client.clock())
        except BrokerError as error:
            self._unread(str(error))
            self._turns.again(job, self._poll_s)
            return
        self._read()
        if why_closed(clock, self._min_time_to_close_s) is not None:
            self._turns.again(job, look_again_in_s(clock, self._poll_s))
            return
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        snapshot = Snapshot(begun_at=begun_at, clock=clock)
        for envelope, call in waiting.values():
            fetched = SnapshotFetched(run_id=call.run_id, ask=call.ask, purpose=call.purpose, snapshot=snapshot)
            self._answer(envelope, fetched)

    def _unread(self, why: str) -> None:
        self._failures += 1
        if self._failures >= FAILURES_TO_TELL and not self._is_told:
            self._is_told = True
            self._judge(BrokerJudged(stream=None, rest_ok=False, detail=why))

    def _read(self) -> None:
        self._failures = 0
        if self._is_told:
            self._is_told = False
            self._judge(BrokerJudged(stream=None, rest_ok=True, detail="REST answers again"))
