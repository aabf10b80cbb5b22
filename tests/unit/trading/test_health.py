"""Health: told on changes only; a stream that says nothing of what REST knows is mute."""

import pytest

from departments.trading import health
from messages.broker import BrokerJudged, FetchFailed, FetchOrder, FetchOrders, StreamConnected, StreamLost
from messages.orders import BrokerHealthChanged, StreamHealth
from tests.builders import trading as t

S1, S2 = t.an_intent("S01"), t.an_intent("S02")


def connected(*intents):
    desk = t.Desk()
    desk.give(StreamConnected())
    if intents:
        desk.give(t.place(*intents), after_s=10)
    return desk


def shows(*facts):
    return lambda call: [t.fetched(*facts)] if isinstance(call, FetchOrders) else []


def streams(desk):
    return [one.stream for one in desk.all_of(BrokerHealthChanged)]


def test_changes_are_told_and_nothing_else():
    desk = t.Desk()
    lost = StreamLost(detail="gone")

    desk.give(lost, StreamConnected(), StreamConnected(), lost, lost)

    assert streams(desk) == [StreamHealth.DOWN, StreamHealth.UP, StreamHealth.DOWN]
    assert [note.event for note in desk.notes] == ["stream.down", "stream.up", "stream.down"]


def test_a_stream_that_never_came_up_is_told_and_so_is_another_cause():
    desk = t.Desk()

    desk.give(StreamLost(detail="no answer"), StreamLost(detail="no answer"), StreamLost(detail="keys refused"))

    assert [one.detail for one in desk.all_of(BrokerHealthChanged)] == ["no answer", "keys refused"]


def test_a_connect_lists_the_orders_of_every_run_with_something_open():
    desk = t.Desk()
    other = t.an_intent("S01", run=t.OTHER_RUN)
    done = t.an_intent("S02")
    desk.give(t.place(S1), t.place(other, run=t.OTHER_RUN), t.place(done), t.refused(done))

    sent = desk.give(StreamConnected())

    assert sorted(call.run_id for call in t.of_kind(sent, FetchOrders)) == sorted([t.RUN, t.OTHER_RUN])


def test_a_connect_asks_again_although_a_list_is_on_its_way():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)))
    desk.wait(6)

    desk.give(StreamConnected())

    assert len(desk.all_of(FetchOrders)) == 2


def test_a_connect_asks_nothing_for_runs_that_are_settled():
    desk = t.Desk()
    desk.give(t.place(S1), t.refused(S1))

    assert t.of_kind(desk.give(StreamConnected()), FetchOrders) == []


def test_what_rest_knows_and_the_stream_does_not_tell_makes_it_mute_within_ten_seconds():
    desk = connected(S1)
    desk.give(t.answered(t.facts(S1)))

    desk.wait(10.5, shows(t.facts(S1, "filled", 100, at_s=1)))

    assert streams(desk) == [StreamHealth.UP, StreamHealth.MUTE]


def test_a_fill_right_after_a_round_is_missed_within_ten_seconds_too():
    desk = connected(S1)
    desk.give(t.answered(t.facts(S1)))
    desk.wait(5.1, shows(t.facts(S1)))  # the fill comes now

    desk.wait(9.5, shows(t.facts(S1, "filled", 100, at_s=6)))

    assert streams(desk) == [StreamHealth.UP, StreamHealth.MUTE]


def test_the_next_frame_ends_it():
    desk = connected(S1)
    desk.give(t.answered(t.facts(S1)))
    desk.wait(10.5, shows(t.facts(S1, "filled", 100)))

    desk.give(t.streamed(t.facts(S1, "filled", 100), "fill"))

    assert streams(desk) == [StreamHealth.UP, StreamHealth.MUTE, StreamHealth.UP]
    desk.wait(60)
    assert len(streams(desk)) == 3
    assert desk.timers == []


def test_a_strangers_frame_ends_it_too():
    desk = connected(S1)
    desk.wait(10.5, shows(t.facts(S1, "filled", 100)))

    desk.give(t.stranger(t.a_strangers_order("PLD")))

    assert streams(desk)[-1] is StreamHealth.UP


def test_a_stream_that_tells_a_little_later_is_not_mute():
    desk = connected(S1)
    desk.give(t.answered(t.facts(S1, "filled", 100)))
    desk.give(t.streamed(t.facts(S1, "filled", 100), "fill"), after_s=2.9)

    desk.wait(60)

    assert streams(desk) == [StreamHealth.UP]


