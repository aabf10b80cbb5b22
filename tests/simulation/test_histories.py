"""Stories whose rules look back: the simulated desk tells of the past, and the mail carries it through any crash."""

import pytest

from departments.executive import execution
from messages.envelope import Envelope
from messages.orders import SnapshotPurpose, SnapshotReady
from messages.snapshots import HistoryPart
from tests.simulation.past import past_of
from tests.simulation.test_small_plans import SMALL, assert_filled, occasions, told

ALL = tuple(HistoryPart)


@pytest.fixture
def looks_back(monkeypatch):
    monkeypatch.setattr(execution, "history_needed", lambda _: ALL)


def looks(story):
    return [
        one.message for _, _, one in story.trace if isinstance(one, Envelope) and isinstance(one.message, SnapshotReady)
    ]


def test_only_the_first_look_of_a_run_has_a_history(looks_back):
    story = told(SMALL["1 sell, 1 buy"])

    assert_filled(story)
    assert {(one.purpose is SnapshotPurpose.RECEIVED, one.history is not None) for one in looks(story)} == {
        (True, True),
        (False, False),
    }
    past = next(one.history for one in looks(story) if one.history is not None)
    assert (len(past.trading_days), past.fills) == (10, ())
    assert past.equity.last_close_usd == past.equity.highest_close_usd == story.exchange.begun_with_usd
    assert {bar.symbol for bar in past.bars} == story.exchange.prices_usd.keys()


def test_a_history_is_carried_through_a_crash_at_any_moment(looks_back):
    plot = SMALL["1 sell, 1 buy"]

    for at in occasions(plot, "crash", every=3):
        assert_filled(told(plot, ("crash", at)))


def test_what_a_run_executed_is_in_the_history_after_it():
    story = told(SMALL["2 sells, 2 buys"])

    past = past_of(story.exchange, ALL, (), story.agenda.now())

    executed = {(order.order_id, order.side): order.filled_qty for order in story.exchange.orders.values()}
    told_of = {}
    for fill in past.fills:
        key = (fill.order_id, fill.side)
        told_of[key] = told_of.get(key, 0) + fill.qty
    assert told_of == executed
    assert {fill.order_type for fill in past.fills} == {"market"}
