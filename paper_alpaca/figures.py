"""Figures and times in the texts Alpaca uses for them. Pure."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
CENT: Final = Decimal("0.01")
SHARE_STEP: Final = Decimal("0.000000001")  # shares have at most nine decimals
PRICE_STEP: Final = Decimal("0.0001")  # executions are priced to a hundredth of a cent
AVERAGE_STEP: Final = Decimal("0.000001")


def text(figure: Decimal) -> str:
    """Write a figure as Alpaca does: plain decimals, no exponent, no trailing zeros."""
    if not figure:
        return "0"
    written = format(figure, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def text_or_none(figure: Decimal | None) -> str | None:
    """As `text`, None staying None."""
    return None if figure is None else text(figure)


def money(figure: Decimal) -> str:
    """Write an amount of dollars, rounded half-even to cents."""
    return text(figure.quantize(CENT))


def parse(value: object) -> Decimal | None:
    """Read a figure that a client sent as a JSON number or as a string; None where it is neither.

    JSON must have been decoded with `parse_float=Decimal`, so that no digit is lost.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal | int):
        return Decimal(value)
    if isinstance(value, str):
        try:
            figure = Decimal(value.strip())
        except InvalidOperation:
            return None
        return figure if figure.is_finite() else None
    return None


def decimals(figure: Decimal) -> int:
    """Count the decimals that say something: 2 for 1.50, 0 for 100."""
    exponent = figure.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def nanos(moment: datetime) -> str:
    """Write a time with nine decimals, UTC, as in orders. The last three are made up: Python knows microseconds."""
    return f"{moment.isoformat(timespec='microseconds')[:26]}{moment.microsecond * 7919 % 1000:03d}Z"


def micros(moment: datetime) -> str:
    """Write a time with six decimals, UTC."""
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def seconds(moment: datetime) -> str:
    """Write a time to the second, UTC."""
    return moment.isoformat(timespec="seconds")[:19] + "Z"


def parse_time(value: str) -> datetime | None:
    """Read an RFC 3339 time or a bare date as aware UTC; None where it is neither. Digits past microseconds are cut."""
    try:
        moment = datetime.fromisoformat(value.replace(" ", "+"))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
