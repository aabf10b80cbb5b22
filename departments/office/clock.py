"""The only module that reads the clock."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> datetime:
        """Aware, UTC."""

    def monotonic_s(self) -> float:
        """Seconds for durations; never goes back."""


class SystemClock:
    """The machine's clock. `now` never goes back within a process, whatever the machine's clock does."""

    def __init__(self) -> None:
        self._latest = datetime.fromtimestamp(0, UTC)

    def now(self) -> datetime:
        """Aware, UTC, never before an earlier answer."""
        self._latest = max(self._latest, datetime.now(UTC))
        return self._latest

    def monotonic_s(self) -> float:
        """Seconds for durations."""
        return time.monotonic()


class DrivenClock:
    """A clock that stands still until it is told to go on: for tests and the simulation."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._begun = start

    def now(self) -> datetime:
        """The time it was last set to."""
        return self._now

    def monotonic_s(self) -> float:
        """Seconds since it was made."""
        return (self._now - self._begun).total_seconds()

    def advance(self, by: timedelta) -> None:
        """Go on by `by`, >= 0."""
        assert by >= timedelta(0), by  # noqa: S101 - a clock doesn't go back
        self._now += by
