"""The tables, and how a store comes to have them. One store belongs to one account.

This module defines; `statements.py` asks. Both are compiled once into text (`sqlite_text.py` for SQLite), because the
commands may not pay for importing SQLAlchemy. Only `TEXT` and integers are used, so that no driver converts anything:
times are ISO-8601 UTC with microseconds, hashes 64 hex digits.

Mail is numbered by one sequence, given in memory by the one writer; new rows therefore land at the end of the table and
of nearly every index. Derived mail has no id of its own: (cause_seq, position) is unique.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint, text
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

METADATA = MetaData()

# SQLite keeps a table by its key only when the type says INTEGER, to the letter.
_Number = BigInteger().with_variant(Integer, "sqlite")


def _number(name: str, *, null: bool = False, key: bool = False) -> Column[int]:
    return Column(name, _Number, nullable=null, primary_key=key, autoincrement=False)


def _text(name: str, *, null: bool = False, key: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null, primary_key=key)


store = Table(
    "store",
    METADATA,
    _number("id", key=True),  # one row, 1
    _number("schema_version"),
    _text("account"),
    _number("epoch"),
    _number("last_seq"),  # highest number given to mail
    _number("handled_seq"),  # length of the chain
    _text("chain"),  # its last link
)

mail = Table(
    "mail",
    METADATA,
    _number("seq", key=True),
    _text("message_id", null=True),
    _number("cause_seq", null=True),
    _number("position"),
    _text("sender"),
    _text("recipient"),
    _text("sent_at"),
    _text("due_at", null=True),
    _text("run_id", null=True),
    _text("type"),
    _number("version"),
    _text("body"),
    _text("documents"),  # ids of the documents that the body refers to, sorted, a space between
    _number("attempts"),
    _number("handled_seq", null=True),
    _text("handled_at", null=True),
    _text("settings_sha256", null=True),
    _text("chain", null=True),
    _text("aside_reason", null=True),  # why it was put aside: a dead letter, or quarantined
    UniqueConstraint("cause_seq", "position", name="mail_once"),
)
Index("mail_run", mail.c.run_id, mail.c.type, mail.c.seq)
Index(
    "mail_handled",
    mail.c.handled_seq,
    unique=True,
    sqlite_where=text("handled_seq IS NOT NULL"),
    postgresql_where=text("handled_seq IS NOT NULL"),
)
Index(
    "mail_waiting",
    mail.c.recipient,
    mail.c.seq,
    sqlite_where=text("handled_seq IS NULL AND aside_reason IS NULL"),
    postgresql_where=text("handled_seq IS NULL AND aside_reason IS NULL"),
)
Index(
    "mail_outside",
    mail.c.message_id,
    unique=True,
    sqlite_where=text("message_id IS NOT NULL"),
    postgresql_where=text("message_id IS NOT NULL"),
)
Index(
    "mail_aside",
    mail.c.seq,
    sqlite_where=text("aside_reason IS NOT NULL"),
    postgresql_where=text("aside_reason IS NOT NULL"),
)

quarantine = Table(
    "quarantine",
    METADATA,
    _number("seq", key=True),
    _number("handled_seq", null=True),  # its place in the chain before; None: it was not handled yet
    _text("chain", null=True),
    _text("reason"),
    _text("at"),
)

documents = Table("documents", METADATA, _text("id", key=True), _text("body"))

runs = Table(
    "runs",
    METADATA,
    _text("run_id", key=True),
    _number("first_seq"),  # the mail that first named it
    _number("opened_by", null=True),  # the mail whose handling opened it; None: mail came, nobody opened it
    _text("plan_id", null=True),
    _text("plan_sha256", null=True),
    _text("opened_at", null=True),
    _text("closed_at", null=True),
    _text("outcome", null=True),
)
Index(
    "runs_open",
    runs.c.run_id,
    sqlite_where=text("closed_at IS NULL"),
    postgresql_where=text("closed_at IS NULL"),
)

letters = Table(
    "letters",
    METADATA,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("message_id", Text, nullable=False, unique=True),
    _text("sender"),
    _text("recipient"),
    _text("sent_at"),
    _text("run_id", null=True),
    _text("type"),
    _number("version"),
    _text("body"),
    _text("documents"),
    _number("imported_seq", null=True),
)
Index(
    "letters_new",
    letters.c.number,
    sqlite_where=text("imported_seq IS NULL"),
    postgresql_where=text("imported_seq IS NULL"),
)


def _create_everything() -> tuple[ExecutableDDLElement, ...]:
    steps: list[ExecutableDDLElement] = []
    for table in METADATA.sorted_tables:
        steps.append(CreateTable(table))
        steps.extend(CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name)))
    return tuple(steps)


MIGRATIONS: tuple[tuple[ExecutableDDLElement, ...], ...] = (_create_everything(),)
"""Step n leads from schema version n to n + 1; a released step never changes."""
