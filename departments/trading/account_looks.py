"""The desk's looks at the account for no run: each waits until the broker's clock has come so far, then reads.

The newest ask alone is wanted: an older one that still waits is put away without an answer. The clock is read again and
again, since it is the broker's that counts; reads that fail are made again, each new reason said once.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from departments.office.department import Note
from departments.trading.broker import Broker, BrokerError
from departments.trading.pacing import Kind
from departments.trading.position_look import PositionLook, calendar
from departments.trading.reader_in_turn import ReaderInTurn
from departments.trading.turns import Job, Requests, Turns
from messages.broker import AccountFetched, FetchAccount
from messages.envelope import Envelope
from messages.message import Message
from messages.snapshots import Snapshot, TradingDay

SHORTEST_WAIT_S = 0.05
DAYS_BACK = timedelta(days=7)
"""Of the calendar that is told: the reviews of a session that is over are settled by its own day."""


class AccountLooks:
    """Looks for no run. Thread-safe.

    Args:
        turns: The queue.
        answer: Records what became of a call, and delivers it.
        clock: Store's clock.
        note: Where lines for the log go.
        poll_s: The longest between two readings of the broker's clock, and between two attempts.
        look: Reads the positions.
    """

    def __init__(
        self,
        *,
        turns: Turns,
        answer: Callable[[Envelope, Message | None], None],
        clock: Callable[[], datetime],
        note: Callable[[Note], None],
        poll_s: float,
        look: PositionLook,
    ) -> None:
        self._turns = turns
        self._answer = answer
        self._clock = clock
        self._note = note
        self._poll_s = poll_s
        self._look = look
        self._lock = threading.Lock()
        self._newest = 0
        self._told: str | None = None

    def take(self, envelope: Envelope, call: FetchAccount) -> None:
        """Begin to wait; the ones before are not wanted any more."""
        with self._lock:
            self._newest = max(self._newest, call.ask)
        self._turns.put(Kind.READ, partial(self._work, envelope, call))

    def _work(self, envelope: Envelope, call: FetchAccount, broker: Broker, job: Job) -> None:
        requests = Requests(self._turns, job, broker)
        fetched: AccountFetched | None = None
        try:
            if call.ask >= self._newest:
                fetched = self._read(call, ReaderInTurn(requests), job)
                if fetched is None:
                    return
        except BrokerError as error:
            self._failed(str(error)[:300])
            self._turns.again(job, self._poll_s)
            return
        finally:
            requests.over()
        self._answer(envelope, fetched)

    def _read(self, call: FetchAccount, reader: ReaderInTurn, job: Job) -> AccountFetched | None:
        """The look; None where it is too early for it, and the job goes again."""
        begun_at = self._clock()
        clock = reader.clock()
        if call.not_before is not None and clock.at < call.not_before:
            left_s = (call.not_before - clock.at).total_seconds()
            self._turns.again(job, max(SHORTEST_WAIT_S, min(left_s, self._poll_s)))
            return None
        if not call.positions or not clock.is_open:
            days = _near(calendar(reader, clock), clock.at)
            fetched = AccountFetched(ask=call.ask, snapshot=Snapshot(begun_at=begun_at, clock=clock), days=days)
        else:
            seen = self._look.at_all(reader, self._clock)
            days = _near(seen.days, clock.at)
            fetched = AccountFetched(ask=call.ask, snapshot=seen.snapshot, days=days, holdings=seen.holdings)
        self._told = None
        return fetched

    def _failed(self, why: str) -> None:
        if why != self._told:
            self._told = why
            self._note(Note("broker.read_failed", {"call": "account", "why": why}, "warning"))


def _near(days: tuple[TradingDay, ...], at: datetime) -> tuple[TradingDay, ...]:
    return tuple(one for one in days if one.closes_at > at - DAYS_BACK)
