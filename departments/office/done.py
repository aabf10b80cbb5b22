"""Which mail was handled in this process, as far as it can still come twice. Pure."""

from collections import deque
from typing import Final

REMEMBERED: Final = 5_000
"""Numbers kept. Mail comes twice only around a start or an actor's replacement, from what lay unhandled then."""


class Done:
    """Numbers of mail, the newest ones."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._seqs: set[int] = set()
        self._order: deque[int] = deque()

    def __contains__(self, seq: int) -> bool:
        return seq in self._seqs

    def add(self, seq: int) -> None:
        """Note one piece of mail; the oldest of too many is forgotten."""
        if seq in self._seqs:
            return
        self._seqs.add(seq)
        self._order.append(seq)
        if len(self._order) > self._remembered:
            self._seqs.discard(self._order.popleft())
