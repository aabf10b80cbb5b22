"""Whose turn it is: the desk's queue of calls, handed to its threads in order of importance and within the limits."""

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from departments.trading.broker import Broker, BrokerError, BrokerRefused, BrokerUnavailable, RateLimited
from departments.trading.pacing import Kind, Pacer

AnswerT = TypeVar("AnswerT")
_ORDERS = frozenset({Kind.SELL, Kind.BUY})
RUSH_S = 0.1
"""The longest that orders on their way hold everything else up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskHealth:
    """How the desk gets on with the broker.

    Attributes:
        consecutive_failures: Calls in a row that brought no answer (timeouts, 5xx, refused keys, 429).
        last_failure: Why the last of them failed; None while there was none.
        waiting: Calls in the queue.
        limit: Requests a minute that are believed to be allowed.
    """

    consecutive_failures: int
    last_failure: str | None
    waiting: int
    limit: int


@dataclass(frozen=True, slots=True)
class Leaving:
    """How far an order is. Both are set in the end, whatever becomes of it."""

    departed: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)

    def over(self) -> None:
        """Nobody need wait for this one."""
        self.departed.set()
        self.answered.set()


@dataclass(slots=True, order=True)
class Job:
    """One thing to do with a broker's client, starting with a slot taken.

    Attributes:
        kind: Lower goes first.
        number: Among equals the older goes first.
        market_data: Counts against the limit of market data requests.
        tries: How often it went back into the queue.
        leaving: Orders only: how far this one is.
        before: Orders only: the one that was handed out just before; None for the first.
        rushes: An order on its first way out.
    """

    kind: Kind
    number: int
    work: Callable[[Broker, "Job"], None] = field(compare=False)
    market_data: bool = field(compare=False, default=False)
    tries: int = field(compare=False, default=0)
    leaving: "Leaving | None" = field(compare=False, default=None)
    before: "Leaving | None" = field(compare=False, default=None)
    rushes: bool = field(compare=False, default=False)


class Turns:
    """The queue. Thread-safe.

    Args:
        requests_per_minute: Limit of each of Alpaca's two doors, trading and market data.
        monotonic: Seconds of a clock that never jumps.
    """

    def __init__(self, *, requests_per_minute: int, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._pacers = {False: Pacer(requests_per_minute), True: Pacer(requests_per_minute)}
        self._ready: dict[bool, list[Job]] = {False: [], True: []}
        self._later: list[tuple[float, Job]] = []
        self._count = 0
        self._short_of_slots = 0
        self._last_leaving: Leaving | None = None
        self._rushing = 0
        self._rush_ends_s = 0.0
        self._calm = threading.Event()
        self._calm.set()
        self._closed = False
        self._failures = 0
        self._last_failure: str | None = None

    def put(self, kind: Kind, work: Callable[[Broker, Job], None], *, market_data: bool = False) -> None:
        """Queue a job; nothing happens once closed."""
        with self._changed:
            self._count += 1
            job = Job(kind, self._count, work, market_data, rushes=kind in _ORDERS)
            if job.rushes:
                if not self._rushing:
                    self._rush_ends_s = self._monotonic() + RUSH_S
                    self._calm.clear()
                self._rushing += 1
            heapq.heappush(self._ready[market_data], job)
            self._changed.notify()

    def again(self, job: Job, delay_s: float) -> None:
        """Put a job back; it keeps its place among its equals."""
        job.tries += 1
        with self._changed:
            heapq.heappush(self._later, (self._monotonic() + delay_s, job))
            self._changed.notify()

    def next(self) -> Job | None:
        """Wait for a job whose turn it is, take its slot and hand it out; None once closed."""
        with self._changed:
            while not self._closed:
                now_s = self._monotonic()
                while self._later and self._later[0][0] <= now_s:
                    _, job = heapq.heappop(self._later)
                    heapq.heappush(self._ready[job.market_data], job)
                wait_s = self._later[0][0] - now_s if self._later else None
                heads = sorted(heap[0] for heap in self._ready.values() if heap)
                for job in heads:
                    slot_s = self._pacers[job.market_data].next_slot(now_s, job.kind)
                    if slot_s <= 0:
                        self._pacers[job.market_data].take(now_s, job.kind)
                        self._line_up(job)
                        return heapq.heappop(self._ready[job.market_data])
                    wait_s = slot_s if wait_s is None else min(wait_s, slot_s)
                self._wait(wait_s, for_slot=bool(heads))
        return None

    def ask(self, job: Job, broker: Broker, call: Callable[[Broker], AnswerT]) -> AnswerT:
        """Make the call that a slot was taken for, and give the slot back as the answer says.

        Raises:
            BrokerError: As the call does.
        """
        try:
            answer = call(broker)
        except BrokerError as error:
            self._over(job, broker, error)
            raise
        self._over(job, broker, None)
        return answer

    def left(self, job: Job) -> None:
        """Note that an order is out, or will not be for a while."""
        with self._changed:
            if job.rushes:
                job.rushes = False
                self._rushing -= 1
                if not self._rushing:
                    self._calm.set()

    def wait_for_calm(self) -> None:
        """Let orders that are about to leave go first, for `RUSH_S` at most.

        One interpreter serves all threads: what is told and answered meanwhile would be read at the orders' cost.
        """
        if not self._calm.is_set():
            self._calm.wait(max(0.0, self._rush_ends_s - self._monotonic()))

    def one_more(self, job: Job) -> bool:
        """Wait for another slot for a job that goes on (a further page); False once closed."""
        with self._changed:
            while not self._closed:
                now_s = self._monotonic()
                wait_s = self._pacers[job.market_data].next_slot(now_s, job.kind)
                if wait_s <= 0:
                    self._pacers[job.market_data].take(now_s, job.kind)
                    return True
                self._wait(wait_s, for_slot=True)
        return False

    def give_back(self, job: Job) -> None:
        """Return the slot of a job that made no call."""
        with self._changed:
            self._pacers[job.market_data].give_back()
            self._slots_changed()

    def health(self) -> DeskHealth:
        """How it goes."""
        with self._changed:
            return DeskHealth(
                consecutive_failures=self._failures,
                last_failure=self._last_failure,
                waiting=len(self._later) + sum(map(len, self._ready.values())),
                limit=self._pacers[False].limit,
            )

    def close(self) -> None:
        """Hand out no more jobs."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _over(self, job: Job, broker: Broker, error: BrokerError | None) -> None:
        with self._changed:
            now_s, pacer = self._monotonic(), self._pacers[job.market_data]
            if isinstance(error, RateLimited):
                pacer.refused(now_s, retry_after_s=error.retry_after_s, seen=broker.rate_seen)
            else:
                pacer.answered(now_s, broker.rate_seen)
            if error is None or isinstance(error, BrokerRefused):
                self._failures = 0
            else:
                self._failures += 1
                self._last_failure = str(error)
            self._slots_changed()

    def _line_up(self, job: Job) -> None:
        """Let an order know which one it follows."""
        if job.kind in _ORDERS:
            job.before, job.leaving = self._last_leaving, Leaving()
            self._last_leaving = job.leaving

    def _wait(self, wait_s: float | None, *, for_slot: bool) -> None:
        self._short_of_slots += for_slot
        self._changed.wait(wait_s)
        self._short_of_slots -= for_slot

    def _slots_changed(self) -> None:
        """Wake those who wait for a slot; idle threads sleep on, waking them costs the busy ones their turn."""
        if self._short_of_slots:
            self._changed.notify_all()


class Requests:
    """A job's requests: the first has the slot that the job came with, each further one waits for its own.

    Args:
        turns: Where slots come from.
        job: The job.
        broker: The client of this thread.
    """

    def __init__(self, turns: Turns, job: Job, broker: Broker) -> None:
        self._turns = turns
        self._job = job
        self._broker = broker
        self._has_slot = True

    def __call__(self, call: Callable[[Broker], AnswerT]) -> AnswerT:
        """Make one.

        Raises:
            BrokerError: As the call does, or the desk is closing.
        """
        if not self._has_slot and not self._turns.one_more(self._job):
            raise BrokerUnavailable("the desk is closing")
        self._has_slot = False
        return self._turns.ask(self._job, self._broker, call)

    def over(self) -> None:
        """Give the slot back if no request was made."""
        if self._has_slot:
            self._turns.give_back(self._job)
