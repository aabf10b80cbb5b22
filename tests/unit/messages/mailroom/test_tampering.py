"""`verify_chain` finds what was changed behind the writer's back; opening quarantines a bad tail."""

import contextlib
import sqlite3

import pytest

from messages.envelope import Outgoing
from messages.mailroom import founding
from messages.mailroom.chain import FIRST_LINK, digest, link
from messages.mailroom.port import JournalBroken
from messages.mailroom.rows import MailRow
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


def a_journal(sql):
    """Mail 1 is a halt, 2-7 came one of the other; these are handled. 8 waits at the CEO, 9 (a gate) at Trading."""
    mailroom = ready(sql.open())
    mail = take(mailroom, a_halt())
    (mail,) = handle(mailroom, mail, begin())
    for _ in range(5):
        (mail,) = handle(mailroom, mail, begin())
    mailroom.record(
        handled=mail,
        at=NOW,
        settings_sha256=SETTINGS,
        outgoing=[Outgoing(CEO, begin()), Outgoing(Recipient.TRADING, a_gate())],
    )
    mailroom.close()


def tamper(sql, *statements):
    with contextlib.closing(sqlite3.connect(sql.path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def rows(sql, query):
    with contextlib.closing(sqlite3.connect(sql.path)) as connection:
        return connection.execute(query).fetchall()


ANOTHER_BODY = (
    "UPDATE mail SET body = substr(body, 1, 14) || char(unicode(substr(body, 15, 1)) + 1) || substr(body, 16)"
)

TAMPERINGS = {
    "a byte of a handled body": ANOTHER_BODY + " WHERE seq = 3",
    "a byte of the last handled body": ANOTHER_BODY + " WHERE seq = 7",
    "a byte of mail that waits": ANOTHER_BODY + " WHERE seq = 8",
    "the time of handling": "UPDATE mail SET handled_at = '2025-11-10T15:09:13.000000+00:00' WHERE seq = 3",
    "the settings": "UPDATE mail SET settings_sha256 = 'other' WHERE seq = 3",
    "the recipient": "UPDATE mail SET recipient = 'trading' WHERE seq = 3",
    "the sender": "UPDATE mail SET sender = 'trading' WHERE seq = 3",
    "the run": "UPDATE mail SET run_id = 'R2' WHERE seq = 3",
    "the type": "UPDATE mail SET type = 'ResumeRun' WHERE seq = 3",
    "the due time": "UPDATE mail SET due_at = '2025-11-10T15:09:13.000000+00:00' WHERE seq = 8",
    "the documents named": "UPDATE mail SET documents = '' WHERE seq = 9",
    "a link": "UPDATE mail SET chain = replace(chain, substr(chain, 1, 1), 'x') WHERE seq = 4",
    "the last link": "UPDATE mail SET chain = 'x' WHERE seq = 7",
    "a handled row gone": "DELETE FROM mail WHERE seq = 4",
    "the first row gone": "DELETE FROM mail WHERE seq = 1",
    "the last handled row gone": "DELETE FROM mail WHERE seq = 7",
    "mail that waits gone": "DELETE FROM mail WHERE seq = 9",
    "a document changed": "UPDATE documents SET body = replace(body, '64.64', '64.65')",
    "a document gone": "DELETE FROM documents WHERE body LIKE '%quotes%'",
    "mail added to an output": "INSERT INTO mail SELECT 10, NULL, 7, 2, sender, recipient, sent_at, due_at, run_id,"
    " type, version, body, documents, 0, NULL, NULL, NULL, NULL, NULL FROM mail WHERE seq = 8",
}


def test_an_untouched_journal_verifies(sql):
    a_journal(sql)

    assert sql.counter().verify_chain() == 7


@pytest.mark.parametrize("name", TAMPERINGS)
def test_what_was_changed_is_found(sql, name):
    a_journal(sql)
    before = rows(sql, "SELECT * FROM mail UNION ALL SELECT * FROM mail") + rows(sql, "SELECT * FROM documents")
    tamper(sql, TAMPERINGS[name])
    after = rows(sql, "SELECT * FROM mail UNION ALL SELECT * FROM mail") + rows(sql, "SELECT * FROM documents")
    assert before != after

    with pytest.raises(JournalBroken):
        sql.counter().verify_chain()


def test_two_rows_that_changed_places_are_found(sql):
    a_journal(sql)
    tamper(
        sql,
        "UPDATE mail SET handled_seq = 99 WHERE seq = 3",
        "UPDATE mail SET handled_seq = 3 WHERE seq = 4",
        "UPDATE mail SET handled_seq = 4 WHERE seq = 3",
    )

    with pytest.raises(JournalBroken, match="mail 4"):
        sql.counter().verify_chain()


def test_a_tail_cut_off_whole_is_found(sql):
    a_journal(sql)
    tamper(sql, "DELETE FROM mail WHERE seq > 4", "UPDATE mail SET handled_seq = NULL, chain = NULL WHERE seq = 4")

    with pytest.raises(JournalBroken, match="row 4"):
        sql.counter().verify_chain()


def forge(sql):
    """Change mail 3 and make every link anew, as one who knows how would; the store's own row is left alone."""
    tamper(sql, "UPDATE mail SET sender = 'someone' WHERE seq = 3")
    columns = ", ".join(MailRow._fields)
    everything = [MailRow._make(row) for row in rows(sql, f"SELECT {columns} FROM mail ORDER BY seq")]  # noqa: S608 - our own names
    previous = FIRST_LINK
    for row in sorted((row for row in everything if row.handled_seq), key=lambda row: row.handled_seq):
        previous = link(
            previous,
            handled_seq=row.handled_seq,
            handled_at=row.handled_at,
            settings_sha256=row.settings_sha256,
            handled=digest(row),
            outgoing=[digest(other) for other in everything if other.cause_seq == row.seq],
        )
        tamper(sql, f"UPDATE mail SET chain = '{previous}' WHERE seq = {row.seq}")  # noqa: S608 - our own figures


def test_a_chain_made_anew_is_found_by_the_link_that_the_store_remembers(sql):
    a_journal(sql)
    forge(sql)

    with pytest.raises(JournalBroken, match="the store's last link"):
        sql.counter().verify_chain()


def test_a_chain_made_anew_is_noticed_on_opening(sql):
    a_journal(sql)
    forge(sql)

    assert sql.open().quarantined == (RUN,)


def test_a_letter_that_waits_and_is_taken_away_is_found(sql):
    a_journal(sql)
    mailroom = sql.open()
    take(mailroom, a_halt())
    mailroom.close()
    assert sql.counter().verify_chain() == 7
    tamper(sql, "DELETE FROM mail WHERE seq = 10")

    with pytest.raises(JournalBroken, match="mail 10"):
        sql.counter().verify_chain()


def test_the_first_bad_row_is_named(sql):
    a_journal(sql)
    tamper(sql, "UPDATE mail SET body = '{}' WHERE seq IN (3, 5)")

    # mail 3 came of mail 2: the link of mail 2 covers what came of it
    with pytest.raises(JournalBroken, match="row 2: mail 2"):
        sql.counter().verify_chain()


def test_a_long_chain_is_verified_look_by_look(sql, monkeypatch):
    monkeypatch.setattr("messages.mailroom.journal.ROWS_A_LOOK", 3)
    a_journal(sql)
    assert sql.counter().verify_chain() == 7

    tamper(sql, "UPDATE mail SET handled_at = 'x' WHERE handled_seq = 7")
    with pytest.raises(JournalBroken, match="row 7"):
        sql.counter().verify_chain()


def test_a_good_tail_is_left_alone(sql):
    a_journal(sql)

    mailroom = sql.open()

    assert mailroom.quarantined == ()
    assert seqs(mailroom.unhandled(CEO)) == [8]
    assert rows(sql, "SELECT count(*) FROM quarantine") == [(0,)]


def test_a_bad_tail_is_quarantined_and_its_run_reported(sql):
    a_journal(sql)
    tamper(sql, "UPDATE mail SET handled_at = 'x' WHERE seq = 5")

    mailroom = ready(sql.open())

    assert mailroom.quarantined == (RUN,)
    assert [row.envelope.seq for row in mailroom.handled(CEO)] == [1, 2, 3, 4]
    assert mailroom.unhandled(CEO) == ()
    assert mailroom.unhandled(Recipient.TRADING) == ()
    assert rows(sql, "SELECT seq, handled_seq FROM quarantine") == [(5, 5), (6, 6), (7, 7), (8, None), (9, None)]
    assert rows(sql, "SELECT count(*) FROM mail") == [(9,)]
    assert rows(sql, "SELECT handled_at FROM mail WHERE seq = 5") == [("x",)]
    reasons = {reason for _, reason in sql.counter().dead_letters()}
    assert len(reasons) == 1
    assert "quarantined" in reasons.pop()


def test_the_chain_goes_on_after_a_quarantine(sql):
    a_journal(sql)
    tamper(sql, "UPDATE mail SET handled_at = 'x' WHERE seq = 5")
    mailroom = ready(sql.open())

    mail = take(mailroom, a_halt("after"))
    handle(mailroom, mail)
    mailroom.close()

    assert mail.seq == 10
    assert sql.counter().verify_chain() == 5


def test_a_run_in_quarantine_is_reported_on_every_start_until_it_is_closed(sql):
    a_journal(sql)
    tamper(sql, "UPDATE mail SET handled_at = 'x' WHERE seq = 5")
    sql.open().close()

    again = ready(sql.open())
    assert again.quarantined == (RUN,)

    handle(again, take(again, a_halt()), closes_run=(RUN, "aborted"))
    again.close()
    assert sql.open().quarantined == ()


def test_a_quarantined_gate_is_no_evidence_for_the_door(sql):
    a_journal(sql)
    mailroom = sql.open()
    assert mailroom.door(run_id=RUN, call_seq=9).gate is not None
    mailroom.close()
    tamper(sql, "UPDATE mail SET handled_at = 'x' WHERE seq = 7")

    again = sql.open()

    assert again.door(run_id=RUN, call_seq=9).gate is None


def test_a_lost_tail_is_noticed_on_opening(sql):
    a_journal(sql)
    tamper(sql, "DELETE FROM mail WHERE seq = 7")

    mailroom = sql.open()

    assert mailroom.quarantined == (RUN,)
    assert [row.envelope.seq for row in mailroom.handled(CEO)] == [1, 2, 3, 4, 5]


def test_only_the_tail_is_looked_at_on_opening(sql, monkeypatch):
    monkeypatch.setattr(founding, "TAIL_ROWS", 2)
    a_journal(sql)
    tamper(sql, "UPDATE mail SET handled_at = 'x' WHERE seq = 2")

    mailroom = sql.open()

    assert mailroom.quarantined == ()
    with pytest.raises(JournalBroken, match="row 2"):
        sql.counter().verify_chain()
    mailroom.close()
    tamper(sql, "UPDATE mail SET handled_at = 'x' WHERE seq = 6")
    assert sql.open().quarantined == (RUN,)
