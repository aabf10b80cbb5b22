"""The portfolio database: kept up to date, made anew, and the same either way."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from departments.portfolio import refresh as module
from departments.portfolio.files import FILE, BooksBusy, NoBooks, one_writer
from departments.portfolio.records import BooksError
from departments.portfolio.refresh import OVERLAP, Restless, explained, refresh
from departments.portfolio.schema import EXPORTS
from departments.portfolio.store import Books
from departments.trading.broker import BrokerUnavailable
from tests.builders.fills import OPENED, fill
from tests.builders.portfolio import held
from tests.fakes.past import FakePast, FakeRegister

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


class Desk:
    """A database, the account it is about, and the journal."""

    def __init__(self, folder):
        self.path = folder / FILE
        self.past = FakePast()
        self.register = FakeRegister()

    def refresh(self, **more):
        self.past.asked.clear()
        return refresh(
            self.path, account=more.pop("account", "paper"), reader=self.past, register=self.register, **more
        )

    def trade(self, *fills):
        """Execute, and let the broker's clock follow."""
        self.past.fills += fills
        self.past.now = max(self.past.now, *(one.at for one in fills)) + MINUTE

    def exported(self):
        books = Books.open(self.path, account="paper")
        try:
            return {kind: books.rows(kind) for kind in EXPORTS}
        finally:
            books.close()

    def rows(self, kind):
        columns, rows = self.exported()[kind]
        return [dict(zip(columns, row, strict=True)) for row in rows]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def a_full_account(desk):
    """Two runs, three symbols, one of them unexplained, over several days."""
    first, second = fill(10, symbol="AAA", order_id="a1"), fill(-10, 2, symbol="BBB", order_id="b1")
    desk.past.unexplained["BBB"] = Decimal(25)
    desk.trade(first, second)
    desk.register.add("R1", orders={"a1": "B01", "b1": "S01"}, looks={OPENED - MINUTE: "BBB"})
    yield desk.refresh()
    desk.trade(fill("2.5", OPENED + 3 * DAY, symbol="AAA", price="11.25"), fill(7, OPENED + 3 * DAY, symbol="CCC"))
    desk.register.add("R2", outcome=None)
    yield desk.refresh()
    desk.past.now += 4 * DAY
    desk.register.add("R2", outcome="aborted")
    yield desk.refresh()


def test_what_is_exported_says_what_is_known_and_what_is_not(desk):
    *_, done = a_full_account(desk)

    assert (done.fills, done.new_fills, done.positions, done.runs) == (4, 0, 3, 2)
    assert list(done.unknown) == ["BBB"]
    aaa, bbb, ccc = desk.rows("positions")
    assert aaa == {
        "symbol": "AAA",
        "qty": "12.5",
        "avg_entry_price": "10",
        "entered_at": "2025-11-10T14:30:00.000000Z",
        "entry_day": "2025-11-10",
        "entry_order_id": "a1",
        "entry_run_id": "R1",
        "entry_leg": "B01",
        "lots": 2,
        "unknown_because": None,
    }
    assert (bbb["entered_at"], bbb["entry_day"], bbb["lots"]) == (None, None, 0)
    assert bbb["unknown_because"] == "the fills add up to -10 shares, Alpaca shows 15"
    assert (ccc["entry_day"], ccc["entry_run_id"]) == ("2025-11-13", None)
    assert [(row["symbol"], row["number"], row["qty"], row["price"]) for row in desk.rows("lots")] == [
        ("AAA", 1, "10", "10"),
        ("AAA", 2, "2.5", "11.25"),
        ("CCC", 1, "7", "10"),
    ]
    assert [row["client_order_id"] for row in desk.rows("fills")] == ["R1-B01-1", "R1-S01-1", None, None]
    assert [(row["run_id"], row["outcome"], row["proceeds"]) for row in desk.rows("runs")] == [
        ("R1", "completed", "100.5"),
        ("R2", "aborted", "100.5"),
    ]
    assert [row["day"] for row in desk.rows("equity")] == [
        f"2025-11-{day}" for day in (10, 11, 12, 13, 14)
    ]  # the 17th is not over


def test_it_is_the_same_after_a_rebuild_and_after_it_was_deleted(desk):
    for _ in a_full_account(desk):
        kept = desk.exported()
        anew = desk.refresh(anew=True)
        assert desk.exported() == kept
        desk.path.unlink()
        assert desk.refresh().made_anew_because is not None
        assert desk.exported() == kept

    assert anew.made_anew_because == "it was asked for"


