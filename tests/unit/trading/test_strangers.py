"""Orders that the firm did not place: named once, on a leg's symbol, after the run's first order."""

import pytest

from messages.orders import RunEnded, SnapshotPurpose, StrangerSeen
from messages.values import Side, client_order_id_for
from tests.builders import trading as t

S1, B1 = t.an_intent("S01"), t.an_intent("B01")
HAND = t.a_strangers_order()


def a_run_with_orders(*open_before):
    desk = t.Desk()
    desk.give(t.ask(), t.brought(t.a_snapshot(open_orders=open_before)), t.place(S1), t.answered(t.facts(S1)))
    return desk


def a_snapshot_with(shown):
    return t.brought(t.a_snapshot(open_orders=[shown], run_orders=[t.facts(S1)]), 2, SnapshotPurpose.GATE)


SHOWN_BY = {
    "stream": t.stranger,
    "list": lambda shown: t.fetched(t.facts(S1), others=[shown]),
    "snapshot": a_snapshot_with,
}


@pytest.mark.parametrize("shown_by", SHOWN_BY.values(), ids=SHOWN_BY)
def test_a_stranger_on_a_legs_symbol_is_named_once(shown_by):
    desk = a_run_with_orders()

    for _ in range(2):
        desk.give(shown_by(HAND))
    desk.give(t.stranger(t.a_strangers_order(status="filled", filled_qty=100), "fill"))

    (seen,) = desk.all_of(StrangerSeen)
    assert (seen.symbol, seen.order_id, seen.client_order_id, seen.side) == (
        "CTVA",
        "stranger-1",
        "by-hand",
        Side.SELL,
    )
    assert len(desk.noted("order.stranger")) == 1


@pytest.mark.parametrize("shown_by", SHOWN_BY.values(), ids=SHOWN_BY)
def test_on_other_symbols_it_is_nobodys_business(shown_by):
    desk = a_run_with_orders()

    desk.give(shown_by(t.a_strangers_order("PLD")))

    assert desk.all_of(StrangerSeen) == []


@pytest.mark.parametrize("shown_by", SHOWN_BY.values(), ids=SHOWN_BY)
def test_what_was_open_before_the_run_is_compliances_matter(shown_by):
    desk = a_run_with_orders(HAND)

    desk.give(shown_by(HAND))

    assert desk.all_of(StrangerSeen) == []


@pytest.mark.parametrize(
    ("status", "filled", "named"),
    [("canceled", 0, 0), ("rejected", 0, 0), ("canceled", 10, 1), ("filled", 100, 1), ("unknown", 0, 1)],
)
def test_it_counts_when_live_or_filled(status, filled, named):
    desk = a_run_with_orders()

    desk.give(t.stranger(t.a_strangers_order(status=status, filled_qty=filled), status))

    assert len(desk.all_of(StrangerSeen)) == named


def test_between_the_look_and_the_first_order_nothing_is_lost():
    desk = t.Desk()
    desk.give(t.ask(), t.brought(t.a_snapshot()))
    desk.give(t.stranger(t.a_strangers_order(status="filled", filled_qty=100), "fill"))
    assert desk.all_of(StrangerSeen) == []

    desk.give(t.place(S1))

    assert len(desk.all_of(StrangerSeen)) == 1


def test_what_a_later_look_before_the_first_order_has_seen_is_no_news():
    desk = t.Desk()
    desk.give(t.ask(), t.brought(t.a_snapshot()), t.stranger(HAND))

    desk.give(t.ask(2), t.brought(t.a_snapshot(clock_s=60), 2), t.place(S1))

    assert desk.all_of(StrangerSeen) == []


def test_another_runs_order_is_a_stranger_to_this_one():
    desk = a_run_with_orders()
    theirs = t.a_strangers_order(client_order_id=client_order_id_for(t.OTHER_RUN, "S01", 1))

    desk.give(t.fetched(t.facts(S1), others=[theirs]))

    assert len(desk.all_of(StrangerSeen)) == 1


def test_the_legs_of_our_own_bracket_are_no_strangers():
    bracket = t.an_intent("B01", stop_loss_usd="15.00", take_profit_usd="20.00")
    child = t.a_strangers_order("COMM", "child-1", side="sell", order_type="stop")
    desk = t.Desk()
    desk.give(t.ask(), t.brought(t.a_snapshot()), t.place(bracket))

    desk.give(t.stranger(child))
    desk.give(t.answered(t.facts(bracket, legs=(child,)), leg="B01"))
    desk.give(t.fetched(t.facts(bracket), others=[child]))

    assert desk.all_of(StrangerSeen) == []
    assert "child-1" in desk.run.known_orders


def test_a_strangers_market_order_on_a_brackets_symbol_is_named():
    bracket = t.an_intent("B01", stop_loss_usd="15.00")
    desk = t.Desk()
    desk.give(t.place(bracket), t.stranger(t.a_strangers_order("COMM", side="sell", order_type="market")))

    assert len(desk.all_of(StrangerSeen)) == 1


def test_early_frames_are_kept_within_a_bound():
    desk = t.Desk()
    desk.give(t.ask(), *[t.stranger(t.a_strangers_order(order_id=f"o{number}")) for number in range(300)])

    assert len(desk.run.early) == 100


def test_without_a_run_a_stranger_concerns_nobody():
    desk = t.Desk()
    assert desk.give(t.stranger(HAND)) == []

    desk.give(t.place(S1), RunEnded(run_id=t.RUN, outcome="aborted", reason=None))
    assert desk.give(t.stranger(HAND)) == []
