"""The whole conversation: CEO -> Trading -> desk -> Trading -> CEO."""

import pytest

from departments.trading.department import TradingDepartment
from messages.broker import CancelOrder, FetchOrder, FetchOrders, FetchSnapshot, RunTrades, SubmitOrder
from messages.control import Deadline, DeadlinePassed, HaltTrading, HoldRun
from messages.message import Message
from messages.orders import (
    Evidence,
    OrderNotSent,
    OrderStatus,
    OrderUpdated,
    RunEnded,
    SnapshotReady,
)
from messages.snapshots import BrokerStatus
from messages.values import Recipient
from tests.builders import trading as t

S1, S2, B1 = t.an_intent("S01"), t.an_intent("S02"), t.an_intent("B01")


def test_its_mail_goes_to_trading():
    assert TradingDepartment().name is Recipient.TRADING


def test_each_intent_becomes_one_call_in_the_given_order():
    desk = t.Desk()

    desk.give(t.place(S2, S1))

    calls = desk.all_of(SubmitOrder)
    assert [call.intent for call in calls] == [S2, S1]
    assert all(call.intended_at == t.NOON and not call.resend for call in calls)
    assert [desk.record(one).status for one in (S2, S1)] == [OrderStatus.INTENDED] * 2


def test_an_order_is_told_from_its_answer_to_its_proved_end():
    desk = t.Desk()
    desk.give(t.place(S1))

    desk.give(t.answered(t.facts(S1, "pending_new")))
    desk.give(t.streamed(t.facts(S1, "partially_filled", 40, at_s=2), "partial_fill", execution="e1", qty=40))
    desk.give(t.streamed(t.facts(S1, "filled", 100, at_s=3), "fill", execution="e2", qty=60))
    desk.give(t.fetched(t.facts(S1, "filled", 100, at_s=3)))

    told = [(one.status, one.evidence, int(one.filled_qty)) for one in desk.all_of(OrderUpdated)]
    assert told == [
        (OrderStatus.OPEN, Evidence.REST, 0),
        (OrderStatus.PARTIALLY_FILLED, Evidence.STREAM, 40),
        (OrderStatus.FILLED, Evidence.STREAM, 100),
        (OrderStatus.FILLED, Evidence.REST, 100),
    ]
    assert desk.run.is_settled


def test_the_log_tells_each_change_once():
    desk = t.Desk()
    desk.give(t.place(S1))

    for _ in range(3):
        desk.give(t.answered(t.facts(S1, "new")), t.streamed(t.facts(S1, "filled", 100, at_s=3), "fill"))

    assert [note.event for note in desk.notes] == ["order.intended", "order.submitted", "order.filled"]
    filled = desk.noted("order.filled")[0].fields
    assert filled["filled_qty"] == "100"
    assert filled["price"] == "64.64"
    assert (filled["leg"], filled["symbol"], filled["side"]) == ("S01", "CTVA", "sell")


def test_what_was_seen_before_changes_nothing():
    desk = t.Desk()
    desk.give(t.place(S1), t.streamed(t.facts(S1, "filled", 100, at_s=3), "fill", execution="e", qty=100))
    before = desk.state

    sent = desk.give(
        t.streamed(t.facts(S1, "filled", 100, at_s=3), "fill", execution="e", qty=100),
        t.streamed(t.facts(S1, "new", at_s=1)),
    )

    assert sent == []
    assert desk.state == before


def test_the_same_id_is_not_placed_twice():
    desk = t.Desk()
    desk.give(t.place(S1, S1))
    desk.give(t.place(S1))
    desk.give(t.answered(t.facts(S1)), t.place(S1))

    assert len(desk.all_of(SubmitOrder)) == 1
    assert len(desk.noted("order.place_ignored")) == 3


def test_a_new_attempt_waits_until_the_old_one_is_over():
    second = t.an_intent("S01", attempt=2)
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)))

    assert desk.give(t.place(second)) == []
    desk.give(t.answered(t.facts(S1, "canceled", at_s=2)))
    desk.give(t.place(second))

    assert [call.intent.client_order_id for call in desk.all_of(SubmitOrder)] == [
        S1.client_order_id,
        second.client_order_id,
    ]


def test_a_first_refusal_is_a_fact_about_the_leg():
    desk = t.Desk()
    desk.give(t.place(S1))

    desk.give(t.refused(S1))

    update = desk.last_update(S1)
    assert (update.status, update.evidence) == (OrderStatus.REFUSED, Evidence.REST)
    assert update.reason == "insufficient buying power (HTTP 403, code 40310000)"
    assert desk.run.is_settled


def test_a_shut_door_lets_the_leg_be_intended_again_with_the_same_id():
    desk = t.Desk()
    desk.give(t.place(S1))

    desk.give(t.door_closed(S1))
    desk.give(t.place(S1))

    assert [one.leg for one in desk.all_of(OrderNotSent)] == ["S01"]
    assert desk.all_of(OrderUpdated) == []
    assert [call.resend for call in desk.all_of(SubmitOrder)] == [False, False]


