"""How figures, times and tables look to people: money right-aligned, colours only on a terminal."""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, TextIO

from departments.office.log_reading import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 150
NOTHING = "-"

STYLES = {
    "filled": "green",
    "completed": "bold green",
    "partially_filled": "yellow",
    "open": "yellow",
    "intended": "yellow",
    "unknown": "bold red",
    "held": "bold yellow",
    "canceled": "red",
    "expired": "red",
    "rejected": "bold red",
    "refused": "bold red",
    "aborted": "red",
    "cut": "magenta",
    "dropped": "magenta",
    "planned": "dim",
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
}


def console(stream: TextIO | None = None) -> "Console":
    """Where tables go; as wide as the terminal, and wide enough where there is none."""
    from rich.console import Console

    stream = stream or sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False, emoji=False, markup=False)


def table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> "Table":
    """A table. A column whose name begins with `>` is right-aligned; words with a style of their own get it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        made.add_column(column.removeprefix(">"), justify="right" if right else "left", no_wrap=right, overflow="fold")
    for row in rows:
        cells = [words(cell) for cell in row]
        made.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in cells))
    return made


def words(value: object) -> str:
    """A value as text that can't move a cursor; nothing is shown as nothing."""
    return NOTHING if value is None or value == "" else printable(str(value))


def usd(value: object, *, sign: bool = False) -> str:
    """`$36,475.24`, `-$64,137.45`; with `sign` also `+$...`. Rounded half to even, to the cent."""
    if value is None:
        return NOTHING
    amount = Decimal(str(value)).quantize(Decimal("0.01"))
    lead = "-" if amount < 0 else "+" if sign and amount > 0 else ""
    return f"{lead}${abs(amount):,.2f}"


def price(value: object) -> str:
    """A price, with two decimals at least and four at most."""
    if value is None:
        return NOTHING
    whole, _, places = f"{Decimal(str(value)):,.4f}".partition(".")
    return f"{whole}.{places.rstrip('0'):0<2}"


def clock_time(value: object) -> str:
    """The time of day of an ISO instant, UTC, to the millisecond."""
    if value is None:
        return NOTHING
    return f"{datetime.fromisoformat(str(value)):%H:%M:%S.%f}"[:-3]


def full_time(value: object) -> str:
    """An ISO instant, UTC, to the second."""
    if value is None:
        return NOTHING
    return f"{datetime.fromisoformat(str(value)):%Y-%m-%d %H:%M:%S} UTC"


def between_ms(earlier: object, later: object) -> str:
    """Milliseconds from one ISO instant to another."""
    if earlier is None or later is None:
        return NOTHING
    return (
        f"{(datetime.fromisoformat(str(later)) - datetime.fromisoformat(str(earlier))).total_seconds() * 1000:,.0f} ms"
    )
