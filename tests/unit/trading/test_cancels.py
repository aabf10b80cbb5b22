"""Cancels: live orders now, unknown ones on sight, again when nothing came of it; the status alone tells."""

import pytest

from messages.broker import CancelAnswered, CancelOrder, CancelOutcome, FetchOrder, FetchOrders
from messages.orders import OrderStatus, OrderUpdated
from tests.builders import trading as t

S1, S2, B1 = t.an_intent("S01"), t.an_intent("S02"), t.an_intent("B01")


def open_orders():
    desk = t.Desk()
    desk.give(t.place(S1, S2), t.answered(t.facts(S1)), t.answered(t.facts(S2), leg="S02"))
    return desk


def the_answer(outcome):
    return CancelAnswered(run_id=t.RUN, leg=S1.leg, client_order_id=S1.client_order_id, outcome=outcome)


def test_live_orders_of_these_legs_are_cancelled_once():
    desk = open_orders()

    sent = desk.give(t.cancel("S01"), t.cancel("S01"))

    assert t.kinds(sent) == ["CancelOrder", "OrderUpdated"]
    assert t.of_kind(sent, CancelOrder)[0].order_id == f"id-{S1.client_order_id}"
    assert desk.last_update(S1).cancel_pending
    assert not desk.last_update(S2).cancel_pending


@pytest.mark.parametrize("shown", ["filled", "canceled", "rejected"])
def test_what_is_over_is_not_cancelled(shown):
    desk = open_orders()
    desk.give(t.streamed(t.facts(S1, shown, 100 if shown == "filled" else 0)))

    assert desk.give(t.cancel("S01")) == []
    assert desk.noted("order.cancel_asked") == []


def test_what_never_left_is_not_cancelled():
    desk = t.Desk()
    desk.give(t.place(S1), t.door_closed(S1))

    assert desk.give(t.cancel("S01")) == []


@pytest.mark.parametrize("seen", [t.streamed, t.answered])
def test_unknown_orders_are_cancelled_on_sight(seen):
    desk = t.Desk()
    desk.give(t.place(S1), t.unknown(S1), t.cancel("S01"))
    assert desk.all_of(CancelOrder) == []

    desk.give(seen(t.facts(S1)))

    assert len(desk.all_of(CancelOrder)) == 1
    update = desk.last_update(S1)
    assert (update.status, update.cancel_pending) == (OrderStatus.OPEN, True)


def test_an_order_on_its_way_is_cancelled_on_sight():
    desk = t.Desk()
    desk.give(t.place(S1), t.cancel("S01"), t.answered(t.facts(S1, "pending_new")))

    assert len(desk.all_of(CancelOrder)) == 1


def test_an_order_that_comes_filled_needs_no_cancel():
    desk = t.Desk()
    desk.give(t.place(S1), t.cancel("S01"), t.answered(t.facts(S1, "filled", 100)))

    assert desk.all_of(CancelOrder) == []


def test_a_cancel_of_which_nothing_came_is_asked_again():
    desk = open_orders()
    desk.give(t.cancel("S01"))

    desk.wait(9, lambda call: [t.fetched(t.facts(S1), t.facts(S2))] if isinstance(call, FetchOrders) else [])
    assert len(desk.all_of(CancelOrder)) == 1
    desk.wait(7, lambda call: [t.fetched(t.facts(S1), t.facts(S2))] if isinstance(call, FetchOrders) else [])

    assert len(desk.all_of(CancelOrder)) == 2


def test_a_cancel_that_the_broker_holds_pending_is_not_asked_again():
    desk = open_orders()
    desk.give(t.cancel("S01"))
    pending = t.facts(S1, "pending_cancel", at_s=3)

    desk.wait(60, lambda call: [t.fetched(pending, t.facts(S2))] if isinstance(call, FetchOrders) else [])

    assert len(desk.all_of(CancelOrder)) == 1
    assert desk.last_update(S1).cancel_pending


def test_somebody_elses_cancel_shows_as_pending():
    desk = open_orders()
    desk.give(t.streamed(t.facts(S1, "pending_cancel", at_s=3), "pending_cancel"))

    assert desk.last_update(S1).cancel_pending
    assert desk.all_of(CancelOrder) == []


@pytest.mark.parametrize("outcome", [CancelOutcome.NOT_CANCELABLE, CancelOutcome.MISSING])
def test_an_order_that_cannot_be_cancelled_is_looked_at(outcome):
    desk = open_orders()
    desk.give(t.cancel("S01"))

    assert t.kinds(desk.give(the_answer(outcome))) == ["FetchOrder"]
    assert desk.record(S1).status is OrderStatus.OPEN


def test_an_accepted_cancel_is_not_yet_a_cancelled_order():
    desk = open_orders()
    desk.give(t.cancel("S01"))

    assert desk.give(the_answer(CancelOutcome.ACCEPTED)) == []
    assert desk.record(S1).status is OrderStatus.OPEN


def test_a_lost_cancel_is_looked_at():
    desk = open_orders()
    desk.give(t.cancel("S01"))

    assert t.kinds(desk.give(t.unknown(S1, "cancel"))) == ["FetchOrder"]
    assert desk.record(S1).status is OrderStatus.OPEN


def test_a_refused_cancel_on_the_stream_is_looked_at():
    desk = open_orders()
    desk.give(t.cancel("S01"))

    sent = desk.give(t.streamed(t.facts(S1, at_s=3), "order_cancel_rejected"))

    assert t.of_kind(sent, FetchOrder)[0].leg == "S01"


def test_a_fill_overtakes_a_cancel():
    desk = open_orders()
    desk.give(t.cancel("S01"), t.streamed(t.facts(S1, "filled", 100, at_s=3), "fill"))

    update = desk.last_update(S1)
    assert (update.status, update.cancel_pending) == (OrderStatus.FILLED, False)


def test_a_leg_placed_again_is_wanted_again():
    desk = t.Desk()
    desk.give(t.place(B1), t.cancel("B01"), t.door_closed(B1), t.place(B1), t.answered(t.facts(B1), leg="B01"))

    assert desk.all_of(CancelOrder) == []
    assert [update.status for update in desk.all_of(OrderUpdated)] == [OrderStatus.OPEN]
