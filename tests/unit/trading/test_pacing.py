"""The limiter against a broker that counts in a rolling minute of its own, on a network that delays as it likes."""

import heapq
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.trading.broker import RateSeen
from departments.trading.pacing import MAX_BACK_OFF_S, WINDOW_S, Kind, Pacer


class CountingBroker:
    """Counts requests in a rolling minute, at the moment they arrive; answers 429 past the limit, as Alpaca does."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.times: deque[float] = deque()
        self.refusals = 0
        self.accepted = 0

    def arrive(self, at_s: float) -> bool:
        while self.times and self.times[0] <= at_s - 60.0:
            self.times.popleft()
        if len(self.times) >= self.limit:
            self.refusals += 1
            return False
        self.times.append(at_s)
        self.accepted += 1
        return True

    def seen(self) -> RateSeen:
        return RateSeen(limit=self.limit, remaining=self.limit - len(self.times), reset_in_s=None)


def send_all(pacer, broker, kinds, *, workers=4, way_s=0.01, headers=True, start_s=0.0):
    """Send requests in order of importance with so many workers; the time at which each was accepted."""
    now_s = start_s
    waiting = sorted(enumerate(kinds), key=lambda item: (item[1], item[0]))
    events: list[tuple[float, int, str, int]] = []
    accepted: dict[int, float] = {}
    in_flight = 0
    asked = 0
    delays = way_s if callable(way_s) else lambda _: way_s
    while waiting or events:
        if waiting and in_flight < workers:
            number, kind = waiting[0]
            wait_s = pacer.next_slot(now_s, kind)
            if wait_s <= 0:
                pacer.take(now_s, kind)
                waiting.pop(0)
                in_flight += 1
                asked += 1
                heapq.heappush(events, (now_s + delays(asked), asked, "arrives", number))
                continue
            next_s = now_s + wait_s
            if not events or next_s < events[0][0]:
                now_s = next_s
                continue
        now_s, order, what, number = heapq.heappop(events)
        if what == "arrives":
            taken = broker.arrive(now_s)
            heapq.heappush(events, (now_s + delays(order), order, "taken" if taken else "refused", number))
            if taken:
                accepted[number] = now_s
        else:
            in_flight -= 1
            if what == "taken":
                pacer.answered(now_s, broker.seen() if headers else None)
            else:
                pacer.refused(now_s, retry_after_s=None, seen=broker.seen() if headers else None)
                heapq.heappush(waiting, (number, kinds[number]))
                waiting.sort(key=lambda item: (item[1], item[0]))
        assert asked < 5000, "a storm"
    return accepted


def test_sixty_sells_and_sixty_buys_go_at_once():
    broker = CountingBroker(200)

    accepted = send_all(Pacer(200), broker, [Kind.SELL] * 60 + [Kind.BUY] * 60)

    assert broker.refusals == 0
    assert max(accepted.values()) < 60 * 0.05


@pytest.mark.parametrize("orders", [250, 450, 900])
@pytest.mark.parametrize("headers", [True, False])
def test_more_orders_than_the_limit_go_without_a_429_within_five_percent_of_the_bound(orders, headers):
    broker = CountingBroker(200)

    accepted = send_all(Pacer(200), broker, [Kind.SELL] * (orders // 2) + [Kind.BUY] * (orders // 2), headers=headers)

    bound_s = 60.0 * ((orders - 1) // 200)
    assert broker.refusals == 0
    assert max(accepted.values()) <= bound_s * 1.05 + 1.0


@given(
    limit=st.integers(1, 60),
    count=st.integers(1, 150),
    delays=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=20),
    workers=st.integers(1, 8),
)
def test_whatever_the_network_does_the_broker_never_counts_too_many(limit, count, delays, workers):
    broker = CountingBroker(limit)

    accepted = send_all(
        Pacer(limit), broker, [Kind.SELL] * count, workers=workers, way_s=lambda n: delays[n % len(delays)]
    )

    assert broker.refusals == 0
    assert len(accepted) == count


def test_the_planted_fault_counting_from_the_sending_is_caught():
    """What `answered` is for: a limiter that forgets a request a minute after sending it is refused."""

    class Hasty(Pacer):
        def take(self, now_s, kind):
            super().take(now_s, kind)
            super().answered(now_s, None)

        def answered(self, now_s, seen):
            pass

    broker = CountingBroker(10)
    late_first = [2.0] * 10 + [0.0] * 100

    send_all(Hasty(10), broker, [Kind.SELL] * 20, workers=20, way_s=lambda n: late_first[n])

    assert broker.refusals > 0


def test_reads_leave_room_for_sells_and_cancels():
    pacer = Pacer(100)
    reads = 0
    while pacer.next_slot(0.0, Kind.READ) <= 0:
        pacer.take(0.0, Kind.READ)
        reads += 1

    assert reads == 90
    assert pacer.next_slot(0.0, Kind.SELL) <= 0
    assert pacer.next_slot(0.0, Kind.CANCEL) <= 0


def test_buys_and_proofs_leave_a_little_room_too():
    for kind in (Kind.BUY, Kind.PROOF, Kind.GATE):
        pacer = Pacer(100)
        while pacer.next_slot(0.0, kind) <= 0:
            pacer.take(0.0, kind)

        assert pacer.next_slot(0.0, Kind.SELL) <= 0


def test_the_important_go_first():
    accepted = send_all(
        Pacer(200),
        CountingBroker(200),
        [Kind.READ, Kind.BUY, Kind.PROOF, Kind.GATE, Kind.SELL, Kind.CANCEL],
        workers=1,
    )

    assert sorted(accepted, key=accepted.__getitem__) == [5, 4, 3, 2, 1, 0]


def test_the_gates_look_waits_for_no_slot_that_a_buy_would_not_wait_for():
    pacer = Pacer(100)
    while pacer.next_slot(0.0, Kind.BUY) <= 0:
        pacer.take(0.0, Kind.BUY)
    pacer.give_back()

    assert pacer.next_slot(0.0, Kind.GATE) <= 0
    assert pacer.next_slot(0.0, Kind.PROOF) > 0


def test_a_limit_of_one_a_minute_still_moves():
    accepted = send_all(Pacer(1), CountingBroker(1), [Kind.READ, Kind.READ, Kind.BUY])

    assert len(accepted) == 3


def test_a_slot_that_was_not_free_can_not_be_taken():
    pacer = Pacer(1)
    pacer.take(0.0, Kind.SELL)

    with pytest.raises(AssertionError, match="expected a free slot"):
        pacer.take(0.0, Kind.SELL)


def test_a_slot_given_back_was_never_used():
    pacer = Pacer(1)
    pacer.take(0.0, Kind.SELL)
    pacer.give_back()

    assert pacer.next_slot(0.0, Kind.SELL) <= 0


def test_requests_of_others_count():
    pacer = Pacer(200)
    pacer.take(0.0, Kind.READ)
    pacer.answered(0.1, RateSeen(limit=200, remaining=0, reset_in_s=None))

    wait_s = pacer.next_slot(0.2, Kind.SELL)

    assert 59.0 < wait_s <= 60.0
    assert pacer.next_slot(0.2 + WINDOW_S, Kind.SELL) <= 0


def test_an_exhausted_window_is_waited_for_as_told():
    pacer = Pacer(200)
    pacer.take(0.0, Kind.READ)
    pacer.answered(0.1, RateSeen(limit=200, remaining=0, reset_in_s=12))

    assert pacer.next_slot(0.1, Kind.CANCEL) == pytest.approx(12.0)


def test_a_lower_limit_that_is_told_is_believed():
    pacer = Pacer(200)
    pacer.take(0.0, Kind.READ)
    pacer.answered(0.1, RateSeen(limit=50, remaining=49, reset_in_s=30))

    assert pacer.limit == 50


def test_a_higher_limit_that_is_told_is_left_alone():
    pacer = Pacer(200)
    pacer.take(0.0, Kind.READ)
    pacer.answered(0.1, RateSeen(limit=1000, remaining=999, reset_in_s=30))

    assert pacer.limit == 200


def test_a_429_is_waited_out_as_long_as_told():
    pacer = Pacer(200)
    pacer.take(0.0, Kind.SELL)
    pacer.refused(1.0, retry_after_s=7.0, seen=None)

    assert pacer.next_slot(1.0, Kind.CANCEL) == pytest.approx(7.0)
    assert pacer.next_slot(8.0, Kind.SELL) <= 0


def test_429s_in_a_row_are_waited_out_ever_longer_up_to_a_bound():
    pacer = Pacer(200)
    now_s, waits = 0.0, []
    for _ in range(8):
        now_s += pacer.next_slot(now_s, Kind.SELL)
        pacer.take(now_s, Kind.SELL)
        pacer.refused(now_s, retry_after_s=None, seen=None)
        waits.append(pacer.next_slot(now_s, Kind.SELL))

    assert waits[:4] == pytest.approx([1, 2, 4, 8])
    assert max(waits) == MAX_BACK_OFF_S


def test_several_429s_that_were_out_together_count_once():
    pacer = Pacer(200)
    for _ in range(4):
        pacer.take(0.0, Kind.SELL)
    for _ in range(4):
        pacer.refused(0.1, retry_after_s=None, seen=None)

    assert pacer.next_slot(0.1, Kind.SELL) <= 1.0


def test_a_429_after_many_requests_lowers_the_limit_and_time_raises_it_again():
    pacer = Pacer(200)
    for _ in range(100):
        pacer.take(0.0, Kind.SELL)
        pacer.answered(0.0, None)
    pacer.take(0.0, Kind.SELL)
    pacer.refused(0.0, retry_after_s=None, seen=None)

    lowered = pacer.limit
    for minute in range(1, 10):
        pacer.next_slot(minute * 60.0, Kind.SELL)

    assert lowered == 90
    assert pacer.limit == 200


def test_a_429_after_few_requests_is_somebody_elses_doing():
    pacer = Pacer(200)
    pacer.take(0.0, Kind.SELL)
    pacer.refused(0.0, retry_after_s=None, seen=None)

    assert pacer.limit == 200


@pytest.mark.parametrize("headers", [True, False])
def test_a_broker_with_half_the_limit_is_learnt_without_a_storm(headers):
    broker = CountingBroker(100)

    accepted = send_all(Pacer(200), broker, [Kind.SELL] * 300, headers=headers)

    assert len(accepted) == 300
    assert broker.refusals <= 20
    assert max(accepted.values()) <= 60.0 * 5