def test_a_leg_that_never_left_may_come_back_smaller():
    desk = t.Desk()
    desk.give(t.place(B1), t.door_closed(B1))

    smaller = t.an_intent("B01", qty=60)
    desk.give(t.place(smaller))

    assert desk.all_of(SubmitOrder)[-1].intent == smaller
    assert desk.record(smaller).intent.qty == 60


@pytest.mark.parametrize("status", [one for one in BrokerStatus if one is not BrokerStatus.FILLED])
def test_no_status_is_read_as_filled_but_filled(status):
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1, status)))

    assert desk.record(S1).status is not OrderStatus.FILLED


def test_rounds_go_on_while_anything_is_open_and_stop_then():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)))

    desk.wait(16, lambda call: [t.fetched(t.facts(S1))] if isinstance(call, FetchOrders) else [])
    assert len(desk.all_of(FetchOrders)) == 3

    desk.give(t.answered(t.facts(S1, "filled", 100, at_s=9)))
    desk.give(t.streamed(t.facts(S1, "filled", 100, at_s=9), "fill"))
    desk.wait(60)
    assert len(desk.all_of(FetchOrders)) == 3
    assert desk.timers == []


def test_a_list_on_its_way_is_not_asked_for_again_at_once():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)))

    desk.wait(24)

    assert len(desk.all_of(FetchOrders)) == 1
    desk.wait(20)
    assert len(desk.all_of(FetchOrders)) == 2


def test_a_fresh_look_makes_the_round_unneeded():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)))

    desk.give(t.fetched(t.facts(S1)), after_s=4)
    desk.wait(2)

    assert desk.all_of(FetchOrders) == []


def test_stale_and_unheard_of_timers_mean_nothing():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)))
    before = desk.state

    for deadline in Deadline:
        stale = DeadlinePassed(run_id=t.RUN, deadline=deadline, token=77, due_at=t.NOON)
        assert desk.give(stale) == []

    assert desk.state == before


def test_mail_of_a_run_that_is_over_changes_nothing():
    desk = t.Desk()
    desk.give(
        t.place(S1), t.answered(t.facts(S1, "filled", 100)), RunEnded(run_id=t.RUN, outcome="completed", reason=None)
    )
    before = desk.state

    late = [
        t.streamed(t.facts(S1, "filled", 100), "fill"),
        t.answered(t.facts(S1, "filled", 100)),
        t.fetched(t.facts(S1, "filled", 100)),
        t.brought(t.a_snapshot()),
        t.missing(S1),
        t.unknown(S1),
        t.refused(S1),
        t.door_closed(S1),
        t.cancel("S01"),
        DeadlinePassed(run_id=t.RUN, deadline=Deadline.RECONCILE, token=1, due_at=t.NOON),
        RunEnded(run_id=t.RUN, outcome="completed", reason=None),
    ]

    assert desk.give(*late) == []
    assert desk.state == before


def test_mail_for_others_changes_nothing():
    desk = t.Desk()

    assert desk.give(HaltTrading(reason="r", by="b"), HoldRun(run_id=t.RUN, reason="r", detail="d"), Message()) == []
    desk.give(t.place(S1))
    before = desk.state
    assert desk.give(HoldRun(run_id=t.RUN, reason="r", detail="d")) == []
    assert desk.state == before


def test_the_account_knows_which_runs_are_open_and_what_they_trade():
    desk = t.Desk()
    desk.give(t.ask(), t.place(S2))
    assert desk.account.open_runs == {t.RUN: {"CTVA", "COMM", "DVN"}}

    desk.give(RunEnded(run_id=t.RUN, outcome="completed", reason=None))
    assert desk.account.open_runs == {}


def test_a_run_whose_mail_is_left_out_is_forgotten_by_the_account_all_the_same():
    desk = t.Desk()
    desk.give(RunTrades(named_run_id=t.RUN, symbols=("CTVA",)))

    desk.give(RunEnded(run_id=t.RUN, outcome="completed", reason=None))

    assert desk.account.open_runs == {}


def test_before_any_mail_there_is_nothing():
    desk = t.Desk()

    assert desk.give(t.missing(S1), t.fetched(), t.cancel("S01")) == []
    assert desk.state == TradingDepartment().initial()


def test_a_whole_sell_phase():
    desk = t.Desk()
    desk.give(t.ask(), t.brought(t.a_snapshot()))
    desk.give(t.place(S1, S2), t.answered(t.facts(S1)), t.answered(t.facts(S2), leg="S02"))
    desk.give(t.cancel("S02"))
    assert len(desk.all_of(CancelOrder)) == 1

    ends = (t.facts(S1, "filled", 100, at_s=5), t.facts(S2, "canceled", 30, at_s=6))
    desk.give(t.ask(2, t.SnapshotPurpose.GATE), t.brought(t.a_snapshot(run_orders=ends), 2, t.SnapshotPurpose.GATE))

    ready = desk.all_of(SnapshotReady)[-1]
    assert t.kinds(desk.sent)[-1] == "SnapshotReady"
    assert [update.evidence for update in ready.updates] == [Evidence.REST] * 2
    assert ready.updates[1].filled_qty == 30
    assert len(desk.all_of(FetchSnapshot)) == 2
    assert desk.all_of(SnapshotReady)[-1].ask == 2
    assert desk.all_of(FetchOrder) == []
