"""Each phase under each change of the trading state: what leaves, what is dropped, how the run ends."""

import pytest

from departments.executive import execution
from departments.executive.execution import Step, _Machine
from departments.executive.phases import (
    AwaitingOpen,
    Buying,
    Ended,
    Fitting,
    Gate,
    Held,
    HoldReason,
    Outcome,
    Queued,
    Received,
    Rechecking,
    Reviewing,
    Selling,
    Stopping,
    Verifying,
)
from departments.executive.report import view_phase
from messages.control import Deadline, HaltRun, HaltTrading, HoldRun, ReduceRun, ReduceTrading, ReleaseRun, ResumeRun
from messages.orders import NotSentReason, OrderStatus, PlaceOrders
from messages.reviews import LossVerdict, Violation
from messages.values import Side, TradingState
from tests.builders.plans import a_plan
from tests.unit.executive.machine import CASH, Driver, a_snapshot, held_for
from tests.unit.executive.test_ahead import gate, made_ready, market
from tests.unit.executive.test_execution import WAYS, at, every_event

REDUCING, HALTED = TradingState.REDUCING, TradingState.HALTED
BEFORE_BUYING = [Queued, Received, Reviewing, AwaitingOpen, Selling, Gate, Fitting, Rechecking]
LOSS = Violation(
    code="DAILY_LOSS_ABOVE_MAX",
    leg=None,
    rule="daily loss as a fraction",
    figure="0.06",
    limit="0.05",
    file="hard_constraints.yaml",
    key="loss_limits.max_daily_loss_fraction",
)


def reduce(driver: Driver) -> Driver:
    driver.tell(ReduceRun(run_id=driver.run.run_id, reason="a bad day", by="mara"))
    return driver


def resume(driver: Driver) -> Driver:
    driver.tell(ResumeRun(run_id=driver.run.run_id))
    return driver


def lost(state: TradingState) -> LossVerdict:
    return LossVerdict(state=state, violations=(LOSS,))


def finish(driver: Driver) -> Driver:
    """Answer whatever is asked, with nothing in the way, until the run has ended."""
    for _ in range(20):
        match driver.phase:
            case Ended():
                return driver
            case Queued():
                driver.begin()
            case Received() | Gate() | Verifying():
                driver.look()
            case Reviewing() | Rechecking():
                driver.review()
            case AwaitingOpen():
                driver.timer(Deadline.MARKET_POLL).look()
            case Fitting():
                driver.fit()
            case Selling() if all(leg.filled for leg in driver.run.sells):
                driver.look()
            case Selling() | Buying() | Stopping():
                driver.fill(*(leg.leg for leg in driver.run.legs if leg.live))
            case _:
                pytest.fail(f"stuck in {driver.phase}")
    return pytest.fail("no end")


def denials(driver: Driver) -> dict[str, list[str]]:
    return {leg.leg: [one.code for one in leg.violations] for leg in driver.run.buys}


# -- reducing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", BEFORE_BUYING)
def test_a_reducing_run_sells_and_ends_without_its_buys(phase):
    driver = finish(reduce(at(phase)))

    assert driver.phase.outcome is Outcome.COMPLETED
    assert "REDUCING" in driver.phase.reason
    assert driver.placed(Side.SELL) == [["S01"]]
    assert driver.placed(Side.BUY) == []
    assert denials(driver) == {"B01": ["TRADING_REDUCING"]}
    assert "a bad day" in driver.run.buys[0].violations[0].figure


@pytest.mark.parametrize("phase", [Gate, Fitting, Rechecking])
def test_buys_that_wait_at_the_gate_are_dropped_at_once_and_named_in_the_log(phase):
    driver = reduce(at(phase))

    assert isinstance(driver.phase, Verifying)
    (denied,) = [note for note in driver.last.notes if note.event == "leg.denied"]
    assert (denied.fields["symbol"], denied.fields["side"], denied.fields["code"]) == ("BA", "buy", "TRADING_REDUCING")


def test_buys_that_are_out_stay_out_and_are_followed():
    driver = finish(reduce(at(Buying)))

    assert driver.phase.outcome is Outcome.COMPLETED
    assert driver.phase.reason is None
    assert driver.run.buys[0].filled


@pytest.mark.parametrize("phase", [Verifying, Stopping, Ended])
def test_a_run_that_is_ending_ends_as_it_would(phase):
    expected = finish(at(phase)).phase

    driver = finish(reduce(at(phase)))

    assert (driver.phase.outcome, driver.phase.reason) == (expected.outcome, expected.reason)


