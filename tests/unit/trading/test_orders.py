"""The order table: every standing against everything that can arrive."""

import pytest

from departments.trading.orders import update_of
from messages.broker import CancelAnswered, CancelOutcome, FetchOrder, SubmitOrder
from messages.control import HoldRun
from messages.orders import TERMINAL, Evidence, OrderStatus, OrderUpdated
from messages.snapshots import BrokerStatus
from tests.builders import trading as t

S1 = t.an_intent("S01")
UNIQUE = {"status_code": 422, "code": 40010001, "message": "client_order_id must be unique"}


def intended():
    desk = t.Desk()
    desk.give(t.place(S1))
    return desk


def not_sent():
    desk = intended()
    desk.give(t.door_closed(S1))
    return desk


def unknown():
    desk = intended()
    desk.give(t.unknown(S1))
    return desk


def absent():
    desk = unknown()
    desk.give(t.missing(S1))
    for _ in range(4):
        desk.wait(5, lambda call: [t.missing(S1)] if isinstance(call, FetchOrder) else [])
    return desk


def resent():
    desk = absent()
    desk.give(t.place(S1))
    return desk


def refused():
    desk = intended()
    desk.give(t.refused(S1))
    return desk


def shown(status, filled=0):
    def standing():
        desk = intended()
        desk.give(t.answered(t.facts(S1, status, filled, at_s=5)))
        return desk

    return standing


STANDINGS = {
    "not_sent": not_sent,
    "intended": intended,
    "unknown": unknown,
    "absent": absent,
    "resent": resent,
    "refused": refused,
    "open": shown("new"),
    "partially_filled": shown("partially_filled", 40),
    "filled": shown("filled", 100),
    "canceled": shown("canceled", 40),
    "expired": shown("expired", 40),
    "rejected": shown("rejected"),
    "replaced": shown("replaced", 40),
}
MAIL = {
    "refused": lambda: t.refused(S1),
    "refused_resend": lambda: t.refused(S1, resend=True),
    "taken": lambda: t.refused(S1, **UNIQUE),
    "submit_unknown": lambda: t.unknown(S1),
    "cancel_unknown": lambda: t.unknown(S1, "cancel"),
    "missing": lambda: t.missing(S1),
    "door": lambda: t.door_closed(S1),
    "door_resend": lambda: t.door_closed(S1, resend=True),
    "place": lambda: t.place(S1),
}
UNKNOWN, ABSENT, INTENDED, REFUSED = (
    OrderStatus.UNKNOWN,
    OrderStatus.ABSENT,
    OrderStatus.INTENDED,
    OrderStatus.REFUSED,
)
# Where each standing goes; a standing or a mail that isn't named changes nothing.
FIRST_CALL = {"refused": REFUSED, "refused_resend": UNKNOWN, "taken": UNKNOWN, "submit_unknown": UNKNOWN}
MOVES = {
    "not_sent": {"submit_unknown": UNKNOWN, "place": INTENDED},
    "intended": {**FIRST_CALL, "door": None, "door_resend": UNKNOWN},
    "absent": {"submit_unknown": UNKNOWN, "place": INTENDED},
    "resent": {**FIRST_CALL, "refused": UNKNOWN, "door": ABSENT, "door_resend": ABSENT},
}


def test_each_standing_is_what_its_name_says():
    for name, standing in STANDINGS.items():
        status = standing().record(S1).status
        assert (status.value if status else "not_sent") == {"resent": "intended"}.get(name, name)


@pytest.mark.parametrize("mail", MAIL)
@pytest.mark.parametrize("standing", STANDINGS)
def test_every_standing_takes_every_answer(standing, mail):
    desk = STANDINGS[standing]()
    before = desk.record(S1).status

    desk.give(MAIL[mail]())

    assert desk.record(S1).status is MOVES.get(standing, {}).get(mail, before)


@pytest.mark.parametrize("evidence", [Evidence.STREAM, Evidence.REST])
@pytest.mark.parametrize("status", sorted(BrokerStatus))
@pytest.mark.parametrize("standing", STANDINGS)
def test_every_standing_takes_every_look(standing, status, evidence):
    desk = STANDINGS[standing]()
    before = desk.record(S1)
    full = status is BrokerStatus.FILLED
    facts = t.facts(S1, status, 100 if full else 40, at_s=9)

    desk.give(t.answered(facts) if evidence is Evidence.REST else t.streamed(facts, "some event"))

    after = desk.record(S1).status
    if standing == "not_sent":
        assert after is None
        assert desk.all_of(HoldRun)[0].reason == "foreign_order"
    elif before.status in TERMINAL and standing != "refused":
        assert after is (OrderStatus.FILLED if full else before.status) or {after, before.status} <= TERMINAL
        assert after in TERMINAL
    elif status in {BrokerStatus.CANCELED, BrokerStatus.EXPIRED, BrokerStatus.REJECTED, BrokerStatus.REPLACED}:
        assert after.value == status.value
    elif status is BrokerStatus.DONE_FOR_DAY:
        assert after is OrderStatus.EXPIRED
    else:
        assert after is (OrderStatus.FILLED if full else OrderStatus.PARTIALLY_FILLED)


