"""Pipelining: order at once, durability together, and no thread left waiting."""

import contextlib
import sqlite3
import threading

import pytest

from messages.mailroom import writer
from messages.mailroom.port import StoreUnavailable
from tests.unit.messages.mailroom.houses import CEO, NOW, SqlHouse, a_gate, a_halt, begin, handle, ready, seqs, take


@pytest.fixture
def commits(monkeypatch):
    """How many units each commit held."""
    sizes = []
    original = writer.Writer._write

    def counted(self, units):
        sizes.append(len(units))
        return original(self, units)

    monkeypatch.setattr(writer.Writer, "_write", counted)
    return sizes


def test_a_line_of_messages_costs_one_commit(sql, commits):
    mailroom = ready(sql.open())
    mail = take(mailroom, a_halt())
    for _ in range(10):
        (mail,) = handle(mailroom, mail, begin())
    assert commits == []

    mailroom.ensure_durable(mail.seq)
    mailroom.ensure_durable(mail.seq - 5)
    mailroom.flush()

    assert commits == [12]  # the settings are a unit too


def test_what_nobody_waits_for_is_committed_after_a_while(tmp_path):
    house = SqlHouse(tmp_path, "sqlite", lazy_commit_ms=1)
    committed = threading.Event()
    mailroom = ready(house.open())
    mailroom._writer._committed = lambda units: committed.set() if any(unit.mail for unit in units) else None

    take(mailroom, a_halt())

    assert committed.wait(10)
    assert seqs(house.crash(mailroom).unhandled(CEO)) == [1]
    house.close()


def test_a_failure_nobody_waits_for_is_told_all_the_same(tmp_path):
    house = SqlHouse(tmp_path, "sqlite", lazy_commit_ms=1)
    mailroom = house.open()
    told = threading.Event()
    mailroom.on_failure(lambda error: told.set() if isinstance(error, StoreUnavailable) else None)
    house.break_store()

    take(mailroom, a_halt())

    assert told.wait(10)
    with pytest.raises(StoreUnavailable):
        mailroom.flush()
    mailroom.close()


def test_a_mailroom_may_be_closed_by_the_one_who_is_told(tmp_path):
    house = SqlHouse(tmp_path, "sqlite", lazy_commit_ms=1)
    mailroom = house.open()
    closed = threading.Event()

    def close(_error):
        mailroom.close()
        closed.set()

    mailroom.on_failure(close)
    house.break_store()

    take(mailroom, a_halt())

    assert closed.wait(10)


def test_a_large_backlog_is_committed_in_bounded_pieces(sql, commits, monkeypatch):
    monkeypatch.setattr(writer, "UNITS_A_COMMIT", 4)
    mailroom = ready(sql.open())
    mail = [take(mailroom, a_halt()) for _ in range(9)]

    mailroom.ensure_durable(mail[2].seq)
    assert commits == [4]
    mailroom.flush()
    assert commits == [4, 4, 2]

    mail = [take(mailroom, a_halt()) for _ in range(6)]
    mailroom.ensure_durable(mail[-1].seq)
    assert commits == [4, 4, 2, 4, 2]


def test_nothing_is_remembered_of_what_is_committed(sql):
    mailroom = ready(sql.open())
    for number in range(3):
        take(mailroom, a_halt(), message_id=str(number))
        sql.counter().post(message_id=f"letter {number}", recipient=CEO, message=a_halt(), at=NOW)
    mailroom.import_letters(NOW)
    assert mailroom._numbers.uncommitted_ids
    assert mailroom._numbers.uncommitted_stops

    mailroom.flush()

    assert not mailroom._numbers.uncommitted_ids
    assert not mailroom._numbers.uncommitted_stops


def test_whoever_records_past_the_limit_commits_first(sql, commits, monkeypatch):
    monkeypatch.setattr(writer, "PENDING_LIMIT", 5)
    mailroom = ready(sql.open())

    for _ in range(12):
        take(mailroom, a_halt())

    assert commits == [5, 5]