@pytest.mark.parametrize("phase", [phase for phase in BEFORE_BUYING if phase not in {Gate, Fitting, Rechecking}])
def test_a_resume_before_the_gate_lets_the_buys_go(phase):
    driver = finish(resume(reduce(at(phase))))

    assert driver.phase.reason is None
    assert driver.placed(Side.BUY) == [["B01"]]


def test_a_plan_of_buys_alone_ends_with_nothing_sent():
    driver = finish(reduce(Driver.of(a_plan(sells=0, buys=2)).begin()))

    assert (driver.phase.outcome, driver.all_sent(PlaceOrders)) == (Outcome.COMPLETED, [])
    assert set(denials(driver)) == {"B01", "B02"}


def test_the_gate_looks_no_more_for_money_that_nothing_is_bought_with():
    driver = at(Gate).timer(Deadline.CASH_POLL).look(cash=CASH).timer(Deadline.CASH_WAIT)
    assert held_for(driver.phase) == ["cash_not_seen"]

    reduce(driver)

    assert isinstance(driver.phase, Verifying)
    assert "run.resumed" in driver.events()


@pytest.mark.parametrize("phase", [Gate, Fitting, Rechecking, Buying])
def test_what_holds_for_a_person_goes_on_holding_while_reducing(phase):
    driver = at(phase)
    driver.tell(HoldRun(run_id=driver.run.run_id, reason="dead_letter", detail="-"))

    reduce(driver)

    assert held_for(driver.phase) == ["dead_letter"]
    driver.tell(ReleaseRun(run_id=driver.run.run_id, by="mara"))
    assert driver.placed(Side.BUY) == ([["B01"]] if phase is Buying else [])


def test_a_hold_within_a_hold_lets_no_buy_through():
    driver = at(Gate)
    driver.phase = Held(
        reason=HoldReason.SILENCE,
        detail="-",
        resume_to=Held(reason=HoldReason.CASH_NOT_SEEN, detail="-", resume_to=driver.phase),
    )

    reduce(driver)

    assert isinstance(finish(driver).phase, Ended)
    assert driver.placed(Side.BUY) == []


@pytest.mark.parametrize("phase", BEFORE_BUYING)
def test_nothing_but_a_resume_lets_a_buy_leave_while_reducing(phase):
    base = reduce(at(phase))
    for first in every_event(base):
        if isinstance(first, ResumeRun):
            continue
        driver = Driver(base.phase, base.settings, base.now)
        driver.tell(first)
        for second in every_event(driver):
            after = Driver(driver.phase, driver.settings, driver.now)

            after.tell(second)

            assert after.placed(Side.BUY) == [], (first, second)


def test_a_machine_that_forgets_to_drop_them_is_stopped_by_its_own_assertion(monkeypatch):
    monkeypatch.setattr(_Machine, "reduced", lambda _self, phase: Step(phase))
    monkeypatch.setattr(
        _Machine, "rechecked", lambda self, phase, verdict: self.send_buys(phase.run.decided(verdict.legs))
    )
    driver = reduce(at(Rechecking))

    with pytest.raises(AssertionError, match="REDUCING"):
        driver.review()


# -- the last door -----------------------------------------------------------------------------------------------------


def test_a_buy_that_the_door_hands_back_is_dropped_before_any_word_arrives():
    driver = Driver.of(a_plan(sells=1, buys=2)).to_buying()

    driver.not_sent("B01", NotSentReason.REDUCING)
    assert isinstance(driver.phase, Buying)
    driver.fill("B02")

    assert isinstance(driver.phase, Verifying)
    assert denials(driver) == {"B01": ["TRADING_REDUCING"], "B02": []}
    assert isinstance(reduce(finish(driver)).phase, Ended)


def test_the_last_buy_that_the_door_hands_back_ends_the_buying():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_buying().not_sent("B01", NotSentReason.REDUCING)

    assert isinstance(driver.phase, Verifying)
    assert driver.placed(Side.BUY) == [["B01"]]


def test_a_buy_that_could_not_be_found_is_not_sent_again_while_reducing():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_buying().order("B01", OrderStatus.ABSENT)
    assert driver.run.buys[0].sendable

    reduce(driver)

    assert driver.run.buys[0].given_up
    assert isinstance(driver.phase, Verifying)


