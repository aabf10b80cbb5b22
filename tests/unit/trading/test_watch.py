"""Orders that may still appear: watched beyond their run, cancelled on sight."""

from datetime import UTC, datetime, timedelta

import pytest

from departments.trading import watch
from messages.broker import CancelOrder, FetchOrder
from messages.control import AccountDeadlinePassed, Deadline
from messages.orders import OrderStatus, RunEnded
from tests.builders import trading as t

S1 = t.an_intent("S01")
ENDED = RunEnded(run_id=t.RUN, outcome="aborted", reason=None)


def misses(call):
    return [t.missing(t.an_intent(call.leg))] if isinstance(call, FetchOrder) else []


def an_absent_order():
    desk = t.Desk()
    desk.give(t.ask(), t.brought(t.a_snapshot()))
    desk.give(t.place(S1), t.unknown(S1), t.missing(S1))
    desk.wait(15, misses)
    assert desk.record(S1).status is OrderStatus.ABSENT
    return desk


def after_the_end():
    desk = an_absent_order()
    desk.give(ENDED)
    assert desk.state.runs == {}
    return desk


def test_an_absent_order_of_an_ended_run_is_cancelled_when_the_stream_shows_it():
    desk = after_the_end()

    sent = desk.give(t.streamed(t.facts(S1), "new"), t.streamed(t.facts(S1, "accepted"), "accepted"))

    (call,) = t.of_kind(sent, CancelOrder)
    assert (call.run_id, call.leg, call.order_id) == (t.RUN, "S01", f"id-{S1.client_order_id}")
    assert len(desk.noted("order.late_unknown_cancelled")) == 1


def test_and_when_a_look_up_shows_it_until_it_is_over():
    desk = after_the_end()

    shown = t.facts(S1)
    desk.wait(130, lambda call: [t.answered(shown)] if isinstance(call, FetchOrder) else [])
    assert len(desk.all_of(CancelOrder)) == 2

    desk.give(t.answered(t.facts(S1, "canceled", at_s=9)))
    assert desk.account.watched == {}
    desk.wait(600)
    assert len(desk.all_of(CancelOrder)) == 2
    assert desk.timers == []


def test_a_pending_cancel_is_left_alone():
    desk = after_the_end()

    assert desk.give(t.answered(t.facts(S1, "pending_cancel"))) == []


@pytest.mark.parametrize(("status", "filled", "level"), [("canceled", 0, "warning"), ("filled", 100, "error")])
def test_what_became_of_it_is_noted(status, filled, level):
    desk = after_the_end()

    desk.give(t.streamed(t.facts(S1, status, filled), status))

    (note,) = desk.noted("order.late_unknown_ended")
    assert (note.level, note.fields["filled_qty"]) == (level, str(filled))
    assert desk.account.watched == {}


def test_a_foreign_order_by_that_id_is_not_cancelled():
    desk = after_the_end()

    desk.give(t.streamed(t.facts(S1, symbol="DVN")), t.answered(t.facts(S1, qty=7)))

    assert desk.all_of(CancelOrder) == []
    assert len(desk.noted("order.foreign")) == 2


def test_an_old_order_by_that_id_is_not_cancelled():
    desk = after_the_end()

    desk.give(t.answered(t.facts(S1, submitted_at=t.BROKER_NOON - timedelta(days=1))))

    assert desk.all_of(CancelOrder) == []


def test_the_watch_ends_with_the_day():
    desk = after_the_end()
    until = desk.account.watched[S1.client_order_id].until
    assert until == datetime(2025, 11, 12, tzinfo=UTC)

    desk.wait((until - desk.now).total_seconds() + 120, misses)

    assert desk.account.watched == {}
    assert desk.timers == []


@pytest.mark.parametrize("hour", [0, 11, 13, 23])
def test_a_watch_lasts_past_the_days_close(hour):
    now = datetime(2025, 11, 10, hour, tzinfo=UTC)
    desk = t.Desk(now=now)
    desk.give(t.place(S1), t.unknown(S1), ENDED)

    until = desk.account.watched[S1.client_order_id].until

    assert timedelta(hours=12) <= until - now <= timedelta(hours=36)
    assert until.hour == 0


def test_what_is_unknown_or_open_at_the_end_is_watched_as_well():
    desk = t.Desk()
    lost, open_one, done, never = (t.an_intent(leg) for leg in ("S01", "S02", "S03", "B01"))
    desk.give(t.place(lost, open_one, done), t.place(never), t.unknown(lost), t.door_closed(never))
    desk.give(t.answered(t.facts(open_one), leg="S02"), t.answered(t.facts(done, "filled", 100), leg="S03"))

    desk.give(ENDED)

    assert set(desk.account.watched) == {lost.client_order_id, open_one.client_order_id}


def test_an_absent_order_of_a_living_run_is_its_runs_matter():
    desk = an_absent_order()

    desk.give(t.streamed(t.facts(S1)))

    assert desk.all_of(CancelOrder) == []
    assert desk.record(S1).status is OrderStatus.OPEN


def test_an_absent_order_that_was_to_be_cancelled_is_cancelled_on_sight():
    desk = an_absent_order()
    desk.give(t.cancel("S01"))

    desk.give(t.streamed(t.facts(S1)))

    assert len(desk.all_of(CancelOrder)) == 1


def test_a_living_runs_proof_ends_the_watch():
    desk = an_absent_order()

    desk.give(t.answered(t.facts(S1, "filled", 100)))

    assert desk.account.watched == {}


def test_an_unwatched_order_of_an_ended_run_is_noted_only():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1, "filled", 100)), ENDED)

    assert desk.give(t.streamed(t.facts(S1))) == []
    assert len(desk.noted("order.live_after_end")) == 1


def test_a_stale_watch_timer_means_nothing():
    desk = after_the_end()
    before = desk.state

    assert desk.give(AccountDeadlinePassed(deadline=Deadline.WATCH, token=99, due_at=desk.now)) == []
    assert desk.state == before


def test_planted_fault_the_watch_takes_any_order(monkeypatch):
    monkeypatch.setattr(watch, "why_not_ours", lambda *_: None)

    with pytest.raises(AssertionError):
        test_a_foreign_order_by_that_id_is_not_cancelled()
