"""When the portfolio database is refreshed: on start, after runs, on a new trading day; never beside an open run."""

from datetime import timedelta

import pytest

from departments.portfolio.bookkeeper import CLOCK_LOOK_S, PATIENCE_S, QUIET_LOOK_S, Bookkeeper
from departments.portfolio.files import FILE
from departments.trading.broker import BrokerUnavailable
from tests.builders.fills import fill
from tests.fakes.past import FakePast, FakeRegister


class Room:
    """A bookkeeper, and what it told."""

    def __init__(self, folder):
        self.past, self.register = FakePast(), FakeRegister()
        self.now_s = 0.0
        self.told = []
        self.bookkeeper = Bookkeeper(
            path=folder / FILE,
            account="paper",
            reader=self.past,
            monotonic_s=lambda: self.now_s,
            tell=self.told.append,
        )

    def tend(self, *, asked=False):
        return self.bookkeeper.tend(self.register, asked=asked)


@pytest.fixture
def room(tmp_path):
    return Room(tmp_path)


def test_it_is_refreshed_on_start_and_after_a_run_and_not_between(room):
    room.tend()
    room.past.fills.append(fill(5))
    room.tend()
    told_between = len(room.told)
    room.tend(asked=True)

    assert told_between == 1
    assert [done.fills for done in room.told] == [0, 1]


def test_a_refresh_after_a_run_is_seven_requests(room):
    room.past.fills.append(fill(5))
    room.past.now += timedelta(days=2)
    room.tend()
    room.past.asked.clear()
    room.past.fills.append(fill(5, room.past.now))
    room.tend(asked=True)

    calls = sorted(call for call, _ in room.past.asked)
    assert calls == ["account", "clock", "clock", "equity", "fills", "fills", "positions"]


def test_between_times_only_the_clock_is_looked_at(room):
    wait_s = room.tend()
    room.past.asked.clear()
    room.tend()

    assert wait_s == CLOCK_LOOK_S
    assert [call for call, _ in room.past.asked] == ["clock"]


def test_a_new_trading_day_refreshes_at_its_opening(room):
    room.tend()
    opening = room.past.clock().next_open
    room.past.now = opening - timedelta(minutes=1)
    before_s = room.tend()
    room.past.now = opening
    room.tend()
    room.tend()

    assert before_s == 61.0
    assert len(room.told) == 2


def test_an_open_run_is_waited_for_but_not_for_ever(room):
    room.register.add("R1", outcome=None)

    assert room.tend(asked=True) == QUIET_LOOK_S
    room.now_s = PATIENCE_S - 1
    assert room.tend() == QUIET_LOOK_S
    assert room.past.asked == []
    room.now_s = PATIENCE_S
    room.tend()
    assert len(room.told) == 1


def test_the_run_that_was_waited_for_ends(room):
    room.register.add("R1", outcome=None)
    room.tend()
    room.register.add("R1")
    room.tend()

    assert [done.runs for done in room.told] == [1]


def test_a_refresh_that_failed_is_owed(room):
    def fail(_):
        raise BrokerUnavailable("gone")

    room.past.before = fail
    with pytest.raises(BrokerUnavailable):
        room.tend(asked=True)
    room.past.before = lambda _: None
    room.tend()

    assert len(room.told) == 1
