"""Real processes, killed for real: what was said to be durable is there, without a hole and without a double."""

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter as Tally
from pathlib import Path

import pytest

from messages.mailroom.port import LeaseHeld
from messages.values import Recipient
from tests.system import mailroom_child
from tests.system.mailroom_child import RUN, open_counter, open_mailroom

ROOT = Path(__file__).parents[2]


class Child:
    """A process of `mailroom_child`, and what it has said."""

    def __init__(self, *args):
        self.process = subprocess.Popen(
            [sys.executable, "-m", mailroom_child.__name__, *map(str, args)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self._said = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._said:
                self.lines.append(line.strip())
                self._said.notify_all()

    def wait_for(self, count, limit_s=60):
        """Wait until it has said so many lines."""
        with self._said:
            heard = self._said.wait_for(lambda: len(self.lines) >= count or self.process.poll() is not None, limit_s)
        assert heard
        assert len(self.lines) >= count, self.process.stderr.read()

    def kill(self):
        """SIGKILL; returns everything it said."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        self._reader.join(30)
        errors = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        assert "Error" not in errors, errors
        return self.lines


@pytest.fixture
def children():
    started = []

    def start(*args):
        child = Child(*args)
        started.append(child)
        return child

    yield start
    for child in started:
        if child.process.poll() is None:
            child.kill()


def journal(home):
    with contextlib.closing(sqlite3.connect(home / "firm.db")) as connection:
        return connection.execute(
            "SELECT seq, message_id, cause_seq, position, handled_seq, recipient, sender FROM mail ORDER BY seq"
        ).fetchall()


def letters_left(home):
    with contextlib.closing(sqlite3.connect(home / "firm.db")) as connection:
        return connection.execute("SELECT count(*) FROM letters WHERE imported_seq IS NULL").fetchone()[0]


def broken_promises(rows, durable, posted):
    """What a journal must not show, in words; `durable` are (handled, produced) numbers, `posted` letters' ids."""
    broken = []
    seqs = [seq for seq, *_ in rows]
    if seqs != list(range(1, len(rows) + 1)):
        broken.append("a hole in the numbers")
    chain = sorted(handled_seq for *_, handled_seq, _, _ in rows if handled_seq is not None)
    if chain != list(range(1, len(chain) + 1)):
        broken.append("a hole in the chain")
    ids = Tally(message_id for _, message_id, *_ in rows if message_id is not None)
    if any(count > 1 for count in ids.values()):
        broken.append("a letter twice")
    handled = {seq for seq, _, _, _, handled_seq, _, _ in rows if handled_seq is not None}
    produced = {(cause, position) for _, _, cause, position, *_ in rows if cause is not None}
    if any(seq not in handled or produced_seq > len(rows) for seq, produced_seq in durable):
        broken.append("something durable is gone")
    for cause, _ in produced:
        if cause not in handled or not {(cause, 0), (cause, 1)} <= produced:
            broken.append("half a unit")
            break
    if posted is not None and not posted <= set(ids):
        broken.append("a letter is lost")
    return broken


def said(lines):
    return [tuple(map(int, line.split()[1:])) for line in lines if line.startswith("durable")]


def test_a_writer_killed_at_random_leaves_every_durable_thing_and_no_hole(tmp_path, children):
    rng = random.Random(7)
    durable = []
    for turn in range(3):
        writer = children("write", tmp_path)
        writer.wait_for(rng.randint(2, 60))
        lines = writer.kill()

        assert lines[0] == f"epoch {turn + 1}"
        durable += said(lines)
        assert broken_promises(journal(tmp_path), durable, None) == []

    assert open_counter(tmp_path).verify_chain() > 0
    assert open_mailroom(tmp_path).quarantined == ()


def test_letters_are_imported_exactly_once_whoever_is_killed(tmp_path, children):
    rng = random.Random(11)
    durable, posted = [], set()
    for turn in range(2):
        writer = children("write", tmp_path)
        posters = [children("post", tmp_path, f"poster{turn}{name}") for name in "ab"]
        for poster in posters:
            poster.wait_for(rng.randint(1, 25))
        writer.wait_for(2)
        victims = [writer, *posters]
        rng.shuffle(victims)
        for victim in victims:
            lines = victim.kill()
            durable += said(lines)
            posted |= {line.split()[1] for line in lines if line.startswith("posted")}

    mailroom = open_mailroom(tmp_path)
    mailroom.import_letters(mailroom_child.now())
    mailroom.close()

    assert len(posted) >= 4
    assert broken_promises(journal(tmp_path), durable, posted) == []
    assert letters_left(tmp_path) == 0
    counter = open_counter(tmp_path)
    assert counter.verify_chain() > 0
    counter.close()


def test_a_second_holder_is_refused_by_name_and_takes_over_the_moment_the_first_is_dead(tmp_path, children):
    first = children("hold", tmp_path)
    first.wait_for(1)
    counter = open_counter(tmp_path)

    with pytest.raises(LeaseHeld, match=f"pid {first.process.pid} on .* since 20"):
        open_mailroom(tmp_path)
    assert f"pid {first.process.pid} " in counter.holder()

    first.kill()
    assert counter.holder() is None
    second = open_mailroom(tmp_path)
    assert first.lines == ["epoch 1"]
    assert second.epoch == 2
    second.close()
    counter.close()


def test_a_stopped_holder_still_holds(tmp_path, children):
    first = children("hold", tmp_path)
    first.wait_for(1)
    first.process.send_signal(signal.SIGSTOP)

    with pytest.raises(LeaseHeld, match=str(first.process.pid)):
        open_mailroom(tmp_path)

    first.process.send_signal(signal.SIGCONT)


def test_a_letter_wakes_a_daemon_of_another_process(tmp_path, children):
    mailroom = open_mailroom(tmp_path)
    woken = threading.Event()
    mailroom.on_letter(lambda: woken.set() if mailroom.import_letters(mailroom_child.now()) else None)

    children("post", tmp_path, "poster").wait_for(1)

    assert woken.wait(10)
    mailroom.close()


ROWS = [
    (1, "seed", None, 0, 1, "executive", "operator"),
    (2, None, 1, 0, 2, "executive", "executive"),
    (3, None, 1, 1, None, "trading", "executive"),
    (4, None, 2, 0, None, "executive", "executive"),
    (5, None, 2, 1, None, "trading", "executive"),
    (6, "letter", None, 0, None, "executive", "operator"),
]


@pytest.mark.parametrize(
    ("rows", "durable", "posted", "broken"),
    [
        (ROWS, [(2, 5)], {"letter"}, []),
        ([row for row in ROWS if row[0] != 3], [], set(), ["a hole in the numbers", "half a unit"]),
        ([row for row in ROWS if row[0] != 5], [], set(), ["a hole in the numbers", "half a unit"]),
        ([*ROWS, (7, "letter", None, 0, None, "executive", "operator")], [], set(), ["a letter twice"]),
        (ROWS[:3], [(2, 5)], set(), ["something durable is gone"]),
        (ROWS, [(4, 6)], set(), ["something durable is gone"]),
        (ROWS, [], {"other"}, ["a letter is lost"]),
        ([*ROWS[:-1], (*ROWS[-1][:4], 4, *ROWS[-1][5:])], [], set(), ["a hole in the chain"]),
    ],
)
def test_the_check_notices(rows, durable, posted, broken):
    assert broken_promises(rows, durable, posted) == broken


def test_the_run_that_the_children_write_is_the_one_looked_for(tmp_path, children):
    writer = children("write", tmp_path)
    writer.wait_for(3)
    writer.kill()
    mailroom = open_mailroom(tmp_path)

    folded = list(mailroom.handled(Recipient.EXECUTIVE))

    assert folded
    assert {row.envelope.correlation_id for row in folded} == {RUN}
    mailroom.close()
