"""The fields of Alpaca's JSON: each read as what it must be, or refused by name. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from messages.values import Side

_SIDES = {side.value: side for side in Side}
_MOST_DIGITS = 30
_LONGEST_TEXT = 200
_FIRST_YEAR = 1970


class Untranslatable(ValueError):
    """A payload lacks what we can't do without. The text names the field, what was expected and what came."""


def short(value: Any) -> str:
    """Show a value in an error."""
    return repr(value)[:60]


def mapping_of(value: Any, what: str) -> Mapping[str, Any]:
    """Read an object."""
    if not isinstance(value, Mapping):
        raise Untranslatable(f"{what}: expected an object, was {short(value)}")
    return value


def rows_of(value: Any, what: str) -> Sequence[Any]:
    """Read a list."""
    if not isinstance(value, list):
        raise Untranslatable(f"{what}: expected a list, was {short(value)}")
    return value


def text(row: Mapping[str, Any], key: str) -> str:
    """Read text that must be there."""
    value = row.get(key)
    if not isinstance(value, str) or not value or len(value) > _LONGEST_TEXT:
        raise Untranslatable(f"{key}: expected text, was {short(value)}")
    return value


def word(row: Mapping[str, Any], key: str) -> str:
    """Read text that nobody decides by; empty where there is none."""
    value = row.get(key)
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""


def side_of(row: Mapping[str, Any]) -> Side:
    """Read `side`."""
    side = _SIDES.get(word(row, "side"))
    if side is None:
        raise Untranslatable(f"side: expected buy or sell, was {short(row.get('side'))}")
    return side


def flag(row: Mapping[str, Any], key: str) -> bool:
    """Read true or false."""
    value = row.get(key)
    if not isinstance(value, bool):
        raise Untranslatable(f"{key}: expected true or false, was {short(value)}")
    return value


def decimal_or_none(row: Mapping[str, Any], key: str) -> Decimal | None:
    """Read a finite number, exactly; None where there is none."""
    value = row.get(key)
    if value is None or value == "":
        return None
    number: Decimal | None = None
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, (str, int)) and not isinstance(value, bool):
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = None
    if number is None or not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        raise Untranslatable(f"{key}: expected a decimal, was {short(value)}")
    return number


def decimal(row: Mapping[str, Any], key: str) -> Decimal:
    """Read a number that must be there."""
    number = decimal_or_none(row, key)
    if number is None:
        raise Untranslatable(f"{key}: expected a decimal, was {short(row.get(key))}")
    return number


def not_negative(number: Decimal, key: str) -> Decimal:
    """Let a number pass that is >= 0."""
    if number < 0:
        raise Untranslatable(f"{key}: expected >= 0, was {number}")
    return number


def positive(row: Mapping[str, Any], key: str) -> Decimal | None:
    """Read a number > 0; None where there is none."""
    number = decimal_or_none(row, key)
    if number is not None and number <= 0:
        raise Untranslatable(f"{key}: expected > 0, was {number}")
    return number


def price_or_none(row: Mapping[str, Any], key: str) -> Decimal | None:
    """Read a price; zero means that there is none (Alpaca sends 0 for an empty side of the book)."""
    number = decimal_or_none(row, key)
    return None if number is None or number <= 0 else number


def time_or_none(row: Mapping[str, Any], key: str) -> datetime | None:
    """Read an aware time, cut to microseconds; None where it is missing, no such time, or Go's zero time."""
    value = row.get(key)
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.tzinfo is not None and at.year >= _FIRST_YEAR else None
    except (ValueError, OverflowError):
        return None


def first_time(row: Mapping[str, Any], *keys: str) -> datetime:
    """Read the first of these times that is there."""
    for key in keys:
        at = time_or_none(row, key)
        if at is not None:
            return at
    raise Untranslatable(f"{' or '.join(keys)}: expected an aware time, was {short(row.get(keys[0]))}")
