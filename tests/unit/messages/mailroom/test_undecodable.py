"""What this version can't read becomes a dead letter: kept, told to the CEO once, and nothing else is held up by it."""

import contextlib
import sqlite3

import pytest

from messages.control import BeginRun, DeadLetter
from messages.envelope import Outgoing
from messages.mailroom.port import MailroomError
from messages.values import Recipient
from tests.unit.messages.mailroom.houses import (
    CEO,
    NOW,
    RUN,
    SETTINGS,
    a_gate,
    a_halt,
    begin,
    handle,
    ready,
    seqs,
    take,
)


@pytest.fixture
def newer_version(monkeypatch):
    """From now on, stored BeginRun mail is of a version that nobody knows."""

    def switch():
        monkeypatch.setattr(BeginRun, "VERSION", 2)

    return switch


def test_waiting_mail_becomes_a_dead_letter_and_the_rest_is_delivered(sql, newer_version):
    mailroom = ready(sql.open())
    unreadable = take(mailroom, begin(), recipient=Recipient.TRADING)
    readable = take(mailroom, a_halt(), recipient=Recipient.TRADING)
    mailroom.close()
    newer_version()
    again = ready(sql.open())

    inbox = again.unhandled(Recipient.TRADING)

    assert seqs(inbox) == [readable.seq]
    (notice,) = again.import_letters(NOW)
    assert isinstance(notice.message, DeadLetter)
    assert (notice.recipient, notice.message.dead_seq, notice.message.about_run) == (CEO, unreadable.seq, RUN)
    assert "version" in notice.message.reason
    assert seqs(again.unhandled(CEO)) == [notice.seq]
    assert again.import_letters(NOW) == ()
    ((envelope, reason),) = sql.counter().dead_letters()
    assert envelope is None
    assert "mail 1 to trading" in reason


def test_the_ceo_is_told_of_its_own_unreadable_mail_at_once(sql, newer_version):
    mailroom = ready(sql.open())
    take(mailroom, begin())
    mailroom.close()
    newer_version()
    again = ready(sql.open())

    assert again.unhandled(CEO) == ()

    (notice,) = again.import_letters(NOW)
    assert isinstance(notice.message, DeadLetter)


def test_handled_mail_becomes_a_dead_letter_once_and_the_fold_goes_on(sql, newer_version):
    mailroom = ready(sql.open())
    halt = take(mailroom, a_halt())
    (unreadable,) = handle(mailroom, halt, begin())
    handle(mailroom, unreadable, a_halt("later"))
    mailroom.close()
    newer_version()
    again = ready(sql.open())

    first = list(again.handled(CEO))
    second = list(again.handled(CEO))

    assert [row.envelope.seq for row in first] == [row.envelope.seq for row in second] == [halt.seq]
    assert first[0].outgoing == ()
    (notice,) = again.import_letters(NOW)
    assert notice.message.dead_seq == unreadable.seq
    again.close()
    assert sql.counter().verify_chain() == 2
    assert len(sql.counter().dead_letters()) == 1


def test_two_folds_at_once_make_one_dead_letter(sql, newer_version):
    mailroom = ready(sql.open())
    take(mailroom, a_halt())
    unreadable = take(mailroom, begin())
    handle(mailroom, unreadable)
    mailroom.close()
    newer_version()
    again = ready(sql.open())
    one, other = again.handled(CEO), again.handled(CEO)

    assert list(one) == []
    again.flush()
    assert list(other) == []

    again.flush()
    assert len(again.import_letters(NOW)) == 1


def test_a_letter_that_nobody_can_read_is_imported_as_a_dead_letter(sql, newer_version):
    counter = sql.counter()
    counter.post(message_id="1", recipient=CEO, message=begin(), at=NOW)
    counter.post(message_id="2", recipient=CEO, message=a_halt(), at=NOW)
    newer_version()
    mailroom = ready(sql.open())
    assert [letter.message_id for letter in counter.letters()] == ["2"]
    assert [envelope for envelope, _ in counter.dead_letters()] == [None]

    notice, letter = mailroom.import_letters(NOW)

    assert (notice.message.about_run, notice.message.message_type) == (RUN, "BeginRun")
    assert letter.message_id == "2"
    again = sql.crash(mailroom)
    assert len(again.import_letters(NOW)) == 2
    again.flush()
    assert [letter.message_id for letter in sql.counter().letters()] == ["2"]
    assert len(sql.counter().dead_letters()) == 1
    assert sql.crash(again).import_letters(NOW) == ()


def test_a_letter_that_nobody_can_read_is_imported_once(sql, newer_version):
    sql.counter().post(message_id="1", recipient=CEO, message=begin(), at=NOW)
    newer_version()
    mailroom = ready(sql.open())

    assert len(mailroom.import_letters(NOW)) == 1
    assert mailroom.import_letters(NOW) == ()
    mailroom.flush()
    assert mailroom.import_letters(NOW) == ()

    assert len(sql.counter().dead_letters()) == 1


def test_a_letter_that_nobody_can_read_with_an_id_that_the_journal_knows_is_only_marked(sql, newer_version):
    mailroom = ready(sql.open())
    take(mailroom, a_halt(), message_id="1")
    sql.counter().post(message_id="1", recipient=CEO, message=begin(), at=NOW)
    newer_version()

    assert mailroom.import_letters(NOW) == ()

    mailroom.flush()
    assert sql.counter().dead_letters() == ()


def test_a_snapshot_that_was_changed_makes_its_mail_unreadable(sql):
    mailroom = ready(sql.open())
    take(mailroom, a_gate(), recipient=Recipient.TRADING)
    mailroom.close()
    with contextlib.closing(sqlite3.connect(sql.path)) as connection:
        connection.execute("UPDATE documents SET body = replace(body, '64.64', '0.01')")
        connection.commit()
    again = ready(sql.open())

    assert again.unhandled(Recipient.TRADING) == ()

    (notice,) = again.import_letters(NOW)
    assert "hash" in notice.message.reason


def test_an_unreadable_gate_is_no_evidence(sql):
    mailroom = ready(sql.open())
    take(mailroom, a_gate())
    mailroom.close()
    with contextlib.closing(sqlite3.connect(sql.path)) as connection:
        connection.execute("UPDATE mail SET body = '{}' WHERE type = 'GateOpened'")
        connection.commit()

    assert sql.open().door(run_id=RUN, call_seq=1).gate is None


def test_history_refuses_what_it_can_not_read(sql, newer_version):
    mailroom = ready(sql.open())
    handle(mailroom, take(mailroom, begin()))
    mailroom.close()
    newer_version()

    with pytest.raises(MailroomError, match="mail 1 can't be read"):
        list(sql.counter().history(CEO, run_id=RUN))


def test_an_unknown_recipient_makes_mail_unreadable(sql):
    mailroom = ready(sql.open())
    handle(mailroom, take(mailroom, a_halt()), begin())
    mailroom.record(
        handled=take(mailroom, a_halt()),
        at=NOW,
        settings_sha256=SETTINGS,
        outgoing=[Outgoing(Recipient.OPERATIONS, begin())],
    )
    mailroom.close()
    with contextlib.closing(sqlite3.connect(sql.path)) as connection:
        connection.execute("UPDATE letters SET recipient = 'janitor'")
        connection.execute("UPDATE mail SET recipient = 'janitor' WHERE seq = 4")
        connection.commit()
    counter = sql.counter()

    with pytest.raises(MailroomError, match="janitor"):
        list(counter.history(CEO, run_id=None))
