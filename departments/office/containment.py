"""Let a bug in the reading of one outside thing cost that thing and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

GivenT = TypeVar("GivenT")
ReadT = TypeVar("ReadT")


@dataclass(frozen=True, slots=True)
class Broke:
    """A reader of ours failed. `why` is one line: a bug to be mended, and nothing known of what was read."""

    why: str


def contained(read: Callable[[GivenT], ReadT], given: GivenT) -> ReadT | Broke:
    """Read something from outside; whatever the reader raises comes back as a value."""
    try:
        return read(given)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        said = " ".join(str(error).split())
        return Broke(f"{type(error).__name__}: {said}"[:300])
