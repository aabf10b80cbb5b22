"""What the mailroom remembers of what it has read is bounded by count and small: a daemon runs for months."""

import gc
from pathlib import Path

from messages.mailroom.journal import KEPT_DOCUMENTS
from messages.orders import GateOpened
from messages.values import RunId
from tests.unit.messages.mailroom.houses import SqlHouse, a_gate, ready, take


def test_a_gate_that_the_door_read_is_forgotten_when_many_more_were_read(tmp_path: Path):
    house = SqlHouse(tmp_path, "sqlite")
    mailroom = ready(house.open())
    runs = [RunId(f"R{number:020}") for number in range(2 * KEPT_DOCUMENTS)]
    seqs = [take(mailroom, a_gate(run_id, price=str(number + 1))).seq for number, run_id in enumerate(runs)]
    mailroom.flush()
    gc.collect()
    before = _gates()

    for run_id, seq in zip(runs, seqs, strict=True):
        assert mailroom.door(run_id=run_id, call_seq=seq).gate is not None
    gc.collect()

    assert _gates() - before <= KEPT_DOCUMENTS
    house.close()


def _gates() -> int:
    return sum(isinstance(found, GateOpened) for found in gc.get_objects())
