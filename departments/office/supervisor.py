"""Replaces a department's actor that died: a new actor, its state folded again, its inbox delivered again.

pykka can't restart an actor, and tells queued for a dead one are lost silently; the mailroom has them all.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pykka
import structlog

from departments.office.clock import Clock
from departments.office.directory import Directory
from messages.mailroom.port import Mailroom, MailroomError
from messages.values import Recipient

MOST_REPLACEMENTS = 12
WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class _Failure:
    name: Recipient
    error: BaseException


class Supervisor:
    """One thread that puts successors in place, at a bounded rate."""

    def __init__(
        self,
        *,
        mailroom: Mailroom,
        directory: Directory,
        clock: Clock,
        hire: Callable[[Recipient], "pykka.ActorRef[Any]"],
        give_up: Callable[[str], None],
    ) -> None:
        """Make a supervisor.

        Args:
            mailroom: Flushed before a successor reads it.
            directory: Told who the successor is.
            clock: For the rate.
            hire: Starts a new actor for a department.
            give_up: Called with a reason when the store is lost, or actors die faster than the bound.
        """
        self._mailroom = mailroom
        self._directory = directory
        self._clock = clock
        self._hire = hire
        self._give_up = give_up
        self._failures: queue.SimpleQueue[_Failure | None] = queue.SimpleQueue()
        self._recent: deque[float] = deque()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._log = structlog.get_logger().bind(department="office")

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def failed(self, name: Recipient, error: BaseException) -> None:
        """Take notice of a death; called from the dying actor's thread."""
        self._failures.put(_Failure(name, error))

    def stop(self) -> None:
        """Replace nobody any more."""
        self._failures.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while (failure := self._failures.get()) is not None:
            if isinstance(failure.error, MailroomError):
                self._give_up(f"the store failed under {failure.name}: {failure.error}")
                return
            if not self._within_bounds():
                self._give_up(f"{MOST_REPLACEMENTS} replacements within {WITHIN_S:.0f} s; last: {failure.error!r}")
                return
            self._log.error(
                "actor.replaced",
                about=failure.name.value,
                error=f"{type(failure.error).__name__}: {failure.error}",
                exc_info=failure.error,
            )
            try:
                self._replace(failure.name)
            except MailroomError as error:
                self._give_up(f"the store failed while {failure.name} was replaced: {error}")
                return

    def _within_bounds(self) -> bool:
        now_s = self._clock.monotonic_s()
        self._recent.append(now_s)
        while self._recent and now_s - self._recent[0] > WITHIN_S:
            self._recent.popleft()
        return len(self._recent) <= MOST_REPLACEMENTS

    def _replace(self, name: Recipient) -> None:
        self._mailroom.flush()
        self._directory.register(name, self._hire(name))
        self._directory.deliver(self._mailroom.unhandled(name))
