"""All that is left to chance goes through here, by name: drawn from a seed, or scripted occurrence by occurrence.

A seed decides first which kinds of trouble a story has at all (most have few), then when each strikes. Its occurrences
are counted, so an explorer can run a quiet story once, read off how often each kind could have struck, and then let it
strike at the first occasion, at the second, and so on.
"""

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Protocol


class Luck(Protocol):
    """What chance decides."""

    calm: bool
    """True once no more trouble may strike."""

    def strikes(self, trouble: str) -> bool:
        """Whether this kind of trouble strikes now."""

    def seconds(self, least: float, most: float) -> float:
        """How long something takes."""

    def choose(self, count: int) -> int:
        """One of so many things, from 0."""


class Seeded:
    """Chance by a seed.

    Args:
        rng: Its source.
        odds: Trouble -> how likely at each occasion.
        kinds: Which troubles the story has; None: drawn.
    """

    def __init__(self, rng: Random, odds: Mapping[str, float], kinds: frozenset[str] | None = None) -> None:
        self.rng = rng
        self.calm = False
        if kinds is None:
            share = rng.choice((0.0, 0.15, 0.15, 0.3, 0.5))
            kinds = frozenset(kind for kind in odds if rng.random() < share)
        self._odds = {kind: odds[kind] for kind in kinds}
        self._always = {kind: odds[kind] for kind in odds if kind.startswith("*")}

    def strikes(self, trouble: str) -> bool:
        likely = self._always.get(trouble)
        if likely is None:
            likely = 0.0 if self.calm else self._odds.get(trouble, 0.0)
        return likely > 0 and self.rng.random() < likely

    def seconds(self, least: float, most: float) -> float:
        return self.rng.uniform(least, most)

    def choose(self, count: int) -> int:
        return self.rng.randrange(count)


class Scripted:
    """No chance at all: first come, first served; trouble strikes exactly where the script says.

    Args:
        script: (trouble, number of the occasion, from 1).
    """

    def __init__(self, *script: tuple[str, int], always: frozenset[str] = frozenset()) -> None:
        self._script = frozenset(script)
        self._always = always
        self.calm = False
        self.occasions: Counter[str] = Counter()

    def strikes(self, trouble: str) -> bool:
        self.occasions[trouble] += 1
        return trouble in self._always or (trouble, self.occasions[trouble]) in self._script

    def seconds(self, least: float, most: float) -> float:
        return least + (most - least) / 4

    def choose(self, count: int) -> int:
        assert count > 0
        return 0
