"""What Alpaca shows is taken for ours only if it is, and everything worth hearing of is said once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from departments.trading import reconcile
from messages.broker import FetchOrder, FetchOrders
from messages.control import HoldRun
from messages.orders import FillBusted, OrderStatus, OrderUpdated, RunEnded
from messages.values import Side
from tests.builders import trading as t

S1, S2 = t.an_intent("S01"), t.an_intent("S02")


def after_a_look(*intents):
    desk = t.Desk()
    desk.give(t.ask(), t.brought(t.a_snapshot()))
    desk.give(t.place(*intents))
    return desk


FOREIGN = {
    "another symbol": {"symbol": "DVN"},
    "the other side": {"side": Side.BUY},
    "another quantity": {"qty": Decimal(99)},
    "by notional": {"qty": None},
    "older than the intent": {"submitted_at": t.BROKER_NOON - timedelta(minutes=3)},
    "from year one": {"submitted_at": datetime(1, 1, 1, tzinfo=UTC)},
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("look", [t.answered, t.streamed, t.fetched])
def test_what_is_not_ours_holds_the_run_once_and_changes_nothing(look, change):
    desk = after_a_look(S1)
    desk.give(t.unknown(S1))

    for _ in range(3):
        desk.give(look(t.facts(S1, "filled", 100, **change)))

    assert [hold.reason for hold in desk.all_of(HoldRun)] == ["foreign_order"]
    assert desk.record(S1).status is OrderStatus.UNKNOWN
    assert not [one for one in desk.all_of(OrderUpdated) if one.order_id]


def test_a_foreign_order_is_not_looked_up_for_ever():
    desk = after_a_look(S1)
    desk.give(t.unknown(S1))
    desk.give(t.answered(t.facts(S1, symbol="DVN")))
    before = len(desk.all_of(FetchOrder))

    desk.wait(60)

    assert len(desk.all_of(FetchOrder)) == before


def test_clocks_of_ours_and_the_brokers_may_be_apart_by_any_amount():
    desk = after_a_look(S1)

    desk.give(t.answered(t.facts(S1)))

    assert desk.now - t.BROKER_NOON > timedelta(days=300)
    assert desk.record(S1).status is OrderStatus.OPEN


def test_brokers_times_may_lie_a_little_apart():
    desk = after_a_look(S1)

    desk.give(t.answered(t.facts(S1, submitted_at=t.BROKER_NOON - timedelta(seconds=30))))

    assert desk.record(S1).status is OrderStatus.OPEN


def test_age_is_judged_by_the_newest_look_before_the_intent():
    desk = after_a_look(S1)
    desk.give(t.ask(2), t.brought(t.a_snapshot(clock_s=3600), 2))
    desk.give(t.place(S2))

    desk.give(t.answered(t.facts(S1)), t.answered(t.facts(S2), leg="S02"))

    assert desk.record(S1).status is OrderStatus.OPEN
    assert "S02" in desk.all_of(HoldRun)[0].detail


@pytest.mark.parametrize("look", [t.answered, t.streamed, t.fetched])
def test_an_order_by_our_id_that_was_never_sent_holds_the_run(look):
    desk = after_a_look(S1)

    desk.give(look(t.facts(S2)))

    assert desk.all_of(HoldRun)[0].reason == "foreign_order"
    assert S2.client_order_id not in desk.run.records


def test_orders_of_the_run_before_it_placed_any_hold_it():
    desk = t.Desk()

    desk.give(t.ask(), t.brought(t.a_snapshot(run_orders=[t.facts(S1, "filled", 100)])))

    assert desk.all_of(HoldRun)[0].reason == "foreign_order"


def test_an_id_stands_for_one_order():
    desk = after_a_look(S1)
    desk.give(t.answered(t.facts(S1)))

    desk.give(t.answered(t.facts(S1, "filled", 100, order_id="another")))

    assert desk.all_of(HoldRun)[0].reason == "foreign_order"
    assert desk.record(S1).status is OrderStatus.OPEN


def test_more_filled_than_ordered_holds_the_run():
    desk = after_a_look(S1)

    desk.give(t.answered(t.facts(S1, "partially_filled", 101)))

    assert desk.all_of(HoldRun)[0].reason == "overfilled"
    assert desk.record(S1).status is OrderStatus.INTENDED


def test_quantities_are_compared_as_numbers():
    desk = after_a_look(S1)

    desk.give(t.answered(t.facts(S1, qty=Decimal("100.0000"))))

    assert desk.record(S1).status is OrderStatus.OPEN


def test_an_open_order_missing_from_a_list_is_looked_up_and_stays_open():
    desk = after_a_look(S1, S2)
    desk.give(t.answered(t.facts(S1)), t.answered(t.facts(S2), leg="S02"))

    sent = desk.give(t.fetched(t.facts(S1)))

    assert [call.leg for call in t.of_kind(sent, FetchOrder)] == ["S02"]
    assert desk.record(S2).status is OrderStatus.OPEN


def test_an_order_on_its_way_need_not_be_in_a_list():
    desk = after_a_look(S1)

    assert desk.give(t.fetched()) == []


def test_lists_reach_back_to_the_first_order_by_the_brokers_clock():
    desk = after_a_look(S1)
    early = t.BROKER_NOON - timedelta(seconds=90)
    desk.give(t.answered(t.facts(S1, submitted_at=early)))

    desk.wait(6)

    call = desk.all_of(FetchOrders)[0]
    assert t.BROKER_NOON - timedelta(hours=1) < call.after < early
    assert call.symbols == ("COMM", "CTVA")


def test_a_busted_fill_is_told_once_and_takes_no_share_back():
    desk = after_a_look(S1)
    desk.give(t.streamed(t.facts(S1, "filled", 100), "fill", execution="e1", qty=100))
    bust = t.streamed(t.facts(S1, "partially_filled", 60, at_s=9), "trade_bust", execution="e2", qty=40)

    desk.give(bust, bust)

    assert [(one.event, one.qty) for one in desk.all_of(FillBusted)] == [("trade_bust", 40)]
    assert desk.last_update(S1).filled_qty == 100


def test_a_corrected_fill_is_told():
    desk = after_a_look(S1)

    desk.give(t.streamed(t.facts(S1, "filled", 100), "trade_correct", execution="e2", qty=100))

    assert [one.event for one in desk.all_of(FillBusted)] == ["trade_correct"]


def test_an_order_that_somebody_replaced_is_over():
    desk = after_a_look(S1)

    desk.give(t.streamed(t.facts(S1, "replaced", 40, replaced_by="x"), "replaced"))

    update = desk.last_update(S1)
    assert (update.status, int(update.filled_qty)) == (OrderStatus.REPLACED, 40)


def test_a_replaced_event_without_the_status_is_looked_at():
    desk = after_a_look(S1)

    sent = desk.give(t.streamed(t.facts(S1, "new"), "replaced"))

    assert t.of_kind(sent, FetchOrder)
    assert desk.record(S1).status is OrderStatus.OPEN


def test_filled_with_less_than_ordered_is_noted_and_ends_nothing():
    desk = after_a_look(S1)

    desk.give(t.answered(t.facts(S1, "filled", 99)), t.answered(t.facts(S1, "filled", 99)))

    assert desk.record(S1).status is OrderStatus.PARTIALLY_FILLED
    assert len(desk.noted("order.contradictory")) == 1


def test_executions_count_once_and_add_up():
    desk = after_a_look(S1)
    for _ in range(2):
        desk.give(
            t.streamed(t.facts(S1, "partially_filled", 40), "partial_fill", execution="e1", qty=40),
            t.streamed(t.facts(S1, "filled", 100, at_s=2), "fill", execution="e2", qty=60),
        )
    desk.give(t.answered(t.facts(S1, "filled", 100, at_s=2)))
    desk.give(RunEnded(run_id=t.RUN, outcome="completed", reason=None))

    assert desk.noted("order.executions_differ") == []


def test_more_executions_than_rest_proved_are_noted_at_once():
    desk = after_a_look(S1)
    desk.give(t.answered(t.facts(S1, "canceled", 40)))

    for name in ("e1", "e2", "e3"):
        desk.give(t.streamed(t.facts(S1, "partially_filled", 40), "partial_fill", execution=name, qty=40))

    assert [note.fields["executions_qty"] for note in desk.noted("order.executions_differ")] == ["80"]


def test_executions_that_come_after_the_proof_are_no_news_yet():
    desk = after_a_look(S1)
    desk.give(t.answered(t.facts(S1, "filled", 100)))

    desk.give(t.streamed(t.facts(S1, "partially_filled", 40), "partial_fill", execution="e1", qty=40))

    assert desk.noted("order.executions_differ") == []


def test_lost_executions_are_noted_at_the_end_of_the_run():
    desk = after_a_look(S1)
    desk.give(t.streamed(t.facts(S1, "filled", 100), "fill", execution="e2", qty=60))
    desk.give(t.answered(t.facts(S1, "filled", 100)))
    assert desk.noted("order.executions_differ") == []

    desk.give(RunEnded(run_id=t.RUN, outcome="completed", reason=None))

    assert [note.fields["executions_qty"] for note in desk.noted("order.executions_differ")] == ["60"]


def test_planted_fault_any_order_by_our_id_is_ours(monkeypatch):
    monkeypatch.setattr(reconcile, "why_not_ours", lambda *_: None)

    with pytest.raises(AssertionError):
        test_what_is_not_ours_holds_the_run_once_and_changes_nothing(t.answered, FOREIGN["another symbol"])