def test_a_round_right_after_a_look_is_too_early_to_judge():
    desk = connected(S1)
    desk.give(t.answered(t.facts(S1, "filled", 100)), after_s=4)

    desk.wait(2)
    assert streams(desk) == [StreamHealth.UP]

    desk.wait(5)
    assert streams(desk) == [StreamHealth.UP, StreamHealth.MUTE]


def test_each_omission_is_held_against_it_once():
    desk = connected(S1, S2)
    desk.give(t.answered(t.facts(S1, "filled", 100)))
    desk.wait(6, shows(t.facts(S1, "filled", 100), t.facts(S2)))
    desk.give(t.streamed(t.facts(S2)))

    desk.wait(60, shows(t.facts(S1, "filled", 100), t.facts(S2)))

    assert streams(desk) == [StreamHealth.UP, StreamHealth.MUTE, StreamHealth.UP]


def test_what_happened_while_the_stream_was_down_is_not_held_against_it():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)))
    desk.give(StreamConnected(), after_s=3)
    desk.give(t.fetched(t.facts(S1, "filled", 100)))

    desk.wait(60)

    assert streams(desk) == [StreamHealth.UP]


def test_what_happens_after_the_first_look_since_the_connect_is():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)), StreamConnected())
    desk.give(t.fetched(t.facts(S1)), after_s=2)

    desk.wait(20, shows(t.facts(S1, "filled", 100)))

    assert streams(desk) == [StreamHealth.UP, StreamHealth.MUTE]


def test_what_was_untold_before_a_reconnect_is_forgiven():
    desk = connected(S1)
    desk.give(t.answered(t.facts(S1, "filled", 100)))
    desk.give(StreamConnected(), after_s=1)

    desk.wait(60)

    assert streams(desk) == [StreamHealth.UP]


def test_a_stream_that_is_down_is_not_mute():
    desk = connected(S1)
    desk.give(t.answered(t.facts(S1, "filled", 100)), StreamLost(detail="gone"))

    desk.wait(60)

    assert streams(desk) == [StreamHealth.UP, StreamHealth.DOWN]
    assert desk.timers == []


@pytest.mark.parametrize("call", ["order", "orders", "snapshot"])
def test_rest_counts_as_gone_after_failures_in_a_row_and_back_with_an_answer(call):
    desk = t.Desk()
    desk.give(t.place(S1))
    failed = FetchFailed(run_id=t.RUN, call=call, leg=S1.leg, ask=1, why="connection refused")

    desk.give(failed)
    assert desk.all_of(BrokerHealthChanged) == []
    desk.give(failed, failed)
    assert [one.rest_ok for one in desk.all_of(BrokerHealthChanged)] == [False]
    desk.give(t.fetched(t.facts(S1)), t.fetched(t.facts(S1)))

    assert [one.rest_ok for one in desk.all_of(BrokerHealthChanged)] == [False, True]
    assert [note.event for note in desk.notes if note.event.startswith("broker")] == [
        "broker.rest_down",
        "broker.rest_up",
    ]


def test_a_404_is_an_answer():
    desk = t.Desk()
    failed = FetchFailed(run_id=t.RUN, call="order", leg=S1.leg, why="connection refused")
    desk.give(t.place(S1), t.unknown(S1), failed, t.missing(S1), failed)

    assert desk.all_of(BrokerHealthChanged) == []


def test_a_failed_list_is_asked_for_at_the_next_round():
    desk = t.Desk()
    desk.give(t.place(S1), t.answered(t.facts(S1)))
    failed = FetchFailed(run_id=t.RUN, call="orders", why="http 503")

    desk.wait(11, lambda call: [failed] if isinstance(call, FetchOrders) else [])

    assert len(desk.all_of(FetchOrders)) == 2
    assert desk.all_of(FetchOrder) == []


def test_late_judgements_change_nothing():
    desk = t.Desk()
    mute = BrokerJudged(stream=StreamHealth.MUTE, rest_ok=None, detail="d")
    up = BrokerJudged(stream=StreamHealth.UP, rest_ok=None, detail="d")

    assert desk.give(mute, up) == []
    desk.give(StreamConnected())
    assert desk.give(up) == []


def test_planted_fault_the_stream_is_believed_whatever_it_leaves_out(monkeypatch):
    monkeypatch.setattr(health, "could_have_told", lambda *_: False)

    with pytest.raises(AssertionError):
        test_what_rest_knows_and_the_stream_does_not_tell_makes_it_mute_within_ten_seconds()
