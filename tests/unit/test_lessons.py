"""What happened once, each as it happened: the departments that would meet it today, and what they make of it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from departments.compliance.department import ComplianceDepartment
from departments.executive.phases import AwaitingOpen, Ended
from departments.operations.department import OperationsDepartment
from messages.orders import PlaceOrders
from messages.reviews import Decision
from messages.snapshots import BrokerStatus, ClockFacts
from messages.values import AccountName, Side, client_order_id_for
from tests.builders.plans import a_plan
from tests.builders.portfolio import (
    NOW,
    OTHER_RUN,
    asset,
    at_recheck,
    at_submission,
    buy,
    enveloped,
    fill,
    gate_money,
    held,
    history,
    open_order,
    sell,
    settings,
    snapshot,
    to_fit,
)
from tests.unit.executive.machine import Driver

SHARES = Decimal(10)


def answer(department, ask):
    """What a department answers to one question, under the shipped settings."""
    return department.handle(department.initial(), enveloped(ask, department.name), NOW, settings()).outgoing[0].message


def verdict_on(ask):
    return answer(ComplianceDepartment(), ask)


def became_of(verdict):
    return {leg.leg: (leg.decision, leg.qty, [why.code for why in leg.violations]) for leg in verdict.legs}


def test_the_33rd_position():
    """A bare except set the count of positions to 0: 33 were held against a limit of 30."""
    new = buy("B01", "NEW", 50, 20)
    look = snapshot([new], equity=100_000, cash=50_000, positions=[held(f"H{n:02}", 1, 20) for n in range(32)])

    verdict = verdict_on(at_submission((new,), look))
    at_gate = verdict_on(at_recheck((new,), look, gate_money(proceeds=0, cash_before=50_000)))
    fitted = answer(
        OperationsDepartment(AccountName("paper")), to_fit((new,), look, gate_money(proceeds=0, cash_before=50_000))
    )

    for told in (verdict, at_gate, fitted):
        assert became_of(told) == {"B01": (Decision.DROP, 0, ["POSITIONS_ABOVE_MAX"])}
        assert (told.legs[0].violations[0].figure, told.legs[0].violations[0].limit) == ("33", "30")
    assert [(why.code, why.figure) for why in verdict.breaches] == [("POSITIONS_ABOVE_MAX", "32")]


def test_positions_that_could_not_be_read_are_not_none():
    """The same except: an account whose positions are not known buys nothing."""
    new = buy("B01", "NEW", 50, 20)
    look = snapshot([new], equity=100_000, cash=50_000).model_copy(update={"positions": None})

    verdict = verdict_on(at_submission((new,), look))

    assert verdict.rejected
    assert [why.figure for why in verdict.violations] == ["positions missing"]


def test_the_sell_below_the_minimum_size():
    """A SELL of a falling position was refused twice by the rule on minimum sizes; it lost 22.8 %."""
    out = sell("S01", "FALL", 3, "22.80")
    look = snapshot([out], equity=100_000, cash=-20_000, positions=[held("FALL", 3, "22.80")])

    verdict = verdict_on(at_submission((out,), look))

    assert became_of(verdict) == {"S01": (Decision.KEEP, 3, [])}


@pytest.mark.parametrize("side", Side)
def test_the_inactive_symbol(side):
    """One symbol went inactive and was retried on 42 days: it is said once, and nothing is sent of it."""
    leg = (buy if side is Side.BUY else sell)("B01" if side is Side.BUY else "S01", "IPG", 100, 20)
    other = buy("B02", "COMM", 210, "16.99")
    positions = [held("IPG", 100, 20)] if side is Side.SELL else []
    look = snapshot(
        [leg, other], equity=100_000, cash=50_000, positions=positions, assets=[asset("IPG", status="inactive")]
    )

    verdict = verdict_on(at_submission((leg, other), look))

    assert became_of(verdict)[leg.leg] == (Decision.DROP, 0, ["ASSET_NOT_ACTIVE"])
    assert verdict.rejected is (side is Side.SELL)  # before anything is sent
    assert verdict.rejected or became_of(verdict)["B02"][0] is Decision.KEEP


def test_the_holiday():
    """Orders went out on Thanksgiving: a Thursday, at noon, by the local clock. The broker's clock says closed."""
    thanksgiving = datetime(2025, 11, 27, 17, tzinfo=UTC)
    closed = ClockFacts(
        at=thanksgiving,
        is_open=False,
        next_open=datetime(2025, 11, 28, 14, 30, tzinfo=UTC),
        next_close=datetime(2025, 11, 28, 18, tzinfo=UTC),
    )
    driver = Driver.of(a_plan(sells=1, buys=1))
    driver.now = thanksgiving

    driver.begin().look(clock=closed).review()

    assert isinstance(driver.phase, AwaitingOpen)
    assert driver.all_sent(PlaceOrders) == []
    assert "the market is closed until 2025-11-28 14:30 UTC" in str(driver.last.notes)


