"""Opening a store: founding it, refusing what isn't ours, and asking for durability."""

import contextlib
import sqlite3
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from messages.mailroom import connect
from messages.mailroom.connect import SQLITE, found, make_folder, open_store
from messages.mailroom.database import Database
from messages.mailroom.port import StoreUnavailable
from messages.mailroom.schema import METADATA
from tests.fakes.mailroom import PAPER
from tests.unit.messages.mailroom.houses import CEO, NOW, SqlHouse, a_halt, ready, take


def schema_of(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
    return [(kind, name, table, (sql or "").split()) for kind, name, table, sql in rows]


def test_both_ways_in_make_the_schema_that_the_tables_say(tmp_path):
    for name, scheme in (("a", "sqlite"), ("b", "sqlite+pysqlite")):
        open_store(f"{scheme}:///{tmp_path / name}", account=PAPER, patience_s=1).close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'c'}", poolclass=sa.NullPool)
    METADATA.create_all(engine)

    assert schema_of(tmp_path / "a") == schema_of(tmp_path / "b") == schema_of(tmp_path / "c")
    assert len(schema_of(tmp_path / "a")) > 10


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
@pytest.mark.parametrize(
    ("version", "mode", "synchronous"), [((3, 40, 1), "delete", 3), ((3, 51, 2), "delete", 3), ((3, 51, 3), "wal", 2)]
)
def test_durability_is_asked_for_as_the_library_allows(tmp_path, monkeypatch, scheme, version, mode, synchronous):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)

    database = open_store(f"{scheme}:///{tmp_path / 'firm.db'}", account=PAPER, patience_s=1)

    assert database.query("PRAGMA journal_mode") == [(mode,)]
    assert database.query("PRAGMA synchronous") == [(synchronous,)]
    database.close()


def test_the_mailroom_works_in_wal_mode_too(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", connect.WAL_SAFE_SINCE)
    house = SqlHouse(tmp_path, "sqlite")
    house.counter().post(message_id="1", recipient=CEO, message=a_halt(), at=NOW)
    mailroom = ready(house.open())

    mailroom.import_letters(NOW)
    take(mailroom, a_halt())
    mailroom.flush()

    assert len(house.crash(mailroom).unhandled(CEO)) == 2
    house.close()


def test_a_store_in_wal_mode_is_taken_back_by_a_library_that_must_not_use_it(tmp_path, monkeypatch):
    with monkeypatch.context() as newer:
        newer.setattr(sqlite3, "sqlite_version_info", connect.WAL_SAFE_SINCE)
        open_store(f"sqlite:///{tmp_path / 'firm.db'}", account=PAPER, patience_s=1).close()

    database = open_store(f"sqlite:///{tmp_path / 'firm.db'}", account=PAPER, patience_s=1)

    assert database.query("PRAGMA journal_mode") == [("delete",)]
    database.close()


def test_a_store_made_by_a_newer_program_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'firm.db'}"
    open_store(url, account=PAPER, patience_s=1).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "firm.db")) as connection:
        connection.execute("UPDATE store SET schema_version = 2")
        connection.commit()

    with pytest.raises(StoreUnavailable, match="newer program"):
        open_store(url, account=PAPER, patience_s=1)


def test_an_older_store_is_brought_up_to_date_and_keeps_its_mail(sql):
    mailroom = ready(sql.open())
    take(mailroom, a_halt())
    mailroom.close()
    newer = replace(SQLITE, migrations=(*SQLITE.migrations, ("ALTER TABLE mail ADD COLUMN note TEXT",)))
    driver = sqlite3.connect(sql.path, isolation_level=None)
    database = Database(driver, newer, where="firm.db", patience_s=1)

    found(database, PAPER)
    found(database, PAPER)

    assert database.read("store")[0][0] == 2
    assert database.query("SELECT count(note), count(*) FROM mail") == [(0, 1)]
    database.close()


def test_a_step_that_fails_leaves_the_old_store(sql):
    ready(sql.open()).close()
    steps = ("ALTER TABLE mail ADD COLUMN note TEXT", "ALTER TABLE nowhere ADD COLUMN note TEXT")
    newer = replace(SQLITE, migrations=(*SQLITE.migrations, steps))
    driver = sqlite3.connect(sql.path, isolation_level=None)
    database = Database(driver, newer, where="firm.db", patience_s=1)

    with pytest.raises(StoreUnavailable, match="nowhere"):
        found(database, PAPER)

    database.close()
    sql.open()


def test_many_may_found_a_store_at_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'home' / 'firm.db'}"
    errors = []
    together = threading.Barrier(8)

    def open_and_close():
        together.wait(10)
        try:
            open_store(url, account=PAPER, patience_s=20).close()
        except StoreUnavailable as error:
            errors.append(error)

    threads = [threading.Thread(target=open_and_close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert errors == []
    assert SqlHouse(tmp_path / "home", "sqlite").counter().runs() == ()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "sqlite+pysqlite://",
        "nonsense",
        "postgresql+nodriver://u:secret@h/db",
        "mysql://u:secret@h/db",
    ],
)
def test_a_url_that_can_not_hold_a_store_is_refused_in_one_line(url):
    with pytest.raises(StoreUnavailable) as refused:
        open_store(url, account=PAPER, patience_s=1)

    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "firm.db").write_bytes(b"this is no database, but long enough to be looked at" * 100)

    with pytest.raises(StoreUnavailable, match="not a database"):
        open_store(f"sqlite:///{tmp_path / 'firm.db'}", account=PAPER, patience_s=1)


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_a_path_that_is_a_folder_is_refused(tmp_path, scheme):
    with pytest.raises(StoreUnavailable, match="unable to open"):
        open_store(f"{scheme}:///{tmp_path}", account=PAPER, patience_s=1)


def test_a_folder_that_can_not_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(StoreUnavailable, match="file"):
        make_folder(tmp_path / "file" / "home")


def test_a_store_whose_row_is_gone_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'firm.db'}"
    open_store(url, account=PAPER, patience_s=1).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "firm.db")) as connection:
        connection.execute("DELETE FROM store")
        connection.commit()

    with pytest.raises(StoreUnavailable, match="one row"):
        open_store(url, account=PAPER, patience_s=1)
