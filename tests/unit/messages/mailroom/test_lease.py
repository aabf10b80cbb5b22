"""One holder a FIRM_HOME; the file names it, the lock decides."""

import os
import threading

import pytest

from messages.mailroom.lease import LEASE_FILE, Lease, holder
from messages.mailroom.port import LeaseHeld, StoreUnavailable
from tests.unit.messages.mailroom.houses import NOW


def test_a_lease_is_held_by_one(tmp_path):
    lease = Lease.take(tmp_path, at=NOW)

    with pytest.raises(LeaseHeld, match=f"pid {os.getpid()} on .* since 2025-11-10T15:09:12"):
        Lease.take(tmp_path, at=NOW)

    lease.release()
    lease.release()
    Lease.take(tmp_path, at=NOW).release()


def test_the_home_is_made_where_there_is_none(tmp_path):
    Lease.take(tmp_path / "a" / "b", at=NOW).release()

    assert (tmp_path / "a" / "b" / LEASE_FILE).exists()


def test_nobody_holds_what_was_never_taken(tmp_path):
    assert holder(tmp_path) is None
    assert holder(tmp_path / "nowhere") is None


def test_the_holder_is_named_while_it_holds(tmp_path):
    lease = Lease.take(tmp_path, at=NOW)
    assert holder(tmp_path).startswith(f"pid {os.getpid()} on ")

    lease.release()

    assert holder(tmp_path) is None


def test_a_name_left_behind_holds_nothing(tmp_path):
    (tmp_path / LEASE_FILE).write_text("pid 1 on elsewhere since long ago\n")

    assert holder(tmp_path) is None
    Lease.take(tmp_path, at=NOW).release()


def test_asking_who_holds_keeps_nobody_from_taking(tmp_path):
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            holder(tmp_path)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for _ in range(20):
        Lease.take(tmp_path, at=NOW).release()
    stop.set()
    for asker in askers:
        asker.join(10)

    assert holder(tmp_path) is None


def test_a_holder_that_has_not_said_its_name_is_still_one(tmp_path):
    lease = Lease.take(tmp_path, at=NOW)
    (tmp_path / LEASE_FILE).write_text("")

    assert "hasn't said its name" in holder(tmp_path)
    lease.release()


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / LEASE_FILE).mkdir()

    with pytest.raises(StoreUnavailable, match=LEASE_FILE):
        Lease.take(tmp_path, at=NOW)


def test_a_failed_opening_gives_the_lease_back(sql):
    sql.path.parent.mkdir(exist_ok=True)
    sql.path.write_bytes(b"no database at all, whatever is said of it" * 100)

    with pytest.raises(StoreUnavailable):
        sql.open()

    assert holder(sql.home) is None
