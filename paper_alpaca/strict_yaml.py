"""YAML without surprises: every scalar is text until somebody says what it is, every error has its file and line."""

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import yaml

from paper_alpaca.figures import parse_time

_FIGURE: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?\Z")
_QUICK: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a file that tells of a past is long
_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9./]{0,11}\Z")


class StateError(ValueError):
    """The state file can't be used: `FILE:LINE: what, what was expected`. A command that meets it exits 2."""

    exit_code: Final = 2


class Nodes:
    """Reads values off the nodes of one document; `source` is what errors call it."""

    def __init__(self, source: str) -> None:
        self._source = source

    # Values

    def quantiles(self, node: yaml.Node, read: Callable[[yaml.Node], Decimal]) -> tuple[Decimal, ...]:
        """Read one figure, or several that rise: evenly spaced quantiles."""
        if isinstance(node, yaml.ScalarNode):
            return (read(node),)
        figures = tuple(read(item) for item in self.items(node))
        if not figures or list(figures) != sorted(figures):
            raise self.error(node, "figures that don't rise", "[smallest, ..., largest]")
        return figures

    def figure(self, node: yaml.Node) -> Decimal:
        """Read a figure: digits, at most one point, a minus in front where it is meant to be."""
        text = self.text(node)
        if not _FIGURE.match(text):
            raise self.error(node, repr(text), "a figure such as 12.50")
        return Decimal(text)

    def at_least_0(self, node: yaml.Node) -> Decimal:
        """Read a figure >= 0."""
        figure = self.figure(node)
        if figure < 0:
            raise self.error(node, f"{figure}", "0 or more")
        return figure

    def price(self, node: yaml.Node) -> Decimal:
        """Read a price: a figure > 0."""
        figure = self.figure(node)
        if figure <= 0:
            raise self.error(node, f"price {figure}", "more than 0")
        return figure

    def count(self, node: yaml.Node) -> int:
        """Read a whole number from 1."""
        figure = self.figure(node)
        if figure != int(figure) or figure < 1:
            raise self.error(node, f"{figure}", "a whole number from 1")
        return int(figure)

    def boolean(self, node: yaml.Node) -> bool:
        """Read true or false, and no other word for them."""
        text = self.text(node)
        if text not in {"true", "false"}:
            raise self.error(node, repr(text), "true or false")
        return text == "true"

    def time(self, node: yaml.Node) -> datetime:
        """Read a time; without an offset it is UTC."""
        text = self.text(node)
        moment = parse_time(text)
        if moment is None or len(text) <= 10:
            raise self.error(node, repr(text), "a time such as 2025-11-10T15:09:12Z")
        return moment

    def symbol(self, node: yaml.Node) -> str:
        """Read a symbol."""
        text = self.text(node)
        if not _SYMBOL.match(text):
            raise self.error(node, repr(text), "a symbol such as AAPL or BRK.B")
        return text

    # Nodes

    def compose(self, text: str) -> yaml.Node | None:
        """Parse a text of one document into its root node; None for an empty one.

        Raises:
            StateError: It is no plain YAML.
        """
        try:
            return self._compose(text, _QUICK)
        except yaml.YAMLError:
            pass  # the slow parser says better where
        try:
            return self._compose(text, yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = (error.problem_mark.line + 1) if error.problem_mark else 1
            raise StateError(f"{self._source}:{line}: {error.problem}, expected plain YAML") from error
        except yaml.YAMLError as error:
            raise StateError(f"{self._source}:1: unreadable, expected plain YAML") from error

    def _compose(self, text: str, parser: Any) -> yaml.Node | None:
        self._refuse_extras(text, parser)
        loader = parser(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
            return node
        finally:
            loader.dispose()

    def _refuse_extras(self, text: str, parser: Any) -> None:
        for event in yaml.parse(text, Loader=parser):
            anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
            if anchor is not None or tag is not None:
                mark = event.start_mark
                line = 1 if mark is None else mark.line + 1
                found = f"anchor or alias {anchor}" if anchor is not None else f"tag {tag}"
                raise StateError(f"{self._source}:{line}: {found}, expected plain YAML without anchors and tags")

    def optional(self, top: Mapping[str, yaml.Node], key: str, known: set[str]) -> dict[str, yaml.Node]:
        """Return the values of a mapping that need not be there."""
        return self.mapping(top[key], known) if key in top else {}

    def symbols(self, node: yaml.Node) -> dict[str, yaml.Node]:
        """Return the values of a mapping from symbols."""
        found = self.pairs(node)
        for key, value in found.items():
            if not _SYMBOL.match(key):
                raise self.error(value, repr(key), "a symbol such as AAPL or BRK.B")
        return found

    def mapping(self, node: yaml.Node, known: set[str]) -> dict[str, yaml.Node]:
        """Return the values of a mapping whose keys are known; an unknown one is refused with a suggestion."""
        found = self.pairs(node)
        for key, value in found.items():
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {close[0]}?" if close else "one of " + ", ".join(sorted(known))
                raise self.error(value, f"unknown key {key}", hint)
        return found

    def pairs(self, node: yaml.Node) -> dict[str, yaml.Node]:
        """Return the values of a mapping, no key twice."""
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, "no mapping", "key: value")
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = self.text(key_node)
            if key in found:
                raise self.error(key_node, f"key {key} twice", "each key once")
            found[key] = value
        return found

    def items(self, node: yaml.Node) -> list[yaml.Node]:
        """Return the nodes of a list."""
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(node, "no list", "a list")
        return list(node.value)

    def text(self, node: yaml.Node) -> str:
        """Return a scalar as it was written."""
        if not isinstance(node, yaml.ScalarNode):
            raise self.error(node, "a list or mapping", "a single value")
        return str(node.value)

    def error(self, node: yaml.Node, found: str, expected: str) -> StateError:
        """Return the error of a node, to be raised."""
        return StateError(f"{self._source}:{node.start_mark.line + 1}: {found}, expected {expected}")