def test_the_shares_held_by_a_stop():
    """The SELL of shares that a stop held was refused by the broker, after other orders had gone."""
    out, other = sell("S01", "UPS", 70, "93.58"), sell("S02", "DVN", 225, "33.61")
    stop = open_order("UPS", Side.SELL, 70, order_type="stop", client_order_id=client_order_id_for(OTHER_RUN, "B01", 1))
    positions = [held("UPS", 70, "93.58", free=0), held("DVN", 225, "33.61")]
    look = snapshot([out, other], equity=100_000, cash=0, positions=positions, open_orders=[stop])

    verdict = verdict_on(at_submission((out, other), look))

    assert verdict.rejected
    assert became_of(verdict)["S01"] == (Decision.DROP, 0, ["ORDER_OF_OTHERS_OPEN", "SHARES_NOT_FREE"])
    assert verdict.legs[0].violations[0].figure == "sell 70 (order order-UPS-sell)"


def bought_24_minutes_ago(*, by_a_stop: bool):
    """A plan that sells what another bought 24 minutes before; and buys it back, and something else."""
    out = sell("S01", "NEW", SHARES, 20)
    other = buy("B01", "CVE", 50, 20)
    stop = open_order("NEW", Side.SELL, SHARES, order_type="stop", status=BrokerStatus.HELD)
    look = snapshot(
        [out, other],
        equity=100_000,
        cash=50_000,
        positions=[held("NEW", SHARES, 20, free=0 if by_a_stop else None)],
        open_orders=[stop] if by_a_stop else [],
    )
    return (out, other), look


def test_the_plan_that_sells_what_was_bought_24_minutes_earlier_while_a_stop_holds_it():
    trades, look = bought_24_minutes_ago(by_a_stop=True)
    past = history(fills=[fill("NEW", Side.BUY, NOW - timedelta(minutes=24))])

    verdict = verdict_on(at_submission(trades, look, past=past))

    assert verdict.rejected
    assert became_of(verdict)["S01"][2] == ["ORDER_OF_OTHERS_OPEN", "SHARES_NOT_FREE"]


def test_the_plan_that_sells_what_was_bought_24_minutes_earlier_uses_up_a_round_trip_and_is_not_stopped():
    trades, look = bought_24_minutes_ago(by_a_stop=False)
    before = [
        fill("OLD", side, NOW - timedelta(hours=1, minutes=-n)) for n, side in enumerate([Side.BUY, Side.SELL] * 3)
    ]
    bought = fill("NEW", Side.BUY, NOW - timedelta(minutes=24))

    without = verdict_on(at_submission(trades[1:], look, past=history(fills=[*before, bought])))
    verdict = verdict_on(at_submission(trades, look, past=history(fills=[*before, bought])))

    assert became_of(without)["B01"][0] is Decision.KEEP
    assert became_of(verdict) == {
        "S01": (Decision.KEEP, SHARES, []),
        "B01": (Decision.DROP, 0, ["ROUND_TRIPS_ABOVE_MAX"]),
    }


def test_the_cash_that_goes_negative_through_orders_in_flight():
    """Cash went to -$59,097, -$3,831 and -$904 although a rule forbade it: BUYs in flight were not reserved."""
    more = buy("B01", "CVE", 100, 20)  # reserves 2,060
    in_flight = [
        open_order("AAA", Side.BUY, 100, limit=20, filled=40, client_order_id=client_order_id_for(OTHER_RUN, "B01", 1)),
        open_order("BBB", Side.BUY, 10, limit=50),
    ]
    cash = 1_200 + 500 + 1_030
    positions = [held("AAA", 40, 20)]
    look = snapshot([more], equity=100_000, cash=cash, positions=positions, open_orders=in_flight)
    money = gate_money(proceeds=0, cash_before=cash)

    told = [
        verdict_on(at_submission((more,), look)),
        answer(OperationsDepartment(AccountName("paper")), to_fit((more,), look, money)),
        verdict_on(at_recheck((more,), look, money)),
    ]

    for one in told:
        assert became_of(one) == {"B01": (Decision.CUT, 50, ["FUNDING_EXCEEDED"])}
        assert one.legs[0].violations[0].limit == "1030"


def test_a_buy_in_flight_of_unknown_cost_lets_no_other_go():
    more = buy("B01", "CVE", 100, 20)
    look = snapshot([more], equity=100_000, cash=50_000, open_orders=[open_order("AAA", Side.BUY, None)])

    (leg,) = verdict_on(at_submission((more,), look)).legs

    assert leg.decision is Decision.DROP
    assert {why.figure for why in leg.violations} == {"price missing of order order-AAA-buy on AAA"}


def test_the_plan_that_was_executed_twice():
    """A crash re-executed the message: what another run bought today is not bought again."""
    again = buy("B01", "COMM", 210, "16.992")
    look = snapshot([again], equity=100_000, cash=50_000, positions=[held("COMM", 210, "17.02")])

    verdict = verdict_on(at_submission((again,), look, past=history(fills=[fill("COMM", Side.BUY)])))

    assert became_of(verdict)["B01"] == (Decision.DROP, 0, ["LEG_DONE_TODAY"])


def test_a_rejected_plan_sends_nothing():
    """Compliance appended rejected trades to the approved list."""
    driver = Driver.of(a_plan(sells=1, buys=1)).begin().look().review(rejected=True)

    assert isinstance(driver.phase, Ended)
    assert driver.all_sent(PlaceOrders) == []
