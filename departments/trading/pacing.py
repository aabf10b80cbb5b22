"""How fast we may ask: a rolling minute, bursts allowed, the important first. Pure: the time comes in as an argument.

The broker counts a request somewhere between our sending it and our having its answer. So a slot is taken before the
request leaves, held while it is out, and given back a minute after the *answer*: whatever the network does, the broker
never sees more than the limit in any minute of its own.

What the broker says about its limit is believed where it is stricter than our settings: requests that others made with
the same keys count, and after a 429 that came without figures the limit is lowered and regained slowly.
"""

from collections import deque
from enum import IntEnum

from departments.trading.broker import RateSeen

WINDOW_S = 60.0
FIRST_BACK_OFF_S = 1.0
MAX_BACK_OFF_S = 30.0
_IN_FLIGHT_POLL_S = 0.05
_SHORTEST_WAIT_S = 0.001
_LOWERED_FROM_FRACTION = 0.25
"""A 429 below this share of the limit is somebody else's doing: only wait."""
_LOWERED_FRACTION = 0.9
_REGAINED_FRACTION = 0.1


class Kind(IntEnum):
    """What a request is for; lower goes first."""

    CANCEL = 0
    SELL = 1
    GATE = 2
    PROOF = 3
    BUY = 4
    READ = 5
    BACKGROUND = 6


_RESERVED_PERCENT = {
    Kind.CANCEL: 0,
    Kind.SELL: 0,
    Kind.GATE: 2,
    Kind.PROOF: 5,
    Kind.BUY: 2,
    Kind.READ: 10,
    Kind.BACKGROUND: 50,
}
"""Of the limit a kind leaves so much untouched, rounded down, so that reads never starve a SELL or a cancel.

The gate's look leaves no more than the BUYs that wait for it: no SELL of its run is left to be sent. What can wait
leaves room for a whole run.
"""


class Pacer:
    """One limit. Not thread-safe: its owner holds a lock.

    Args:
        requests_per_minute: Our own limit, >= 1.
    """

    def __init__(self, requests_per_minute: int) -> None:
        self._configured = requests_per_minute
        self._limit = float(requests_per_minute)
        self._answered: deque[float] = deque()
        self._in_flight = 0
        self._others = 0
        self._others_until_s = 0.0
        self._paused_until_s = 0.0
        self._refusals = 0
        self._lowered_at_s: float | None = None

    def next_slot(self, now_s: float, kind: Kind) -> float:
        """Tell how long a request of this kind must wait; 0: it may go. Takes nothing."""
        if now_s < self._paused_until_s:
            return self._paused_until_s - now_s
        self._forget(now_s)
        excess = self._used() - self._allowance(kind) + 1
        if excess <= 0:
            return 0.0
        frees_s = [self._others_until_s] if excess <= self._others else []
        if excess <= len(self._answered):
            frees_s.append(self._answered[excess - 1] + WINDOW_S)
        return max(min(frees_s) - now_s, _SHORTEST_WAIT_S) if frees_s else _IN_FLIGHT_POLL_S

    def take(self, now_s: float, kind: Kind) -> None:
        """Take a slot that `next_slot` said is free.

        Raises:
            AssertionError: It isn't free; a bug of the caller's.
        """
        wait_s = self.next_slot(now_s, kind)
        if wait_s > 0:
            raise AssertionError(f"expected a free slot for {kind.name}, was {wait_s} s early")
        self._in_flight += 1

    def give_back(self) -> None:
        """Return a slot whose request never left."""
        self._in_flight -= 1

    def answered(self, now_s: float, seen: RateSeen | None) -> None:
        """Note that a request is over, answered or not, and what its answer said about the limit."""
        self._in_flight -= 1
        self._answered.append(now_s)
        if now_s >= self._paused_until_s:
            self._refusals = 0
        if seen is not None:
            self._believe(now_s, seen)

    def refused(self, now_s: float, *, retry_after_s: float | None, seen: RateSeen | None) -> None:
        """Note a 429: wait as long as the broker asks, or ever longer, and take the limit for lower than we thought."""
        self._in_flight -= 1
        self._forget(now_s)
        if now_s >= self._paused_until_s:  # not one of several that were out together
            self._refusals += 1
        used = len(self._answered) + self._in_flight
        if seen is not None:
            self._limit = min(self._limit, max(seen.limit, 1))
        elif used >= self._limit * _LOWERED_FROM_FRACTION:
            self._limit = max(used * _LOWERED_FRACTION, 1.0)
        self._lowered_at_s = now_s
        back_off_s = min(FIRST_BACK_OFF_S * 2 ** min(self._refusals - 1, 10), MAX_BACK_OFF_S)
        wait_s = back_off_s if retry_after_s is None else min(max(retry_after_s, _IN_FLIGHT_POLL_S), WINDOW_S)
        self._paused_until_s = max(self._paused_until_s, now_s + wait_s)

    @property
    def limit(self) -> int:
        """Requests a minute that are believed to be allowed."""
        return max(1, min(self._configured, int(self._limit)))

    def _allowance(self, kind: Kind) -> int:
        return max(1, self.limit - self.limit * _RESERVED_PERCENT[kind] // 100)

    def _used(self) -> int:
        return len(self._answered) + self._in_flight + self._others

    def _forget(self, now_s: float) -> None:
        while self._answered and self._answered[0] <= now_s - WINDOW_S:
            self._answered.popleft()
        if self._others and now_s >= self._others_until_s:
            self._others = 0
        if self._lowered_at_s is not None and now_s - self._lowered_at_s >= WINDOW_S:
            self._limit += self._configured * _REGAINED_FRACTION
            self._lowered_at_s = now_s if self._limit < self._configured else None

    def _believe(self, now_s: float, seen: RateSeen) -> None:
        """Count what others used. Answers overtake each other: an old figure can only show fewer, never more."""
        if seen.limit < self.limit:
            self._limit = float(max(seen.limit, 1))
            self._lowered_at_s = now_s
        self._forget(now_s)
        ours = len(self._answered) + self._in_flight
        others = seen.limit - seen.remaining - ours
        if others > self._others:
            self._others = others
            self._others_until_s = now_s + WINDOW_S
        if seen.remaining <= 0 and seen.reset_in_s:
            self._paused_until_s = max(self._paused_until_s, now_s + min(seen.reset_in_s, WINDOW_S))
