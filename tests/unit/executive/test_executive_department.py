"""The CEO's mail: the queue, halts, letters about runs that are over, and a fold that leaves closed runs out."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from departments.executive.department import ExecutiveDepartment, ExecutiveState, Trading
from departments.executive.phases import Ended, Held, Outcome, Queued, Received, Verifying
from departments.office.department import Handled
from messages.control import (
    AbortRun,
    BeginRun,
    DayTally,
    DeadLetter,
    Deadline,
    DeadlinePassed,
    HaltRun,
    HaltTrading,
    HoldRun,
    OrdersSent,
    PlanQueued,
    ReduceRun,
    ReduceTrading,
    ResumeTrading,
    RunFinished,
)
from messages.envelope import Envelope, Outgoing
from messages.message import Message
from messages.orders import (
    BrokerHealthChanged,
    OrderStatus,
    PlaceOrders,
    RequestSnapshot,
    RunEnded,
    SnapshotPurpose,
    SnapshotReady,
    StreamHealth,
)
from messages.plans import Mode
from messages.proposals import LevelsPlanned
from messages.reviews import PlanReviewed, ReviewPlan, Violation
from messages.values import Recipient, TradingState
from tests.builders.plans import ACCOUNT, NOW, a_plan, a_submission, an_approval, run_id_of, some_settings
from tests.unit.executive.machine import Driver, a_snapshot, an_update, decisions, positions_after

ONE, TWO = a_plan(plan_id="PLAN_1"), a_plan(plan_id="PLAN_2")
FIRST, SECOND = run_id_of(ONE), run_id_of(TWO)
EMPTY = a_plan(sells=0, buys=0, plan_id="PLAN_EMPTY")


@dataclass
class Ceo:
    """The department with its mail: what it writes to itself is handled at once, timers are kept."""

    department: ExecutiveDepartment = field(default_factory=lambda: ExecutiveDepartment(ACCOUNT))
    state: ExecutiveState = field(default_factory=ExecutiveState)
    sent: list[Outgoing] = field(default_factory=list)
    handled: list[Message] = field(default_factory=list)
    last: Handled[Any] | None = None
    now: datetime = NOW

    def hand(self, message: Message) -> Handled[Any]:
        """One piece of mail."""
        self.handled.append(message)
        envelope = Envelope(
            seq=len(self.handled),
            message_id=str(len(self.handled)),
            sender="operator",
            recipient=Recipient.EXECUTIVE,
            sent_at=NOW,
            message=message,
        )
        self.last = self.department.handle(self.state, envelope, self.now, some_settings())
        self.state = self.last.state
        self.sent.extend(self.last.outgoing)
        return self.last

    def tell(self, *messages: Message) -> "Ceo":
        """Mail, and what the CEO writes to itself because of it, in order."""
        waiting = list(messages)
        while waiting:
            handled = self.hand(waiting.pop(0))
            waiting += [
                mail.message
                for mail in handled.outgoing
                if mail.recipient is Recipient.EXECUTIVE and mail.due_at is None
            ]
        return self

    def of_kind(self, kind: type[Message]) -> list[Any]:
        return [mail.message for mail in self.sent if isinstance(mail.message, kind)]


def test_an_approved_plan_is_queued_registered_and_begun():
    ceo = Ceo()

    accepted = ceo.hand(a_submission(ONE))

    assert accepted.opens_run == (FIRST, "PLAN_1", ONE.plan_sha256)
    assert isinstance(ceo.state.runs[FIRST], Queued)
    ceo.tell(PlanQueued(queued_run_id=FIRST, plan_id=ONE.plan_id))
    assert isinstance(ceo.state.runs[FIRST], Received)


def test_the_approvals_expiry_is_a_timer():
    expires_at = NOW + timedelta(minutes=5)
    ceo = Ceo().tell(a_submission(ONE, an_approval(ONE, expires_at=expires_at)))

    (timer,) = [mail for mail in ceo.sent if getattr(mail.message, "deadline", None) is Deadline.APPROVAL]
    assert timer.due_at == expires_at


@pytest.mark.parametrize(
    ("plan", "approval", "words"),
    [
        (ONE, {"plan_sha256": "0" * 64}, "changed after it was approved"),
        (ONE, {"account": "another"}, "the approval is for account another"),
        (ONE, {"mode": Mode.LIVE}, "live trading"),
        (ONE, {"expires_at": NOW}, "the approval expired"),
        (a_plan(expires_at=NOW), {}, "the plan expired"),
        (a_plan(account="another"), {}, "this firm trades paper"),
    ],
)
def test_a_plan_that_is_not_covered_is_rejected_before_it_is_begun(plan, approval, words):
    ceo = Ceo()

    ceo.tell(a_submission(plan, an_approval(plan).model_copy(update=approval)))

    assert words in ceo.of_kind(RunEnded)[0].reason
    assert ceo.of_kind(PlanQueued) == []
    assert ceo.of_kind(BeginRun) == []


def test_bytes_that_are_not_the_approved_ones_are_rejected():
    ceo = Ceo()

    ended = ceo.hand(a_submission(ONE).model_copy(update={"plan_text": "something else"}))

    assert ended.closes_run == (run_id_of(ONE), "rejected")
    assert isinstance(ceo.state.runs[FIRST], Ended)


@pytest.mark.parametrize(
    ("approval", "words"),
    [
        ({"signature": None}, "is not signed"),
        ({"approved_by": "ben"}, "is not ben's"),
        ({"rules_sha256": "0" * 64}, "the policy in config was changed"),
    ],
)
def test_an_approval_that_nobody_may_give_is_rejected_before_it_is_begun(approval, words):
    ceo = Ceo().tell(a_submission(ONE, an_approval(ONE, **approval)))

    assert words in ceo.of_kind(RunEnded)[0].reason
    assert ceo.of_kind(BeginRun) == []


def test_a_letter_that_names_another_run_is_rejected():
    ceo = Ceo().tell(a_submission(ONE).model_copy(update={"run_id": SECOND}))

    assert f"the approval is for run {FIRST}" in ceo.of_kind(RunEnded)[0].reason


def test_a_nonce_that_came_with_another_plan_is_a_replay_and_nothing_of_it_is_sent():
    ceo = Ceo().tell(a_submission(ONE), a_submission(TWO, an_approval(TWO, nonce=an_approval(ONE).nonce)))

    assert [begun.run_id for begun in ceo.of_kind(BeginRun)] == [FIRST]
    assert ceo.of_kind(RunFinished)[0].ended_run_id == SECOND
    assert FIRST in ceo.of_kind(AbortRun)[0].by
    assert SECOND not in ceo.state.runs


def test_the_nonce_of_a_run_that_has_ended_stays_used():
    ceo = Ceo().tell(a_submission(EMPTY), AbortRun(run_id=run_id_of(EMPTY), by="mara"))
    assert run_id_of(EMPTY) in ceo.state.account.ended

    ceo.tell(a_submission(TWO, an_approval(TWO, nonce=an_approval(EMPTY).nonce)))

    assert SECOND in ceo.state.account.ended
    assert [begun.run_id for begun in ceo.of_kind(BeginRun)] == [run_id_of(EMPTY)]


def test_a_rejected_plan_leaves_nothing_behind_but_its_name():
    ceo = Ceo().tell(a_submission(ONE, an_approval(ONE, expires_at=NOW)))

    assert ceo.state.runs == {}
    assert set(ceo.state.account.ended) == {FIRST}


def test_two_runs_go_one_after_the_other_in_the_order_of_acceptance():
    ceo = Ceo().tell(a_submission(ONE), a_submission(TWO))
    assert [run for run, _ in ceo.state.account.waiting] == [FIRST, SECOND]
    assert isinstance(ceo.state.runs[FIRST], Received)
    assert isinstance(ceo.state.runs[SECOND], Queued)

    ceo.tell(AbortRun(run_id=FIRST, by="mara"))

    assert [begun.run_id for begun in ceo.of_kind(BeginRun)] == [FIRST, SECOND]
    assert FIRST not in ceo.state.runs
    assert isinstance(ceo.state.runs[SECOND], Received)


def test_a_waiting_run_that_is_aborted_does_not_disturb_the_active_one():
    ceo = Ceo().tell(a_submission(ONE), a_submission(TWO))
    active = ceo.state.runs[FIRST]

    ceo.tell(AbortRun(run_id=SECOND, by="mara"))

    assert ceo.state.runs == {FIRST: active}
    assert [begun.run_id for begun in ceo.of_kind(BeginRun)] == [FIRST]


def test_an_abort_that_comes_before_the_queue_knows_the_run_ends_it_for_good():
    ceo = Ceo()
    queued, _ = ceo.hand(a_submission(ONE)).outgoing
    ended = ceo.hand(AbortRun(run_id=FIRST, by="mara"))

    ceo.tell(queued.message, *(mail.message for mail in ended.outgoing if mail.recipient is Recipient.EXECUTIVE))

    assert ceo.state.account.waiting == ()
    assert ceo.state.runs == {}


@pytest.mark.parametrize("when", ["while it waits", "while it runs", "after it has ended"])
def test_the_same_plan_again_starts_nothing(when):
    ceo = Ceo()
    if when == "while it waits":
        ceo.hand(a_submission(ONE))
    else:
        ceo.tell(a_submission(ONE))
    if when == "after it has ended":
        ceo.tell(AbortRun(run_id=FIRST, by="mara"))
    before = ceo.state

    again = ceo.hand(a_submission(ONE, an_approval(ONE, nonce="another approval")))

    assert again.opens_run is None
    assert again.outgoing == ()
    assert ceo.state == before


def test_an_empty_plan_ends_at_once_and_lets_the_next_begin():
    ceo = Ceo().tell(a_submission(EMPTY), a_submission(ONE))

    assert isinstance(ceo.state.runs[FIRST], Received)
    assert ceo.of_kind(RunFinished)[0].outcome == Outcome.COMPLETED.value


def test_a_halt_holds_the_active_run_and_whatever_begins_later():
    ceo = Ceo().tell(a_submission(ONE), a_submission(TWO), HaltTrading(reason="news", by="mara"))
    assert isinstance(ceo.state.runs[FIRST], Held)

    ceo.tell(AbortRun(run_id=FIRST, by="mara"))

    assert isinstance(ceo.state.runs[SECOND], Held)
    ceo.tell(ResumeTrading(by="mara"))
    assert isinstance(ceo.state.runs[SECOND], Received)
    assert ceo.state.account.trading.state is TradingState.ACTIVE


def test_a_halt_without_a_run_is_remembered():
    ceo = Ceo().tell(HaltTrading(reason="news", by="mara"))
    assert ceo.of_kind(HaltRun) == []

    ceo.tell(a_submission(ONE))

    assert isinstance(ceo.state.runs[FIRST], Held)


def test_a_halt_passes_on_whether_to_cancel():
    ceo = Ceo().tell(a_submission(ONE))

    ceo.tell(HaltTrading(reason="news", by="mara", cancel_orders=True))

    assert ceo.of_kind(HaltRun)[0].cancel_orders


def test_a_reduction_is_told_to_the_active_run_and_to_whatever_begins_later():
    ceo = Ceo().tell(a_submission(ONE), a_submission(TWO), ReduceTrading(reason="news", by="mara"))
    assert ceo.of_kind(ReduceRun) == [ReduceRun(run_id=FIRST, reason="news", by="mara")]
    assert isinstance(ceo.state.runs[FIRST], Received)

    ceo.tell(AbortRun(run_id=FIRST, by="mara"))

    assert ceo.state.runs[SECOND].run.trading_state is TradingState.REDUCING
    ceo.tell(ResumeTrading(by="mara"))
    assert ceo.state.runs[SECOND].run.trading_state is TradingState.ACTIVE


def test_a_reduction_without_a_run_is_remembered():
    ceo = Ceo().tell(ReduceTrading(reason="news", by="mara"))
    assert ceo.of_kind(ReduceRun) == []

    ceo.tell(a_submission(ONE))

    assert ceo.state.runs[FIRST].run.trading_state is TradingState.REDUCING


def test_who_set_the_state_and_why_is_kept_until_something_stricter_or_a_resume():
    ceo = Ceo().tell(ReduceTrading(reason="news", by="mara"), ReduceTrading(reason="more news", by="ben"))
    assert (ceo.state.account.trading.reason, ceo.state.account.trading.by) == ("news", "mara")
    assert [note.event for note in ceo.last.notes] == ["trading.unchanged"]

    ceo.tell(HaltTrading(reason="a flood", by="ben"), ReduceTrading(reason="less", by="mara"))
    trading = ceo.state.account.trading
    assert (trading.state, trading.reason, trading.by) == (TradingState.HALTED, "a flood", "ben")

    ceo.tell(ResumeTrading(by="mara"))
    assert ceo.state.account.trading == Trading()


def test_a_reduction_says_nothing_to_a_run_that_is_halted():
    ceo = Ceo().tell(a_submission(ONE), HaltTrading(reason="news", by="mara"), ReduceTrading(reason="x", by="mara"))

    assert ceo.of_kind(ReduceRun) == []
    assert isinstance(ceo.state.runs[FIRST], Held)


def test_a_limit_that_was_resumed_from_and_is_still_broken_says_so():
    why = Violation(code="DAILY_LOSS_ABOVE_MAX", leg=None, rule="daily loss", figure="0.06", limit="0.05")
    word = ReduceTrading(reason="a loss", by="the limit", violations=(why,))

    ceo, resume = Ceo(), ResumeTrading(by="mara")

    words = (word, word, resume, word, resume, HaltTrading(reason="x", by="m"))
    events = [note.event for message in words for note in ceo.hand(message).notes]

    assert events == [
        "trading.reducing",
        "trading.unchanged",
        "trading.resumed",
        "trading.restricted_again",
        "trading.resumed",
        "trading.halted",
    ]


def test_a_dead_letter_holds_its_run_and_no_other():
    ceo = Ceo().tell(a_submission(ONE), a_submission(TWO))

    letter = DeadLetter(
        dead_seq=9, recipient="trading", message_type="PlaceOrders", about_run=SECOND, reason="failed 3 times"
    )
    ceo.tell(letter)

    assert ceo.of_kind(HoldRun)[0].run_id == SECOND
    assert isinstance(ceo.state.runs[SECOND], Held)
    assert isinstance(ceo.state.runs[FIRST], Received)


def test_a_dead_letter_of_no_run_is_told_of():
    ceo = Ceo()

    handled = ceo.hand(
        DeadLetter(dead_seq=9, recipient="trading", message_type="StreamLost", about_run=None, reason="failed")
    )

    assert [note.event for note in handled.notes] == ["mail.dead_lettered"]
    assert handled.outgoing == ()


def test_health_is_remembered():
    word = BrokerHealthChanged(stream=StreamHealth.MUTE, rest_ok=True, detail="-")

    assert Ceo().tell(word).state.account.health == word


@pytest.mark.parametrize("ended", [True, False])
def test_mail_of_a_run_that_is_not_here_changes_nothing(ended):
    ceo = Ceo()
    if ended:
        ceo.hand(a_submission(ONE, an_approval(ONE, expires_at=NOW)))
    before = ceo.state

    late = ceo.hand(DeadlinePassed(run_id=FIRST, deadline=Deadline.APPROVAL, token=0, due_at=NOW))

    assert late.outgoing == ()
    assert ceo.state == before


def test_folding_the_account_stream_and_the_open_runs_alone_gives_the_same():
    ceo = Ceo().tell(
        a_submission(ONE),
        a_submission(TWO),
        HaltTrading(reason="news", by="mara"),
        AbortRun(run_id=FIRST, by="mara"),
        ResumeTrading(by="mara"),
    )
    replayed = Ceo()

    for message in ceo.handled:
        if getattr(message, "run_id", None) != FIRST:
            replayed.hand(message)

    assert replayed.state == ceo.state


# -- what was done today -----------------------------------------------------------------------------------------------

MONDAY, TUESDAY = date(2025, 11, 10), date(2025, 11, 11)


def begun(ceo):
    return [(word.tally.day, word.tally.plans, word.tally.orders) for word in ceo.of_kind(BeginRun)]


def finish(ceo, run_id, *sent):
    return ceo.tell(RunFinished(ended_run_id=run_id, outcome="completed", sent=sent))


def test_a_run_is_told_of_the_plans_and_orders_before_it_that_day():
    ceo = Ceo().tell(a_submission(ONE), a_submission(TWO))

    finish(ceo, FIRST, OrdersSent(day=MONDAY, orders=16))

    assert begun(ceo) == [(MONDAY, 0, 0), (MONDAY, 1, 16)]
    assert ceo.state.runs[SECOND].run.tally == DayTally(day=MONDAY, plans=1, orders=16)


def test_a_new_day_begins_at_midnight_in_new_york():
    ceo = Ceo(now=datetime(2025, 11, 11, 4, 59, 59, tzinfo=UTC)).tell(a_submission(ONE), a_submission(TWO))

    ceo.now += timedelta(seconds=1)
    finish(ceo, FIRST, OrdersSent(day=MONDAY, orders=16))

    assert begun(ceo) == [(MONDAY, 0, 0), (TUESDAY, 0, 0)]


def test_orders_of_a_run_that_went_on_the_next_day_count_on_their_days():
    ceo = Ceo().tell(a_submission(ONE), a_submission(TWO))

    ceo.now += timedelta(days=1)
    finish(ceo, FIRST, OrdersSent(day=MONDAY, orders=5), OrdersSent(day=TUESDAY, orders=11))

    assert begun(ceo)[1] == (TUESDAY, 0, 11)


def test_orders_are_counted_when_they_are_handed_to_trading():
    driver = Driver.of(a_plan(sells=1, buys=2)).to_rechecking()
    ceo = Ceo(state=ExecutiveState(runs={driver.run.run_id: driver.phase}))
    ask = driver.last_sent(ReviewPlan)

    ceo.hand(
        PlanReviewed(
            run_id=ask.run_id,
            review=ask.review,
            snapshot_id=ask.snapshot.snapshot_id,
            rejected=False,
            legs=decisions(ask.trades),
        )
    )

    assert len(ceo.of_kind(PlaceOrders)) == 1
    assert ceo.state.runs[ask.run_id].run.sent_on == (OrdersSent(day=MONDAY, orders=2),)


def test_the_orders_of_a_run_are_told_when_it_ends():
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling()
    run = replace(driver.run, sent_on=(OrdersSent(day=MONDAY, orders=1),))
    ceo = Ceo(state=ExecutiveState(runs={run.run_id: Verifying(run=run, outcome=Outcome.ABORTED, reason=None, ask=7)}))
    snapshot = a_snapshot(run, positions=positions_after(run), run_orders=())

    ceo.hand(SnapshotReady(run_id=run.run_id, ask=7, purpose=SnapshotPurpose.VERIFY, snapshot=snapshot))

    assert ceo.of_kind(RunFinished)[0].sent == (OrdersSent(day=MONDAY, orders=1),)


def test_a_resend_of_the_same_order_is_none_more():
    driver = Driver.of(a_plan(sells=1, buys=0)).to_selling()
    ceo = Ceo(state=ExecutiveState(runs={driver.run.run_id: driver.phase}))

    ceo.hand(an_update(driver.run, "S01", OrderStatus.ABSENT))

    assert ceo.of_kind(PlaceOrders) != []
    assert ceo.state.runs[driver.run.run_id].run.sent_on == ()


def test_mail_from_before_the_firm_counted_is_still_read():
    begin = BeginRun.model_validate_json('{"run_id":"R1","plan_id":"P"}')
    finished = RunFinished.model_validate_json('{"ended_run_id":"R1","outcome":"completed"}')

    assert begin.tally is None
    assert finished.sent == ()


def verifying(driver):
    """The CEO with a run that is being verified, and the look that ends it."""
    ceo = Ceo(state=ExecutiveState(runs={driver.run.run_id: driver.phase}))
    ask = driver.last_sent(RequestSnapshot)
    look = a_snapshot(driver.run)
    return ceo, SnapshotReady(run_id=driver.run.run_id, ask=ask.ask, purpose=ask.purpose, snapshot=look)


def test_what_a_run_bought_is_told_to_operations_with_what_its_plan_said_of_leaving_it():
    plan = a_plan(sells=1, buys=2)
    trades = tuple(
        trade if trade.leg != "B01" else trade.model_copy(update={"stop_loss_usd": Decimal(9), "score": Decimal(7)})
        for trade in plan.trades
    )
    ceo, last = verifying(Driver.of(plan.model_copy(update={"trades": trades})).to_verifying())

    ended = ceo.hand(last)

    assert ended.closes_run is not None
    (told,) = ceo.of_kind(LevelsPlanned)
    assert {mail.recipient for mail in ceo.sent if mail.message == told} == {Recipient.OPERATIONS}
    symbols = {trade.leg: trade.symbol for trade in trades}
    assert [(one.symbol, one.stop_loss_usd, one.score) for one in told.levels] == [
        (symbols["B01"], Decimal(9), Decimal(7)),
        (symbols["B02"], None, trades[2].score),
    ]


def test_a_run_that_bought_nothing_tells_operations_nothing():
    ceo, last = verifying(Driver.of(a_plan(sells=1, buys=0)).to_selling().fill("S01").look())

    assert ceo.hand(last).closes_run is not None
    assert ceo.of_kind(LevelsPlanned) == []