def test_what_is_known_is_not_asked_for_again(desk):
    *_, _ = a_full_account(desk)
    desk.trade(fill(1, OPENED + 8 * DAY, symbol="CCC"))
    newest = OPENED + 3 * DAY
    desk.register.read.clear()
    done = desk.refresh()

    assert (done.new_fills, done.made_anew_because) == (1, None)
    assert [after for call, after in desk.past.asked if call == "fills"] == [
        newest - OVERLAP,
        OPENED + 8 * DAY - OVERLAP,
    ]
    assert desk.register.read == []
    assert desk.past.count("days") == 0
    assert [about for call, about in desk.past.asked if call == "equity"] == [(date(2025, 11, 10), date(2025, 11, 17))]


def test_an_execution_that_is_listed_late_is_taken_in_and_a_known_one_changes_nothing(desk):
    desk.trade(fill(5, 0), fill(5, 20))
    desk.refresh()
    desk.trade(fill(-3, 10))  # older than the newest, within the overlap
    done = desk.refresh()

    assert (done.fills, done.new_fills) == (3, 1)
    assert desk.rows("positions")[0]["qty"] == "7"


def test_a_symbol_seen_flat_by_a_run_is_told_from_then_on(desk):
    desk.past.unexplained["CTVA"] = Decimal(190)
    desk.trade(fill(-190, 0, symbol="CTVA"), fill(30, 5, symbol="CTVA"))
    desk.register.add("R1", looks={OPENED - MINUTE: "CTVA", OPENED + 2 * MINUTE: "CTVAX"})
    desk.refresh()

    (ctva,) = desk.rows("positions")
    assert ctva["entered_at"] == "2025-11-10T14:35:00.000000Z"


@pytest.mark.parametrize("call", ["account", "clock", "positions", "fills", "days", "equity"])
def test_an_alpaca_that_does_not_answer_changes_nothing(desk, call):
    desk.trade(fill(5))
    desk.refresh()
    kept = desk.exported()
    desk.trade(fill(5, OPENED + 20 * DAY))

    def fail(name):
        if name == call:
            raise BrokerUnavailable("gone")

    desk.past.before = fail
    with pytest.raises(BrokerUnavailable):
        desk.refresh()
    with pytest.raises(BrokerUnavailable):
        desk.refresh(anew=True)

    assert desk.exported() == kept
    desk.past.before = lambda _: None
    assert desk.refresh().fills == 2


def test_fills_and_positions_are_of_one_moment(desk):
    desk.trade(fill(5))
    late = [fill(4, 30)]

    def trade_meanwhile(call):
        if call == "positions" and late:
            desk.past.fills.append(late.pop())

    desk.past.before = trade_meanwhile
    desk.refresh()

    (row,) = desk.rows("positions")
    assert (row["qty"], row["unknown_because"]) == ("9", None)


def test_an_account_that_never_rests_is_left_for_later(desk):
    numbers = iter(range(100))
    desk.past.before = lambda call: desk.past.fills.append(fill(1, next(numbers))) if call == "positions" else None

    with pytest.raises(Restless):
        desk.refresh()

    assert not desk.path.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda desk: setattr(desk.past, "account_number", "PA2"),
        lambda desk: desk.past.fills.clear(),
        lambda desk: desk.past.fills.__setitem__(0, desk.past.fills[0].model_copy(update={"qty": Decimal(4)})),
        lambda desk: desk.register.kept.clear(),
        lambda desk: desk.path.write_bytes(b"no database"),
        lambda desk: desk.path.write_bytes(b""),
        lambda desk: _versioned(desk.path, 99),
    ],
    ids=["another account", "a reset account", "a corrected fill", "another journal", "rubbish", "empty", "version"],
)
def test_what_it_was_made_of_has_changed_and_it_is_made_anew(desk, change):
    desk.trade(fill(5))
    desk.register.add("R1")
    desk.refresh()
    change(desk)
    done = desk.refresh()

    assert done.made_anew_because is not None
    kept = desk.exported()
    desk.refresh(anew=True)
    assert desk.exported() == kept


def _versioned(path, version):
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def test_two_stories_of_one_execution_are_an_error_not_a_guess(desk):
    desk.trade(fill(5, activity_id="x"), fill(6, activity_id="x"))

    with pytest.raises(BooksError, match="fill x"):
        desk.refresh()


def test_another_accounts_database_is_not_shown(desk):
    desk.refresh()

    with pytest.raises(NoBooks, match="expected the account live"):
        Books.open(desk.path, account="live")


def test_one_process_writes_at_a_time(desk):
    with one_writer(desk.path):
        with pytest.raises(BooksBusy):
            desk.refresh()
        with pytest.raises(BooksBusy):
            desk.refresh(patience_s=0.1)
    desk.refresh()


