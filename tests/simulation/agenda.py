"""Simulated time: what happens next, and when. Nothing here waits."""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta

TICK = timedelta(microseconds=500)
"""What a step takes, so that no two steps share an instant."""


class Agenda:
    """The clock and what is to come."""

    def __init__(self, now: datetime) -> None:
        self.now_at = now
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = 0

    def now(self) -> datetime:
        """The store's clock."""
        return self.now_at

    def at(self, when: datetime, what: Callable[[], None]) -> None:
        """Have something happen then, or as soon as possible after."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, what))

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something happen in so many seconds."""
        self.at(self.now_at + timedelta(seconds=seconds), what)

    @property
    def next_at(self) -> datetime | None:
        """When the next thing happens; None when nothing is to come."""
        return self._heap[0][0] if self._heap else None

    def tick(self) -> None:
        """Let a step's time pass."""
        self.now_at += TICK

    def advance(self) -> None:
        """Turn the clock to the next thing and let it happen."""
        when, _, what = heapq.heappop(self._heap)
        self.now_at = max(self.now_at, when)
        what()
