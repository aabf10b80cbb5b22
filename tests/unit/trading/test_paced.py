"""Reads that can wait: page after page, last in line, and never more than their part of the limit."""

from datetime import UTC, datetime

import pytest

from departments.trading.broker import FILLS_PAGE_LIMIT, BrokerUnavailable, FillsPage, RateLimited
from departments.trading.paced import PacedReader
from departments.trading.pacing import Kind
from departments.trading.turns import Turns
from tests.builders.fills import fill

AFTER = datetime(2025, 11, 10, tzinfo=UTC)


class Client:
    """A client with a past; refuses as often as it is told to."""

    rate_seen = None

    def __init__(self, count=0):
        self.past = [fill(1, minute) for minute in range(count)]
        self.queries = []
        self.refusals = 0
        self.closed = False

    def fills(self, query):
        if self.refusals:
            self.refusals -= 1
            raise RateLimited("http 429", 0.01)
        self.queries.append(query)
        ids = [one.activity_id for one in self.past]
        start = 0 if query.page_token is None else ids.index(query.page_token) + 1
        page = self.past[start : start + FILLS_PAGE_LIMIT]
        return FillsPage(tuple(page), len(page))

    def clock(self):
        return "the clock"

    def close(self):
        self.closed = True


class Time:
    """Seconds that pass as they are waited for."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def turns_at(time, limit=200):
    turns = Turns(requests_per_minute=limit, monotonic=time)

    def wait(wait_s, *, for_slot):
        assert for_slot
        time.now_s += wait_s

    turns._wait = wait
    return turns


def test_every_page_is_read():
    client = Client(2 * FILLS_PAGE_LIMIT + 1)

    fills = PacedReader(turns_at(Time()), client).fills_after(AFTER)

    assert list(fills) == client.past
    assert [query.after for query in client.queries] == [AFTER] * 3


def test_half_of_the_limit_is_left_to_others():
    time = Time()
    turns = turns_at(time, limit=10)
    reader = PacedReader(turns, Client())
    for _ in range(5):
        reader.clock()
    waited_s = time.now_s
    left = turns._pacers[False].next_slot(0.0, Kind.READ)
    reader.clock()

    assert (waited_s, left) == (0.0, 0.0)
    assert time.now_s >= 60.0


def test_a_429_is_waited_out_a_few_times():
    time = Time()
    patient, hopeless = Client(1), Client(1)
    patient.refusals, hopeless.refusals = 2, 3

    assert len(PacedReader(turns_at(time), patient).fills_after(None)) == 1
    assert time.now_s > 0
    with pytest.raises(RateLimited):
        PacedReader(turns_at(time), hopeless).fills_after(None)


def test_a_desk_that_closes_ends_it():
    turns = turns_at(Time())
    turns.close()
    client = Client()
    reader = PacedReader(turns, client)

    with pytest.raises(BrokerUnavailable, match="closing"):
        reader.clock()
    reader.close()
    assert client.closed
