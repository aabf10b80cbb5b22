"""What strictly read YAML and JSON consist of: text, lists and mappings, each with its line."""

from dataclasses import dataclass
from typing import TypeAlias

from departments.office.bad_input import shown

MAX_DEPTH = 12
"""Levels of lists and mappings; what people write here has five."""

_NULLS = frozenset({"", "null", "~"})


@dataclass(frozen=True, slots=True)
class Scalar:
    """A piece of text.

    Attributes:
        line: Counted from 1.
        quoted: It stood in quotes, or in a block: then even `null` is text.
    """

    text: str
    line: int
    quoted: bool = False

    @property
    def is_null(self) -> bool:
        """Nothing stands here: empty, `null` or `~`, unquoted."""
        return not self.quoted and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple["Node", ...]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in file order; no key stands twice."""

    items: tuple[tuple[Scalar, "Node"], ...]
    line: int


Node: TypeAlias = Scalar | Sequence | Mapping


def kind_of(node: Node) -> str:
    """Say what a node is, for an error message."""
    match node:
        case Scalar():
            return "nothing" if node.is_null else f"text {shown(node.text)}"
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
