"""Mail with a due time: kept in the mailroom, woken from here; a restart loses none."""

import heapq
import threading
from collections.abc import Callable
from datetime import datetime

from departments.office.clock import Clock
from messages.envelope import Envelope

LONGEST_NAP_S = 30.0
"""The wall clock may be set: look at it again at least this often."""


class Timers:
    """One thread that hands over each piece of mail when it falls due."""

    def __init__(self, clock: Clock, deliver: Callable[[Envelope], None]) -> None:
        self._clock = clock
        self._deliver = deliver
        self._heap: list[tuple[datetime, int, Envelope]] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def add(self, envelope: Envelope) -> None:
        """Keep a piece of mail until it falls due."""
        assert envelope.due_at is not None, envelope  # noqa: S101 - the directory sends only timers here
        with self._changed:
            heapq.heappush(self._heap, (envelope.due_at, envelope.seq, envelope))
            if self._heap[0][1] == envelope.seq:
                self._changed.notify()

    def stop(self) -> None:
        """Stop; what is not due yet stays in the mailroom."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while (due := self._next_due()) is not None:
            for envelope in due:
                self._deliver(envelope)

    def _next_due(self) -> list[Envelope] | None:
        """Wait for mail to fall due; None when told to stop."""
        with self._changed:
            while not self._stopping:
                now = self._clock.now()
                due = []
                while self._heap and self._heap[0][0] <= now:
                    due.append(heapq.heappop(self._heap)[2])
                if due:
                    return due
                nap = LONGEST_NAP_S if not self._heap else (self._heap[0][0] - now).total_seconds()
                self._changed.wait(min(max(nap, 0.0), LONGEST_NAP_S))
            return None