def test_a_patient_one_comes_after_the_other(desk):
    with ThreadPoolExecutor() as other:
        with one_writer(desk.path):
            waiting = other.submit(desk.refresh, patience_s=10.0)
            asked_meanwhile = list(desk.past.asked)
        done = waiting.result(10)

    assert asked_meanwhile == []
    assert done.made_anew_because is not None


def test_its_files_are_its_owners_alone_whatever_the_umask(desk):
    before = os.umask(0)
    try:
        desk.refresh()
        desk.refresh(anew=True)
    finally:
        os.umask(before)

    assert {path.name: path.stat().st_mode & 0o777 for path in desk.path.parent.iterdir()} == {
        FILE: 0o600,
        "portfolio.lock": 0o600,
    }


def test_leftovers_of_a_killed_refresh_do_no_harm(desk):
    desk.trade(fill(5))
    desk.path.with_name(f"{FILE}.new").write_bytes(b"half")
    desk.path.with_name(f"{FILE}.new-journal").write_bytes(b"half")
    desk.path.with_name(f"{FILE}-journal").write_bytes(b"half")
    desk.refresh()

    assert desk.rows("positions")[0]["qty"] == "5"
    assert {path.name for path in desk.path.parent.iterdir()} == {FILE, "portfolio.lock"}


def test_a_file_that_cannot_be_read_on_is_an_error_of_one_line(desk):
    desk.refresh()
    connection = sqlite3.connect(desk.path)
    connection.execute("DROP TABLE fills")
    connection.close()
    books = Books.open(desk.path, account="paper")

    with pytest.raises(NoBooks, match="can't be read: no such table"):
        books.rows("fills")
    books.close()


def test_positions_are_explained_by_what_was_executed_since_and_nothing_is_written(desk):
    desk.trade(fill(5))
    desk.refresh()
    desk.trade(fill(4, OPENED + DAY))
    positions = (held("AAA", 9, 10), held("ZZZ", 1, 10))

    known, unknown = explained(desk.path, account="paper", account_number="PA1", reader=desk.past, positions=positions)

    assert (known.opened.at, unknown.unknown_because) == (OPENED, "no fills")
    assert len(desk.rows("fills")) == 1


def test_entries_are_given_to_whoever_trades_by_them(desk):
    *_, _ = a_full_account(desk)
    books = Books.open(desk.path, account="paper")
    aaa, bbb, _ = books.held_since()
    books.close()

    assert (aaa.symbol, aaa.qty, aaa.entered_at, aaa.entry_day) == ("AAA", Decimal("12.5"), OPENED, date(2025, 11, 10))
    assert (bbb.entered_at, bbb.entry_day) == (None, None)
    assert "Alpaca shows 15" in bbb.unknown_because


# Planted faults


def whole_story(desk):
    for _ in a_full_account(desk):
        kept = desk.exported()
        desk.refresh(anew=True)
        assert desk.exported() == kept
    assert {row["symbol"]: row["entry_day"] for row in desk.rows("positions")}["AAA"] == "2025-11-10"
    assert len(desk.rows("equity")) == 5
    assert [row["outcome"] for row in desk.rows("runs")] == ["completed", "aborted"]


def forgetful_entries(books, positions, later=()):
    """Looks at the newest fill only, as if it were the first."""
    newest = {one.symbol: one for one in later} | {
        position.symbol: books.fills_of(position.symbol)[-1]
        for position in positions
        if books.fills_of(position.symbol)
    }
    return tuple(
        module.Entry(position=position, opened=newest.get(position.symbol)) for position in positions if position.qty
    )


@pytest.mark.parametrize(
    ("where", "name", "fault"),
    [
        (module, "_entries", forgetful_entries),
        (module, "_equity", lambda books, reader, *_: reader.equity_days(date(2025, 11, 3), reader.now.date())),
        (Books, "put_run", lambda books, booked: None if books.runs() else PUT_RUN(books, booked)),
        (Books, "flat_at", lambda _books, _symbol: datetime(2025, 12, 1, tzinfo=OPENED.tzinfo)),
    ],
    ids=["entry of the newest fill", "equity of the day under way", "later runs lost", "a look that never was"],
)
def test_a_planted_fault_is_caught(tmp_path, monkeypatch, where, name, fault):
    for folder in ("good", "bad"):
        (tmp_path / folder).mkdir()
    whole_story(Desk(tmp_path / "good"))
    monkeypatch.setattr(where, name, fault)

    with pytest.raises(AssertionError):
        whole_story(Desk(tmp_path / "bad"))


PUT_RUN = Books.put_run
