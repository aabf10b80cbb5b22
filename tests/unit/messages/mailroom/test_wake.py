"""A letter wakes the daemon: through the FIFO at once, by looking where the FIFO can't be had."""

import contextlib
import os
import threading
import time

import pytest

from messages.mailroom import wake
from messages.mailroom.port import StoreUnavailable
from messages.mailroom.wake import LOOK_INTERVAL_MS, WAKE_FILE, Listener, ring
from tests.unit.messages.mailroom.houses import CEO, NOW, a_halt, begin, ready, take


class Bell:
    """Counts, and can be waited for."""

    def __init__(self):
        self.rung = 0
        self._changed = threading.Condition()

    def __call__(self):
        with self._changed:
            self.rung += 1
            self._changed.notify_all()

    def wait_for(self, count):
        with self._changed:
            return self._changed.wait_for(lambda: self.rung >= count, 10)


@pytest.fixture
def bell():
    return Bell()


@pytest.fixture
def listen(tmp_path, bell):
    opened, failures = [], []

    def start(change_mark=lambda: 1, home=tmp_path):
        opened.append(Listener(home, change_mark=change_mark, wake=bell, failed=failures.append))
        return opened[-1]

    yield start
    for listener in opened:
        listener.close()
    assert failures == []


def test_ringing_wakes(tmp_path, listen, bell):
    listen()
    assert bell.wait_for(1)  # what came before the listener

    ring(tmp_path)

    assert bell.wait_for(2)


def test_nobody_needs_to_listen(tmp_path):
    ring(tmp_path)
    ring(tmp_path / "nowhere")
    os.mkfifo(tmp_path / WAKE_FILE)
    ring(tmp_path)


def test_a_change_is_noticed_without_a_ring(listen, bell):
    marks = iter([1, 1, None, 2, *[2] * 1_000])
    listen(change_mark=lambda: next(marks))

    assert bell.wait_for(2)


def test_a_mark_that_does_not_move_wakes_nobody(listen, bell):
    looked = Bell()

    def mark():
        looked()
        return 1

    listen(change_mark=mark)

    assert looked.wait_for(5)
    assert bell.rung == 1


def test_a_file_in_the_place_of_the_fifo_is_left_alone(tmp_path, listen, bell):
    (tmp_path / WAKE_FILE).write_text("not a pipe")
    marks = iter([1, 2, *[2] * 1_000])

    listen(change_mark=lambda: next(marks))

    assert bell.wait_for(2)
    assert (tmp_path / WAKE_FILE).read_text() == "not a pipe"


def test_a_long_path_is_no_obstacle(tmp_path, listen, bell):
    home = tmp_path / ("x" * 120) / ("y" * 120)
    home.mkdir(parents=True)
    listen(home=home)
    assert bell.wait_for(1)

    ring(home)

    assert bell.wait_for(2)


def test_a_full_pipe_blocks_nobody(tmp_path):
    os.mkfifo(tmp_path / WAKE_FILE)
    descriptor = os.open(tmp_path / WAKE_FILE, os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        for _ in range(10_000):
            os.write(descriptor, b"." * 4096)
    with pytest.raises(BlockingIOError):
        os.write(descriptor, b".")

    ring(tmp_path)

    os.close(descriptor)


def test_a_listener_closes_once(listen):
    listener = listen()
    listener.close()
    listener.close()
    listener.nudge()


def test_a_listener_that_dies_is_no_secret(sql):
    """Otherwise a halt could lie in the letterbox unread for ever."""
    mailroom = ready(sql.open())
    told = threading.Event()
    mailroom.on_failure(lambda error: told.set() if "letterbox on fire" in str(error) else None)

    def wake():
        raise StoreUnavailable("letterbox on fire")

    mailroom.on_letter(wake)

    assert told.wait(10)
    with pytest.raises(StoreUnavailable, match="letterbox on fire"):
        mailroom.flush()


def test_a_posted_letter_wakes_the_mailroom(sql, bell):
    mailroom = ready(sql.open())
    mailroom.on_letter(bell)
    assert bell.wait_for(1)

    sql.counter().post(message_id="1", recipient=CEO, message=a_halt(), at=NOW)

    assert bell.wait_for(2)
    with pytest.raises(AssertionError, match="one listener"):
        mailroom.on_letter(bell)


def test_a_posted_letter_wakes_the_mailroom_even_if_the_bell_is_lost(sql, bell, monkeypatch):
    monkeypatch.setattr("messages.mailroom.counter.ring", lambda home: None)
    mailroom = ready(sql.open())
    mailroom.on_letter(bell)
    assert bell.wait_for(1)

    sql.counter().post(message_id="1", recipient=CEO, message=a_halt(), at=NOW)

    assert bell.wait_for(2)


def test_a_posted_letter_rings(sql, bell):
    mailroom = ready(sql.open())
    mailroom._database.change_mark = lambda: None
    mailroom.on_letter(bell)

    sql.counter().post(message_id="1", recipient=CEO, message=a_halt(), at=NOW)

    assert bell.wait_for(1)


def test_our_own_commits_wake_nobody(sql, bell):
    mailroom = ready(sql.open())
    looked = Bell()
    original = mailroom._database.change_mark

    def mark():
        looked()
        return original()

    mailroom._database.change_mark = mark
    mailroom.on_letter(bell)
    assert bell.wait_for(1)

    for _ in range(5):
        take(mailroom, begin())
        mailroom.flush()

    assert looked.wait_for(looked.rung + 3)
    assert bell.rung == 1


def test_being_idle_costs_next_to_nothing(sql, bell):
    """One look takes so little that looking every 200 ms stays below 0.3 % of a core."""
    mailroom = ready(sql.open())
    mailroom.flush()
    looks = 200

    before = time.thread_time()
    for _ in range(looks):
        mailroom._database.change_mark()
    cost_s = (time.thread_time() - before) / looks

    assert wake.LOOK_INTERVAL_MS == LOOK_INTERVAL_MS <= 200
    assert cost_s < 0.003 * LOOK_INTERVAL_MS / 1000