def test_a_snapshot_is_stored_once_however_often_it_is_sent(sql):
    mailroom = ready(sql.open())
    for _ in range(3):
        take(mailroom, a_gate())
        mailroom.flush()
    again = ready(sql.crash(mailroom))
    take(again, a_gate())
    again.flush()

    with contextlib.closing(sqlite3.connect(sql.path)) as connection:
        (bodies,) = connection.execute("SELECT count(*) FROM documents WHERE body LIKE '%quotes%'").fetchone()
        (mails,) = connection.execute("SELECT count(*) FROM mail WHERE body LIKE '%quotes%'").fetchone()
    assert bodies == 1
    assert mails == 0
    assert [mail.message.snapshot for mail in again.unhandled(CEO)] == [a_gate().snapshot] * 4


def test_documents_are_remembered_within_a_bound(sql, monkeypatch):
    monkeypatch.setattr(writer, "KNOWN_DOCUMENTS", 2)
    mailroom = ready(sql.open())
    for price in ("1", "2", "3", "4", "1"):
        take(mailroom, a_gate(price=price))
        mailroom.flush()

    assert len(mailroom._writer._known_documents) <= 3
    assert len(mailroom.unhandled(CEO)) == 5


def test_many_threads_record_and_wait_and_every_number_is_given_once(sql):
    mailroom = ready(sql.open())
    together = threading.Barrier(8)
    given = []
    broken = []

    def work(number):
        together.wait(10)
        mail = take(mailroom, a_halt(str(number)))
        mine = [mail.seq]
        for step in range(20):
            (mail,) = handle(mailroom, mail, begin())
            mine.append(mail.seq)
            if step % 4 == number % 4:
                mailroom.ensure_durable(mail.seq)
                facts = mailroom.door(run_id=mail.correlation_id, call_seq=mail.seq)
                if not facts.call_committed:
                    broken.append(mail.seq)
            if step % 7 == 0:
                mailroom.unhandled(CEO)
        given.extend(mine)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert broken == []
    assert sorted(given) == list(range(1, 8 * 21 + 1))
    mailroom.flush()
    assert sql.counter().verify_chain() == 8 * 20
    assert len(sql.crash(mailroom).unhandled(CEO)) == 8


def test_an_inbox_is_read_whole_while_others_record(sql):
    """Whatever was recorded before the inbox is read is in it."""
    mailroom = ready(sql.open())

    def record():
        for _ in range(400):
            take(mailroom, a_halt())

    thread = threading.Thread(target=record)
    thread.start()
    missing = []
    while thread.is_alive():
        known = mailroom._writer.last_seq
        inbox = set(seqs(mailroom.unhandled(CEO)))
        missing += set(range(1, known + 1)) - inbox
    thread.join(30)

    assert missing == []
    assert len(mailroom.unhandled(CEO)) == 400


def test_a_flush_ends_although_others_go_on_recording(sql, commits):
    mailroom = ready(sql.open())
    original = mailroom._writer._committed

    def record_more(units):
        original(units)
        take(mailroom, a_halt())

    mailroom._writer._committed = record_more
    take(mailroom, a_halt())

    mailroom.flush()

    assert commits == [2]
    mailroom._writer._committed = original
    assert len(mailroom.unhandled(CEO)) == 2


def test_everybody_who_waits_hears_of_a_dead_writer(sql):
    mailroom = ready(sql.open())
    mail = [take(mailroom, a_halt()) for _ in range(6)]
    sql.break_store()
    together = threading.Barrier(6)
    heard = []

    def wait(seq):
        together.wait(10)
        try:
            mailroom.ensure_durable(seq)
        except StoreUnavailable as error:
            heard.append(str(error))

    threads = [threading.Thread(target=wait, args=(one.seq,)) for one in mail]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(heard) == 6
    assert len(set(heard)) == 1


def test_a_bug_in_the_writer_is_loud(sql, monkeypatch):
    mailroom = ready(sql.open())
    told = []
    mailroom.on_failure(told.append)
    mail = take(mailroom, a_halt())
    monkeypatch.setattr(writer.Writer, "_write", lambda self, units: units[0].no_such_thing)

    with pytest.raises(AttributeError):
        mailroom.ensure_durable(mail.seq)

    assert [type(error) for error in told] == [StoreUnavailable]
    assert "AttributeError" in str(told[0])
    with pytest.raises(StoreUnavailable, match="AttributeError"):
        mailroom.flush()
