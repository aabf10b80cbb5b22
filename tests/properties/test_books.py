"""However a history is cut into refreshes, the portfolio database is what one rebuild at the end makes of it."""

import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from departments.portfolio import refresh as module
from departments.portfolio.files import FILE
from departments.portfolio.refresh import refresh
from departments.portfolio.schema import EXPORTS
from departments.portfolio.store import Books
from tests.builders.fills import OPENED, fill
from tests.fakes.past import FakePast, FakeRegister

SYMBOLS = ("AAA", "BBB", "CCC")


@st.composite
def histories(draw):
    """Days of trading, run by run: executions, some unexplained shares, and what a run's look saw."""
    days, number = [], 0
    for _ in range(draw(st.integers(1, 5))):
        number += draw(st.integers(0, 4))
        fills = [
            fill(
                draw(st.sampled_from((1, 2, 5, -1, -2, -5))),
                OPENED + timedelta(days=number, minutes=draw(st.integers(0, 3))),
                symbol=draw(st.sampled_from(SYMBOLS)),
            )
            for _ in range(draw(st.integers(0, 4)))
        ]
        fills.sort(key=lambda one: one.at)
        jump = draw(st.none() | st.tuples(st.sampled_from(SYMBOLS), st.integers(-3, 3)))
        days.append((OPENED + timedelta(days=number), fills, jump, draw(st.booleans())))
    return days


def exported(path):
    books = Books.open(path, account="paper")
    try:
        return {kind: books.rows(kind) for kind in EXPORTS}
    finally:
        books.close()


def check(history):
    with tempfile.TemporaryDirectory() as folder:
        path, past, register = Path(folder) / FILE, FakePast(), FakeRegister()
        for number, (at, fills, jump, ended) in enumerate(history):
            past.now = max(past.now, at + timedelta(minutes=10))
            seen = " ".join(sorted(position.symbol for position in past.positions()))
            past.fills += fills
            if jump is not None:
                symbol, shares = jump
                past.unexplained[symbol] = past.unexplained.get(symbol, Decimal(0)) + shares
            orders = {one.order_id: f"B{place:02}" for place, one in enumerate(fills)}
            register.add(f"R{number}", outcome="completed" if ended else None, orders=orders, looks={at: seen})
            refresh(path, account="paper", reader=past, register=register)
        for run_id, ended in register.runs().items():
            if not ended:
                register.end(run_id)
        refresh(path, account="paper", reader=past, register=register)
        kept = exported(path)
        refresh(path, account="paper", reader=past, register=register, anew=True)
        assert exported(path) == kept
        positions = dict.fromkeys(position.symbol for position in past.positions())
        assert [row[0] for row in kept["positions"][1]] == list(positions)


@settings(max_examples=40, deadline=None)
@given(histories())
def test_refreshed_or_rebuilt_it_is_the_same(history):
    check(history)


HISTORY = [
    (OPENED, [fill(5, 0)], None, False),
    (OPENED, [fill(5, 1), fill(-5, 2)], None, True),
    (OPENED + timedelta(days=9), [fill(2, OPENED + timedelta(days=9))], None, True),
]


@pytest.mark.parametrize(
    ("where", "name", "fault"),
    [
        (module, "_later", lambda _books, reader, newest: () if newest else reader.fills_after(None)),
        (Books, "runs", lambda books: dict.fromkeys(RUNS(books), True)),
        (Books, "put_positions", lambda _books, _entries, _days: None),
        (
            module,
            "_equity",
            lambda books, reader, clock, first, days: () if books.days() else REAL(books, reader, clock, first, days),
        ),
    ],
    ids=["new fills are not read", "an open run is never read again", "positions are not kept", "no new closes"],
)
def test_a_planted_fault_is_caught(monkeypatch, where, name, fault):
    check(HISTORY)
    monkeypatch.setattr(where, name, fault)

    with pytest.raises(AssertionError):
        check(HISTORY)


REAL, RUNS = module._equity, Books.runs