@pytest.mark.parametrize(
    ("standing", "events"),
    [
        ("unknown", ["order.intended", "order.unknown", "order.submitted"]),
        ("absent", ["order.intended", "order.unknown", "order.absent", "order.appeared"]),
        ("refused", ["order.intended", "order.refused", "order.appeared"]),
    ],
)
def test_what_the_broker_shows_exists_whatever_was_thought_of_it(standing, events):
    desk = STANDINGS[standing]()

    desk.give(t.answered(t.facts(S1, at_s=9)))

    assert desk.last_update(S1).status is OrderStatus.OPEN
    assert [note.event for note in desk.notes] == events


@pytest.mark.parametrize("outcome", list(CancelOutcome))
@pytest.mark.parametrize("standing", STANDINGS)
def test_the_answer_of_a_cancel_moves_nothing_by_itself(standing, outcome):
    desk = STANDINGS[standing]()
    before = desk.record(S1).status

    desk.give(CancelAnswered(run_id=t.RUN, leg=S1.leg, client_order_id=S1.client_order_id, outcome=outcome))

    assert desk.record(S1).status is before


def test_of_what_never_left_there_is_nothing_to_say():
    assert update_of(not_sent().record(S1), t.NOON) is None
    update = update_of(intended().record(S1), t.NOON)
    assert update is not None
    assert (update.status, update.evidence) == (OrderStatus.INTENDED, Evidence.NONE)


def test_a_refused_standing_says_so_with_proof_and_others_without():
    assert refused().last_update(S1).evidence is Evidence.REST
    assert unknown().last_update(S1).evidence is Evidence.NONE
    assert absent().last_update(S1).evidence is Evidence.NONE


def test_an_end_that_the_stream_told_is_told_again_when_rest_proves_it():
    desk = intended()
    desk.give(t.streamed(t.facts(S1, "filled", 100), "fill"))
    assert desk.last_update(S1).evidence is Evidence.STREAM

    desk.give(t.answered(t.facts(S1, "partially_filled", 60)))
    assert desk.last_update(S1).evidence is Evidence.STREAM

    desk.give(t.answered(t.facts(S1, "filled", 100)))
    assert desk.last_update(S1).evidence is Evidence.REST
    assert len(desk.all_of(OrderUpdated)) == 2


def test_more_fills_by_stream_take_the_proof_away_until_rest_shows_them():
    desk = shown("canceled", 40)()

    desk.give(t.streamed(t.facts(S1, "partially_filled", 60, at_s=4), "partial_fill"))

    update = desk.last_update(S1)
    assert (update.status, int(update.filled_qty), update.evidence) == (OrderStatus.CANCELED, 60, Evidence.STREAM)
    assert desk.all_of(FetchOrder)[-1].client_order_id == S1.client_order_id
    desk.give(t.answered(t.facts(S1, "canceled", 60, at_s=8)))
    assert desk.last_update(S1).evidence is Evidence.REST


def test_a_cancel_that_a_fill_overtook_ends_filled():
    desk = shown("canceled", 40)()

    desk.give(t.answered(t.facts(S1, "filled", 100, at_s=4)))

    update = desk.last_update(S1)
    assert (update.status, int(update.filled_qty), update.evidence) == (OrderStatus.FILLED, 100, Evidence.REST)


def test_only_not_sent_and_absent_orders_leave_again_by_the_same_id():
    left_again = {name for name, standing in STANDINGS.items() if t.of_kind(standing().give(t.place(S1)), SubmitOrder)}

    assert left_again == {"not_sent", "absent"}


def test_a_resend_is_called_one_only_when_the_id_may_have_left():
    assert t.of_kind(absent().give(t.place(S1)), SubmitOrder)[0].resend
    assert not t.of_kind(not_sent().give(t.place(S1)), SubmitOrder)[0].resend


def test_a_resend_must_be_the_same_order():
    desk = absent()

    assert desk.give(t.place(t.an_intent("S01", qty=50))) == []
    assert desk.record(S1).status is OrderStatus.ABSENT


def test_a_status_that_alpaca_added_later_is_noted_once_and_ends_nothing():
    desk = shown("new")()
    strange = t.facts(S1, "unknown", 40, at_s=9, raw_status="quantum")

    desk.give(t.answered(strange), t.answered(strange))

    assert desk.record(S1).status is OrderStatus.PARTIALLY_FILLED
    assert [note.fields["raw_status"] for note in desk.noted("order.status_unknown")] == ["quantum"]
