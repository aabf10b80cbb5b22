"""Whatever is interleaved: a crash leaves a prefix, never a hole; and the fake mirrors the SQL mailroom."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from messages.control import AbortRun, ResumeTrading
from messages.envelope import Outgoing
from messages.mailroom import writer
from messages.mailroom.writer import Writer
from messages.values import Recipient
from tests.unit.messages.mailroom.houses import (
    CEO,
    NOW,
    OTHER_RUN,
    RUN,
    SETTINGS,
    FakeHouse,
    SqlHouse,
    a_gate,
    a_halt,
    a_submission,
    begin,
    handle,
    ready,
    take,
)

MESSAGES = [
    a_halt(),
    ResumeTrading(by="mara"),
    begin(),
    begin(OTHER_RUN),
    a_gate(),
    a_submission(),
    AbortRun(run_id=OTHER_RUN, by="mara"),
]
A_MESSAGE = st.sampled_from(MESSAGES)
A_RECIPIENT = st.sampled_from([CEO, Recipient.TRADING])
OUTPUT = st.lists(st.builds(Outgoing, A_RECIPIENT, A_MESSAGE, st.sampled_from([None, NOW])), max_size=3)
AN_ID = st.sampled_from([None, "a", "b", "c"])
A_RUN = st.sampled_from([RUN, OTHER_RUN])


class TwoHouses(RuleBasedStateMachine):
    """Everything is done to a SQL mailroom and to the fake; both must answer the same, always."""

    def __init__(self):
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.houses = (SqlHouse(Path(self._folder.name), "sqlite"), FakeHouse())
        self.rooms = [ready(house.open()) for house in self.houses]
        self.counters = [house.counter() for house in self.houses]
        self.waiting = []
        self.opened = set()

    def teardown(self):
        for house in self.houses:
            house.close()
        self._folder.cleanup()

    def both(self, act):
        first, second = (act(room) for room in self.rooms)
        assert first == second
        return first

    def look(self):
        def inboxes(room):
            return {recipient: room.unhandled(recipient) for recipient in Recipient}

        found = self.both(inboxes)
        self.waiting = sorted((mail for inbox in found.values() for mail in inbox), key=lambda mail: mail.seq)

    @rule(message=A_MESSAGE, recipient=A_RECIPIENT, message_id=AN_ID)
    def receive(self, message, recipient, message_id):
        mail = self.both(
            lambda room: room.receive(
                sender="stream", recipient=recipient, message=message, at=NOW, message_id=message_id
            )
        )
        self.waiting += [mail] if mail is not None else []

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), output=OUTPUT, opens=st.none() | A_RUN, closes=st.none() | A_RUN)
    def record(self, data, output, opens, closes):
        mail = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        opens = None if opens in self.opened else opens
        self.opened |= {opens, closes} - {None}
        self.waiting += self.both(
            lambda room: room.record(
                handled=mail,
                at=NOW,
                settings_sha256=SETTINGS,
                outgoing=output,
                opens_run=None if opens is None else (opens, "P", "0" * 64),
                closes_run=None if closes is None else (closes, "completed"),
            )
        )

    @rule(message=A_MESSAGE, message_id=st.sampled_from("abcd"))
    def post(self, message, message_id):
        first, second = (
            counter.post(message_id=message_id, recipient=CEO, message=message, at=NOW) for counter in self.counters
        )
        assert first == second

    @rule()
    def import_letters(self):
        self.waiting += self.both(lambda room: room.import_letters(NOW))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def ensure_durable(self, data):
        mail = data.draw(st.sampled_from(self.waiting))
        self.both(lambda room: room.ensure_durable(mail.seq))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def count_attempt(self, data):
        mail = data.draw(st.sampled_from(self.waiting))
        self.both(lambda room: room.count_attempt(mail))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def dead_letter(self, data):
        mail = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.waiting.append(self.both(lambda room: room.dead_letter(mail, reason="failed", at=NOW)))

    @rule(run_id=A_RUN, call_seq=st.integers(1, 12))
    def door(self, run_id, call_seq):
        self.both(lambda room: room.door(run_id=run_id, call_seq=call_seq))

    @rule()
    def fold(self):
        self.both(lambda room: {recipient: list(room.handled(recipient)) for recipient in Recipient})
        self.look()

    @rule()
    def ask_at_the_counter(self):
        self.both(lambda room: room.flush())

        first, second = self.counters
        for run_id in (None, RUN, OTHER_RUN):
            assert list(first.history(CEO, run_id=run_id, after=1)) == list(second.history(CEO, run_id=run_id, after=1))
        assert first.runs() == second.runs()
        assert first.letters() == second.letters()
        assert first.dead_letters() == second.dead_letters()
        assert first.verify_chain() == second.verify_chain()

    @rule()
    def crash(self):
        self.rooms = [ready(house.crash(room)) for house, room in zip(self.houses, self.rooms, strict=True)]
        self.opened = set(self.rooms[1]._opened)
        self.look()


TestTwoHouses = TwoHouses.TestCase
TestTwoHouses.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("receive"), st.just(0)),
        st.tuples(st.just("record"), st.integers(0, 3)),
        st.tuples(st.just("durable"), st.integers(0, 30)),
        st.tuples(st.just("flush"), st.just(0)),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    max_size=40,
)


def play(house, steps):
    """Play steps on a mailroom, crash, and return what broke of the promise of the prefix, in words."""
    room = ready(house.open())
    history, durable = [], 0  # units as (handled seq, produced seqs); how many of them must survive
    waiting = []
    broken = []
    for what, figure in [*steps, ("crash", 0)]:
        if what == "receive":
            waiting.append(take(room, begin()))
            history.append((None, (waiting[-1].seq,)))
        elif what == "record" and waiting:
            mail = waiting.pop(0)
            produced = handle(room, mail, *[begin()] * figure)
            waiting += produced
            history.append((mail.seq, tuple(one.seq for one in produced)))
        elif what == "durable" and any(produced for _, produced in history):
            numbers = [seq for _, produced in history for seq in produced]
            seq = numbers[figure % len(numbers)]
            room.ensure_durable(seq)
            durable = max(durable, 1 + next(n for n, (_, produced) in enumerate(history) if seq in produced))
        elif what == "flush":
            room.flush()
            durable = len(history)
        elif what == "crash":
            room = ready(house.crash(room))
            survived, again = survivors(room)
            broken += faults(history, durable, survived)
            history = [unit for unit in history if unit in survived]
            durable = len(history)
            waiting = again
    return broken


def survivors(room):
    """The units that a mailroom still knows, and what waits."""
    waiting = list(room.unhandled(CEO))
    folded = list(room.handled(CEO))
    received = [row.envelope for row in folded if row.envelope.causation_id is None]
    received += [mail for mail in waiting if mail.causation_id is None]
    units = {(None, (mail.seq,)) for mail in received}
    units |= {(row.envelope.seq, tuple(mail.seq for mail in row.outgoing)) for row in folded}
    return units, waiting


def faults(history, durable, survived):
    """Hold what survived against what was recorded: a prefix, and at least the durable part."""
    flags = [unit in survived for unit in history]
    broken = []
    if not all(flags[:durable]):
        broken.append("something durable is gone")
    if flags != sorted(flags, reverse=True):
        broken.append("a hole")
    if survived - set(history):
        broken.append("something that was never recorded")
    return broken


@pytest.mark.parametrize("units_a_commit", [1, 2, 2_000])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_a_crash_leaves_a_prefix_that_holds_all_that_was_durable(units_a_commit, steps):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(writer, "UNITS_A_COMMIT", units_a_commit)
        house = SqlHouse(Path(folder), "sqlite")
        with contextlib.closing(house):
            assert play(house, steps) == []


@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
def test_the_fake_leaves_a_prefix_too(steps):
    assert play(FakeHouse(), steps) == []


@settings(max_examples=100, deadline=None)
@given(recorded=st.integers(0, 6), keep=st.integers(0, 8))
def test_the_fake_may_keep_more_than_it_must(recorded, keep):
    room = ready(FakeHouse().open())
    room.flush()
    mail = [take(room, begin()) for _ in range(recorded)]

    again = room.crash(keep)

    assert [one.seq for one in again.unhandled(CEO)] == [one.seq for one in mail[:keep]]


LINE = [("receive", 0), ("record", 1), ("record", 1), ("record", 1), ("flush", 0)]


def test_a_writer_that_loses_a_unit_in_the_middle_is_noticed(tmp_path, monkeypatch):
    original = Writer._write

    def forgetful(self, units):
        return original(self, [unit for unit in units if unit.handled is None or unit.handled.handled_seq != 3])

    monkeypatch.setattr(Writer, "_write", forgetful)
    house = SqlHouse(tmp_path, "sqlite")

    with contextlib.closing(house):
        assert "something durable is gone" in play(house, LINE)


def test_a_writer_that_says_durable_too_early_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(Writer, "ensure_durable", lambda self, seq: None)
    house = SqlHouse(tmp_path, "sqlite")

    with contextlib.closing(house):
        assert play(house, [*LINE[:3], ("durable", 2)]) == ["something durable is gone"]


@pytest.mark.parametrize(
    ("survived", "durable", "expected"),
    [
        ({"a", "b", "c"}, 2, []),
        ({"a", "b"}, 2, []),
        ({"a"}, 2, ["something durable is gone"]),
        ({"a", "c"}, 1, ["a hole"]),
        ({"b", "c"}, 1, ["something durable is gone", "a hole"]),
        ({"a", "x"}, 1, ["something that was never recorded"]),
    ],
)
def test_the_check_notices(survived, durable, expected):
    assert faults(["a", "b", "c"], durable, survived) == expected
