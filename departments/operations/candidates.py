"""Candidates for a proposal, read strictly from YAML, JSON or CSV; what could mean two things is refused.

A CSV becomes the same tree as YAML, so both are judged by the same words. What is missing stays missing here; whether a
name can do without it is decided where it is sized.
"""

import csv
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from departments.office.bad_input import BadInput, Problem, shown, suggestion
from departments.office.settings import Regime
from departments.office.strict_fields import FieldReader
from departments.office.strict_tree import Mapping, Node, Scalar, Sequence
from departments.office.strict_yaml import parse, read_bytes
from departments.rulebook.limits import sector_of

MAX_CANDIDATES = 500
SCORE_ALIAS = "composite"
"""What screening files call the score; in a CSV without a column `score` it is taken for it."""

_FIELDS = ("symbol", "score", "price", "sector", "atr", "stop", "target", "volume", "earnings_date")
_SYMBOL_PATTERN = r"[A-Z][A-Z0-9]{0,9}([./][A-Z0-9]{1,5})?"
_ONE_USD = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A name that may be bought.

    Attributes:
        score: Higher is bought first, >= 0; None goes last.
        price_usd: USD per share that the judgement was made at; None: the ask price counts.
        sector: None where the file gives none, or a word for none.
        atr_usd: Average true range over 14 days, USD per share.
        stop_usd: Where a loss is taken, USD per share.
        target_usd: Where a profit is taken, USD per share.
        volume: Shares traded a day.
        earnings_date: When the company reports next, New York's day.
    """

    symbol: str
    score: Decimal | None = None
    price_usd: Decimal | None = None
    sector: str | None = None
    atr_usd: Decimal | None = None
    stop_usd: Decimal | None = None
    target_usd: Decimal | None = None
    volume: Decimal | None = None
    earnings_date: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """A file of candidates.

    Attributes:
        regime: As the file says it; None where it doesn't.
        ignored: Columns of a CSV that mean nothing here.
    """

    items: tuple[Candidate, ...]
    regime: Regime | None = None
    ignored: tuple[str, ...] = ()


def read_candidates(path: Path) -> Candidates:
    """Read a file of candidates; one that ends in `.csv` is CSV.

    Raises:
        BadInput: Every problem, with file and line.
    """
    data = read_bytes(path, expected="a file of candidates")
    return candidates_of(data, str(path))


def candidates_of(data: bytes, name: str) -> Candidates:
    """Read candidates from a file's bytes; `name` tells the format and stands in errors.

    Raises:
        BadInput: Every problem, with file and line.
    """
    if name.lower().endswith(".csv"):
        root, ignored = _table(data, name)
    else:
        root, ignored = parse(data, name, expected="candidates"), ()
    return _Reader(name).candidates(root, ignored)


class _Reader:
    """One reading of one file."""

    def __init__(self, name: str) -> None:
        self._reader = FieldReader(name)
        self._seen: dict[str, int] = {}

    def candidates(self, root: Node, ignored: tuple[str, ...]) -> Candidates:
        read = self._reader
        fields = read.fields(root, where="the file", required=("candidates",), optional=("regime",))
        regime = read.choice(fields.get("regime"), Regime, where="regime")
        listed = fields.get("candidates")
        nodes = read.items(listed, where="candidates", most=MAX_CANDIDATES)
        if isinstance(listed, Sequence) and not listed.items:
            read.note(listed.line, "candidates: an empty list, expected at least one")
        found = [self._candidate(node, number) for number, node in enumerate(nodes, start=1)]
        read.raise_problems()
        return Candidates(items=tuple(one for one in found if one is not None), regime=regime, ignored=ignored)

    def _candidate(self, node: Node, number: int) -> Candidate | None:
        read = self._reader
        where = f"candidate {number}"
        fields = read.fields(node, where=where, required=("symbol",), optional=_FIELDS[1:])
        symbol = read.text(
            fields.get("symbol"),
            where=f"{where}: symbol",
            pattern=_SYMBOL_PATTERN,
            expected="a ticker like AAPL or BRK.B",
            most=16,
        )
        if symbol is None:
            return None
        where = f"{where} ({symbol})"
        if symbol in self._seen:
            read.note(node.line, f"{where}: stands twice, expected once (first in line {self._seen[symbol]})")
            return None
        self._seen[symbol] = node.line
        sector = read.text(fields.get("sector"), where=f"{where}: sector")
        return Candidate(
            symbol=symbol,
            score=read.decimal(fields.get("score"), where=f"{where}: score", positive=False),
            price_usd=read.decimal(fields.get("price"), where=f"{where}: price"),
            sector=sector_of(sector),
            atr_usd=read.decimal(fields.get("atr"), where=f"{where}: atr"),
            stop_usd=self._tick(fields.get("stop"), where=f"{where}: stop"),
            target_usd=self._tick(fields.get("target"), where=f"{where}: target"),
            volume=read.decimal(fields.get("volume"), where=f"{where}: volume", positive=False),
            earnings_date=read.day(fields.get("earnings_date"), where=f"{where}: earnings_date"),
        )

    def _tick(self, node: Node | None, *, where: str) -> Decimal | None:
        """Read a price that an order may bear: 2 decimals from $1, 4 below. Source: Alpaca, orders."""
        price = self._reader.decimal(node, where=where)
        if price is None or not isinstance(node, Scalar):
            return price
        places_max = 2 if price >= _ONE_USD else 4
        if len(node.text.partition(".")[2].rstrip("0")) > places_max:
            self._reader.note(node.line, f"{where}: {shown(node.text)}, expected at most {places_max} decimals")
        return price


def _table(data: bytes, name: str) -> tuple[Node, tuple[str, ...]]:
    """A CSV as the tree that the YAML of the same content would be, and the columns that were not understood."""
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput.of(name, line, f"byte 0x{data[error.start]:02x} is not UTF-8, expected UTF-8 text") from None
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        while (row := next(reader, None)) is not None:
            if row:
                rows.append((reader.line_num, [cell.strip() for cell in row]))
    except csv.Error as error:
        raise BadInput.of(name, reader.line_num, f"is not CSV ({error}), expected comma-separated values") from None
    if not rows:
        raise BadInput.of(name, 1, "is empty, expected a line of column names")
    (header_line, header), *body = rows
    columns, ignored = _columns(header, header_line, name)
    problems = [
        Problem(name, line, f"{len(row)} values, expected {len(header)}, one for each column")
        for line, row in body
        if len(row) != len(header)
    ]
    if problems:
        raise BadInput(problems)
    items = tuple(
        Mapping(
            tuple(
                (Scalar(column, line), Scalar(cell, line))
                for column, cell in zip(columns, row, strict=True)
                if column is not None
            ),
            line,
        )
        for line, row in body
    )
    key = Scalar("candidates", header_line)
    return Mapping(((key, Sequence(items, header_line)),), header_line), ignored


def _columns(header: list[str], line: int, name: str) -> tuple[list[str | None], tuple[str, ...]]:
    """What each column means; None: nothing. One that looks misspelt is refused, not ignored."""
    doubled = sorted({column for column in header if header.count(column) > 1})
    if doubled:
        raise BadInput.of(name, line, f"column {shown(doubled[0])} stands twice, expected once")
    if "symbol" not in header:
        hint = next((hint for column in header if "'symbol'" in (hint := suggestion(column, _FIELDS))), "")
        raise BadInput.of(name, line, f"no column symbol, expected column names like {','.join(_FIELDS)}{hint}")
    known = {column: column for column in _FIELDS}
    if "score" not in header:
        known[SCORE_ALIAS] = "score"
    for column in header:
        if column not in known and (hint := suggestion(column, [one for one in _FIELDS if one not in header])):
            raise BadInput.of(name, line, f"unknown column {shown(column)}{hint}")
    return [known.get(column) for column in header], tuple(column for column in header if column not in known)
