"""`firm export`: fills, positions, runs and what else the portfolio database keeps, as CSV or JSON lines."""

import csv
import io
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from scripts.failure import Code, Failure
from scripts.surroundings import firm_home, firm_settings, the_account

KINDS = ("fills", "positions", "runs", "lots", "equity")


def arguments(parser: ArgumentParser) -> None:
    """Say what the verb takes."""
    parser.add_argument("kind", choices=KINDS, metavar="|".join(KINDS))
    parser.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="csv unless given")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="instead of stdout")


def run(given: Namespace) -> int:
    """Write it."""
    from departments.portfolio.files import FILE
    from departments.portfolio.records import BooksError
    from departments.portfolio.store import Books

    path = firm_home() / FILE
    if not path.exists():
        raise Failure(Code.UNREACHABLE, f"firm export: {path} is not there yet: firm rebuild makes it")
    try:
        with closing(Books.open(path, account=the_account(firm_settings()))) as books:
            columns, rows = books.rows(given.kind)
    except BooksError as error:
        raise Failure(Code.UNREACHABLE, f"firm export: {error}: firm rebuild makes it anew") from None
    text = csv_text(columns, rows) if given.format == "csv" else jsonl_text(columns, rows)
    if given.output is None:
        sys.stdout.write(text)
        return Code.DONE
    try:
        given.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(Code.BAD_INPUT, f"firm export: {given.output}: {error.strerror}") from None
    return Code.DONE


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A line of names, then a line a row; nothing stands for what is not known."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return written.getvalue()


def jsonl_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """An object a row; null stands for what is not known."""
    return "".join(f"{json.dumps(dict(zip(columns, row, strict=True)))}\n" for row in rows)
