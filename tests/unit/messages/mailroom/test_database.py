"""Nobody sees "database is locked": it is tried again, within a bound, then said in one line."""

import sqlite3
import threading

import pytest

from messages.mailroom.connect import open_store
from messages.mailroom.port import StoreUnavailable
from tests.fakes.mailroom import PAPER
from tests.unit.messages.mailroom.houses import CEO, NOW, a_halt, ready, seqs, take

LETTER = {
    "arg_message_id": "1",
    "arg_sender": "operator",
    "arg_recipient": "executive",
    "arg_sent_at": "",
    "arg_run_id": None,
    "arg_type": "HaltTrading",
    "arg_version": 1,
    "arg_body": "{}",
    "arg_documents": "",
}


@pytest.fixture
def other(sql):
    """Another process's connection to the store."""
    ready(sql.open()).close()
    connection = sqlite3.connect(sql.path, isolation_level=None, check_same_thread=False, timeout=30)
    yield connection
    connection.close()


def write(database):
    return database.transact(lambda db: db.run("insert_letter", LETTER))


@pytest.mark.parametrize("hold", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_writer_waits_for_another_writer(sql, other, hold):
    database = open_store(sql.url, account=PAPER, patience_s=20)
    other.execute(hold)
    done = []
    thread = threading.Thread(target=lambda: done.append(write(database)))
    thread.start()
    thread.join(0.1)
    assert done == []

    other.execute("COMMIT")
    thread.join(10)

    assert done == [1]
    database.close()


def test_a_commit_waits_for_a_reader(sql, other):
    database = open_store(sql.url, account=PAPER, patience_s=20)
    other.execute("BEGIN")
    other.execute("SELECT * FROM store").fetchall()
    done = []
    thread = threading.Thread(target=lambda: done.append(write(database)))
    thread.start()
    thread.join(0.1)
    assert done == []

    other.execute("COMMIT")
    thread.join(10)

    assert done == [1]
    assert other.execute("SELECT count(*) FROM letters").fetchall() == [(1,)]
    database.close()


def test_patience_ends_with_one_clear_line_and_nothing_written(sql, other):
    database = open_store(sql.url, account=PAPER, patience_s=0.05)
    other.execute("BEGIN")
    other.execute("SELECT * FROM store").fetchall()

    with pytest.raises(StoreUnavailable, match=r"kept the store busy for 0\.05 s") as refused:
        write(database)

    assert "\n" not in str(refused.value)
    assert "locked" not in str(refused.value)
    other.execute("COMMIT")
    assert database.query("SELECT count(*) FROM letters") == [(0,)]
    assert write(database) == 1
    database.close()


def test_a_reader_is_as_patient(sql, other):
    database = open_store(sql.url, account=PAPER, patience_s=0.05)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StoreUnavailable, match="busy"):
        database.read("store")
    assert database.change_mark() is None

    other.execute("COMMIT")
    assert len(database.read("store")) == 1
    assert database.change_mark() is not None
    database.close()


def test_work_that_fails_is_rolled_back(sql, other):
    database = open_store(sql.url, account=PAPER, patience_s=1)

    def work(db):
        db.run("insert_letter", LETTER)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.transact(work)

    assert database.query("SELECT count(*) FROM letters") == [(0,)]
    assert write(database) == 1
    database.close()


def test_a_closed_database_says_so(sql):
    ready(sql.open()).close()
    database = open_store(sql.url, account=PAPER, patience_s=1)
    database.close()
    database.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        database.read("store")
    assert database.change_mark() is None


def test_the_change_mark_moves_for_others_only(sql, other):
    database = open_store(sql.url, account=PAPER, patience_s=1)
    before = database.change_mark()
    write(database)
    assert database.change_mark() == before

    other.execute("UPDATE letters SET sender = 'someone'")

    assert database.change_mark() != before
    database.close()


def test_a_writer_that_is_locked_out_too_long_fails_everybody_loudly(sql, other):
    mailroom = ready(sql.open(patience_s=0.05))
    mail = take(mailroom, a_halt())
    told = []
    mailroom.on_failure(told.append)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable, match="busy"):
        mailroom.ensure_durable(mail.seq)

    other.execute("COMMIT")
    assert len(told) == 1
    with pytest.raises(StoreUnavailable):
        mailroom.flush()


def test_posting_committing_and_reading_at_once_goes_through(sql):
    mailroom = ready(sql.open(patience_s=30))
    errors = []
    posts = 40

    def post(name):
        counter = sql.counter(patience_s=30)
        for number in range(posts):
            counter.post(message_id=f"{name}-{number}", recipient=CEO, message=a_halt(), at=NOW)

    def read(stop):
        counter = sql.counter(patience_s=30)
        while not stop.is_set():
            counter.letters()
            counter.verify_chain()

    def guarded(work, *args):
        try:
            work(*args)
        except StoreUnavailable as error:
            errors.append(error)

    stop = threading.Event()
    reader = threading.Thread(target=guarded, args=(read, stop))
    posters = [threading.Thread(target=guarded, args=(post, name)) for name in "ab"]
    for thread in (reader, *posters):
        thread.start()
    seen = []
    while any(thread.is_alive() for thread in posters) or len(seen) < 2 * posts:
        imported = mailroom.import_letters(NOW)
        for mail in imported:
            seen.append(mail.message_id)
            mailroom.record(handled=mail, at=NOW, settings_sha256=next(iter(mailroom._settings)), outgoing=[])
        mailroom.flush()
        if errors:
            break
    stop.set()
    for thread in (reader, *posters):
        thread.join(30)

    assert errors == []
    assert sorted(seen) == sorted(f"{name}-{number}" for name in "ab" for number in range(posts))
    assert seqs(mailroom.unhandled(CEO)) == []
    assert sql.counter().verify_chain() == 2 * posts
