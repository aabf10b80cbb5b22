"""Every statement the mailroom uses, by name, in SQLAlchemy Core; compiled once a dialect.

`compile_for` gives plain text with named parameters. For SQLite the result is kept in `sqlite_text.py`: a test holds
the two equal, `python -m messages.mailroom.statements` writes it anew.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from messages.mailroom.rows import LETTER_COLUMNS, MAIL_COLUMNS
from messages.mailroom.schema import MIGRATIONS, documents, letters, mail, quarantine, runs, store

_INSERTS: Mapping[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

MAIL = tuple(mail.c[name] for name in MAIL_COLUMNS)
LETTER = tuple(letters.c[name] for name in LETTER_COLUMNS)


def _arg(name: str) -> sa.BindParameter[Any]:
    """A parameter; prefixed, since SQLAlchemy keeps the columns' own names for itself."""
    return sa.bindparam(f"arg_{name}")


_ZERO = sa.literal_column("0", sa.Integer)
_ONE = sa.literal_column("1", sa.Integer)


def _word(value: str) -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{value}'", sa.Text)


def _is_type(table: Any, *names: str) -> sa.ColumnElement[bool]:
    column: sa.ColumnElement[str] = table.c.type
    return column.in_([_word(name) for name in names]) if len(names) > 1 else column == _word(names[0])


