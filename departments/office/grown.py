"""A mapping that only grows, inside a state that is changed by replacing: adding to it copies little. Pure."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Grown(Mapping[KeyT, ValueT]):
    """Frozen. `plus` gives a new one with one entry more, copying each entry log2(n) times over n of them.

    A copied dict would copy all of it each time: a thousand runs are half a million entries.
    """

    __slots__ = ("_parts",)

    def __init__(self, *parts: Mapping[KeyT, ValueT]) -> None:
        """Make it of parts that nobody changes; a later one's entries count before an earlier one's."""
        self._parts = parts

    def plus(self, key: KeyT, value: ValueT) -> "Grown[KeyT, ValueT]":
        """This and one entry more; an entry of that key is replaced."""
        parts, fresh = self._parts, {key: value}
        while parts and len(parts[-1]) <= len(fresh):
            fresh = {**parts[-1], **fresh}
            parts = parts[:-1]
        return Grown(*parts, fresh)

    def __getitem__(self, key: KeyT) -> ValueT:
        for part in reversed(self._parts):
            if key in part:
                return part[key]
        raise KeyError(key)

    def __iter__(self) -> Iterator[KeyT]:
        return iter({key: None for part in self._parts for key in part})

    def __len__(self) -> int:
        return sum(1 for _ in self)
