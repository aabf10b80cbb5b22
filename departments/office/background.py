"""Work beside the day's work: done on a thread of its own when somebody asks for it, or when its time has come.

Whatever goes wrong in it is told and tried again at the next occasion; nobody waits for it, and nothing stands on it.
"""

import threading
from collections.abc import Callable
from functools import partial


class Chore:
    """One thread that does one thing now and then.

    Args:
        name: The thread's.
        work: Given whether somebody asked since it was last done well; returns seconds until its time comes again.
        failed: Told of an error; may not raise.
        settle_s: It is done so long after the last who asked, so that several are served at once, and nobody is
            disturbed in what he does next.
        retry_s: After an error its time comes again after so long.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[bool], float],
        *,
        failed: Callable[[Exception], None],
        settle_s: float,
        retry_s: float,
    ) -> None:
        self._work = work
        self._failed = failed
        self._settle_s = settle_s
        self._retry_s = retry_s
        self._changed = threading.Condition()
        self._asks = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first time has come."""
        self._thread.start()

    def ask(self) -> None:
        """Let it be done soon. Returns at once."""
        with self._changed:
            self._asks += 1
            self._changed.notify_all()

    def stop(self, within_s: float) -> bool:
        """Begin nothing new and wait for what is being done, but not for long.

        Returns:
            Whether it ended. What is still being done ends with the process.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        served, wait_s = 0, 0.0
        while (asks := self._next(served, wait_s)) is not None:
            try:
                wait_s = self._work(asks > served)
                served = asks
            except Exception as error:  # noqa: BLE001 - told, and the firm goes on
                if not self._stopping:  # what it needs may be closing already
                    self._failed(error)
                wait_s, served = self._retry_s, asks

    def _next(self, served: int, wait_s: float) -> int | None:
        """Wait until its time has come or those who asked have settled; how many asked so far, None when stopping."""
        with self._changed:
            self._changed.wait_for(partial(self._asked_since, served), wait_s)
            while not self._stopping:
                asks = self._asks
                if not self._changed.wait_for(partial(self._asked_since, asks), self._settle_s):
                    return asks
            return None

    def _asked_since(self, asks: int) -> bool:
        return self._stopping or self._asks > asks
