"""Looks that the CEO asks for: whole, after what they show of orders, tried again while wanted."""

from datetime import timedelta

import pytest

from messages.broker import FetchFailed, FetchOrder, FetchSnapshot, StopWatching
from messages.control import Deadline
from messages.orders import (
    Evidence,
    OrderStatus,
    OrderUpdated,
    RunEnded,
    SnapshotPurpose,
    SnapshotReady,
    SnapshotUnavailable,
)
from tests.builders import trading as t

S1 = t.an_intent("S01")
S2 = t.an_intent("S02")


def failure(number=1, why="http 503", retry_after_s=None):
    return FetchFailed(
        run_id=t.RUN,
        call="snapshot",
        ask=number,
        purpose=SnapshotPurpose.RECEIVED,
        why=why,
        retry_after_s=retry_after_s,
    )


def test_an_ask_becomes_one_call_with_the_same_parts():
    desk = t.Desk()

    desk.give(t.ask(), t.ask())

    (call,) = desk.all_of(FetchSnapshot)
    assert (call.ask, call.purpose, call.parts, call.symbols) == (
        1,
        SnapshotPurpose.RECEIVED,
        t.ask().parts,
        ("CTVA", "COMM"),
    )


def test_the_snapshot_comes_back_whole_and_once():
    desk = t.Desk()
    snapshot = t.a_snapshot()
    desk.give(t.ask())

    desk.give(t.brought(snapshot), t.brought(snapshot))

    (ready,) = desk.all_of(SnapshotReady)
    assert ready.snapshot is snapshot


def test_what_it_shows_of_orders_comes_with_it():
    desk = t.Desk()
    desk.give(t.place(S1), t.streamed(t.facts(S1, "filled", 100), "fill"))
    desk.give(t.ask(2, SnapshotPurpose.GATE))

    sent = desk.give(t.brought(t.a_snapshot(run_orders=[t.facts(S1, "filled", 100)]), 2, SnapshotPurpose.GATE))

    (ready,) = desk.all_of(SnapshotReady)
    assert t.kinds(sent) == ["SnapshotReady"]
    assert [update.evidence for update in ready.updates] == [Evidence.REST]


def test_a_look_asked_ahead_is_fetched_with_the_last_word_it_waits_for():
    desk = t.Desk()
    desk.give(t.ask(), t.brought(t.a_snapshot()), t.place(S1, S2))
    ask = t.ask(2, SnapshotPurpose.GATE).model_copy(update={"once_terminal": ("S01", "S02")})

    assert desk.give(ask) == []
    assert "FetchSnapshot" not in t.kinds(desk.give(t.streamed(t.facts(S1, "filled", 100), "fill")))
    assert "FetchSnapshot" not in t.kinds(desk.give(t.streamed(t.facts(S2, "partially_filled", 40), "partial_fill")))
    told = desk.give(t.streamed(t.facts(S2, "canceled", 40, at_s=9), "canceled"))

    assert t.kinds(told)[:2] == ["OrderUpdated", "FetchSnapshot"]
    assert desk.all_of(FetchSnapshot)[-1].ask == 2
    assert "FetchSnapshot" not in t.kinds(desk.give(t.streamed(t.facts(S2, "canceled", 40, at_s=9), "canceled")))


def test_a_look_asked_ahead_when_all_is_over_is_fetched_at_once():
    desk = t.Desk()
    desk.give(t.place(S1), t.streamed(t.facts(S1, "filled", 100), "fill"))

    sent = desk.give(t.ask(2, SnapshotPurpose.GATE).model_copy(update={"once_terminal": ("S01",)}))

    assert "FetchSnapshot" in t.kinds(sent)


def test_open_orders_are_looks_as_well():
    desk = t.Desk()
    desk.give(t.place(S1), t.ask())

    desk.give(t.brought(t.a_snapshot(run_orders=None, open_orders=[t.facts(S1)])))

    assert desk.record(S1).status is OrderStatus.OPEN


def test_a_snapshot_without_orders_says_nothing_of_them():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)), t.ask())

    desk.give(t.brought(t.a_snapshot(run_orders=None, open_orders=None)))

    assert desk.all_of(FetchOrder) == []
    assert desk.run.listed_at is None


def test_an_open_order_missing_from_the_run_orders_is_looked_up():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)), t.ask())

    desk.give(t.brought(t.a_snapshot()))

    assert len(desk.all_of(FetchOrder)) == 1


