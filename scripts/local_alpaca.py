"""A local Alpaca as a child process: it listens on a free port and ends with us, however we end."""

import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.failure import Code, Failure
from scripts.surroundings import CHECKOUT

LISTENS_WITHIN_S = 30.0
STOPS_WITHIN_S = 5.0
_SAYS = "listening on "


@contextmanager
def local_alpaca(state: Path | None, *, seed: int = 0) -> Iterator[str]:
    """Run a local Alpaca; gives its address.

    Args:
        state: The account to begin with; None: $100,000 and nothing else.
        seed: Of everything that is drawn.

    Raises:
        Failure: It doesn't start.
    """
    words = [sys.executable, "-m", "paper_alpaca", "--port", "0", "--seed", str(seed), "--stop-with-stdin"]
    if state is not None:
        words += ["--state", str(state.absolute())]
    # A session of its own: Ctrl-C at the terminal is for us, and we still need Alpaca while we stop.
    child = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT, text=True, start_new_session=True
    )
    try:
        yield _address(child)
    finally:
        if child.stdin is not None:
            child.stdin.close()  # its sign to stop
        try:
            child.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _address(child: "subprocess.Popen[str]") -> str:
    """Wait for the line that names the address."""
    ends = time.monotonic() + LISTENS_WITHIN_S
    assert child.stdout is not None  # noqa: S101 - it was asked for
    while (left := ends - time.monotonic()) > 0:
        if not select.select([child.stdout], [], [], left)[0]:
            break
        line = child.stdout.readline()
        if line.startswith(_SAYS):
            return line.removeprefix(_SAYS).strip()
        if not line:
            code = child.wait(STOPS_WITHIN_S)
            raise Failure(Code.BAD_INPUT, f"the local Alpaca did not start (exit code {code}), see above")
    raise Failure(Code.UNREACHABLE, f"the local Alpaca did not listen within {LISTENS_WITHIN_S:.0f} s")
