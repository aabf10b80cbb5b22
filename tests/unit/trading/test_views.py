"""Looks are joined: the order of arrival doesn't matter, an end is an end, REST beats the stream."""

import pytest

from departments.trading.views import View, contradicts_itself, join, view_of
from messages.orders import TERMINAL, Evidence, OrderStatus
from messages.snapshots import BrokerStatus
from tests.builders import trading as t

S1 = t.an_intent("S01")

LIVE = {
    BrokerStatus.NEW,
    BrokerStatus.PARTIALLY_FILLED,
    BrokerStatus.PENDING_CANCEL,
    BrokerStatus.PENDING_REPLACE,
    BrokerStatus.PENDING_REVIEW,
    BrokerStatus.ACCEPTED,
    BrokerStatus.PENDING_NEW,
    BrokerStatus.ACCEPTED_FOR_BIDDING,
    BrokerStatus.STOPPED,
    BrokerStatus.SUSPENDED,
    BrokerStatus.CALCULATED,
    BrokerStatus.HELD,
    BrokerStatus.UNKNOWN,
}
ENDS = {
    BrokerStatus.FILLED: OrderStatus.FILLED,
    BrokerStatus.CANCELED: OrderStatus.CANCELED,
    BrokerStatus.EXPIRED: OrderStatus.EXPIRED,
    BrokerStatus.REJECTED: OrderStatus.REJECTED,
    BrokerStatus.REPLACED: OrderStatus.REPLACED,
    BrokerStatus.DONE_FOR_DAY: OrderStatus.EXPIRED,
}


def look(status, filled=0, *, at_s=1, evidence=Evidence.REST, intent=S1, **changes) -> View:
    return view_of(t.facts(intent, status, filled, at_s=at_s, **changes), intent, evidence)


def test_every_broker_status_is_either_live_or_an_end():
    assert set(BrokerStatus) == LIVE | set(ENDS)
    assert not LIVE & set(ENDS)


@pytest.mark.parametrize("status", sorted(LIVE))
@pytest.mark.parametrize(("filled", "ours"), [(0, OrderStatus.OPEN), (40, OrderStatus.PARTIALLY_FILLED)])
def test_live_statuses_are_open_or_partially_filled_by_their_fills(status, filled, ours):
    assert look(status, filled).status is ours


@pytest.mark.parametrize(("status", "ours"), ENDS.items())
def test_ends_mean_what_they_say(status, ours):
    filled = 100 if status is BrokerStatus.FILLED else 30

    assert look(status, filled).status is ours
    assert ours in TERMINAL


def test_done_for_day_does_not_end_an_order_good_till_canceled():
    lasting = t.an_intent("S01", time_in_force=t.GTC)

    assert look("done_for_day", 30, intent=lasting).status is OrderStatus.PARTIALLY_FILLED


def test_filled_with_less_than_ordered_contradicts_itself_and_ends_nothing():
    assert contradicts_itself(t.facts(S1, "filled", 99))
    assert not contradicts_itself(t.facts(S1, "filled", "100.000"))
    assert look("filled", 99).status is OrderStatus.PARTIALLY_FILLED


@pytest.mark.parametrize(
    ("one", "other", "status", "filled"),
    [
        (look("partially_filled", 60), look("new", at_s=9), OrderStatus.PARTIALLY_FILLED, 60),
        (look("filled", 100), look("partially_filled", 60, at_s=9), OrderStatus.FILLED, 100),
        (look("canceled", 30), look("new", at_s=9), OrderStatus.CANCELED, 30),
        (look("canceled", 30), look("partially_filled", 60, at_s=9), OrderStatus.CANCELED, 60),
        (look("canceled", 30), look("canceled", 60, at_s=9), OrderStatus.CANCELED, 60),
        (look("canceled", 30, at_s=9), look("filled", 100), OrderStatus.FILLED, 100),
        (look("expired", at_s=9), look("canceled"), OrderStatus.EXPIRED, 0),
        (look("canceled", at_s=9, evidence=Evidence.STREAM), look("expired"), OrderStatus.EXPIRED, 0),
        (look("canceled"), look("unknown", 30, at_s=9), OrderStatus.CANCELED, 30),
        (look("rejected"), look("pending_new", at_s=9), OrderStatus.REJECTED, 0),
        (look("replaced"), look("new", at_s=9), OrderStatus.REPLACED, 0),
    ],
)
def test_two_looks_join_to_the_same_whichever_comes_first(one, other, status, filled):
    joined = join(one, other)

    assert joined == join(other, one)
    assert (joined.status, joined.fill.qty) == (status, filled)


def test_for_the_same_fills_the_price_by_rest_counts_then_the_later_one():
    stream = look("filled", 100, at_s=9, evidence=Evidence.STREAM, filled_avg_price_usd="64.00")
    rest = look("filled", 100, at_s=1, filled_avg_price_usd="64.10")
    corrected = look("filled", 100, at_s=20, filled_avg_price_usd="64.20")

    assert join(stream, rest).fill.avg_usd == rest.fill.avg_usd
    assert join(join(corrected, stream), rest).fill.avg_usd == corrected.fill.avg_usd


def test_a_pending_cancel_shows_until_a_newer_look_or_the_end():
    pending, later, end = look("pending_cancel", at_s=2), look("new", at_s=3), look("canceled", at_s=4)

    assert pending.cancel_pending
    assert join(look("new", at_s=1), pending).cancel_pending
    assert not join(later, pending).cancel_pending
    assert not join(pending, end).cancel_pending
    assert join(pending, look("unknown", at_s=9)).cancel_pending
