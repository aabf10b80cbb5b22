"""`firm submit --wait`: follows a run to its end, live on a terminal, line by line elsewhere. All on stderr."""

import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, Self

from departments.executive.report import view_run
from scripts.failure import Code, code_of

if TYPE_CHECKING:
    from messages.mailroom.port import Counter
    from messages.values import RunId

POLL_S = 0.2
HELD_FOR_S = 2.0
"""A hold that lifts by itself within this time is no end."""


class Display(Protocol):
    """Shows how a run does."""

    def show(self, view: Mapping[str, Any]) -> None:
        """Show the run as it stands now."""


def follow(counter: "Counter", run_id: "RunId", *, timeout_s: float | None) -> Code:
    """Follow a run until it has ended, is held and stays so, or the time is up.

    Args:
        counter: Where to look.
        run_id: The run; it was handed in.
        timeout_s: None: as long as it takes.

    Returns:
        The code that tells the outcome; `TIMED_OUT` if the run goes on.

    Raises:
        KeyboardInterrupt: Ctrl-C, between two looks: never in the midst of one.
    """
    began = time.monotonic()
    held_since: float | None = None
    shown: AbstractContextManager[Display] = _Live() if sys.stderr.isatty() else nullcontext(_Lines())
    if counter.holder() is None:
        sys.stderr.write("no daemon runs; the plan waits for firm start\n")
    with _interruptible() as interrupted, shown as display:
        while True:
            view = view_run(counter, run_id)
            at = time.monotonic()
            if view is not None:
                display.show(view)
                if view["outcome"] is not None:
                    return code_of(view)
                held_since = (held_since or at) if view["phase"] == "held" else None
                if held_since is not None and at - held_since >= HELD_FOR_S:
                    return Code.HELD
            left = POLL_S if timeout_s is None else min(POLL_S, began + timeout_s - at)
            if left <= 0:
                return Code.TIMED_OUT
            if interrupted.wait(left):
                raise KeyboardInterrupt


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Let Ctrl-C set an event instead of breaking into whatever is under way; libraries don't all stand that."""
    interrupted = threading.Event()
    before = signal.signal(signal.SIGINT, lambda _number, _frame: interrupted.set())
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


class _Lines:
    """One line a change of phase, of what is waited for, or of a leg."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def show(self, view: Mapping[str, Any]) -> None:
        """Say what is new."""
        reason = f" ({view['reason']})" if view["reason"] else ""
        waiting = f", waits for {view['waiting_for']}" if view["waiting_for"] else ""
        self._say("phase", f"{view['phase']}{reason}{waiting}")
        for leg in view["legs"]:
            got = f" at {leg['filled_avg_price']}" if leg["filled_avg_price"] else ""
            self._say(
                leg["leg"],
                f"  {leg['side'].upper():4} {leg['symbol']:6} {leg['filled_qty']} of {leg['qty']} {leg['status']}{got}",
                quiet=leg["status"] in {"planned", "intended"},
            )

    def _say(self, what: str, text: str, *, quiet: bool = False) -> None:
        if self._said.get(what) != text and not quiet:
            self._said[what] = text
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


class _Live:
    """A table that is drawn anew as the run goes on."""

    def __init__(self) -> None:
        from rich.live import Live

        from scripts.rendering import console

        self._live = Live(console=console(sys.stderr), auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, view: Mapping[str, Any]) -> None:
        """Draw the run."""
        from rich.console import Group
        from rich.text import Text

        from scripts.rendering import STYLES, usd, words
        from scripts.run_tables import legs_table

        done = sum(leg["status"] == "filled" for leg in view["legs"])
        head = f"{view['phase']}: {done} of {len(view['legs'])} orders filled"
        if view["reason"]:
            head += f"; {words(view['reason'])}"
        money = f"proceeds {usd(view['money']['proceeds'])}, paid for BUYs {usd(view['money']['spent'])}"
        waits = f"waits for {words(view['waiting_for'])}" if view["waiting_for"] else money
        style = STYLES.get(view["phase"], "bold")
        self._live.update(Group(Text(head, style=style), legs_table(view), Text(waits)), refresh=True)
