"""When the daemon refreshes the portfolio database: after each run, at the start of each trading day, and on start.

While a run is open it waits, for it must not get in anybody's way; but not longer than `PATIENCE_S`: a run may be held
for days.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from departments.portfolio.refresh import Reader, Refreshed, Register, refresh

QUIET_LOOK_S = 5.0
"""Between two looks whether a run is still open."""
PATIENCE_S = 600.0
CLOCK_LOOK_S = 900.0
"""Between two looks at the broker's clock: the market's hours may be moved."""


class Bookkeeper:
    """Decides whether it is time, and refreshes. For one thread.

    Args:
        path: Of the database.
        account: Its name in `firm.yaml`.
        reader: Alpaca.
        monotonic_s: Seconds for durations.
        tell: What came of a refresh.
    """

    def __init__(
        self,
        *,
        path: Path,
        account: str,
        reader: Reader,
        monotonic_s: Callable[[], float],
        tell: Callable[[Refreshed], None],
    ) -> None:
        self._path = path
        self._account = account
        self._reader = reader
        self._monotonic_s = monotonic_s
        self._tell = tell
        self._owed = True
        self._postponed_at_s: float | None = None
        self._day_begins: datetime | None = None

    def tend(self, register: Register, *, asked: bool) -> float:
        """Refresh if it is time.

        Args:
            register: The journal.
            asked: A run has ended.

        Returns:
            Seconds until the next look.

        Raises:
            As `refresh`; then it is still owed.
        """
        self._owed = self._owed or asked
        if not self._owed:
            clock = self._reader.clock()
            self._owed = self._day_begins is None or clock.at >= self._day_begins
            if not self._owed:
                return self._until(clock.at, clock.next_open)
        if self._postponed(register.runs()):
            return QUIET_LOOK_S
        done = refresh(self._path, account=self._account, reader=self._reader, register=register)
        self._owed, self._postponed_at_s = False, None
        self._tell(done)
        clock = self._reader.clock()
        self._day_begins = clock.next_open
        return self._until(clock.at, clock.next_open)

    def _until(self, at: datetime, opening: datetime) -> float:
        """Seconds to the opening, at most `CLOCK_LOOK_S`; a little is added, for the broker's clock may lag."""
        return min((opening - at).total_seconds() + 1.0, CLOCK_LOOK_S)

    def _postponed(self, runs: Mapping[str, bool]) -> bool:
        """Whether to wait for an open run to end."""
        if all(runs.values()):
            return False
        now_s = self._monotonic_s()
        if self._postponed_at_s is None:
            self._postponed_at_s = now_s
        return now_s - self._postponed_at_s < PATIENCE_S
