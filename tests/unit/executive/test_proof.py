from decimal import Decimal

import pytest

from departments.executive.proof import is_terminal, missing_proof
from messages.orders import Evidence, OrderStatus
from messages.snapshots import TERMINAL_BROKER_STATUSES, BrokerStatus
from messages.values import Side
from tests.builders.plans import a_plan
from tests.unit.executive.machine import Driver, a_snapshot


def sold(*statuses: OrderStatus) -> Driver:
    driver = Driver.of(a_plan(sells=len(statuses), buys=1)).to_selling()
    for number, status in enumerate(statuses, start=1):
        driver.order(f"S{number:02}", status)
    return driver


def test_sells_that_the_snapshot_itself_shows_filled_are_proved():
    run = sold(OrderStatus.FILLED, OrderStatus.FILLED).run

    assert missing_proof(run, a_snapshot(run)) is None


@pytest.mark.parametrize("status", [OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED])
def test_a_sell_that_ended_short_is_proved_to_have_ended(status):
    run = sold(status).run

    assert missing_proof(run, a_snapshot(run)) is None


def test_a_refusal_at_the_post_is_its_own_proof():
    run = sold(OrderStatus.REFUSED).run

    assert missing_proof(run, a_snapshot(run)) is None


@pytest.mark.parametrize(
    "status",
    [OrderStatus.INTENDED, OrderStatus.UNKNOWN, OrderStatus.ABSENT, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED],
)
def test_nothing_that_may_still_fill_is_proved(status):
    run = sold(OrderStatus.FILLED).run
    (leg,) = run.sells
    run = run.updated(leg.order.model_copy(update={"status": status}))

    assert missing_proof(run, a_snapshot(run)) == "SA is not confirmed terminal"


def test_a_sell_that_was_never_answered_is_not_proved():
    run = Driver.of(a_plan(sells=1, buys=1)).to_selling().run

    assert missing_proof(run, a_snapshot(run)) == "SA is not confirmed terminal"


def test_the_stream_proves_nothing():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_selling()
    driver.order("S01", OrderStatus.FILLED, evidence=Evidence.STREAM)

    assert missing_proof(driver.run, a_snapshot(driver.run)) == "SA is not confirmed terminal"


def test_one_sell_of_many_that_is_missing_is_named():
    run = sold(OrderStatus.FILLED, OrderStatus.FILLED).run
    first, _ = a_snapshot(run).run_orders

    assert missing_proof(run, a_snapshot(run, run_orders=(first,))) == "SB is not among the orders that Alpaca lists"


def test_a_list_that_was_not_read_is_not_an_empty_one():
    run = Driver.of(a_plan(sells=0, buys=1)).run

    assert missing_proof(run, a_snapshot(run, run_orders=())) is None
    assert missing_proof(run, a_snapshot(run, run_orders=None)) == "the run's orders could not be read"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": BrokerStatus.PENDING_CANCEL, "raw_status": "pending_cancel"}, "SA is pending_cancel at Alpaca"),
        ({"status": BrokerStatus.UNKNOWN, "raw_status": "resting"}, "SA is resting at Alpaca"),
        ({"filled_qty": Decimal(9)}, "SA filled 9 at Alpaca, 10 in our records"),
        ({"side": Side.BUY}, "SA is another order at Alpaca: buy 10 SA"),
        ({"qty": Decimal(11)}, "SA is another order at Alpaca: sell 11 SA"),
        ({"symbol": "SX"}, "SA is another order at Alpaca: sell 10 SX"),
    ],
)
def test_what_alpaca_shows_otherwise_is_not_proved(change, words):
    run = sold(OrderStatus.FILLED).run
    (facts,) = a_snapshot(run).run_orders

    assert missing_proof(run, a_snapshot(run, run_orders=(facts.model_copy(update=change),))) == words


@pytest.mark.parametrize("status", BrokerStatus)
def test_only_an_end_is_terminal_and_done_for_day_only_of_a_day_order(status):
    (facts,) = a_snapshot(sold(OrderStatus.FILLED).run).run_orders
    day = facts.model_copy(update={"status": status})
    gtc = day.model_copy(update={"time_in_force": "gtc"})

    assert is_terminal(day) is (status in TERMINAL_BROKER_STATUSES or status is BrokerStatus.DONE_FOR_DAY)
    assert is_terminal(gtc) is (status in TERMINAL_BROKER_STATUSES)
