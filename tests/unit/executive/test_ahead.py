"""BUYs made ready while the SELLs are out: they leave at once where they still stand, the long way where not."""

from decimal import Decimal

import pytest

from departments.executive import execution
from departments.executive.ahead import forecast
from departments.executive.phases import Buying, Fitting, Gate, Selling
from messages.control import DayTally
from messages.orders import GateOpened, OrderStatus, PlaceOrders, SnapshotReady
from messages.proposals import FitBuys
from messages.reviews import ReviewPlan, Stage
from messages.snapshots import AssetFacts, QuoteFacts
from messages.values import SellShortfall, Side
from tests.builders.plans import NOW, a_plan
from tests.unit.executive.machine import CASH, Driver, a_snapshot, an_update

PLAN = a_plan(sells=2, buys=2)
TALLY = DayTally(day=NOW.date(), plans=0, orders=0)


def market(run, *, ask="100"):
    """Assets and quotes of all legs; `ask` of the BUYs."""
    symbols = run.symbols
    bought = {leg.trade.symbol for leg in run.buys}
    return {
        "assets": tuple(AssetFacts(symbol=s, status="active", tradable=True, fractionable=True) for s in symbols),
        "quotes": tuple(
            QuoteFacts(symbol=s, bid_usd="100", ask_usd=ask if s in bought else "100", last_usd="100", at=NOW)
            for s in symbols
        ),
    }


def selling(plan=PLAN, **run) -> Driver:
    driver = Driver.of(plan, **run).begin(TALLY)
    return driver.look(**market(driver.run)).review()


def made_ready(**run) -> Driver:
    """Operations and Compliance have let all BUYs pass whole while the SELLs are out."""
    return selling(**run).fit().review()


def gate(driver: Driver, **changes) -> Driver:
    """The SELLs fill, and the gate's look comes."""
    driver.fill(*(leg.leg for leg in driver.run.sells))
    return driver.look(**(market(driver.run) | changes))


def test_the_forecast_is_the_account_after_the_sells():
    driver = selling()
    look, money = forecast(driver.run)

    assert look.account.cash_usd == CASH + 2000
    assert (money.proceeds_usd, money.cash_before_usd, money.cash_now_usd) == (Decimal(2000), CASH, CASH + 2000)
    assert look.positions == ()
    assert {position.symbol for position in driver.run.before.positions} == {
        leg.trade.symbol for leg in driver.run.sells
    }


def test_departments_are_asked_on_the_forecast_while_the_sells_are_out():
    driver = selling()
    fit = driver.last_sent(FitBuys)
    driver.fit()
    review = driver.last_sent(ReviewPlan)

    assert (fit.ahead, review.ahead, review.stage) == (True, True, Stage.RECHECK)
    assert fit.snapshot == review.snapshot == forecast(driver.run)[0]
    assert isinstance(driver.phase, Selling)
    assert driver.placed(Side.BUY) == []


def test_buys_that_still_stand_leave_with_the_gates_look():
    driver = gate(made_ready())

    assert isinstance(driver.phase, Buying)
    sent = [type(mail.message) for mail in driver.last.outgoing]
    assert sent[:2] == [GateOpened, PlaceOrders]
    assert driver.placed(Side.BUY) == [["B01", "B02"]]
    assert [fit.ahead for fit in driver.all_sent(FitBuys)] == [True]


@pytest.mark.parametrize(
    "changes",
    [{"ask": "111"}, {"ask": None}],
    ids=["a price that moved away", "a price that is missing"],
)
def test_buys_that_do_not_stand_on_the_gates_look_go_the_long_way(changes):
    driver = made_ready()
    gate(driver, **market(driver.run, **changes))

    assert isinstance(driver.phase, Fitting)
    assert driver.placed(Side.BUY) == []
    assert not driver.last_sent(FitBuys).ahead


def test_a_forecast_that_came_true_for_less_money_goes_the_long_way():
    """$100 and two fills of ten shares pay for BUYs that reserve $2,060 at $100 a share, not at $95."""

    def opened(price: int) -> Driver:
        driver = Driver.of(PLAN).begin(TALLY)
        driver.look(**market(driver.run), cash=Decimal(100)).review().fit().review()
        for leg in driver.run.sells:
            driver.order(leg.leg, OrderStatus.FILLED, filled_avg_price_usd=Decimal(price))
        return driver.look(**market(driver.run), cash=Decimal(100) + driver.run.proceeds_usd)

    assert isinstance(opened(100).phase, Buying)
    assert isinstance(opened(95).phase, Fitting)


def test_nothing_is_taken_from_departments_that_have_not_answered():
    assert isinstance(gate(selling()).phase, Fitting)
    assert isinstance(gate(selling().fit()).phase, Fitting)


def test_what_operations_or_compliance_would_drop_is_not_ready():
    assert isinstance(gate(selling().fit(drop=("B02",))).phase, Fitting)
    assert isinstance(gate(selling().fit().review(drop=("B02",))).phase, Fitting)
    assert isinstance(gate(selling().fit().review(rejected=True)).phase, Fitting)


def test_a_verdict_on_another_look_makes_nothing_ready():
    assert isinstance(gate(selling().fit(snapshot_id="another").review()).phase, Fitting)
    assert isinstance(gate(selling().fit().review(snapshot_id="another")).phase, Fitting)


def test_a_short_sell_takes_the_long_way_whatever_stands_ready():
    driver = made_ready(shortfall=SellShortfall.RESIZE)
    driver.fill("S01").order("S02", OrderStatus.CANCELED, 4).look(**market(driver.run))

    assert isinstance(driver.phase, Fitting)


def test_a_gate_that_waits_for_the_money_still_finds_them_ready():
    driver = gate(made_ready(), cash=CASH)
    assert isinstance(driver.phase, Gate)

    driver.timer(execution.Deadline.CASH_POLL).look(**market(driver.run))
    assert isinstance(driver.phase, Buying)


def test_a_gate_that_opens_again_asks_the_departments_again():
    driver = gate(made_ready()).order("B01", OrderStatus.OPEN).not_sent("B02", execution.NotSentReason.INTENT_STALE)
    driver.timer(execution.Deadline.PLACE_AGAIN).look(**market(driver.run))

    assert isinstance(driver.phase, Fitting)


def test_news_of_the_sells_that_comes_with_the_look_counts():
    driver = made_ready()
    run = driver.run
    filled = tuple(an_update(run, leg.leg, OrderStatus.FILLED) for leg in run.sells)
    proof = run.updated(*filled)
    ready = SnapshotReady(
        run_id=run.run_id,
        ask=driver.phase.proof,
        purpose="gate",
        snapshot=a_snapshot(proof, **market(run)),
        updates=filled,
    )
    driver.tell(ready)

    assert isinstance(driver.phase, Buying)


def test_a_gate_that_does_not_look_again_is_seen(monkeypatch):
    """The planted fault: what stood ready is taken for granted."""
    monkeypatch.setattr(execution, "still_stand", lambda _fit, _limits: True)
    driver = made_ready()
    gate(driver, **market(driver.run, ask="111"))

    assert isinstance(driver.phase, Buying)
