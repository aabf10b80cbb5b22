"""A snapshot is what it says, whether or not its name was asked for."""

from messages.snapshots import Snapshot
from messages.values import sha256_hex
from tests.unit.messages.mailroom.houses import a_snapshot


def test_a_snapshot_whose_name_was_asked_for_equals_one_whose_name_was_not():
    named, fresh = a_snapshot(), a_snapshot()

    assert named.snapshot_id == sha256_hex(named.document.encode())

    assert named == fresh
    assert hash(named) == hash(fresh)
    assert named != a_snapshot("1")


def test_a_snapshot_keeps_its_name_when_it_is_read_back():
    snapshot = a_snapshot()

    again = Snapshot.model_validate_json(snapshot.document)

    assert again.snapshot_id == snapshot.snapshot_id
    assert again == snapshot


def test_a_copy_that_says_something_else_has_another_name():
    snapshot = a_snapshot()
    name = snapshot.snapshot_id

    other = snapshot.model_copy(update={"open_orders": None, "positions": ()})

    assert other.snapshot_id == sha256_hex(other.document.encode()) != name
    assert Snapshot.model_validate_json(other.document) == other
    assert snapshot.snapshot_id == name