def _door() -> sa.Select[Any]:
    """All that the last door judges by, one row.

    A halt or a reduction counts even when it was put aside; a resume, an approval or a gate that was put aside doesn't.
    A letter that isn't imported yet is newer than everything in the journal. Of each kind of word about trading the
    newest is named, 0 where there is none: `trading_state.py` makes the state of them.
    """
    run = _arg("run_id")
    whole = mail.c.aside_reason.is_(None)

    def unread(kind: str) -> sa.ColumnElement[int]:
        newest_letter = sa.select(sa.func.max(letters.c.number)).where(
            letters.c.imported_seq.is_(None), _is_type(letters, kind)
        )
        return sa.func.coalesce(newest_letter.scalar_subquery(), _ZERO)

    def newest(kind: str, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[Any]:
        return sa.select(sa.func.max(mail.c.seq)).where(_is_type(mail, kind), *conditions).scalar_subquery()

    def journaled(kind: str, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(newest(kind, mail.c.run_id.is_(None), *conditions), _ZERO)

    opener = sa.select(runs.c.opened_by).where(runs.c.run_id == run).scalar_subquery()
    plan = sa.select(sa.func.min(mail.c.seq)).where(mail.c.run_id == run, _is_type(mail, "SubmitPlan"), whole)
    return sa.select(
        sa.select(store.c.epoch).scalar_subquery().label("epoch"),
        journaled("HaltTrading").label("halted"),
        journaled("ReduceTrading").label("reduced"),
        journaled("ResumeTrading", whole).label("resumed"),
        unread("HaltTrading").label("halt_letter"),
        unread("ReduceTrading").label("reduce_letter"),
        unread("ResumeTrading").label("resume_letter"),
        sa.or_(
            sa.exists().where(mail.c.run_id == run, _is_type(mail, "AbortRun")),
            sa.exists().where(letters.c.imported_seq.is_(None), letters.c.run_id == run, _is_type(letters, "AbortRun")),
        ).label("abort_asked"),
        sa.exists().where(runs.c.run_id == run, runs.c.closed_at.is_not(None)).label("run_closed"),
        sa.func.coalesce(
            plan.where(mail.c.seq == opener).scalar_subquery(),
            plan.scalar_subquery(),
        ).label("approval"),
        newest("GateOpened", mail.c.run_id == run, whole).label("gate"),
        sa.exists().where(mail.c.seq == _arg("call_seq")).label("call_committed"),
    )


def _fold() -> tuple[sa.CompoundSelect[Any], sa.CompoundSelect[Any]]:
    """What a department folds on start, and what came of it: the account stream and the open runs.

    Asking for `handled_at`, not for `handled_seq`, keeps SQLite from walking along the whole chain.
    """
    outgoing = mail.alias("outgoing")
    named = [mail.c[name].label(name) for name in MAIL_COLUMNS]
    produced = [outgoing.c[name].label(name) for name in MAIL_COLUMNS]
    mine = (mail.c.recipient == _arg("recipient"), mail.c.handled_at.is_not(None), mail.c.aside_reason.is_(None))
    open_runs = sa.select(runs.c.run_id).where(runs.c.closed_at.is_(None))
    streams = (mail.c.run_id.is_(None), mail.c.run_id.in_(open_runs))
    rows = sa.union_all(*(sa.select(*named).where(stream, *mine) for stream in streams))
    on_cause = mail.join(outgoing, outgoing.c.cause_seq == mail.c.seq)
    produce = sa.union_all(*(sa.select(*produced).select_from(on_cause).where(stream, *mine) for stream in streams))
    return rows.order_by("handled_seq"), produce.order_by("cause_seq", "position")


def _with_outgoing(*where: sa.ColumnElement[bool]) -> tuple[sa.Select[Any], sa.Select[Any]]:
    outgoing = mail.alias("outgoing")
    rows = sa.select(*MAIL).where(*where).order_by(mail.c.handled_seq)
    produced = (
        sa.select(*(outgoing.c[name] for name in MAIL_COLUMNS))
        .select_from(mail.join(outgoing, outgoing.c.cause_seq == mail.c.seq))
        .where(*where)
        .order_by(outgoing.c.cause_seq, outgoing.c.position)
    )
    return rows, produced


def build(insert: Callable[..., Any]) -> dict[str, sa.ClauseElement]:
    """Give every statement its name.

    Args:
        insert: The dialect's own insert, which knows `ON CONFLICT`.
    """
    fold, fold_outgoing = _fold()
    history, history_outgoing = _with_outgoing(
        mail.c.recipient == _arg("recipient"),
        mail.c.run_id.is_not_distinct_from(_arg("run_id")),
        mail.c.handled_seq > _arg("after"),
        mail.c.aside_reason.is_(None),
    )
    steps, steps_outgoing = _with_outgoing(mail.c.handled_seq > _arg("after"), mail.c.handled_seq <= _arg("upto"))
    waiting = (mail.c.handled_seq.is_(None), mail.c.aside_reason.is_(None))
    here = mail.c.seq == _arg("seq")
    tail_causes = sa.select(mail.c.seq).where(mail.c.handled_seq >= _arg("first"))
    return {
        # the store itself
        "create_store": sa.insert(store),
        "store": sa.select(
            store.c.schema_version, store.c.account, store.c.epoch, store.c.last_seq, store.c.handled_seq, store.c.chain
        ),
        "set_schema_version": sa.update(store).values(schema_version=_arg("schema_version")),
        "take_epoch": sa.update(store).values(epoch=store.c.epoch + _ONE),
        "advance": sa.update(store)
        .where(store.c.epoch == _arg("epoch"))
        .values(last_seq=_arg("last_seq"), handled_seq=_arg("handled_seq"), chain=_arg("chain")),
        # writing the journal
        "insert_mail": sa.insert(mail),
        "mark_handled": sa.update(mail)
        .where(here)
        .values(
            handled_seq=_arg("handled_seq"),
            handled_at=_arg("handled_at"),
            settings_sha256=_arg("settings_sha256"),
            chain=_arg("chain"),
        ),
        "put_aside": sa.update(mail).where(here).values(aside_reason=_arg("reason")),
        "count_attempt": sa.update(mail).where(here).values(attempts=mail.c.attempts + _ONE),
        "insert_document": insert(documents).on_conflict_do_nothing(),
        "name_run": insert(runs).values(run_id=_arg("run_id"), first_seq=_arg("first_seq")).on_conflict_do_nothing(),
        "open_run": sa.update(runs)
        .where(runs.c.run_id == _arg("run_id"))
        .values(
            opened_by=_arg("opened_by"),
            plan_id=_arg("plan_id"),
            plan_sha256=_arg("plan_sha256"),
            opened_at=_arg("opened_at"),
        ),
        "close_run": sa.update(runs)
        .where(runs.c.run_id == _arg("run_id"), runs.c.closed_at.is_(None))
        .values(closed_at=_arg("closed_at"), outcome=_arg("outcome")),
        # letters
        "insert_letter": insert(letters)
        .values({name: _arg(name) for name in LETTER_COLUMNS if name != "number"})
        .on_conflict_do_nothing(),
        "new_letters": sa.select(*LETTER).where(letters.c.imported_seq.is_(None)).order_by(letters.c.number),
        "unhandled_letters": sa.union_all(
            sa.select(*LETTER).where(letters.c.imported_seq.is_(None)),
            sa.select(*LETTER).where(
                letters.c.message_id.in_(sa.select(mail.c.message_id).where(mail.c.message_id.is_not(None), *waiting)),
                letters.c.imported_seq.is_not(None),
            ),
        ).order_by("number"),
        "newest_letter": sa.select(sa.func.max(letters.c.number)).where(letters.c.imported_seq.is_(None)),
        "mark_letter": sa.update(letters)
        .where(letters.c.number == _arg("number"))
        .values(imported_seq=_arg("imported_seq")),
        # reading
        "waiting": sa.select(*MAIL).where(*waiting).order_by(mail.c.recipient, mail.c.seq),
        "inbox": sa.select(*MAIL).where(mail.c.recipient == _arg("recipient"), *waiting).order_by(mail.c.seq),
        "fold": fold,
        "fold_outgoing": fold_outgoing,
        "history": history,
        "history_outgoing": history_outgoing,
        "steps": steps,
        "steps_outgoing": steps_outgoing,
        "mail": sa.select(*MAIL).where(here),
        "mail_by_id": sa.select(mail.c.seq).where(mail.c.message_id == _arg("message_id")),
        "attempts": sa.select(mail.c.attempts).where(here),
        "last_settings": sa.select(mail.c.settings_sha256).where(
            mail.c.handled_seq
            == sa.select(sa.func.max(mail.c.handled_seq)).where(mail.c.handled_seq.is_not(None)).scalar_subquery()
        ),
        "highest_seq": sa.select(sa.func.max(mail.c.seq)),
        "aside": sa.select(*MAIL).where(mail.c.aside_reason.is_not(None)).order_by(mail.c.seq),
        "document": sa.select(documents.c.body).where(documents.c.id == _arg("id")),
        "runs": sa.select(
            runs.c.run_id,
            runs.c.plan_id,
            runs.c.plan_sha256,
            runs.c.opened_at,
            runs.c.closed_at,
            runs.c.outcome,
        ).order_by(runs.c.opened_at, runs.c.opened_by),
        "named_runs": sa.select(runs.c.run_id, runs.c.opened_at, runs.c.closed_at),
        "door": _door(),
        # quarantine
        "quarantine": sa.insert(quarantine).from_select(
            ["seq", "handled_seq", "chain", "reason", "at"],
            sa.select(mail.c.seq, mail.c.handled_seq, mail.c.chain, _arg("reason"), _arg("at")).where(
                sa.or_(
                    mail.c.handled_seq >= _arg("first"),
                    sa.and_(mail.c.cause_seq.in_(tail_causes), mail.c.handled_seq.is_(None)),
                ),
                mail.c.seq.not_in(sa.select(quarantine.c.seq)),
            ),
        ),
        "put_quarantined_aside": sa.update(mail)
        .where(
            mail.c.seq.in_(sa.select(quarantine.c.seq)),
            sa.or_(mail.c.handled_seq.is_not(None), mail.c.aside_reason.is_(None)),
        )
        .values(
            handled_seq=sa.null(),
            chain=sa.null(),
            aside_reason=sa.func.coalesce(mail.c.aside_reason, _arg("reason")),
        ),
        "quarantined_runs": sa.select(runs.c.run_id)
        .where(
            runs.c.closed_at.is_(None),
            runs.c.run_id.in_(sa.select(mail.c.run_id).where(mail.c.seq.in_(sa.select(quarantine.c.seq)))),
        )
        .order_by(runs.c.first_seq),
    }


def compile_for(dialect: Dialect) -> tuple[dict[str, str], tuple[tuple[str, ...], ...]]:
    """Write statements and migrations as text.

    Args:
        dialect: With a named parameter style (`named` or `pyformat`).

    Returns:
        (name -> statement, migrations).
    """
    texts = {name: str(statement.compile(dialect=dialect)) for name, statement in build(_INSERTS[dialect.name]).items()}
    steps = tuple(tuple(str(ddl.compile(dialect=dialect)).strip() for ddl in step) for step in MIGRATIONS)
    return texts, steps


def sqlite_module() -> str:
    """The source of `sqlite_text.py`."""
    texts, steps = compile_for(sqlite.dialect(paramstyle="named"))
    lines = [
        '"""What SQLite is told, word for word. `python -m messages.mailroom.statements` makes it; no hand does."""',
        "",
        "# ruff: noqa: E501 - compiled text keeps the compiler's own lines",
        "",
        "STATEMENTS: dict[str, str] = {",
        *(f'    "{name}": """{_tidy(statement)}""",' for name, statement in texts.items()),
        "}",
        "",
        "MIGRATIONS: tuple[tuple[str, ...], ...] = (",
    ]
    for step in steps:
        lines += ["    (", *(f'        """{_tidy(ddl)}""",' for ddl in step), "    ),"]
    lines += [")", ""]
    return "\n".join(lines)


def _tidy(sql: str) -> str:
    return "\n".join(line.strip().replace("\t", " ") for line in sql.splitlines())


def main() -> None:
    """Write `sqlite_text.py`."""
    Path(__file__).with_name("sqlite_text.py").write_text(sqlite_module(), encoding="utf-8")


if __name__ == "__main__":
    main()
