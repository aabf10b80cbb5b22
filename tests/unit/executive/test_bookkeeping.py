"""What the portfolio database keeps of a run: the CEO's own view, the looks, and orders made out of ours."""

from decimal import Decimal

import pytest

from departments.executive.bookkeeping import JournalRegister
from messages.control import AbortRun
from messages.orders import RequestSnapshot, SnapshotReady
from messages.snapshots import BrokerStatus, OrderFacts
from messages.values import ClientOrderId, OrderId, Recipient, Side, client_order_id_for
from tests.builders.plans import NOW, a_plan
from tests.unit.executive.machine import a_run, a_snapshot
from tests.unit.executive.test_report import Desk, submitted


def an_order(client_order_id, order_id, legs=()):
    return OrderFacts(
        order_id=OrderId(order_id),
        client_order_id=ClientOrderId(client_order_id),
        symbol="BA",
        side=Side.BUY,
        qty=Decimal(1),
        filled_qty=Decimal(0),
        filled_avg_price_usd=None,
        status=BrokerStatus.NEW,
        raw_status="new",
        order_type="market",
        time_in_force="day",
        submitted_at=NOW,
        as_of=NOW,
        legs=legs,
    )


def looked(desk, letter, **changes):
    """Answer the CEO's ask for a look."""
    asks = [mail.message for mail in desk.mailroom.unhandled(Recipient.TRADING)]
    ask = next(message for message in reversed(asks) if isinstance(message, RequestSnapshot))
    snapshot = a_snapshot(a_run(letter.plan), **changes)
    ready = SnapshotReady(run_id=letter.run_id, ask=ask.ask, purpose=ask.purpose, snapshot=snapshot)
    desk.post(ready, f"look {ask.ask}")
    desk.work()


def test_a_run_is_booked_as_the_ceo_sees_it():
    desk = Desk()
    one, two = submitted(desk, a_plan(sells=1, buys=1, plan_id="ONE"), a_plan(plan_id="TWO"))
    desk.work()
    desk.post(AbortRun(run_id=one.run_id, by="mara"), "abort")
    desk.work()
    register = JournalRegister(desk.mailroom.counter())

    run = register.booked(one.run_id).run

    assert register.runs() == {one.run_id: True, two.run_id: False}
    assert (run.plan_id, run.outcome, run.reason, run.legs, run.legs_filled) == (
        "ONE",
        "aborted",
        "aborted by mara",
        2,
        0,
    )
    assert (run.accepted_at, run.approved_by, run.verified) == ("2025-11-10T15:09:12.000000Z", "mara", None)
    assert register.booked(two.run_id).run.outcome is None


def test_a_look_with_the_brokers_time_tells_who_is_held_and_one_without_is_left_out():
    desk = Desk()
    (letter,) = submitted(desk, a_plan(sells=2, buys=1))
    desk.work()
    looked(desk, letter)

    (look,) = JournalRegister(desk.mailroom.counter()).booked(letter.run_id).looks

    assert (look.held, look.at) == (" SA SB ", "2025-11-10T15:09:12.000000Z")

    desk = Desk()
    (letter,) = submitted(desk, a_plan())
    desk.work()
    looked(desk, letter, positions=None)

    assert JournalRegister(desk.mailroom.counter()).booked(letter.run_id).looks == ()


def test_an_order_that_alpaca_made_out_of_ours_belongs_to_its_leg():
    desk = Desk()
    (letter,) = submitted(desk, a_plan(sells=0, buys=1))
    desk.work()
    stop = an_order("alpacas-own", "stop-1")
    looked(desk, letter, run_orders=(an_order(client_order_id_for(letter.run_id, "B01", 1), "entry-1", (stop,)),))

    (order,) = JournalRegister(desk.mailroom.counter()).booked(letter.run_id).orders

    assert (order.order_id, order.client_order_id, order.leg) == ("stop-1", "alpacas-own", "B01")


def test_a_run_that_the_journal_does_not_know_is_an_error():
    with pytest.raises(LookupError, match="R1"):
        JournalRegister(Desk().mailroom.counter()).booked("R1")
