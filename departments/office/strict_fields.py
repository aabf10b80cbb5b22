"""Fields out of strictly read mappings: known keys only, and text that means one thing.

A `FieldReader` collects every problem it meets and gives None for a value that can't be used, so that one reading
reports all that is wrong. `raise_problems` ends a reading; before it has passed, nothing read may be used.
"""

import re
from collections.abc import Collection
from collections.abc import Mapping as MappingType
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from departments.office.bad_input import BadInput, Problem, shown, suggestion
from departments.office.strict_tree import Mapping, Node, Scalar, Sequence, kind_of

DECIMAL_MAX_DIGITS = 15
"""Digits that survive the way to the broker, who reads binary floating point."""

_DECIMAL = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

_EnumT = TypeVar("_EnumT", bound=StrEnum)


def decimal_problem(text: str, *, places_max: int) -> str | None:
    """Say what is wrong with the text of a decimal: ASCII digits, at most one point, no sign, exponent, underscore."""
    if _DECIMAL.fullmatch(text) is None:
        return "a decimal of plain digits like 190 or 64.64 (no sign, exponent, separator or leading zero)"
    whole, _, places = text.partition(".")
    if len(places) > places_max:
        return f"at most {places_max} decimals" if places_max else "a whole number"
    if len((whole + places).lstrip("0")) > DECIMAL_MAX_DIGITS:
        return f"at most {DECIMAL_MAX_DIGITS} digits"
    return None


class FieldReader:
    """Reads typed values out of one file's tree and collects the problems."""

    def __init__(self, name: str | Path) -> None:
        self._name = str(name)
        self.problems: list[Problem] = []

    def note(self, line: int | None, what: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(self._name, line, what))

    def raise_problems(self) -> None:
        """Raise `BadInput` with all problems in order of their lines, if there are any."""
        if self.problems:
            raise BadInput(sorted(self.problems, key=lambda problem: problem.line or 0))

    def fields(
        self, node: Node, *, where: str, required: Collection[str], optional: Collection[str]
    ) -> MappingType[str, Node]:
        """Take a mapping apart. Unknown keys are refused with a suggestion, missing ones named.

        Args:
            node: What should be a mapping.
            where: How to call it in errors: `the plan`, `trade 3`.
            required: Keys that must have a value.
            optional: Keys that may be absent or null.
        """
        if not isinstance(node, Mapping):
            self.note(node.line, f"{where}: {kind_of(node)}, expected a mapping of {', '.join(required)}")
            return {}
        found: dict[str, Node] = {}
        guessed: set[str] = set()
        known = [*required, *optional]
        for key, value in node.items:
            if key.text in known:
                if not (isinstance(value, Scalar) and value.is_null):
                    found[key.text] = value
                elif key.text in required:
                    guessed.add(key.text)
                    self.note(key.line, f"{where}: {key.text} has no value, expected one")
                continue
            hint = suggestion(key.text, known)
            guessed.update(word for word in known if hint.endswith(f"{word!r}?"))
            expected = hint or f", expected one of {', '.join(known)}"
            self.note(key.line, f"{where}: unknown key {shown(key.text)}{expected}")
        for key_text in required:
            if key_text not in found and key_text not in guessed:
                self.note(node.line, f"{where}: {key_text} is missing, expected it")
        return found

    def items(self, node: Node | None, *, where: str, most: int) -> tuple[Node, ...]:
        """Take a list apart; at most `most` items."""
        if node is None:
            return ()
        if not isinstance(node, Sequence):
            self.note(node.line, f"{where}: {kind_of(node)}, expected a list")
            return ()
        if len(node.items) > most:
            self.note(node.line, f"{where}: {len(node.items)} items, expected at most {most}")
            return ()
        return node.items

    def text(
        self, node: Node | None, *, where: str, pattern: str | None = None, expected: str = "text", most: int = 64
    ) -> str | None:
        """Read text: printable, 1 to `most` characters, matching `pattern` whole where one is given."""
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self.note(node.line, f"{where}: {kind_of(node)}, expected {expected}")
            return None
        value = node.text
        if not 1 <= len(value) <= most:
            self.note(node.line, f"{where}: {shown(value)} has {len(value)} characters, expected 1 to {most}")
        elif not value.isprintable() or value != value.strip():
            self.note(node.line, f"{where}: {shown(value)}, expected printable text without spaces around it")
        elif pattern is not None and re.fullmatch(pattern, value, re.ASCII) is None:
            self.note(node.line, f"{where}: {shown(value)}, expected {expected}")
        else:
            return value
        return None

    def decimal(self, node: Node | None, *, where: str, positive: bool = True, places_max: int = 9) -> Decimal | None:
        """Read a decimal from its text; see `decimal_problem`. `positive`: 0 is refused."""
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self.note(node.line, f"{where}: {kind_of(node)}, expected a decimal")
            return None
        expected = decimal_problem(node.text, places_max=places_max)
        if expected is not None:
            self.note(node.line, f"{where}: {shown(node.text)}, expected {expected}")
            return None
        value = Decimal(node.text)
        if positive and value == 0:
            self.note(node.line, f"{where}: {shown(node.text)}, expected more than 0")
            return None
        return value

    def choice(self, node: Node | None, kind: type[_EnumT], *, where: str) -> _EnumT | None:
        """Read one of a few words, written exactly."""
        if node is None:
            return None
        words = [member.value for member in kind]
        if isinstance(node, Scalar) and node.text in words:
            return kind(node.text)
        self.note(node.line, f"{where}: {kind_of(node)}, expected {' or '.join(words)}")
        return None

    def instant(self, node: Node | None, *, where: str) -> datetime | None:
        """Read an aware instant (ISO-8601 with an offset or Z); given back in UTC."""
        if node is None:
            return None
        if isinstance(node, Scalar) and _INSTANT.fullmatch(node.text):
            try:
                return datetime.fromisoformat(node.text).astimezone(UTC)
            except (ValueError, OverflowError):
                pass
        self.note(node.line, f"{where}: {kind_of(node)}, expected a time with its offset like 2025-11-10T21:00:00Z")
        return None

    def day(self, node: Node | None, *, where: str) -> date | None:
        """Read a day (ISO-8601, no time)."""
        if node is None:
            return None
        if isinstance(node, Scalar) and _DAY.fullmatch(node.text):
            try:
                return date.fromisoformat(node.text)
            except ValueError:
                pass
        self.note(node.line, f"{where}: {kind_of(node)}, expected a day like 2025-11-10")
        return None
