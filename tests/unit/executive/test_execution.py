"""The two-phase machine, transition by transition, as the table in `execution.py` has them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

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
from departments.office.settings import ComplianceSettings, CoolDown, DailyRules, DayTrades, HardConstraints, LossLimits
from messages.control import (
    AbortRun,
    BeginRun,
    DayTally,
    Deadline,
    DeadlinePassed,
    HaltRun,
    HaltTrading,
    HoldRun,
    ReduceRun,
    ReleaseRun,
    ResumeRun,
)
from messages.orders import (
    CancelOrders,
    Evidence,
    FillBusted,
    GateOpened,
    NotSentReason,
    OrderNotSent,
    OrderStatus,
    PlaceOrders,
    RequestSnapshot,
    RunEnded,
    ShortfallDecision,
    SnapshotPurpose,
    SnapshotReady,
    SnapshotUnavailable,
    StrangerSeen,
)
from messages.proposals import BuysFitted, FitBuys
from messages.reviews import PlanReviewed, ReviewPlan, Stage, Violation
from messages.snapshots import SnapshotPart
from messages.values import Recipient, SellShortfall, Side
from tests.builders.plans import NOW, a_plan, some_settings
from tests.unit.executive.machine import CASH, Driver, a_snapshot, an_update, decisions, facts_of, held_for

RESIZE, ABORT, HOLD = SellShortfall.RESIZE, SellShortfall.ABORT, SellShortfall.HOLD
SHORT = [OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED, OrderStatus.REFUSED]


def policy(which: SellShortfall, **plan) -> Driver:
    return Driver.of(a_plan(sell_shortfall=which, **plan))


def outcome(driver: Driver) -> tuple[Outcome, str | None]:
    assert isinstance(driver.phase, Ended)
    return driver.phase.outcome, driver.phase.reason


# -- the straight way ------------------------------------------------------------------------------------------------


def test_a_run_goes_through_its_phases_and_ends_completed():
    driver = Driver.of(a_plan(sells=2, buys=2))
    seen = []
    for go in (
        driver.begin,
        driver.look,
        driver.review,
        lambda: driver.fill("S01"),
        lambda: driver.fill("S02"),
        driver.look,
        driver.fit,
        driver.review,
        lambda: driver.fill("B01", "B02"),
        driver.look,
    ):
        go()
        seen.append(type(driver.phase))

    assert seen == [
        Received,
        Reviewing,
        Selling,
        Selling,
        Selling,
        Fitting,
        Rechecking,
        Buying,
        Verifying,
        Ended,
    ]
    assert outcome(driver) == (Outcome.COMPLETED, None)
    assert driver.placed(Side.SELL) == [["S01", "S02"]]
    assert driver.placed(Side.BUY) == [["B01", "B02"]]
    assert driver.last_sent(RunEnded).outcome == "completed"


def test_an_empty_plan_is_completed_with_nothing_to_do():
    driver = Driver.of(a_plan(sells=0, buys=0)).begin()

    assert outcome(driver) == (Outcome.COMPLETED, "nothing to do")
    assert driver.all_sent(RequestSnapshot) == []


def test_a_plan_without_sells_goes_to_the_gate_on_the_very_snapshot():
    driver = Driver.of(a_plan(sells=0, buys=1)).begin().look().review()

    assert isinstance(driver.phase, Fitting)
    assert len(driver.all_sent(RequestSnapshot)) == 1


def test_a_plan_without_buys_is_verified_after_its_sells():
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling().fill("S01").look()

    assert isinstance(driver.phase, Verifying)
    assert driver.all_sent(GateOpened) == []
    assert driver.last_sent(RequestSnapshot).purpose is SnapshotPurpose.VERIFY


# -- Received, Reviewing, AwaitingOpen -------------------------------------------------------------------------------


def test_the_review_asks_about_every_leg():
    driver = Driver.of(a_plan(sells=1, buys=2)).begin().look()

    ask = driver.last_sent(ReviewPlan)
    assert ask.stage is Stage.SUBMISSION
    assert [trade.leg for trade in ask.trades] == ["S01", "B01", "B02"]


def test_a_rejected_plan_ends_with_the_first_reason_and_sends_nothing():
    driver = Driver.of().begin().look()
    no = Violation(code="SHARES_NOT_HELD", leg="S01", rule="shares held", figure="10")

    driver.review(rejected=True, legs=(), violations=(no,))

    assert outcome(driver) == (Outcome.REJECTED, "S01: shares held: 10")
    assert driver.all_sent(PlaceOrders) == []


@pytest.mark.parametrize("legs", [0, 1])
def test_a_verdict_that_does_not_speak_of_every_leg_is_not_followed(legs):
    driver = Driver.of().begin().look()

    driver.review(legs=decisions(driver.run.plan.trades[:legs]))

    assert held_for(driver.phase) == ["invariant_broken"]


def test_a_verdict_that_cuts_a_sell_is_not_followed():
    driver = Driver.of().begin().look().review(drop=("S01",))

    assert held_for(driver.phase) == ["invariant_broken"]


def test_a_verdict_on_another_snapshot_is_none():
    driver = Driver.of().begin().look().review(snapshot_id="another")

    assert isinstance(driver.phase, Reviewing)


@pytest.mark.parametrize("market", [{"is_open": False}, {"closes_in_s": 299}])
def test_selling_waits_for_an_open_market(market):
    driver = Driver.of().begin().look(**market).review()

    assert isinstance(driver.phase, AwaitingOpen)
    assert driver.all_sent(PlaceOrders) == []

    driver.look()

    assert isinstance(driver.phase, Received)
    assert isinstance(driver.look().review().phase, Selling)


def test_a_closed_market_is_asked_for_once_without_a_timer():
    driver = Driver.of().begin().look(is_open=False).review()

    (ask,) = driver.last.outgoing
    assert isinstance(ask.message, RequestSnapshot)
    assert (ask.message.purpose, ask.message.parts) == (SnapshotPurpose.OPEN, (SnapshotPart.CLOCK,))
    assert ask.due_at is None


def test_an_answer_that_shows_the_market_closed_again_is_asked_anew():
    driver = Driver.of().begin().look(is_open=False).review()

    driver.look(is_open=False)

    assert isinstance(driver.phase, AwaitingOpen)
    assert driver.last_sent(RequestSnapshot).ask == driver.phase.ask


@pytest.mark.parametrize(
    ("go", "reason"),
    [
        (lambda driver: driver.begin(), "silence"),
        (lambda driver: driver.begin().look(), "silence"),
        (lambda driver: driver.to_fitting(), "silence"),
        (lambda driver: driver.to_rechecking(), "silence"),
        (lambda driver: driver.to_verifying(), "silence"),
    ],
)
def test_a_department_that_stays_silent_holds_the_run_until_it_answers(go, reason):
    driver = Driver.of(a_plan(sells=1, buys=1))
    go(driver)
    waiting = type(driver.phase)

    driver.timer(Deadline.SILENCE)

    assert held_for(driver.phase) == [reason]
    {
        Received: driver.look,
        Reviewing: driver.review,
        Fitting: driver.fit,
        Rechecking: driver.review,
        Verifying: driver.look,
    }[waiting]()
    assert not isinstance(driver.phase, Held)


def test_a_broker_that_cannot_be_read_is_named():
    driver = Driver.of().begin()
    ask = driver.last_sent(RequestSnapshot)

    driver.tell(SnapshotUnavailable(run_id=driver.run.run_id, ask=ask.ask, purpose=ask.purpose, reason="http 500"))
    driver.timer(Deadline.SILENCE)

    assert held_for(driver.phase) == ["broker_unavailable"]
    assert isinstance(driver.look().phase, Reviewing)


# -- Selling ---------------------------------------------------------------------------------------------------------


def test_the_gate_waits_for_the_last_sell():
    driver = Driver.of(a_plan(sells=2, buys=1)).to_selling().fill("S01")

    assert isinstance(driver.phase, Selling)
    assert not driver.phase.proving
    (proof,) = [ask for ask in driver.all_sent(RequestSnapshot) if ask.purpose is SnapshotPurpose.GATE]
    assert proof.once_terminal == ("S01", "S02")


@pytest.mark.parametrize("status", [OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.UNKNOWN])
def test_no_sell_counts_as_done_that_is_not(status):
    driver = Driver.of(a_plan(sells=1, buys=1)).to_selling().order("S01", status, 3)

    assert isinstance(driver.phase, Selling)
    assert not driver.phase.proving
    assert driver.last_sent(RequestSnapshot).once_terminal == ("S01",)


def test_fills_that_only_the_stream_told_are_proved_first():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_selling()

    driver.order("S01", OrderStatus.FILLED, evidence=Evidence.STREAM)
    assert driver.last_sent(RequestSnapshot).purpose is SnapshotPurpose.GATE
    driver.look()

    assert isinstance(driver.phase, Selling)
    assert driver.all_sent(GateOpened) == []

    driver.order("S01", OrderStatus.FILLED, evidence=Evidence.REST)
    driver.timer(Deadline.CASH_POLL)
    driver.look()

    assert isinstance(driver.phase, Fitting)


@pytest.mark.parametrize(
    "shown",
    [
        lambda facts: None,
        lambda facts: (),
        lambda facts: (facts.model_copy(update={"status": "new", "raw_status": "new"}),),
        lambda facts: (facts.model_copy(update={"filled_qty": facts.filled_qty - 1}),),
        lambda facts: (facts.model_copy(update={"qty": facts.qty + 1}),),
        lambda facts: (facts.model_copy(update={"symbol": "OTHER"}),),
        lambda facts: (facts.model_copy(update={"side": Side.BUY}),),
    ],
    ids=["not read", "not listed", "live", "fewer filled", "another quantity", "another symbol", "another side"],
)
def test_a_snapshot_that_does_not_prove_the_sell_opens_nothing(shown):
    driver = Driver.of(a_plan(sells=1, buys=1)).to_selling().fill("S01")
    (facts,) = a_snapshot(driver.run).run_orders

    driver.look(run_orders=shown(facts))

    assert isinstance(driver.phase, Selling)
    assert driver.all_sent(GateOpened) == []
    assert driver.run.waiting.startswith("proof by REST")


def test_a_proof_that_does_not_come_holds_the_run():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_selling().fill("S01")

    driver.timer(Deadline.SILENCE)

    assert held_for(driver.phase) == ["broker_unavailable"]
    assert isinstance(driver.look().phase, Fitting)


@pytest.mark.parametrize("status", SHORT)
def test_policy_hold_buys_nothing_when_a_sell_falls_short(status):
    driver = policy(HOLD, sells=2, buys=1).to_selling().order("S01", status)

    assert held_for(driver.phase) == ["sell_shortfall"]
    driver.fill("S02")
    driver.look()

    assert held_for(driver.phase) == ["sell_shortfall"]
    assert driver.all_sent(GateOpened) == []


def test_policy_hold_goes_on_by_itself_once_late_fills_come():
    driver = policy(HOLD, sells=1, buys=1).to_selling().order("S01", OrderStatus.OPEN)

    driver.timer(Deadline.SELL_TIMEOUT, leg="S01")
    assert held_for(driver.phase) == ["sell_timeout"]
    driver.fill("S01")
    driver.look()

    assert isinstance(driver.phase, Fitting)
    assert driver.last_sent(GateOpened).shortfall_decision is None


@pytest.mark.parametrize("status", SHORT)
def test_policy_resize_buys_for_what_was_sold(status):
    driver = policy(RESIZE, sells=2, buys=1).to_selling().order("S01", status).fill("S02")

    driver.look()

    assert isinstance(driver.phase, Fitting)
    assert driver.last_sent(GateOpened).shortfall_decision is ShortfallDecision.POLICY
    assert driver.last_sent(FitBuys).money.proceeds_usd == 1000


def test_policy_resize_cancels_what_is_open_and_waits_for_the_confirmation():
    driver = policy(RESIZE, sells=2, buys=1).to_selling().order("S01", OrderStatus.REJECTED)
    driver.order("S02", OrderStatus.OPEN)

    assert driver.last_sent(CancelOrders).legs == ("S02",)
    assert isinstance(driver.phase, Selling)
    driver.order("S02", OrderStatus.CANCELED, 4)
    driver.look()

    assert isinstance(driver.phase, Fitting)
    assert driver.last_sent(FitBuys).money.proceeds_usd == 400


def test_a_cancel_that_is_not_confirmed_holds_the_run_until_it_is():
    driver = policy(RESIZE, sells=1, buys=1).to_selling().order("S01", OrderStatus.OPEN)
    driver.timer(Deadline.SELL_TIMEOUT, leg="S01")

    driver.timer(Deadline.CANCEL_STUCK)
    assert held_for(driver.phase) == ["cancel_stuck"]
    driver.order("S01", OrderStatus.CANCELED)
    driver.look()

    assert not isinstance(driver.phase, Held)


@pytest.mark.parametrize("status", SHORT)
def test_policy_abort_cancels_verifies_and_ends(status):
    driver = policy(ABORT, sells=2, buys=1).to_selling().order("S02", OrderStatus.OPEN)

    driver.order("S01", status)
    assert isinstance(driver.phase, Stopping)
    assert driver.last_sent(CancelOrders).legs == ("S02",)
    driver.order("S02", OrderStatus.CANCELED)
    driver.look()

    assert outcome(driver)[0] is Outcome.ABORTED
    assert driver.all_sent(GateOpened) == []


def test_a_released_shortfall_goes_on_as_resize_by_the_operators_word():
    driver = policy(HOLD, sells=2, buys=1).to_selling().order("S01", OrderStatus.CANCELED).fill("S02").look()

    driver.tell(ReleaseRun(run_id=driver.run.run_id, by="mara"))
    driver.look()

    assert isinstance(driver.phase, Fitting)
    assert driver.last_sent(GateOpened).shortfall_decision is ShortfallDecision.OPERATOR


def test_an_order_that_somebody_replaced_waits_for_a_person():
    driver = policy(RESIZE, sells=2, buys=1).to_selling().order("S01", OrderStatus.REPLACED)

    assert held_for(driver.phase) == ["order_replaced"]
    driver.fill("S02")
    assert held_for(driver.phase) == ["order_replaced"]


def test_the_sell_timeout_runs_from_the_moment_the_broker_took_it():
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling()
    before = [mail for mail in driver.sent if getattr(mail.message, "deadline", None) is Deadline.SELL_TIMEOUT]

    driver.order("S01", OrderStatus.OPEN)
    driver.order("S01", OrderStatus.PARTIALLY_FILLED, 1)

    timers = [mail for mail in driver.sent if getattr(mail.message, "deadline", None) is Deadline.SELL_TIMEOUT]
    assert before == []
    assert len(timers) == 1
    assert timers[0].due_at == driver.now + timedelta(seconds=60)


def test_a_sell_that_nobody_answers_for_is_a_shortfall():
    driver = policy(HOLD, sells=1, buys=0).to_selling()

    driver.timer(Deadline.SILENCE)

    assert held_for(driver.phase) == ["sell_timeout"]


def test_a_sell_that_can_never_be_handed_in_is_a_shortfall_too():
    driver = policy(HOLD, sells=1, buys=0).to_selling().not_sent("S01", NotSentReason.INTENT_STALE)

    driver.timer(Deadline.SILENCE)

    assert held_for(driver.phase) == ["sell_timeout"]


# -- orders that can't be found --------------------------------------------------------------------------------------


def test_an_absent_order_is_sent_again_under_the_same_id():
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling()
    driver.order("S01", OrderStatus.UNKNOWN).order("S01", OrderStatus.ABSENT)

    first, second = driver.all_sent(PlaceOrders)
    assert first.intents == second.intents


def test_a_resend_is_waited_for_before_it_counts_as_lost():
    driver = policy(ABORT, sells=2, buys=0).to_selling()
    for resend in range(1, 4):
        driver.order("S01", OrderStatus.ABSENT)
        driver.order("S02", OrderStatus.OPEN)  # other news meanwhile

        assert isinstance(driver.phase, Selling)
        assert len(driver.placed(Side.SELL)) == 1 + resend

    driver.order("S01", OrderStatus.ABSENT)

    assert isinstance(driver.phase, Stopping)


def test_the_last_resend_of_a_buy_is_waited_for():
    driver = Driver.of(a_plan(sells=0, buys=1), some_settings(executive={"max_resends": 1})).to_buying()
    driver.order("B01", OrderStatus.ABSENT).timer(Deadline.PLACE_AGAIN)
    assert isinstance(driver.phase, Gate)
    driver.look().fit().review()

    assert isinstance(driver.phase, Buying)
    assert driver.placed(Side.BUY) == [["B01"], ["B01"]]

    driver.fill("B01")
    assert isinstance(driver.phase, Verifying)


def test_an_absent_buy_that_no_longer_fits_is_given_up_not_cut():
    driver = Driver.of(a_plan(sells=0, buys=1)).to_buying()
    driver.order("B01", OrderStatus.ABSENT).timer(Deadline.PLACE_AGAIN)

    driver.look().fit(drop=("B01",))

    assert isinstance(driver.phase, Verifying)
    assert driver.run.leg("B01").qty == 10
    assert driver.placed(Side.BUY) == [["B01"]]


def test_a_resend_that_the_door_refused_is_not_counted_as_placed():
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling().order("S01", OrderStatus.ABSENT)
    placed = len(driver.placed(Side.SELL))

    driver.not_sent("S01", NotSentReason.HALTED).order("S01", OrderStatus.ABSENT)

    assert len(driver.placed(Side.SELL)) == placed
    driver.timer(Deadline.PLACE_AGAIN)
    assert len(driver.placed(Side.SELL)) == placed + 1


def test_an_order_that_appears_after_all_is_cancelled_before_the_end():
    driver = policy(ABORT, sells=1, buys=0)
    driver.settings = some_settings(executive={"max_resends": 0})
    driver.to_selling().order("S01", OrderStatus.ABSENT)
    assert isinstance(driver.phase, Verifying)

    driver.order("S01", OrderStatus.OPEN)
    assert isinstance(driver.phase, Stopping)
    assert driver.last_sent(CancelOrders).legs == ("S01",)
    driver.order("S01", OrderStatus.CANCELED)
    driver.look()

    assert outcome(driver)[0] is Outcome.ABORTED


# -- Gate ------------------------------------------------------------------------------------------------------------


def test_the_gate_waits_until_the_cash_is_seen():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_gate()

    assert isinstance(driver.phase, Gate)
    driver.timer(Deadline.CASH_POLL)
    driver.look(cash=CASH + 1000 - Decimal("5.01"))
    assert isinstance(driver.phase, Gate)
    driver.timer(Deadline.CASH_POLL)
    driver.look(cash=CASH + 1000 - 5)

    assert isinstance(driver.phase, Fitting)


def test_cash_that_does_not_show_holds_the_run_until_it_does():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_gate()

    driver.timer(Deadline.CASH_WAIT)
    assert held_for(driver.phase) == ["cash_not_seen"]
    driver.timer(Deadline.CASH_POLL)
    driver.look()

    assert isinstance(driver.phase, Fitting)


def test_an_operator_may_take_the_cash_on_trust_but_not_make_it_more():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_gate().timer(Deadline.CASH_WAIT)

    driver.tell(ReleaseRun(run_id=driver.run.run_id, by="mara"))
    driver.look(cash=CASH)

    assert isinstance(driver.phase, Fitting)
    assert driver.last_sent(FitBuys).money.cash_now_usd == CASH
    assert driver.last_sent(GateOpened).shortfall_decision is None


def test_a_market_that_closes_before_the_gate_is_waited_for_without_end():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_selling().fill("S01").look(is_open=False)

    driver.timer(Deadline.CASH_WAIT)
    assert isinstance(driver.phase, Gate)
    driver.timer(Deadline.CASH_POLL)

    assert isinstance(driver.look().phase, Fitting)


def test_a_blocked_account_buys_nothing():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_selling().fill("S01").look(blocked=True)

    assert held_for(driver.phase) == ["account_blocked"]


def test_the_evidence_is_on_record_before_the_buys_are_thought_of():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_fitting()

    opened, asked = driver.last.outgoing[0].message, driver.last.outgoing[1].message
    assert isinstance(opened, GateOpened)
    assert isinstance(asked, FitBuys)
    assert opened.snapshot == asked.snapshot
    assert [(sell.leg, sell.filled_qty) for sell in opened.sells] == [("S01", 10)]


# -- Fitting, Rechecking, Buying -------------------------------------------------------------------------------------


def test_buys_are_sent_in_the_order_of_the_fit():
    driver = Driver.of(a_plan(sells=0, buys=3)).to_fitting()
    asked = driver.last_sent(FitBuys)

    driver.fit(legs=tuple(reversed(decisions(asked.trades)))).review()

    assert driver.placed(Side.BUY) == [["B03", "B02", "B01"]]


def test_nothing_that_fits_ends_the_buying_before_it_begins():
    driver = Driver.of(a_plan(sells=1, buys=1)).to_fitting().fit(drop=("B01",))

    assert isinstance(driver.phase, Verifying)
    assert driver.placed(Side.BUY) == []


def test_nothing_that_passes_the_recheck_is_not_bought():
    driver = Driver.of(a_plan(sells=1, buys=2)).to_rechecking().review(drop=("B01", "B02"))

    assert isinstance(driver.phase, Verifying)
    assert driver.placed(Side.BUY) == []


def test_a_rejected_recheck_buys_nothing():
    driver = Driver.of(a_plan(sells=1, buys=2)).to_rechecking().review(rejected=True, legs=())

    assert isinstance(driver.phase, Verifying)
    assert driver.placed(Side.BUY) == []


def test_a_fit_or_a_verdict_can_only_cut():
    driver = Driver.of(a_plan(sells=0, buys=1)).to_fitting()
    (asked,) = driver.last_sent(FitBuys).trades
    (more,) = decisions([asked])

    driver.fit(legs=(more.model_copy(update={"qty": Decimal(11)}),)).review()

    (orders,) = driver.all_sent(PlaceOrders)
    assert orders.intents[0].qty == 10


@pytest.mark.parametrize("answer", ["fit", "review"])
def test_an_answer_about_other_buys_is_not_followed(answer):
    driver = Driver.of(a_plan(sells=0, buys=2))
    (driver.to_fitting if answer == "fit" else driver.to_rechecking)()

    getattr(driver, answer)(legs=decisions(driver.run.plan.trades[:1]))

    assert held_for(driver.phase) == ["invariant_broken"]


def test_open_buys_are_cancelled_after_their_timeout_and_the_run_completes():
    driver = Driver.of(a_plan(sells=0, buys=2)).to_buying().fill("B01").order("B02", OrderStatus.OPEN)

    driver.timer(Deadline.BUY_TIMEOUT)
    assert driver.last_sent(CancelOrders).legs == ("B02",)
    assert isinstance(driver.phase, Buying)
    driver.order("B02", OrderStatus.CANCELED, 3)
    driver.look()

    assert outcome(driver)[0] is Outcome.COMPLETED


def test_a_buy_that_cannot_be_cancelled_holds_the_run_until_it_ends():
    driver = Driver.of(a_plan(sells=0, buys=1)).to_buying().order("B01", OrderStatus.OPEN).timer(Deadline.BUY_TIMEOUT)

    driver.timer(Deadline.CANCEL_STUCK)
    assert held_for(driver.phase) == ["cancel_stuck"]

    assert isinstance(driver.fill("B01").phase, Verifying)


def test_a_buy_that_the_door_handed_back_goes_through_the_gate_again():
    driver = Driver.of(a_plan(sells=1, buys=2)).to_buying().fill("B01")

    driver.not_sent("B02", NotSentReason.INTENT_STALE)
    assert isinstance(driver.phase, Buying)
    assert driver.last.outgoing[-1].due_at - driver.now < timedelta(seconds=1)
    driver.timer(Deadline.PLACE_AGAIN)
    assert isinstance(driver.phase, Gate)
    driver.look()

    assert [trade.leg for trade in driver.last_sent(FitBuys).trades] == ["B02"]
    assert driver.last_sent(FitBuys).money.spent_usd == 1000
    driver.fit().review()
    assert driver.placed(Side.BUY) == [["B01", "B02"], ["B02"]]


def orders_but(driver, *left_out):
    """What Alpaca lists of the run, without some legs."""
    legs = [leg for leg in driver.run.legs if leg.leg not in left_out]
    return tuple(facts for leg in legs if (facts := facts_of(driver.run, leg)) is not None)


def test_a_second_gate_waits_for_word_of_a_buy_that_nobody_has_seen_yet():
    driver = Driver.of(a_plan(sells=1, buys=2)).to_buying().order("B01", OrderStatus.UNKNOWN)

    driver.not_sent("B02", NotSentReason.INTENT_STALE).timer(Deadline.PLACE_AGAIN).look(
        run_orders=orders_but(driver, "B01")
    )
    assert isinstance(driver.phase, Gate)
    assert [fit.ahead for fit in driver.all_sent(FitBuys)] == [True, False]

    driver.order("B01", OrderStatus.OPEN).timer(Deadline.CASH_POLL).look()
    assert [trade.leg for trade in driver.last_sent(FitBuys).trades] == ["B02"]


@pytest.mark.parametrize("reason", [NotSentReason.NOT_APPROVED, NotSentReason.GATE_CLOSED])
def test_a_door_that_contradicts_the_machine_halts_trading(reason):
    driver = Driver.of(a_plan(sells=0, buys=1)).to_buying().not_sent("B01", reason)

    assert held_for(driver.phase) == ["invariant_broken"]
    assert driver.last_sent(HaltTrading).by == "firm"


def test_a_door_that_is_shut_by_a_halt_hands_the_sell_over_again_later():
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling().not_sent("S01", NotSentReason.HALTED)

    assert driver.placed(Side.SELL) == [["S01"]]
    driver.timer(Deadline.PLACE_AGAIN)
    assert driver.placed(Side.SELL) == [["S01"], ["S01"]]


# -- Stopping, Verifying ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [NotSentReason.RUN_ENDED, NotSentReason.APPROVAL_EXPIRED, NotSentReason.HALTED])
def test_a_leg_handed_back_while_the_run_is_ending_is_not_waited_for(reason):
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling()
    driver.tell(AbortRun(run_id=driver.run.run_id, by="mara"))
    assert isinstance(driver.phase, Stopping)

    driver.not_sent("S01", reason)

    assert outcome(driver)[0] is Outcome.ABORTED


def test_a_stuck_cancel_in_an_ending_run_is_shown():
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling().order("S01", OrderStatus.OPEN)
    driver.tell(AbortRun(run_id=driver.run.run_id, by="mara"))

    driver.timer(Deadline.CANCEL_STUCK)

    assert held_for(driver.phase) == ["cancel_stuck"]
    assert isinstance(driver.order("S01", OrderStatus.CANCELED).phase, Verifying)


def test_verification_looks_again_before_it_holds():
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling().fill("S01").look()

    driver.look(cash=CASH)
    assert isinstance(driver.phase, Verifying)
    driver.timer(Deadline.VERIFY_POLL)
    driver.timer(Deadline.VERIFY_WAIT)
    driver.look(cash=CASH)

    assert held_for(driver.phase) == ["verification_mismatch"]
    assert [difference.what for difference in driver.run.differences] == ["cash"]


def test_an_acknowledged_mismatch_ends_the_run():
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling().fill("S01").look()
    driver.timer(Deadline.VERIFY_WAIT).look(cash=CASH)

    driver.tell(ReleaseRun(run_id=driver.run.run_id, by="mara"))

    assert outcome(driver) == (Outcome.COMPLETED, "verification mismatch acknowledged")
    assert driver.run.verified is False


# -- what any phase answers to ---------------------------------------------------------------------------------------

WAYS = {
    Queued: lambda driver: None,
    Received: lambda driver: driver.begin(),
    Reviewing: lambda driver: driver.begin().look(),
    AwaitingOpen: lambda driver: driver.begin().look(is_open=False).review(),
    Selling: lambda driver: driver.to_selling(),
    Gate: lambda driver: driver.to_gate(),
    Fitting: lambda driver: driver.to_fitting(),
    Rechecking: lambda driver: driver.to_rechecking(),
    Buying: lambda driver: driver.to_buying(),
    Verifying: lambda driver: driver.to_verifying(),
    Stopping: lambda driver: driver.to_selling().tell(AbortRun(run_id=driver.run.run_id, by="mara")),
    Ended: lambda driver: driver.to_verifying().look(),
}
PERSONS = [
    HoldReason.STRANGER,
    HoldReason.REPLACED,
    HoldReason.TRADE_BUST,
    HoldReason.ACCOUNT_BLOCKED,
    HoldReason.DEAD_LETTER,
    HoldReason.REPLAY_MISMATCH,
    HoldReason.FOREIGN_ORDER,
    HoldReason.OVERFILLED,
    HoldReason.INVARIANT_BROKEN,
]


def at(phase: type) -> Driver:
    driver = Driver.of(a_plan(sells=1, buys=1))
    WAYS[phase](driver)
    assert type(driver.phase) is phase
    return driver


def every_event(driver: Driver) -> list:
    run, run_id = driver.run, driver.run.run_id
    snapshot = a_snapshot(run)
    events = [
        BeginRun(run_id=run_id, plan_id=run.plan.plan_id),
        HaltRun(run_id=run_id, reason="so", cancel_orders=True),
        ReduceRun(run_id=run_id, reason="so", by="mara"),
        ResumeRun(run_id=run_id),
        AbortRun(run_id=run_id, by="mara"),
        ReleaseRun(run_id=run_id, by="mara"),
        HoldRun(run_id=run_id, reason="dead_letter", detail="-"),
        HoldRun(run_id=run_id, reason="a word nobody knows", detail="-"),
        StrangerSeen(
            run_id=run_id, symbol="SA", order_id="o", client_order_id="theirs", side=Side.SELL, what="sell 1 SA"
        ),
        FillBusted(run_id=run_id, leg="S01", client_order_id="c", event="trade_bust", qty=None, price_usd=None),
        PlanReviewed(run_id=run_id, review=run.counter, snapshot_id=snapshot.snapshot_id, rejected=False, legs=()),
        PlanReviewed(run_id=run_id, review=run.counter, snapshot_id="x", rejected=True, legs=()),
        BuysFitted(run_id=run_id, fit=run.counter, snapshot_id="x", legs=()),
        RunEnded(run_id=run_id, outcome="completed", reason=None),
    ]
    for ask in (run.counter, run.counter - 1, 99):
        for purpose in SnapshotPurpose:
            events.append(SnapshotReady(run_id=run_id, ask=ask, purpose=purpose, snapshot=snapshot))
            events.append(SnapshotUnavailable(run_id=run_id, ask=ask, purpose=purpose, reason="http 500"))
    for deadline in Deadline:
        for token in (run.tick, run.tick - 1):
            events += [
                DeadlinePassed(run_id=run_id, deadline=deadline, token=token, leg=leg, due_at=driver.now)
                for leg in (None, "S01")
            ]
    for leg in ("S01", "B01"):
        events += [an_update(run, leg, status, 2 if "partial" in status else None) for status in OrderStatus]
        events.append(an_update(run, leg, OrderStatus.FILLED, evidence=Evidence.STREAM))
        events += [
            OrderNotSent(run_id=run_id, leg=leg, client_order_id="c", reason=reason, detail="-")
            for reason in NotSentReason
        ]
    foreign = an_update(run, "S01", OrderStatus.FILLED)
    events.append(foreign.model_copy(update={"leg": "S99"}))
    events.append(foreign.model_copy(update={"client_order_id": "another"}))
    return events


@pytest.mark.parametrize("phase", WAYS)
def test_the_machine_is_total_over_two_events_in_a_row(phase):
    """Whatever comes, and whatever comes after it: a next phase, and no order beyond the plan."""
    base = at(phase)
    for first in every_event(base):
        driver = Driver(base.phase, base.settings, base.now)
        driver.tell(first)
        for second in every_event(driver):
            after = Driver(driver.phase, driver.settings, driver.now)

            after.tell(second)

            for orders in after.all_sent(PlaceOrders):
                if orders.side is Side.BUY:
                    assert all(leg.confirmed for leg in after.run.sells), (first, second)


@pytest.mark.parametrize("phase", [phase for phase in WAYS if phase is not Ended])
def test_a_halt_holds_any_phase_and_a_resume_goes_on_there(phase):
    driver = at(phase)

    driver.tell(HaltRun(run_id=driver.run.run_id, reason="so", cancel_orders=False))
    assert held_for(driver.phase) == ["halted"]
    assert driver.last.outgoing == ()
    driver.tell(ResumeRun(run_id=driver.run.run_id))

    later = {Reviewing: Received, Fitting: Gate, Rechecking: Gate}
    assert type(driver.phase) is later.get(phase, phase)
    assert driver.placed(Side.SELL) in ([], [["S01"]])
    assert driver.placed(Side.BUY) in ([], [["B01"]])


@pytest.mark.parametrize("phase", [phase for phase in WAYS if phase is not Ended])
def test_no_timer_moves_a_halted_run(phase):
    driver = at(phase)
    tick = driver.run.tick
    driver.tell(HaltRun(run_id=driver.run.run_id, reason="so", cancel_orders=False))

    for deadline in set(Deadline) - {Deadline.APPROVAL}:
        for token in (tick, driver.run.tick):
            driver.timer(deadline, leg="S01", token=token)

            assert held_for(driver.phase) == ["halted"]
            assert driver.last.outgoing == ()


def test_a_halt_cancels_what_is_open_where_the_operator_asks_for_it():
    driver = at(Selling).order("S01", OrderStatus.OPEN)

    driver.tell(HaltRun(run_id=driver.run.run_id, reason="so", cancel_orders=False))
    assert driver.all_sent(CancelOrders) == []
    driver.tell(HaltRun(run_id=driver.run.run_id, reason="now", cancel_orders=True))

    assert driver.last_sent(CancelOrders).legs == ("S01",)
    assert held_for(driver.phase) == ["halted"]


def test_fills_are_taken_in_while_halted():
    driver = at(Selling)
    driver.tell(HaltRun(run_id=driver.run.run_id, reason="so", cancel_orders=False))

    driver.fill("S01")
    driver.tell(ResumeRun(run_id=driver.run.run_id))

    assert driver.last_sent(RequestSnapshot).purpose is SnapshotPurpose.GATE
    assert driver.placed(Side.SELL) == [["S01"]]


def test_a_leg_handed_back_while_halted_is_placed_after_the_resume():
    driver = at(Selling)
    driver.tell(HaltRun(run_id=driver.run.run_id, reason="so", cancel_orders=False))

    driver.not_sent("S01", NotSentReason.HALTED)
    assert driver.last.outgoing == ()
    driver.tell(ResumeRun(run_id=driver.run.run_id))

    assert driver.placed(Side.SELL) == [["S01"], ["S01"]]


def test_a_release_does_not_lift_a_halt():
    driver = at(Selling)
    driver.tell(HaltRun(run_id=driver.run.run_id, reason="so", cancel_orders=False))

    driver.tell(ReleaseRun(run_id=driver.run.run_id, by="mara"))

    assert held_for(driver.phase) == ["halted"]


@pytest.mark.parametrize("reason", PERSONS)
def test_a_resume_lifts_the_halt_and_nothing_else(reason):
    driver = at(Selling)
    driver.tell(HoldRun(run_id=driver.run.run_id, reason=reason.value, detail="-"))
    driver.tell(HaltRun(run_id=driver.run.run_id, reason="so", cancel_orders=False))
    assert held_for(driver.phase) == ["halted", reason.value]

    driver.tell(ResumeRun(run_id=driver.run.run_id))
    assert held_for(driver.phase) == [reason.value]
    driver.tell(ReleaseRun(run_id=driver.run.run_id, by="mara"))

    assert isinstance(driver.phase, Selling)


@pytest.mark.parametrize("reason", PERSONS)
def test_what_is_found_while_halted_outlasts_the_halt(reason):
    driver = at(Selling)
    driver.tell(HaltRun(run_id=driver.run.run_id, reason="so", cancel_orders=False))
    driver.tell(HoldRun(run_id=driver.run.run_id, reason=reason.value, detail="-"))

    driver.tell(ReleaseRun(run_id=driver.run.run_id, by="mara"))
    assert held_for(driver.phase) == ["halted"]
    driver.tell(HoldRun(run_id=driver.run.run_id, reason=reason.value, detail="-"))
    driver.tell(ResumeRun(run_id=driver.run.run_id))

    assert held_for(driver.phase) == [reason.value]


def test_each_of_two_reasons_needs_a_release_of_its_own():
    driver = at(Selling)
    for reason in (HoldReason.STRANGER, HoldReason.TRADE_BUST):
        driver.tell(HoldRun(run_id=driver.run.run_id, reason=reason.value, detail="-"))

    driver.tell(ReleaseRun(run_id=driver.run.run_id, by="mara"))
    assert held_for(driver.phase) == ["stranger_order"]
    driver.tell(ReleaseRun(run_id=driver.run.run_id, by="mara"))

    assert isinstance(driver.phase, Selling)


def test_a_reason_nobody_knows_holds_the_run_in_its_own_words():
    driver = at(Selling)

    driver.tell(HoldRun(run_id=driver.run.run_id, reason="moon phase", detail="full"))

    assert held_for(driver.phase) == ["invariant_broken"]
    assert driver.phase.detail == "moon phase: full"


def test_no_fact_lifts_a_hold_that_waits_for_a_person():
    driver = at(Selling)
    driver.tell(HoldRun(run_id=driver.run.run_id, reason="stranger_order", detail="-"))

    driver.fill("S01").timer(Deadline.CASH_POLL)

    assert held_for(driver.phase) == ["stranger_order"]
    assert driver.run.leg("S01").filled


@pytest.mark.parametrize("word", ["abort", "expiry"])
@pytest.mark.parametrize("phase", WAYS)
def test_an_abort_and_an_expiry_end_a_run_wherever_it_is(phase, word):
    driver = at(phase)
    before = driver.phase
    if word == "abort":
        driver.tell(AbortRun(run_id=driver.run.run_id, by="mara"))
    else:
        driver.timer(Deadline.APPROVAL, token=0)
    expected = Outcome.ABORTED if word == "abort" else Outcome.EXPIRED
    if phase is Ended or (word == "expiry" and phase in {Verifying, Stopping}):
        assert driver.phase == before
        return
    if phase in {Queued, Received, Reviewing, AwaitingOpen}:
        assert outcome(driver)[0] is expected
        return

    if isinstance(driver.phase, Stopping):
        live = [leg.leg for leg in driver.run.live]
        assert driver.last_sent(CancelOrders).legs == tuple(live)
        for leg in live:
            driver.order(leg, OrderStatus.CANCELED)
    driver.look()

    assert outcome(driver)[0] is expected


def test_an_abort_lifts_every_hold():
    driver = at(Buying)
    for reason in ("stranger_order", "trade_bust"):
        driver.tell(HoldRun(run_id=driver.run.run_id, reason=reason, detail="-"))
    driver.tell(HaltRun(run_id=driver.run.run_id, reason="so", cancel_orders=False))

    driver.tell(AbortRun(run_id=driver.run.run_id, by="mara"))

    assert isinstance(driver.phase, Stopping)
    assert driver.last_sent(CancelOrders).legs == ("B01",)


def test_an_abort_of_a_run_that_expires_changes_nothing_any_more():
    driver = at(Selling).timer(Deadline.APPROVAL, token=0)

    driver.tell(AbortRun(run_id=driver.run.run_id, by="mara"))

    assert driver.phase.outcome is Outcome.EXPIRED


def test_timers_of_a_phase_that_was_left_mean_nothing():
    driver = at(Selling)
    old = driver.run.tick
    driver.fill("S01").look()
    before = driver.phase

    for deadline in set(Deadline) - {Deadline.APPROVAL}:
        driver.timer(deadline, leg="S01", token=old)

        assert driver.phase == before
        assert driver.last.outgoing == ()


def test_every_timer_is_mail_to_the_machine_itself_with_the_current_tick():
    driver = at(Verifying)

    timers = [mail for mail in driver.sent if isinstance(mail.message, DeadlinePassed)]
    assert timers
    assert all(mail.recipient is Recipient.EXECUTIVE for mail in timers)
    assert all(mail.due_at == mail.message.due_at for mail in timers)


def test_the_table_in_the_docstring_names_every_phase():
    from departments.executive import execution

    for phase in set(WAYS) - {Queued, Ended}:
        assert f"    {phase.__name__}  " in execution.__doc__ or f"    {phase.__name__} " in execution.__doc__


def test_phases_are_values():
    driver = at(Fitting)

    assert replace(driver.phase) == driver.phase


# -- what the rules are told beside the look ---------------------------------------------------------------------------

TALLY = DayTally(day=NOW.date(), plans=2, orders=32)


def test_the_rules_are_told_of_the_day_before_the_start_at_the_gate_and_at_the_recheck():
    driver = Driver.of(a_plan(sells=1, buys=1)).begin(TALLY).look().review().fill("S01").look()
    driver.now += timedelta(seconds=9)
    driver.fit()

    asks = [*driver.all_sent(ReviewPlan), *driver.all_sent(FitBuys)]
    approved_at = driver.run.approval.approved_at
    assert [ask.ahead for ask in asks] == [False, False, True, False]
    assert [(ask.today.plans, ask.today.orders) for ask in asks] == [(2, 32)] * 4
    assert {ask.today.approved_at for ask in asks} == {approved_at}
    assert [ask.today.asked_at for ask in asks] == [NOW, NOW + timedelta(seconds=9), NOW, NOW]
    assert all(ask.history is not None for ask in asks)


def test_on_the_next_day_nothing_was_done_yet():
    driver = Driver.of(a_plan(sells=1, buys=1)).begin(TALLY)
    driver.now += timedelta(days=1)

    driver.look()

    assert (driver.last_sent(ReviewPlan).today.plans, driver.last_sent(ReviewPlan).today.orders) == (0, 0)


def test_a_run_begun_before_the_firm_counted_is_told_nothing_of_the_day():
    assert Driver.of().begin().look().last_sent(ReviewPlan).today is None


@pytest.mark.parametrize(("later", "asked"), [(timedelta(hours=1), False), (timedelta(days=1), True)])
def test_a_history_of_another_day_is_read_anew_at_the_gate(later, asked):
    driver = Driver.of(a_plan(sells=1, buys=1)).begin(TALLY).look().review()
    driver.now += later

    driver.fill("S01").look()
    ask = driver.last_sent(RequestSnapshot)
    if asked:
        assert isinstance(driver.phase, Gate)
        driver.look()

    assert ask.purpose is SnapshotPurpose.GATE
    assert bool(ask.history) is asked
    assert driver.last_sent(FitBuys).history.read_at == (driver.now if asked else NOW)


def test_where_no_rule_looks_back_no_history_is_asked_for():
    rules = ComplianceSettings(
        cool_down=CoolDown(days_after_stop=None),
        day_trades=DayTrades(max_round_trips=None),
        daily=DailyRules(refuse_leg_done=False),
    )
    hard = HardConstraints(loss_limits=LossLimits(max_drawdown_fraction=None))
    settings = some_settings(compliance=rules, hard_constraints=hard)
    driver = Driver.of(a_plan(sells=1, buys=1), settings).begin(TALLY).look().review()
    driver.now += timedelta(days=1)
    driver.fill("S01").look()

    assert {ask.history for ask in driver.all_sent(RequestSnapshot)} == {()}
    assert driver.last_sent(FitBuys).history is None