def test_a_sell_is_never_dropped_by_that_reason():
    driver = at(Selling).not_sent("S01", NotSentReason.REDUCING)

    driver.timer(Deadline.PLACE_AGAIN)

    assert driver.placed(Side.SELL) == [["S01"], ["S01"]]


# -- what the limits on losses ask for ---------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Reviewing, Rechecking])
def test_a_loss_beyond_its_limit_reduces_the_account_and_drops_the_buys(phase):
    driver = finish(at(phase).review(losses=lost(REDUCING)))

    (word,) = driver.all_sent(ReduceTrading)
    assert word.violations == (LOSS,)
    assert "0.06 against 0.05" in word.reason
    assert word.by == "hard_constraints.yaml: loss_limits.max_daily_loss_fraction"
    assert driver.placed(Side.SELL) == [["S01"]]
    assert driver.placed(Side.BUY) == []
    assert denials(driver) == {"B01": ["TRADING_REDUCING"]}


@pytest.mark.parametrize("phase", [Reviewing, Rechecking])
def test_a_loss_that_halts_holds_the_run_until_it_is_resumed_and_judged_anew(phase):
    driver = at(phase).review(losses=lost(HALTED))

    assert held_for(driver.phase) == ["halted"]
    assert driver.placed(Side.BUY) == []
    assert driver.placed(Side.SELL) == ([] if phase is Reviewing else [["S01"]])
    driver.tell(HaltRun(run_id=driver.run.run_id, reason="so", cancel_orders=False))  # what comes back of its own word
    resume(driver)
    while not isinstance(driver.phase, phase):
        driver.look() if isinstance(driver.phase, Received | Gate) else driver.fit()
    driver.review(losses=lost(HALTED))

    assert held_for(driver.phase) == ["halted"]
    assert len(driver.all_sent(HaltTrading)) == 2


def test_a_state_that_is_known_is_not_asked_for_again_and_a_stricter_one_is():
    driver = reduce(at(Reviewing)).review(losses=lost(REDUCING))
    assert driver.all_sent(ReduceTrading) == []

    driver = reduce(at(Reviewing)).review(losses=lost(HALTED))
    assert len(driver.all_sent(HaltTrading)) == 1
    assert held_for(driver.phase) == ["halted"]


@pytest.mark.parametrize("state", [REDUCING, HALTED])
def test_a_rejected_plan_ends_and_the_account_is_told_all_the_same(state):
    driver = at(Reviewing).review(rejected=True, legs=(), losses=lost(state))

    assert driver.phase.outcome is Outcome.REJECTED
    assert len(driver.all_sent(HaltTrading if state is HALTED else ReduceTrading)) == 1


def test_buys_that_stand_ready_are_dropped_at_the_gate_while_reducing():
    driver = reduce(made_ready())

    driver.fill("S01", "S02").look()

    assert isinstance(driver.phase, Verifying)
    assert driver.placed(Side.BUY) == []


def lost_at_the_gate(driver: Driver) -> Driver:
    driver.fill(*(leg.leg for leg in driver.run.sells))
    account = a_snapshot(driver.run).account
    lower = account.model_copy(update={"equity_usd": account.last_equity_usd * 94 / 100})
    return driver.look(**market(driver.run), account=lower)


def test_a_loss_on_the_gates_look_sends_buys_that_stand_ready_to_be_reviewed():
    assert isinstance(gate(made_ready()).phase, Buying)

    driver = lost_at_the_gate(made_ready())

    assert isinstance(driver.phase, Fitting)
    assert driver.placed(Side.BUY) == []


def test_a_gate_that_forgets_the_losses_is_found_out(monkeypatch):
    monkeypatch.setattr(execution, "broken_losses", lambda *_: ())

    assert isinstance(lost_at_the_gate(made_ready()).phase, Buying)


# -- what people are shown ---------------------------------------------------------------------------------------------


def test_the_run_shows_every_change_that_reached_it():
    driver = reduce(at(Selling))
    driver.tell(HaltRun(run_id=driver.run.run_id, reason="worse", cancel_orders=False))
    reduce(driver)
    resume(driver)

    shown = view_phase(driver.phase)["trading"]

    assert [(one["state"], one["reason"], one["by"]) for one in shown] == [
        ("REDUCING", "a bad day", "mara"),
        ("HALTED", "worse", None),
        ("ACTIVE", None, None),
    ]


@pytest.mark.parametrize("phase", WAYS)
def test_a_resume_without_a_restriction_leaves_no_trace(phase):
    driver = resume(at(phase))

    assert driver.run.trading == ()
