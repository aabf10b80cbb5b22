"""Funding policy x what the SELLs brought: what may be spent, and which BUYs it pays for. Reckoned by hand.

The account: equity 100,000, one position of 80,000, broker's buying power 5,150. Two SELLs, worth 5,000 and 3,000.
BUYs, best score first, all quoted at their reference price, reserved with 3 %:

    B02 AA 100 x 30 = 3,000 -> 3,090      B01 BB 100 x 20 = 2,000 -> 2,060      B03 CC 100 x 15 = 1,500 -> 1,545
    one after the other: 3,090, 5,150, 6,695
"""

from decimal import Decimal

import pytest

from departments.compliance.review import review
from departments.office.settings import OnViolation
from departments.operations.sizing import fit_buys
from departments.rulebook.limits import limits_of
from departments.rulebook.money import spendable_usd
from messages.reviews import Decision
from messages.values import Funding
from tests.builders.portfolio import at_recheck, buy, gate_money, held, settings, snapshot, to_fit

LIMITS = limits_of(settings())
BUYS = (
    buy("B01", "BB", 100, 20, score=70),
    buy("B02", "AA", 100, 30, score=80),
    buy("B03", "CC", 100, 15),
)

FULL, ONE_FILLED, HALF_OF_ONE, NONE = "8000", "5000", "2500", "0"
ON_MARGIN, SOME_CASH = "-60000", "1000"

CASES = [
    # funding, cash before, proceeds, spendable, quantities of B02, B01, B03
    (Funding.PROCEEDS, ON_MARGIN, FULL, "8000", (100, 100, 100)),
    (Funding.PROCEEDS, ON_MARGIN, ONE_FILLED, "5000", (100, 92, 0)),  # 1,910 left: 92 x 20.60 = 1,895.20
    (Funding.PROCEEDS, ON_MARGIN, HALF_OF_ONE, "2500", (80, 0, 0)),  # 80 x 30.90 = 2,472
    (Funding.PROCEEDS, ON_MARGIN, NONE, "0", (0, 0, 0)),
    (Funding.PROCEEDS, SOME_CASH, FULL, "9000", (100, 100, 100)),
    (Funding.PROCEEDS, SOME_CASH, ONE_FILLED, "6000", (100, 100, 55)),  # 850 left: 55 x 15.45 = 849.75, worth 825
    (Funding.PROCEEDS, SOME_CASH, HALF_OF_ONE, "3500", (100, 0, 0)),  # 410 left: 19 x 20 = 380 < 500
    (Funding.PROCEEDS, SOME_CASH, NONE, "1000", (32, 0, 0)),  # 32 x 30.90 = 988.80, worth 960
    (Funding.CASH, ON_MARGIN, FULL, "-52000", (0, 0, 0)),
    (Funding.CASH, ON_MARGIN, NONE, "-60000", (0, 0, 0)),
    (Funding.CASH, "-2000", FULL, "6000", (100, 100, 55)),
    (Funding.CASH, "-2000", HALF_OF_ONE, "500", (0, 0, 0)),  # 16 x 30, 24 x 20 and 32 x 15 are 480 < 500
    (Funding.CASH, SOME_CASH, ONE_FILLED, "6000", (100, 100, 55)),
    (Funding.BUYING_POWER, ON_MARGIN, FULL, "5150", (100, 100, 0)),
    (Funding.BUYING_POWER, ON_MARGIN, NONE, "5150", (100, 100, 0)),
]


@pytest.mark.parametrize(("funding", "cash_before", "proceeds", "spendable", "quantities"), CASES)
def test_what_the_sells_brought_decides_what_is_bought(funding, cash_before, proceeds, spendable, quantities):
    money = gate_money(proceeds=proceeds, cash_before=cash_before, funding=funding)
    look = snapshot(
        BUYS, equity=100_000, cash=money.cash_now_usd, positions=[held("HELD", 1, 80_000)], buying_power_usd="5150"
    )

    fitted = fit_buys(to_fit(BUYS, look, money), LIMITS, OnViolation.CUT)

    left = spendable_usd(
        money, buying_power_usd=Decimal(5150), reservations_usd=Decimal(0), cash_reserve_usd=Decimal(0)
    )
    assert left == Decimal(spendable)
    assert [(leg.leg, leg.qty) for leg in fitted.legs] == list(zip(("B02", "B01", "B03"), quantities, strict=True))
    for leg in fitted.legs:
        kept = leg.qty == leg.planned_qty
        assert leg.decision is (Decision.KEEP if kept else Decision.CUT if leg.qty else Decision.DROP)
        assert bool(leg.violations) is not kept


@pytest.mark.parametrize(("funding", "cash_before", "proceeds", "spendable", "quantities"), CASES)
def test_compliance_leaves_every_fit_as_it_is(funding, cash_before, proceeds, spendable, quantities):
    money = gate_money(proceeds=proceeds, cash_before=cash_before, funding=funding)
    look = snapshot(
        BUYS, equity=100_000, cash=money.cash_now_usd, positions=[held("HELD", 1, 80_000)], buying_power_usd="5150"
    )
    of = {"B02": quantities[0], "B01": quantities[1], "B03": quantities[2]}
    fitted = tuple(leg.model_copy(update={"qty": Decimal(of[leg.leg])}) for leg in BUYS if of[leg.leg])

    verdict = review(at_recheck(fitted, look, money), LIMITS, OnViolation.CUT)

    assert [(leg.leg, leg.decision) for leg in verdict.legs] == [(leg.leg, Decision.KEEP) for leg in fitted]
