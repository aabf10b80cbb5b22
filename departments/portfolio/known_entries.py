"""Since when each position is held, as the portfolio database has it: for those who judge positions."""

from contextlib import closing
from pathlib import Path

from departments.portfolio.records import BooksError
from departments.portfolio.store import Books
from messages.snapshots import EntryFacts


def known_entries(path: Path, account: str) -> tuple[EntryFacts, ...]:
    """Every entry that is known; none where there is no database to be used: then no entry is known.

    Args:
        path: Of the database.
        account: Its name in `firm.yaml`.
    """
    try:
        with closing(Books.open(path, account=account)) as books:
            held = books.held_since()
    except BooksError:
        return ()
    return tuple(
        EntryFacts(symbol=one.symbol, qty=one.qty, entered_on=one.entry_day, entered_at=one.entered_at)
        for one in held
        if one.entry_day is not None and one.entered_at is not None
    )
