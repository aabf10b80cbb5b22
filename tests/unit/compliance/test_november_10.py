"""The plan of November 10, 2025 against the shipped settings: nothing cut, nothing dropped, nothing rejected."""

from decimal import Decimal

from departments.compliance.department import ComplianceDepartment
from departments.operations.department import OperationsDepartment
from messages.proposals import BuysFitted
from messages.reviews import Decision, PlanReviewed
from messages.values import AccountName, Recipient, Side
from tests.builders import november
from tests.builders.portfolio import (
    EQUITY_OF_NOVEMBER_10,
    NOW,
    account_of_november_10,
    at_recheck,
    at_submission,
    enveloped,
    gate_money,
    holdings_of_november_10,
    plan_of_november_10,
    settings,
    snapshot,
    to_fit,
)


def handled(department, message):
    return department.handle(department.initial(), enveloped(message, department.name), NOW, settings())


def test_the_plan_passes_whole_before_the_start():
    plan = plan_of_november_10()

    answer = handled(ComplianceDepartment(), at_submission(plan, account_of_november_10(plan)))

    (mail,) = answer.outgoing
    verdict = mail.message
    assert mail.recipient is Recipient.EXECUTIVE
    assert isinstance(verdict, PlanReviewed)
    assert not verdict.rejected
    assert [(leg.leg, leg.decision, leg.qty) for leg in verdict.legs] == [
        (trade.leg, Decision.KEEP, trade.qty) for trade in plan
    ]
    assert verdict.violations == ()
    assert verdict.breaches == ()
    assert [note.event for note in answer.notes] == ["plan.reviewed"]


def test_the_buys_pass_whole_at_the_gate():
    buys = [trade for trade in plan_of_november_10() if trade.side is Side.BUY]
    positions = holdings_of_november_10(without=november.SELLS)
    look = snapshot(buys, equity=EQUITY_OF_NOVEMBER_10, cash="-27662.2125", positions=positions)
    money = gate_money(proceeds="36475.2375", cash_before="-64137.45", cash_now="-27662.2125")

    fitted = handled(OperationsDepartment(AccountName("paper")), to_fit(buys, look, money)).outgoing[0].message
    verdict = handled(ComplianceDepartment(), at_recheck(buys, look, money)).outgoing[0].message

    assert isinstance(fitted, BuysFitted)
    assert isinstance(verdict, PlanReviewed)
    assert {leg.decision for leg in fitted.legs} == {Decision.KEEP}
    assert [leg.leg for leg in fitted.legs] == [f"B{n:02}" for n in range(1, 12)]
    assert {leg.decision for leg in verdict.legs} == {Decision.KEEP}
    assert sum((leg.qty for leg in fitted.legs), Decimal(0)) == 1061


def test_the_figures_of_the_day_are_those_on_record():
    plan = plan_of_november_10()
    look = account_of_november_10(plan)

    sold = sum(trade.qty * trade.reference_price_usd for trade in plan if trade.side is Side.SELL)
    bought = sum(trade.qty * trade.reference_price_usd for trade in plan if trade.side is Side.BUY)
    held_value = sum(position.market_value_usd for position in look.positions)

    assert round(sold, 2) == Decimal("36475.24")
    assert bought == Decimal("33424.555")
    assert round(held_value, 2) == Decimal("163083.45")
    assert look.account.equity_usd - round(held_value, 2) == look.account.cash_usd
