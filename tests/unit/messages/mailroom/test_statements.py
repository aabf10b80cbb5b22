"""The text that SQLite is told is what SQLAlchemy Core says, and no question costs a walk through the journal."""

import re
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from messages.mailroom import sqlite_text, statements
from messages.mailroom.rows import LETTER_COLUMNS, MAIL_COLUMNS
from messages.mailroom.schema import letters, mail

INDEXED = [
    "inbox",
    "waiting",
    "fold",
    "fold_outgoing",
    "history",
    "history_outgoing",
    "steps",
    "steps_outgoing",
    "mail",
    "mail_by_id",
    "attempts",
    "aside",
    "door",
    "new_letters",
    "unhandled_letters",
    "document",
    "mark_handled",
    "put_aside",
    "count_attempt",
    "mark_letter",
]


def test_the_compiled_text_is_up_to_date():
    path = Path(sqlite_text.__file__)

    assert path.read_text(encoding="utf-8") == statements.sqlite_module()


def test_the_text_compiled_at_run_time_says_the_same():
    texts, steps = statements.compile_for(sqlite.dialect(paramstyle="named"))

    assert {name: text.split() for name, text in texts.items()} == {
        name: text.split() for name, text in sqlite_text.STATEMENTS.items()
    }
    assert [[ddl.split() for ddl in step] for step in steps] == [
        [ddl.split() for ddl in step] for step in sqlite_text.MIGRATIONS
    ]


def test_everything_compiles_for_postgresql_too():
    texts, steps = statements.compile_for(postgresql.dialect(paramstyle="pyformat"))

    assert texts.keys() == sqlite_text.STATEMENTS.keys()
    assert "%(arg_run_id)s" in texts["door"]
    assert any("BIGINT" in ddl for ddl in steps[0])


def test_no_statement_hides_a_parameter_that_nobody_gives():
    """SQLAlchemy invents parameters for literals; the driver would miss them."""
    for name, text in sqlite_text.STATEMENTS.items():
        invented = [word for word in text.replace("(", " ").replace(")", " ").split() if word.startswith(":")]
        assert all(
            word.strip(":,").startswith("arg_") or name in {"insert_mail", "insert_document", "create_store"}
            for word in invented
        ), name


def test_rows_have_the_columns_of_their_tables():
    assert tuple(column.name for column in mail.columns) == MAIL_COLUMNS
    assert tuple(column.name for column in letters.columns) == (*LETTER_COLUMNS, "imported_seq")


@pytest.fixture
def connection():
    connection = sqlite3.connect(":memory:")
    for ddl in sqlite_text.MIGRATIONS[0]:
        connection.execute(ddl)
    yield connection
    connection.close()


SMALL = ("store", "letters USING INDEX letters_new", "runs USING INDEX runs_open", "mail USING INDEX mail_aside")
WAITING = "mail USING INDEX mail_waiting"


def walks(connection, sql):
    """The steps of a query plan that read a large table, or the whole chain, from end to end."""
    parameters = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    answer = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
    steps = [detail for *_, detail in answer]
    scans = [step.removeprefix("SCAN ") for step in steps if step.startswith("SCAN ") and step != "SCAN CONSTANT ROW"]
    whole_chain = [step for step in steps if "mail_handled (handled_seq>?)" in step]
    return [step for step in scans if step not in {*SMALL, WAITING}] + whole_chain


@pytest.mark.parametrize("name", INDEXED)
def test_no_question_walks_through_a_whole_table(connection, name):
    assert walks(connection, sqlite_text.STATEMENTS[name]) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM mail WHERE sender = 'operator'",
        (
            "SELECT m.* FROM runs r JOIN mail m ON m.run_id = r.run_id WHERE r.closed_at IS NULL"
            " AND m.handled_seq IS NOT NULL ORDER BY m.handled_seq"
        ),
    ],
)
def test_the_check_above_notices_a_walk(connection, sql):
    assert walks(connection, sql)