def test_the_newest_ask_counts_and_an_old_answer_is_still_a_look_at_orders():
    desk = t.Desk()
    desk.give(t.place(S1), t.ask(1), t.ask(2), t.ask(1))

    desk.give(t.brought(t.a_snapshot(run_orders=[t.facts(S1)]), 1))
    assert desk.all_of(SnapshotReady) == []
    assert len(desk.all_of(OrderUpdated)) == 1

    desk.give(t.brought(t.a_snapshot(run_orders=[t.facts(S1)]), 2))
    assert [ready.ask for ready in desk.all_of(SnapshotReady)] == [2]
    assert len(desk.all_of(FetchSnapshot)) == 2


def test_a_failure_is_told_once_a_reason_and_tried_again():
    desk = t.Desk()
    desk.give(t.ask())

    desk.give(failure())
    desk.wait(9, lambda call: [failure()] if isinstance(call, FetchSnapshot) else [])
    assert [one.reason for one in desk.all_of(SnapshotUnavailable)] == ["http 503"]
    assert len(desk.all_of(FetchSnapshot)) == 5

    desk.wait(2, lambda call: [failure(why="timeout")] if isinstance(call, FetchSnapshot) else [])
    assert [one.reason for one in desk.all_of(SnapshotUnavailable)] == ["http 503", "timeout"]


def test_a_failure_never_looks_like_an_empty_account():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)), t.ask(), failure())

    assert desk.all_of(SnapshotReady) == []
    assert desk.record(S1).status is OrderStatus.OPEN


@pytest.mark.parametrize(("asked_s", "waits_s"), [(None, 2), (1, 2), (30, 30), (86_400, 300)])
def test_what_the_broker_asks_for_is_honoured_within_bounds(asked_s, waits_s):
    desk = t.Desk()
    desk.give(t.ask(), failure(retry_after_s=asked_s))

    assert [due for due, _ in desk.timers_of(Deadline.SNAPSHOT_RETRY)] == [t.NOON + timedelta(seconds=waits_s)]


def test_a_new_ask_ends_the_tries_for_the_old_one():
    desk = t.Desk()
    desk.give(t.ask(1), failure(1), t.ask(2), failure(1))

    desk.wait(10)

    assert [call.ask for call in desk.all_of(FetchSnapshot)] == [1, 2]


def test_an_answer_ends_the_tries():
    desk = t.Desk()
    desk.give(t.ask(), failure(), t.brought(t.a_snapshot()), failure())

    desk.wait(10)

    assert len(desk.all_of(FetchSnapshot)) == 1
    assert len(desk.all_of(SnapshotUnavailable)) == 1


def test_the_second_look_begins_with_the_brokers_clock():
    desk = t.Desk()
    desk.give(t.ask(), t.brought(t.a_snapshot()), t.ask(2))

    first, second = desk.all_of(FetchSnapshot)
    assert first.run_orders_after == t.NOON - timedelta(days=1)
    assert t.BROKER_NOON - timedelta(hours=1) < second.run_orders_after < t.BROKER_NOON


def test_a_snapshot_without_the_clock_leaves_ages_unjudged():
    desk = t.Desk()
    desk.give(t.ask(), t.brought(t.a_snapshot(clock_s=None)), t.place(S1))

    desk.give(t.answered(t.facts(S1, submitted_at=t.BROKER_NOON - timedelta(days=9))))

    assert desk.record(S1).not_before is None
    assert desk.record(S1).status is OrderStatus.OPEN


def test_a_clock_that_is_turned_back_loses_no_order_from_the_lists():
    desk = t.Desk()
    desk.give(t.ask(), t.brought(t.a_snapshot(clock_s=7200)))
    desk.give(t.ask(2), t.brought(t.a_snapshot(clock_s=0), 2))

    assert desk.run.orders_after < t.BROKER_NOON


def test_a_run_that_ends_while_it_waits_for_the_market_stops_the_watch():
    desk = t.Desk()
    desk.give(t.ask(1, SnapshotPurpose.OPEN))

    sent = desk.give(RunEnded(run_id=t.RUN, outcome="aborted", reason=None))

    assert t.kinds(sent) == ["StopWatching"]


@pytest.mark.parametrize(
    "before",
    [
        [t.ask(1, SnapshotPurpose.OPEN), t.brought(t.a_snapshot(), 1, SnapshotPurpose.OPEN)],
        [t.ask(1, SnapshotPurpose.OPEN), t.brought(t.a_snapshot(), 1, SnapshotPurpose.OPEN), t.ask(2)],
        [t.ask()],
        [t.place(S1)],
    ],
    ids=["open by now", "open, and looked at", "another look", "no look"],
)
def test_a_run_that_waits_for_no_market_stops_nothing(before):
    desk = t.Desk()
    desk.give(*before, RunEnded(run_id=t.RUN, outcome="aborted", reason=None))

    assert desk.all_of(StopWatching) == []
