"""How many requests an account has left in the last minute. Pure: time comes in as an argument."""

from collections import deque
from typing import Final

WINDOW_S: Final = 60.0


class Limit:
    """A rolling window: so many requests in any minute."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._times: deque[float] = deque()

    def take(self, now_s: float) -> bool:
        """Count a request; False, and nothing counted, when the window is full."""
        times = self._times
        while times and times[0] <= now_s - WINDOW_S:
            times.popleft()
        if len(times) >= self.per_minute:
            return False
        times.append(now_s)
        return True

    @property
    def remaining(self) -> int:
        """Requests left, as of the last `take`."""
        return self.per_minute - len(self._times)

    def reset_in_s(self, now_s: float) -> float:
        """Return the seconds until a request falls out of the window."""
        return self._times[0] + WINDOW_S - now_s if self._times else 0.0
