from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.executive.verification import CASH_TOLERANCE_USD, verify
from messages.orders import OrderStatus
from messages.snapshots import BrokerStatus, PositionFacts
from messages.values import OrderId, Side
from tests.builders.plans import a_plan
from tests.unit.executive.machine import CASH, PRICE, Driver, a_snapshot, positions_after


def bought(sells: int = 1, buys: int = 1) -> Driver:
    return Driver.of(a_plan(sells=sells, buys=buys)).to_verifying()


def whats(driver: Driver, **changes) -> list[str]:
    return [difference.what for difference in verify(driver.run, a_snapshot(driver.run, **changes))]


def test_what_was_expected_is_no_difference():
    assert whats(bought()) == []


def test_partly_filled_legs_are_expected_as_far_as_they_filled():
    driver = Driver.of(a_plan(sells=0, buys=1)).to_buying().order("B01", OrderStatus.CANCELED, 3)

    assert whats(driver) == []


@pytest.mark.parametrize("part", ["run_orders", "positions", "account"])
def test_a_part_that_was_not_read_is_a_difference(part):
    assert len(whats(bought(), **{part: None})) == 1


def test_an_order_that_alpaca_does_not_list_is_a_difference():
    driver = bought()
    first, *_ = a_snapshot(driver.run).run_orders

    assert whats(driver, run_orders=(first,)) == ["order B01"]


def test_an_order_that_is_still_live_is_a_difference():
    driver = bought()
    first, second = a_snapshot(driver.run).run_orders
    live = second.model_copy(update={"status": BrokerStatus.PENDING_CANCEL, "raw_status": "pending_cancel"})

    (difference,) = verify(driver.run, a_snapshot(driver.run, run_orders=(first, live)))
    assert (difference.what, difference.expected, difference.seen) == ("order B01", "terminal", "pending_cancel")


def test_an_order_that_filled_otherwise_is_a_difference():
    driver = bought()
    first, second = a_snapshot(driver.run).run_orders

    less = second.model_copy(update={"filled_qty": Decimal(9)})
    assert whats(driver, run_orders=(first, less)) == ["filled B01"]


def test_an_order_of_the_run_that_nobody_knows_is_a_difference():
    driver = bought()
    listed = a_snapshot(driver.run).run_orders
    unknown = listed[0].model_copy(update={"client_order_id": "unheard of", "order_id": OrderId("x")})

    assert whats(driver, run_orders=(*listed, unknown)) == ["order unheard of"]


@pytest.mark.parametrize("status", [OrderStatus.REFUSED, OrderStatus.ABSENT])
def test_what_never_became_an_order_need_not_be_listed(status):
    driver = Driver.of(a_plan(sells=0, buys=1)).to_buying().order("B01", status)

    assert whats(driver) == []


def test_an_absent_order_that_alpaca_lists_after_all_is_a_difference():
    driver = bought()
    listed = a_snapshot(driver.run).run_orders
    driver.phase = Driver.of(a_plan(sells=1, buys=1)).to_buying().order("B01", OrderStatus.ABSENT).phase

    assert "order " + listed[1].client_order_id in whats(driver, run_orders=listed)


def test_a_position_that_differs_is_named():
    driver = bought()
    held = positions_after(driver.run)

    assert whats(driver, positions=()) == ["position BA"]
    more = tuple(position.model_copy(update={"qty": position.qty + 1}) for position in held)
    assert whats(driver, positions=more) == ["position BA"]


def test_positions_outside_the_plan_do_not_matter():
    driver = bought()
    other = PositionFacts(
        symbol="ZZZ",
        qty=Decimal(5),
        qty_available=Decimal(5),
        avg_entry_price_usd=PRICE,
        current_price_usd=None,
        market_value_usd=None,
    )

    assert whats(driver, positions=(*positions_after(driver.run), other)) == []


@given(off=st.decimals(min_value=-20, max_value=20, places=2))
def test_cash_may_differ_by_the_tolerance_and_no_more(off):
    driver = bought()

    assert (whats(driver, cash=CASH + off) == []) is (abs(off) <= CASH_TOLERANCE_USD)


# -- protection --------------------------------------------------------------------------------------------------------


def an_exit(entry, kind, *, qty=None, status=BrokerStatus.NEW, filled=0):
    return entry.model_copy(
        update={
            "order_id": OrderId(f"{kind} of {entry.order_id}"),
            "client_order_id": f"alpacas-own-{kind}",
            "side": Side.SELL,
            "order_type": kind,
            "qty": entry.qty if qty is None else Decimal(qty),
            "status": status,
            "raw_status": status.value,
            "filled_qty": Decimal(filled),
        }
    )


def protected(exits, *, bought_qty=None, stop="90", target=None) -> list[str]:
    """What differs of a BUY of ten shares under a stop, with these exits at Alpaca."""
    plan = a_plan(sells=0, buys=1)
    (trade,) = plan.trades
    trade = trade.model_copy(
        update={"stop_loss_usd": stop and Decimal(stop), "take_profit_usd": target and Decimal(target)}
    )
    driver = Driver.of(plan.model_copy(update={"trades": (trade,)})).to_buying()
    driver.order("B01", *((OrderStatus.FILLED,) if bought_qty is None else (OrderStatus.CANCELED, bought_qty)))
    (entry,) = a_snapshot(driver.run).run_orders
    listed = entry.model_copy(update={"legs": tuple(an_exit(entry, **one) for one in exits)})
    return [
        f"{one.what}: {one.expected}, {one.seen}"
        for one in verify(driver.run, a_snapshot(driver.run, run_orders=(listed,)))
    ]


STOP, TARGET = {"kind": "stop"}, {"kind": "limit"}
NONE = "protection B01: a stop at $90 for 10 BA, one for 0"


@pytest.mark.parametrize(
    ("exits", "target", "found"),
    [
        ([STOP], None, []),
        ([STOP | {"status": BrokerStatus.HELD}, TARGET], "120", []),
        ([STOP | {"status": BrokerStatus.FILLED, "filled": 10}], None, []),
        ([], None, [NONE]),
        ([STOP | {"status": BrokerStatus.CANCELED}], None, [NONE]),
        ([STOP | {"qty": 9}], None, ["protection B01: a stop at $90 for 10 BA, one for 9"]),
        ([TARGET], None, [NONE]),
        ([STOP], "120", ["protection B01: a target at $120 for 10 BA, one for 0"]),
    ],
)
def test_what_was_bought_under_a_stop_has_one(exits, target, found):
    assert protected(exits, target=target) == found


def test_an_entry_filled_in_part_and_canceled_leaves_shares_without_a_stop():
    assert protected([STOP | {"status": BrokerStatus.CANCELED}], bought_qty=4) == [
        "protection B01: a stop at $90 for 4 BA, one for 0"
    ]


def test_nothing_bought_needs_no_stop_and_what_asked_for_none_has_none():
    assert protected([], bought_qty=0) == []
    assert protected([], stop=None) == []
