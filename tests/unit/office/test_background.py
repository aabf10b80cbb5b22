"""Work beside the day's work: done when asked for, once for many who ask, and never the end of anything."""

import threading

from departments.office.background import Chore

LIMIT_S = 10.0
LONG_S = 3600.0


class Work:
    """Counts what is done; blocks or fails where a test wants it."""

    def __init__(self):
        self.calls = []
        self.errors = []
        self.came = threading.Condition()
        self.hold = threading.Event()
        self.hold.set()
        self.next_in_s = LONG_S
        self.fails = 0

    def __call__(self, asked):
        with self.came:
            self.calls.append(asked)
            self.came.notify_all()
        assert self.hold.wait(LIMIT_S)
        if self.fails:
            self.fails -= 1
            raise ValueError("broken")
        return self.next_in_s

    def failed(self, error):
        with self.came:
            self.errors.append(error)
            self.came.notify_all()

    def wait(self, condition):
        with self.came:
            assert self.came.wait_for(condition, LIMIT_S), (self.calls, self.errors)


def a_chore(work, *, settle_s=0.001, retry_s=LONG_S):
    chore = Chore("test", work, failed=work.failed, settle_s=settle_s, retry_s=retry_s)
    chore.start()
    return chore


def test_its_first_time_has_come_and_then_it_waits_to_be_asked():
    work = Work()
    chore = a_chore(work)
    work.wait(lambda: work.calls == [False])
    chore.ask()
    work.wait(lambda: work.calls == [False, True])

    assert chore.stop(LIMIT_S)


def test_many_who_ask_are_served_at_once_and_who_asks_meanwhile_is_served_again():
    work = Work()
    work.hold.clear()
    chore = a_chore(work)
    work.wait(lambda: len(work.calls) == 1)
    for _ in range(5):
        chore.ask()
    work.hold.set()
    work.wait(lambda: len(work.calls) == 2)

    assert chore.stop(LIMIT_S)
    assert work.calls == [False, True]


def test_its_time_comes_again():
    work = Work()
    work.next_in_s = 0.001
    chore = a_chore(work)
    work.wait(lambda: len(work.calls) >= 3)

    assert chore.stop(LIMIT_S)
    assert not any(work.calls)


def test_an_error_is_told_and_it_is_tried_again():
    work = Work()
    work.fails = 2
    chore = a_chore(work, retry_s=0.001)
    work.wait(lambda: len(work.calls) == 3)

    assert chore.stop(LIMIT_S)
    assert [str(error) for error in work.errors] == ["broken", "broken"]


def test_an_error_ends_nothing_who_asks_next_is_served():
    work = Work()
    work.fails = 1
    chore = a_chore(work)
    work.wait(lambda: len(work.errors) == 1)
    chore.ask()
    work.wait(lambda: work.calls == [False, True])

    assert chore.stop(LIMIT_S)


def test_a_stop_waits_for_nobody_for_long():
    work = Work()
    work.hold.clear()
    chore = a_chore(work)
    work.wait(lambda: len(work.calls) == 1)

    assert not chore.stop(0.01)
    work.hold.set()
    assert chore.stop(LIMIT_S)


def test_what_breaks_because_all_is_closing_is_not_told():
    work = Work()
    work.fails = 1
    work.hold.clear()
    chore = a_chore(work)
    work.wait(lambda: len(work.calls) == 1)
    chore.stop(0.0)
    work.hold.set()

    assert chore.stop(LIMIT_S)
    assert work.errors == []


def test_a_stop_before_it_settled_does_nothing_any_more():
    work = Work()
    chore = a_chore(work, settle_s=LONG_S)

    assert chore.stop(LIMIT_S)
    assert work.calls == []


def test_one_that_never_began_is_stopped():
    chore = Chore("test", Work(), failed=lambda _: None, settle_s=0, retry_s=0)

    assert chore.stop(LIMIT_S)
