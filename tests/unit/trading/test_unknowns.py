"""Unknown stays unknown: looked up, never guessed, absent only after time and look-ups."""

from datetime import timedelta

import pytest

from departments.trading import unknowns
from messages.broker import FetchFailed, FetchOrder
from messages.control import Deadline
from messages.orders import Evidence, OrderStatus, OrderUpdated
from tests.builders import trading as t

S1, S2 = t.an_intent("S01"), t.an_intent("S02")


def misses(call):
    return [t.missing(t.an_intent(call.leg))] if isinstance(call, FetchOrder) else []


def a_lost_post(*others):
    desk = t.Desk()
    desk.give(t.place(S1, *others))
    for _, call in desk.give(t.unknown(S1)):
        if isinstance(call, FetchOrder):
            desk.give(t.missing(S1))
    return desk


def test_a_lost_answer_is_unknown_and_looked_up_at_once():
    desk = t.Desk()
    desk.give(t.place(S1))

    sent = desk.give(t.unknown(S1))

    assert t.kinds(sent) == ["OrderUpdated", "FetchOrder"]
    update = desk.last_update(S1)
    assert (update.status, update.evidence) == (OrderStatus.UNKNOWN, Evidence.NONE)
    assert "timeout" in update.reason
    assert [due for due, _ in desk.timers_of(Deadline.LOOK_UP)] == [t.NOON + timedelta(seconds=1)]


def test_a_404_is_no_proof_before_the_quiet_time_has_passed():
    desk = a_lost_post()

    desk.wait(9.5, misses)

    assert len(desk.all_of(FetchOrder)) > 5
    assert desk.record(S1).status is OrderStatus.UNKNOWN

    desk.wait(1, misses)
    assert desk.record(S1).status is OrderStatus.ABSENT
    assert desk.last_update(S1).evidence is Evidence.NONE


def test_time_alone_proves_nothing():
    desk = a_lost_post()

    desk.wait(25, lambda call: [])
    assert desk.record(S1).status is OrderStatus.UNKNOWN

    desk.give(t.missing(S1), after_s=10)
    assert desk.record(S1).status is OrderStatus.UNKNOWN


def test_failed_look_ups_never_make_an_order_absent():
    desk = a_lost_post()
    failed = FetchFailed(run_id=t.RUN, call="order", leg=S1.leg, why="http 503")

    desk.wait(120, lambda call: [failed] if isinstance(call, FetchOrder) else [])

    assert desk.record(S1).status is OrderStatus.UNKNOWN
    assert len(desk.all_of(FetchOrder)) > 100


def test_misses_that_were_not_asked_for_since_are_not_counted():
    desk = a_lost_post()

    desk.give(*[t.missing(S1)] * 10, after_s=60)

    assert desk.record(S1).status is OrderStatus.UNKNOWN


def test_an_absent_order_that_shows_up_is_live_again():
    desk = a_lost_post()
    desk.wait(15, misses)

    desk.give(t.streamed(t.facts(S1)))

    assert desk.record(S1).status is OrderStatus.OPEN
    assert desk.last_update(S1).order_id == f"id-{S1.client_order_id}"


def test_an_absent_order_is_watched_and_its_run_goes_on_listing():
    desk = a_lost_post()
    desk.wait(15, misses)

    assert list(desk.account.watched) == [S1.client_order_id]
    assert desk.run.tick_token is not None


def test_a_refused_resend_proves_nothing_and_is_looked_up():
    desk = a_lost_post()
    desk.wait(15, misses)
    desk.give(t.place(S1))

    sent = desk.give(t.refused(S1, resend=True))

    assert t.kinds(sent) == ["OrderUpdated", "FetchOrder"]
    assert desk.last_update(S1).status is OrderStatus.UNKNOWN
    assert "insufficient buying power" in desk.last_update(S1).reason


@pytest.mark.parametrize("code", [40010001, 42210000, None])
def test_an_id_that_is_taken_is_looked_up(code):
    desk = t.Desk()
    desk.give(t.place(S1))

    taken = t.refused(S1, status_code=422, code=code, message="client_order_id must be unique")
    sent = desk.give(taken)

    assert t.kinds(sent) == ["OrderUpdated", "FetchOrder"]
    assert desk.record(S1).status is OrderStatus.UNKNOWN


def test_another_422_is_a_refusal():
    desk = t.Desk()
    desk.give(t.place(S1), t.refused(S1, status_code=422, code=42210000, message="asset not found"))

    assert desk.record(S1).status is OrderStatus.REFUSED


@pytest.mark.parametrize("status_code", [408, 500, 504])
def test_what_is_no_refusal_by_its_status_stays_unknown(status_code):
    desk = t.Desk()
    desk.give(t.place(S1), t.refused(S1, status_code=status_code, code=None, message="?"))

    assert desk.record(S1).status is OrderStatus.UNKNOWN


def test_a_shut_door_for_a_resend_leaves_the_order_absent():
    desk = a_lost_post()
    desk.wait(15, misses)
    desk.give(t.place(S1))

    sent = desk.give(t.door_closed(S1, resend=True))

    assert t.kinds(sent) == ["OrderNotSent", "OrderUpdated"]
    assert desk.record(S1).status is OrderStatus.ABSENT


def test_what_was_seen_is_not_unknown_any_more():
    desk = t.Desk()
    desk.give(t.place(S1), t.streamed(t.facts(S1)))
    updates = len(desk.all_of(OrderUpdated))

    sent = desk.give(t.unknown(S1), t.refused(S1), t.door_closed(S1))

    assert sent == []
    assert len(desk.all_of(OrderUpdated)) == updates
    assert desk.record(S1).status is OrderStatus.OPEN


def test_look_ups_wait_for_their_answer():
    desk = t.Desk()
    desk.give(t.place(S1), t.unknown(S1))

    desk.wait(29)

    assert len(desk.all_of(FetchOrder)) == 1
    desk.wait(2)
    assert len(desk.all_of(FetchOrder)) == 2


def test_many_unknown_orders_leave_requests_for_the_rest():
    intents = [t.an_intent(f"S{number:02}") for number in range(1, 17)]
    desk = t.Desk()
    desk.give(t.place(*intents), *[t.unknown(one) for one in intents])
    desk.give(*[t.missing(one) for one in intents])

    desk.wait(60, misses)

    assert len(desk.all_of(FetchOrder)) < 150
    assert {record.status for record in desk.run.records.values()} == {OrderStatus.ABSENT}


def test_a_post_that_nobody_answers_is_looked_up_in_the_end():
    desk = t.Desk()
    desk.give(t.place(S1))

    desk.wait(85)
    assert desk.all_of(FetchOrder) == []

    desk.wait(15)
    assert len(desk.all_of(FetchOrder)) == 1
    assert desk.record(S1).status is OrderStatus.INTENDED


def test_an_order_that_the_broker_showed_and_then_denies_stays_as_it_was():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)))

    desk.give(t.missing(S1), t.missing(S1))

    assert desk.record(S1).status is OrderStatus.OPEN
    assert len(desk.noted("order.vanished")) == 1


def test_planted_fault_one_miss_is_enough(monkeypatch):
    monkeypatch.setattr(unknowns, "MISSES_FOR_ABSENCE", 1)

    with pytest.raises(AssertionError):
        test_time_alone_proves_nothing()
