"""The two-phase machine: all SELLs first, proved at Alpaca; only then the BUYs. Pure; every transition is in this file.

    phase         event                                    next
    ------------  ---------------------------------------  -----------------------------------------------------
    Queued        BeginRun                                 Received
    Received      SnapshotReady                            Reviewing; Ended(completed) if the plan is empty
    Reviewing     PlanReviewed                             Selling | Gate (no SELLs) | AwaitingOpen | Ended(rejected)
    AwaitingOpen  SnapshotReady, market open               Received (a fresh look)
    Selling       BuysFitted, PlanReviewed, asked ahead    Selling; the BUYs stand ready if both let all pass whole
    Selling       every SELL filled, proved by REST        Gate, on the very snapshot that proved it
    Selling       shortfall, policy hold                   Held(sell_shortfall | sell_timeout)
    Selling       shortfall, policy resize or released     cancel, confirm, then Gate with the decision on record
    Selling       shortfall, policy abort                  Stopping(aborted)
    Gate          money seen, market open                  Fitting; Verifying when there is nothing to buy
    Gate          the same, and the BUYs that stood ready  Buying: the rulebook lets all pass whole on the gate's look
    Gate          cash not seen within cash_wait_s         Held(cash_not_seen)
    Fitting       BuysFitted                               Rechecking; Verifying when nothing fits
    Rechecking    PlanReviewed                             Buying; Verifying when nothing passes
    Buying        every BUY terminal                       Verifying (buy_timeout_s: cancel what is open first)
    Buying        the last door handed a BUY back          Gate again, for what was not sent; dropped while reducing
    Stopping      nothing live                             Verifying
    Verifying     an order not found before appears        Stopping (cancel, confirm), the outcome unchanged
    Verifying     as expected                              Ended(completed | aborted | expired)
    Verifying     otherwise, after verify_wait_s           Held(verification_mismatch | unprotected) until released
    any           HaltRun                                  Held(halted), resume_to the phase
    any           ReduceRun, a loss limit: reducing        goes on; BUYs not yet sent are dropped where they would be
    any           a loss limit: halted                     Held(halted), as by HaltRun
    any           AbortRun                                 Stopping(aborted); Ended when nothing was ever sent
    any           DeadlinePassed(approval)                 Stopping(expired); Ended when nothing was ever sent
    any           a fact that forbids going on             Held(its reason)
    Held          ReleaseRun | ResumeRun | the fact        the phase it was held in, entered anew

A run may be held for several reasons at once; each is lifted by itself: a halt by ResumeRun alone, the others by a
release each.

Entering a phase is idempotent: it looks at the legs, not at how it got there. That is why a held, halted or restarted
run simply enters its phase again, and why no order is sent twice: a leg that was handed to Trading is not handed over
again unless Trading handed it back.

An event that a phase doesn't wait for changes nothing but the legs (late and doubled mail is normal in the real world).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from departments.executive.ahead import as_sent, forecast, whole
from departments.executive.phases import (
    LIFTS_BY_ITSELF,
    AwaitingOpen,
    Buying,
    Ended,
    Fitting,
    Gate,
    Held,
    HoldReason,
    Outcome,
    Phase,
    Queued,
    Received,
    Rechecking,
    Reviewing,
    Selling,
    Stopping,
    Verifying,
    phase_name,
)
from departments.executive.proof import missing_proof
from departments.executive.run import TRADING_REDUCING, Ahead, GateRecord, Leg, Run
from departments.executive.verification import unprotected, verify
from departments.office.department import Note
from departments.office.settings import Settings
from departments.rulebook.context import why
from departments.rulebook.hours import why_closed
from departments.rulebook.limits import limits_of
from departments.rulebook.losses import broken_losses
from departments.rulebook.money import money_seen
from departments.rulebook.needs import history_needed
from departments.rulebook.standing import still_stand
from messages.control import (
    AbortRun,
    BeginRun,
    Deadline,
    DeadlinePassed,
    HaltRun,
    HaltTrading,
    HoldRun,
    ReduceRun,
    ReduceTrading,
    ReleaseRun,
    ResumeRun,
)
from messages.envelope import Outgoing
from messages.message import Message, RunMessage
from messages.new_york import day_in_new_york
from messages.orders import (
    CancelOrders,
    FillBusted,
    GateOpened,
    NotSentReason,
    OrderNotSent,
    OrderStatus,
    OrderUpdated,
    PlaceOrders,
    RequestSnapshot,
    RunEnded,
    SellEvidence,
    ShortfallDecision,
    SnapshotPurpose,
    SnapshotReady,
    SnapshotUnavailable,
    StrangerSeen,
)
from messages.proposals import BuysFitted, FitBuys
from messages.reviews import Decision, Money, PlanReviewed, ReviewPlan, Stage
from messages.snapshots import HistoryPart, Snapshot, SnapshotPart
from messages.values import LegId, Recipient, SellShortfall, Side, TradingState, stricter

WHOLE_LOOK = (
    SnapshotPart.ACCOUNT,
    SnapshotPart.POSITIONS,
    SnapshotPart.ORDERS,
    SnapshotPart.CLOCK,
    SnapshotPart.ASSETS,
    SnapshotPart.QUOTES,
)
VERIFY_LOOK = (SnapshotPart.ACCOUNT, SnapshotPart.POSITIONS, SnapshotPart.ORDERS)
END_EVENTS = {
    Outcome.COMPLETED: "run.completed",
    Outcome.REJECTED: "run.rejected",
    Outcome.ABORTED: "run.aborted",
    Outcome.EXPIRED: "run.expired",
}
ACKNOWLEDGED = frozenset({HoldReason.VERIFICATION_MISMATCH, HoldReason.UNPROTECTED})
"""What a release takes note of and ends the run by."""
PLACE_AGAIN_S = 1
STALE_AGAIN_S = 0.5
"""BUYs that waited too long for their turn come back one after the other: time enough to take them together."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one event does: the next phase, mail, and lines for the log."""

    phase: Phase
    outgoing: tuple[Outgoing, ...] = ()
    notes: tuple[Note, ...] = ()

    def then(self, follow: Callable[[Phase], "Step"]) -> "Step":
        """This step and the one that follows from its phase, as one."""
        after = follow(self.phase)
        return Step(after.phase, self.outgoing + after.outgoing, self.notes + after.notes)


class IllegalEvent(Exception):
    """An event that no phase can ever see: a bug of ours."""


def advance(phase: Phase, event: RunMessage, now: datetime, settings: Settings) -> Step:
    """Take one event.

    Args:
        phase: Where the run stands.
        event: Addressed to this run.
        now: Store's clock.
        settings: The firm's.

    Raises:
        IllegalEvent: The event is not one that a run can be told of.
    """
    machine = _Machine(now, settings)
    step = Step(phase)
    if isinstance(event, SnapshotReady) and event.updates:
        if _is_proof(phase, event):  # judged as a whole: what each update would lead to, the look itself does
            step = Step(with_run(phase, phase.run.updated(*event.updates)))
        else:
            for update in event.updates:
                step = step.then(partial(machine.step, event=update))
    step = step.then(partial(machine.step, event=event))
    before, after = phase_name(phase), phase_name(step.phase)
    if before == after or isinstance(step.phase, Held | Ended):
        return step
    return replace(step, notes=(*step.notes, Note("run.phase", {"phase": after, "was": before}, "debug")))


@dataclass(frozen=True, slots=True)
class _Machine:
    """The transitions, given what time it is and what the settings say."""

    now: datetime
    settings: Settings

    # -- events ---------------------------------------------------------------------------------------------------

    def step(self, phase: Phase, event: RunMessage) -> Step:
        """Dispatch: first what any phase answers to, then what this one waits for."""
        if isinstance(phase, Ended):
            return Step(phase)
        match event:
            case HaltRun():
                return self.halt(phase, event)
            case ResumeRun():
                return self.resume(phase)
            case AbortRun():
                return self.stop(phase, Outcome.ABORTED, f"aborted by {event.by}")
            case ReleaseRun():
                return self.release(phase, event)
            case DeadlinePassed(deadline=Deadline.APPROVAL):
                return self.stop(phase, Outcome.EXPIRED, "the approval expired")
            case HoldRun():
                return self.hold_as_asked(phase, event)
            case StrangerSeen():
                return self.hold(
                    phase,
                    HoldReason.STRANGER,
                    f"{event.what}: order {event.order_id} to {event.side} {event.symbol} is not the firm's",
                )
            case FillBusted():
                return self.hold(phase, HoldReason.TRADE_BUST, f"{event.event} on {event.client_order_id}")
            case _:
                return self.forward(phase, event)

    def news(self, run: Run, event: Message) -> Run:
        """The run after an event that tells of an order or of the trading state, or brings a history, in any phase."""
        match event:
            case SnapshotReady() if event.history is not None:
                return replace(run, history=event.history)
            case OrderUpdated():
                return run.updated(event)
            case ReduceRun():
                return run.heard(TradingState.REDUCING, event.reason, event.by, self.now)
            case _:
                return run

    def forward(self, phase: Phase, event: RunMessage) -> Step:
        """Hand an event to the phase; a held one keeps its legs current, and goes on if the missing fact came."""
        if not isinstance(phase, Held):
            return self.within(phase, event)
        if phase.reason not in LIFTS_BY_ITSELF:
            run = self.news(phase.run, event)
            if isinstance(event, OrderNotSent):
                run = run.handed_back(event.leg)
            return Step(with_run(phase, run))
        inner = self.within(phase.resume_to, event)
        if isinstance(inner.phase, Held):
            return replace(inner, notes=()) if inner.phase.reason is phase.reason else inner
        if type(inner.phase) is type(phase.resume_to):
            return replace(inner, phase=replace(phase, resume_to=inner.phase))
        return replace(inner, notes=(Note("run.resumed", {"reason": phase.reason.value}), *inner.notes))

    def within(self, phase: Phase, event: RunMessage) -> Step:  # noqa: C901, PLR0912 - one row a phase
        """What the phase itself does with an event."""
        phase = with_run(phase, self.news(phase.run, event))
        if isinstance(event, OrderNotSent):
            return self.not_sent(phase, event)
        if isinstance(event, ReduceRun) and not isinstance(phase, Held):
            return self.reduced(phase)
        if isinstance(event, DeadlinePassed) and event.token != phase.run.tick:
            return Step(phase)
        if isinstance(event, BuysFitted | PlanReviewed) and phase.run.ahead is not None:
            ready = self.made_ready(phase, phase.run.ahead, event)
            if ready is not None:
                return ready
        match phase:
            case Queued():
                return self.begin(phase, event) if isinstance(event, BeginRun) else Step(phase)
            case Received():
                return self.in_received(phase, event)
            case Reviewing():
                return self.in_reviewing(phase, event)
            case AwaitingOpen():
                return self.in_awaiting_open(phase, event)
            case Selling():
                return self.in_selling(phase, event)
            case Gate():
                return self.in_gate(phase, event)
            case Fitting():
                return self.in_fitting(phase, event)
            case Rechecking():
                return self.in_rechecking(phase, event)
            case Buying():
                return self.in_buying(phase, event)
            case Stopping():
                return self.in_stopping(phase, event)
            case Verifying():
                return self.in_verifying(phase, event)
            case Held():
                return self.forward(phase, event)
            case Ended():
                return Step(phase)
            case _:
                assert_never(phase)

    # -- what any phase answers to --------------------------------------------------------------------------------

    def halt(self, phase: Phase, event: HaltRun) -> Step:
        """Hold with all timers dead; orders stay as they are unless the operator asked to cancel them."""
        phase = with_run(phase, phase.run.heard(TradingState.HALTED, event.reason, None, self.now))
        held = self.hold(phase, HoldReason.HALTED, event.reason)
        live = tuple(leg.leg for leg in phase.run.live)
        if not (event.cancel_orders and live):
            return held
        cancel = CancelOrders(run_id=phase.run.run_id, legs=live, reason="trading halted")
        return replace(held, outgoing=(*held.outgoing, Outgoing(Recipient.TRADING, cancel)))

    def resume(self, phase: Phase) -> Step:
        """The account trades again. Whatever else holds the run goes on holding it: nobody decided on that."""
        phase = with_run(phase, phase.run.heard(TradingState.ACTIVE, None, None, self.now))
        if not _held_for(phase, HoldReason.HALTED):
            return Step(phase)
        step = self.reenter(_without(phase, HoldReason.HALTED))
        return replace(step, notes=(Note("run.resumed", {"reason": HoldReason.HALTED.value}), *step.notes))

    def reduced(self, phase: Phase) -> Step:
        """No BUY leaves any more. Those that wait to be sent are dropped at once, SELLs go on."""
        buying = isinstance(phase, Gate | Fitting | Rechecking | Buying)
        if buying and any(leg.sendable for leg in phase.run.buys):
            return self.enter_gate(phase.run)
        return Step(phase)

    def deny(self, run: Run, legs: Iterable[Leg]) -> tuple[Run, tuple[Note, ...]]:
        """Drop BUYs because the account reduces, and say so leg by leg."""
        denied = tuple(legs)
        run = run.denied(denied)
        notes = []
        for leg in denied:
            after = run.leg(leg.leg)
            if after is not None and after.violations:
                about = {"symbol": leg.trade.symbol, "side": leg.trade.side.value, "qty": str(leg.qty)}
                notes.append(Note("leg.denied", {**why(after.violations[-1]), **about}, "warning"))
        return run, tuple(notes)

    def heed(self, phase: Reviewing | Rechecking, verdict: PlanReviewed, follow: Callable[..., Step]) -> Step:
        """Follow a verdict under the trading state that the limits on losses ask for. The account is told of it."""
        asked = verdict.losses
        if asked is None or stricter(phase.run.trading_state, asked.state) is phase.run.trading_state:
            return follow(phase, verdict)
        reason = "; ".join(f"{one.rule}: {one.figure} against {one.limit}" for one in asked.violations)
        by = ", ".join(f"{one.file}: {one.key}" for one in asked.violations)
        word = HaltTrading if asked.state is TradingState.HALTED else ReduceTrading
        told = Outgoing(Recipient.EXECUTIVE, word(reason=reason, by=by, violations=asked.violations))
        phase = replace(phase, run=phase.run.heard(asked.state, reason, by, self.now))
        halts = asked.state is TradingState.HALTED and not verdict.rejected
        step = self.hold(phase, HoldReason.HALTED, reason) if halts else follow(phase, verdict)
        return replace(step, outgoing=(told, *step.outgoing))

    def hold(self, phase: Phase, reason: HoldReason, detail: str) -> Step:
        """Hold, once a reason. The tick moves on, so timers of the held phase die, unless it may lift by itself."""
        if _held_for(phase, reason):
            return Step(phase)
        if reason not in LIFTS_BY_ITSELF:
            phase = with_run(phase, replace(phase.run, tick=phase.run.tick + 1))
        notes = (Note("run.held", {"reason": reason.value, "detail": detail}, "warning"),)
        return Step(Held(reason=reason, detail=detail, resume_to=phase), notes=notes)

    def hold_as_asked(self, phase: Phase, event: HoldRun) -> Step:
        """Hold for the reason that somebody gives; a word that is no reason of ours is told in full."""
        if event.reason in set(HoldReason):
            return self.hold(phase, HoldReason(event.reason), event.detail)
        return self.hold(phase, HoldReason.INVARIANT_BROKEN, f"{event.reason}: {event.detail}")

    def release(self, phase: Phase, event: ReleaseRun) -> Step:
        """The operator's yes. A halt is not lifted by a release, only by `firm resume`."""
        if not isinstance(phase, Held):
            return Step(phase, notes=(Note("run.not_held", {"by": event.by}, "warning"),))
        if phase.reason is HoldReason.HALTED:
            return Step(phase, notes=(Note("run.release_while_halted", {"by": event.by}, "warning"),))
        released = Note("run.released", {"by": event.by, "reason": phase.reason.value})
        inner = phase.resume_to
        if phase.reason is HoldReason.CASH_NOT_SEEN:
            inner = with_run(inner, replace(inner.run, cash_taken_on_trust=True))
        if phase.reason in {HoldReason.SELL_SHORTFALL, HoldReason.SELL_TIMEOUT}:
            legs = (replace(leg, resends=0) for leg in inner.run.legs if leg.absent)
            inner = with_run(inner, replace(inner.run.with_legs(legs), released=True))
        if phase.reason in ACKNOWLEDGED and isinstance(inner, Verifying):
            step = self.end(inner.run, inner.outcome, inner.reason or "verification mismatch acknowledged")
        else:
            step = self.lift(replace(phase, resume_to=inner))
        return replace(step, notes=(released, *step.notes))

    def lift(self, phase: Phase) -> Step:
        """Enter the held phase anew."""
        assert isinstance(phase, Held), phase  # noqa: S101 - our own callers
        step = self.reenter(phase.resume_to)
        return replace(step, notes=(Note("run.resumed", {"reason": phase.reason.value}), *step.notes))

    def reenter(self, phase: Phase) -> Step:
        """Enter a phase again after a hold. What had been judged on an old look is judged on a fresh one."""
        run = phase.run
        match phase:
            case Queued() | Ended():
                return Step(phase)
            case Received() | Reviewing():
                return self.enter_received(run)
            case AwaitingOpen():
                return self.enter_awaiting_open(run)
            case Selling():
                return self.enter_selling(run)
            case Gate() | Fitting() | Rechecking():
                return self.enter_gate(run)
            case Buying():
                return self.watch_buys(run)
            case Stopping():
                return self.enter_stopping(run, phase.outcome, phase.reason)
            case Verifying():
                return self.enter_verifying(run, phase.outcome, phase.reason)
            case Held():
                return self.reenter(phase.resume_to) if phase.reason in LIFTS_BY_ITSELF else Step(phase)
            case _:
                assert_never(phase)

    def stop(self, phase: Phase, outcome: Outcome, reason: str) -> Step:
        """Send nothing new; cancel, confirm, verify, end. Abort wins over expiry, and what is ending goes on ending."""
        inner = phase
        while isinstance(inner, Held):
            inner = inner.resume_to
        ending = isinstance(inner, Stopping | Verifying) and inner.outcome in {Outcome.ABORTED, Outcome.EXPIRED}
        if ending and not (isinstance(phase, Held) and outcome is Outcome.ABORTED):
            return Step(phase)
        if isinstance(inner, Verifying) and outcome is Outcome.EXPIRED:
            return Step(phase)
        fields = {"reason": reason}
        aborting = outcome is Outcome.ABORTED
        note = Note("run.aborting", fields, "warning") if aborting else Note("run.expiring", fields, "warning")
        step = self.enter_stopping(inner.run, outcome, reason)
        return replace(step, notes=(note, *step.notes))

    def not_sent(self, phase: Phase, event: OrderNotSent) -> Step:
        """The last door stayed shut. Its verdict on our own bookkeeping is final: then trading halts."""
        run = phase.run.handed_back(event.leg)
        phase = with_run(phase, run)
        notes = (
            Note("order.not_sent", {"leg": event.leg, "reason": event.reason.value, "detail": event.detail}, "warning"),
        )
        match event.reason:
            case NotSentReason.NOT_APPROVED | NotSentReason.GATE_CLOSED:
                detail = f"the last door refused {event.leg}: {event.detail}"
                held = self.hold(phase, HoldReason.INVARIANT_BROKEN, detail)
                halt = Outgoing(Recipient.EXECUTIVE, HaltTrading(reason=detail, by="firm"))
                return Step(held.phase, (*held.outgoing, halt), notes + held.notes)
            case _ if isinstance(phase, Stopping):
                step = self.judge_stopping(phase)  # it may be the last that was waited for
                return replace(step, notes=(*notes, *step.notes))
            case NotSentReason.REDUCING if any(leg.leg == event.leg for leg in run.buys):
                run, denials = self.deny(run, [leg for leg in run.buys if leg.leg == event.leg])
                phase = with_run(phase, run)
                step = self.judge_buying(phase) if isinstance(phase, Buying) else Step(phase)
                return replace(step, notes=(*notes, *denials, *step.notes))
            case NotSentReason.HALTED | NotSentReason.REDUCING | NotSentReason.INTENT_STALE:
                stale = event.reason is NotSentReason.INTENT_STALE and isinstance(phase, Buying)
                wait_s = STALE_AGAIN_S if stale else PLACE_AGAIN_S
                return Step(phase, (self.timer(run, Deadline.PLACE_AGAIN, wait_s),), notes)
            case NotSentReason.APPROVAL_EXPIRED | NotSentReason.RUN_ENDED:
                return Step(phase, (), notes)  # the word that ends the run is on its way
            case _:
                assert_never(event.reason)

    # -- Received, Reviewing, AwaitingOpen ------------------------------------------------------------------------

    def begin(self, phase: Queued, event: BeginRun) -> Step:
        """It is the run's turn."""
        return self.enter_received(replace(phase.run, tally=event.tally))

    def enter_received(self, run: Run) -> Step:
        """Ask for a whole look at the account."""
        notes: tuple[Note, ...] = ()
        if run.started_at is None:
            run = replace(run, started_at=self.now)
            notes = (Note("run.started", {"sells": len(run.sells), "buys": len(run.buys)}),)
        if not run.legs:
            return Step(Queued(run=run), (), notes).then(
                lambda phase: self.end(phase.run, Outcome.COMPLETED, "nothing to do")
            )
        needed = history_needed(limits_of(self.settings))
        run, ask, outgoing = self.ask_snapshot(run, SnapshotPurpose.RECEIVED, WHOLE_LOOK, history=needed)
        return Step(Received(run=run, ask=ask), outgoing, notes)

    def in_received(self, phase: Received, event: RunMessage) -> Step:
        match event:
            case SnapshotReady(ask=phase.ask):
                run = replace(phase.run, before=event.snapshot, history=event.history)
                run = replace(run, counter=run.counter + 1, tick=run.tick + 1)
                review = ReviewPlan(
                    run_id=run.run_id,
                    review=run.counter,
                    stage=Stage.SUBMISSION,
                    trades=tuple(leg.trade for leg in run.legs),
                    snapshot=event.snapshot,
                    funding=run.funding,
                    history=run.history,
                    today=run.counts(self.now),
                )
                outgoing = (Outgoing(Recipient.COMPLIANCE, review), self.silence(run))
                return Step(Reviewing(run=run, review=run.counter, snapshot=event.snapshot), outgoing)
            case _:
                return self.waiting_for_department(phase, event, "a look at the account")

    def in_reviewing(self, phase: Reviewing, event: RunMessage) -> Step:
        match event:
            case PlanReviewed(review=phase.review) if event.snapshot_id == phase.snapshot.snapshot_id:
                return self.heed(phase, event, self.reviewed)
            case _:
                return self.waiting_for_department(phase, event, "Compliance's verdict")

    def reviewed(self, phase: Reviewing, verdict: PlanReviewed) -> Step:
        """Go on with what the verdict leaves; refuse a verdict that doesn't speak of every leg, or of other legs."""
        run = replace(phase.run, breaches=verdict.breaches)
        asked = {leg.leg for leg in run.legs}
        if not verdict.rejected and {decision.leg for decision in verdict.legs} != asked:
            return self.hold(phase, HoldReason.INVARIANT_BROKEN, "the verdict doesn't speak of the plan's legs")
        if verdict.rejected:
            named = verdict.violations + tuple(reason for leg in verdict.legs for reason in leg.violations)
            run = replace(run.decided(verdict.legs), rejections=named)
            first = named[0] if named else None
            reason = "rejected by Compliance" if first is None else _sentence(first.leg, first.rule, first.figure)
            return self.end(run, Outcome.REJECTED, reason)
        cut_sells = [d.leg for d in verdict.legs if d.leg.startswith("S") and d.decision is not Decision.KEEP]
        if cut_sells:
            return self.hold(phase, HoldReason.INVARIANT_BROKEN, f"the verdict cuts SELLs: {', '.join(cut_sells)}")
        run = run.decided(verdict.legs)
        closed = self.market_closed(phase.snapshot)
        if closed is not None:
            return self.enter_awaiting_open(run, why=closed)
        return self.enter_selling(run) if run.sells else self.enter_gate(run, phase.snapshot)

    def enter_awaiting_open(self, run: Run, why: str = "the market is closed") -> Step:
        """Ask for the open once: the answer comes when the broker's clock says that the market can be used."""
        notes = () if run.waiting == "market open" else (Note("market.closed", {"detail": why}),)
        run = replace(run, tick=run.tick + 1, waiting="market open")
        run, ask, outgoing = self.ask_snapshot(run, SnapshotPurpose.OPEN, (SnapshotPart.CLOCK,), new_tick=False)
        return Step(AwaitingOpen(run=run, ask=ask), outgoing, notes)

    def in_awaiting_open(self, phase: AwaitingOpen, event: RunMessage) -> Step:
        match event:
            case SnapshotReady(ask=phase.ask):
                closed = self.market_closed(event.snapshot)
                if closed is not None:
                    return self.enter_awaiting_open(phase.run, why=closed)
                step = self.enter_received(replace(phase.run, waiting=None))
                return replace(step, notes=(Note("market.open"), *step.notes))
            case _:
                return Step(phase)

    def market_closed(self, snapshot: Snapshot) -> str | None:
        """Why the market can't be used now, by the broker's clock; None when it can."""
        return why_closed(snapshot.clock, self.settings.executive.min_time_to_close_s)

    # -- Selling --------------------------------------------------------------------------------------------------

    def enter_selling(self, run: Run) -> Step:
        """Hand every SELL that is not out yet to Trading."""
        first_time = not any(leg.sent for leg in run.sells)
        run = replace(run, tick=run.tick + 1, waiting=None)
        notes: tuple[Note, ...] = ()
        if first_time:
            sells = run.sells
            fields = {"count": len(sells), "symbols": _symbols(sells)}
            notes = (Note("sells.executing", fields), Note("sells.waiting", fields))
        run, place = self.place(run, run.sells)
        run = run.with_legs(replace(leg, timed=False) for leg in run.sells)
        run, timers = self.time_sells(run)
        legs = tuple(leg.leg for leg in run.sells)
        run, ask, look = self.ask_snapshot(run, SnapshotPurpose.GATE, WHOLE_LOOK, once_terminal=legs, new_tick=False)
        run, ready = self.make_ready(run) if first_time else (run, ())
        step = Step(Selling(run=run, proof=ask), (*place, *timers, *look, self.silence(run), *ready), notes)
        return step.then(self.judge_selling)

    def make_ready(self, run: Run) -> tuple[Run, tuple[Outgoing, ...]]:
        """While the SELLs are out, have Operations and Compliance look at the BUYs on a forecast of the gate."""
        buys = as_sent(leg for leg in run.buys if leg.sendable)
        expected = forecast(run) if buys else None
        if expected is None:
            return run, ()
        snapshot, money = expected
        ahead = Ahead(fit=run.counter + 1, snapshot=snapshot, money=money)
        fit = FitBuys(
            run_id=run.run_id,
            fit=ahead.fit,
            trades=buys,
            snapshot=snapshot,
            money=money,
            history=run.history,
            today=run.counts(self.now),
            ahead=True,
        )
        return replace(run, counter=ahead.fit, ahead=ahead), (Outgoing(Recipient.OPERATIONS, fit),)

    def made_ready(self, phase: Phase, ahead: Ahead, event: BuysFitted | PlanReviewed) -> Step | None:
        """Take a department's answer on the forecast; None if it answers something else."""
        match event:
            case BuysFitted(fit=ahead.fit):
                return self.fitted_ahead(phase, ahead, event)
            case PlanReviewed(review=ahead.review):
                return self.reviewed_ahead(phase, ahead, event)
            case _:
                return None

    def fitted_ahead(self, phase: Phase, ahead: Ahead, fitted: BuysFitted) -> Step:
        """Operations on the forecast: what it would cut or drop is left to the gate, the rest goes to Compliance."""
        run = phase.run
        buys = as_sent(leg for leg in run.buys if leg.sendable)
        if fitted.snapshot_id != ahead.snapshot.snapshot_id or not whole(fitted.legs, buys):
            return Step(with_run(phase, replace(run, ahead=None)))
        order = tuple(decision.leg for decision in fitted.legs)
        ahead = replace(ahead, review=run.counter + 1, order=order)
        review = ReviewPlan(
            run_id=run.run_id,
            review=run.counter + 1,
            stage=Stage.RECHECK,
            trades=buys,
            snapshot=ahead.snapshot,
            funding=run.funding,
            money=ahead.money,
            history=run.history,
            today=run.counts(self.now),
            ahead=True,
        )
        run = replace(run, counter=run.counter + 1, ahead=ahead)
        return Step(with_run(phase, run), (Outgoing(Recipient.COMPLIANCE, review),))

    def reviewed_ahead(self, phase: Phase, ahead: Ahead, verdict: PlanReviewed) -> Step:
        """Compliance on the forecast: the BUYs stand ready only if it let each pass whole."""
        run = phase.run
        buys = as_sent(leg for leg in run.buys if leg.sendable)
        same_look = verdict.snapshot_id == ahead.snapshot.snapshot_id
        stands = same_look and not verdict.rejected and whole(verdict.legs, buys)
        return Step(with_run(phase, replace(run, ahead=replace(ahead, stands=True) if stands else None)))

    def time_sells(self, run: Run) -> tuple[Run, tuple[Outgoing, ...]]:
        """Set `sell_timeout_s` for each SELL that the broker has taken and that isn't timed yet."""
        taken = [leg for leg in run.sells if leg.live and leg.submitted_at is not None and not leg.timed]
        timeout_s = self.settings.executive.sell_timeout_s
        timers = tuple(self.timer(run, Deadline.SELL_TIMEOUT, timeout_s, leg=leg.leg) for leg in taken)
        return run.with_legs(replace(leg, timed=True) for leg in taken), timers

    def in_selling(self, phase: Selling, event: RunMessage) -> Step:
        match event:
            case OrderUpdated():
                return self.sell_updated(phase, event)
            case SnapshotReady(ask=phase.proof):
                return self.judge_proof(phase, event.snapshot)
            case SnapshotUnavailable(ask=phase.proof):
                return Step(replace(phase, run=replace(phase.run, waiting=f"the broker: {event.reason}")))
            case DeadlinePassed(deadline=Deadline.CASH_POLL):
                return self.judge_selling(phase)
            case DeadlinePassed(deadline=Deadline.PLACE_AGAIN):
                run, place = self.place(phase.run, phase.run.sells)
                return Step(replace(phase, run=run), place)
            case DeadlinePassed(deadline=Deadline.SELL_TIMEOUT):
                leg = None if event.leg is None else phase.run.leg(event.leg)
                late = leg is not None and leg.live
                return self.shortfall(phase, HoldReason.SELL_TIMEOUT) if late else Step(phase)
            case DeadlinePassed(deadline=Deadline.SILENCE):
                if phase.proving and phase.proof is not None:
                    return self.hold(
                        phase, HoldReason.BROKER_UNAVAILABLE, "waited for the proof that the SELLs are done"
                    )
                unanswered = any(not leg.terminal and leg.submitted_at is None for leg in phase.run.sells)
                return self.shortfall(phase, HoldReason.SELL_TIMEOUT) if unanswered else Step(phase)
            case DeadlinePassed(deadline=Deadline.CANCEL_STUCK) if phase.canceling:
                stuck = [leg for leg in phase.run.sells if not leg.terminal]
                return (
                    self.hold(phase, HoldReason.CANCEL_STUCK, f"no end to {_symbols(stuck)}") if stuck else Step(phase)
                )
            case _:
                return Step(phase)

    def sell_updated(self, phase: Selling, event: OrderUpdated) -> Step:
        """Start the clock of a SELL that the broker took; name what is still waited for; judge."""
        leg = phase.run.leg(event.leg)
        if leg is None or leg.trade.side is not Side.SELL:
            return Step(phase)
        run, outgoing = self.time_sells(phase.run)
        phase = replace(phase, run=run)
        waiting = [other for other in phase.run.sells if other.live]
        notes: tuple[Note, ...] = ()
        if leg.terminal and waiting:
            notes = (Note("sells.waiting", {"count": len(waiting), "symbols": _symbols(waiting)}),)
        return Step(phase, outgoing, notes).then(self.judge_selling)

    def judge_selling(self, phase: Phase) -> Step:
        """Wait for the proof once every SELL seems terminal; before that, see whether one fell short.

        The proof was asked for when the SELLs went out; Trading fetches it by itself as soon as the last is terminal.
        """
        assert isinstance(phase, Selling), phase  # noqa: S101 - our own callers
        run = phase.run
        absent = [leg for leg in run.sells if leg.absent]
        again = [leg for leg in absent if self.may_be_resent(leg) and leg.placed and not phase.canceling]
        if again:
            resent = run.with_legs(replace(leg, placed=False, resends=leg.resends + 1) for leg in again)
            resent, place = self.place(resent, [leg for leg in resent.sells if leg.leg in {a.leg for a in again}])
            return Step(replace(phase, run=resent), place)
        if all(leg.terminal for leg in run.sells):
            if phase.proving and phase.proof is not None:
                return Step(phase)
            run = run if phase.proving else replace(run, tick=run.tick + 1)  # the SELLs' own timers are over
            if phase.proof is not None:
                return Step(replace(phase, run=run, proving=True), (self.silence(run),))
            run, ask, outgoing = self.ask_snapshot(run, SnapshotPurpose.GATE, WHOLE_LOOK, new_tick=False)
            return Step(replace(phase, run=run, proof=ask, proving=True), (*outgoing, self.silence(run)))
        replaced = [leg for leg in run.sells if leg.order is not None and leg.order.status is OrderStatus.REPLACED]
        if replaced:
            return self.hold(phase, HoldReason.REPLACED, f"somebody replaced the order of {_symbols(replaced)}")
        short = [leg for leg in run.sells if leg.terminal and not leg.filled]
        lost = [leg for leg in absent if not self.may_be_resent(leg)]
        if (short or lost or run.released) and not phase.canceling:
            return self.shortfall(phase, HoldReason.SELL_SHORTFALL)
        return Step(phase)

    def judge_proof(self, phase: Selling, snapshot: Snapshot) -> Step:
        """The snapshot must itself show every SELL as Trading told it; then it serves the gate as well."""
        phase = replace(phase, proof=None)
        run = phase.run
        missing = missing_proof(run, snapshot)
        if missing is not None:
            waiting = replace(phase, run=replace(run, waiting=f"proof by REST: {missing}"))
            return Step(waiting, (self.timer(run, Deadline.CASH_POLL, self.settings.executive.cash_poll_s),))
        if all(leg.filled for leg in run.sells):
            step = self.enter_gate(run, snapshot)
            return replace(step, notes=(Note("sells.filled"), *step.notes))
        return self.shortfall(phase, HoldReason.SELL_SHORTFALL, proved=snapshot)

    def shortfall(self, phase: Selling, reason: HoldReason, proved: Snapshot | None = None) -> Step:
        """Not every SELL filled: what the policy, or the operator, says.

        Args:
            phase: Selling.
            reason: Why: a SELL ended short, or takes too long.
            proved: The snapshot that shows every SELL terminal; None while some are live.
        """
        run = phase.run
        short = [leg for leg in run.sells if not leg.filled]
        detail = "; ".join(_shortfall_of(leg) for leg in short)
        replaced = [leg for leg in run.sells if leg.order is not None and leg.order.status is OrderStatus.REPLACED]
        if replaced and not run.released:
            return self.hold(phase, HoldReason.REPLACED, f"somebody replaced the order of {_symbols(replaced)}")
        policy = SellShortfall.RESIZE if run.released else run.shortfall
        match policy:
            case SellShortfall.HOLD:
                return self.hold(phase, reason, detail)
            case SellShortfall.ABORT:
                return self.stop(phase, Outcome.ABORTED, f"SELLs fell short: {detail}")
            case SellShortfall.RESIZE:
                if proved is not None:
                    note = Note("sells.short", {"detail": detail}, "warning")
                    step = self.enter_gate(run, proved)
                    return replace(step, notes=(note, *step.notes))
                live = tuple(leg.leg for leg in run.sells if leg.live)
                if phase.canceling:
                    return Step(phase)
                if not live:  # between two attempts to send: judge again, so that there is a bound
                    return Step(phase, (self.silence(run),))
                cancel = CancelOrders(run_id=run.run_id, legs=live, reason="SELLs fell short: resize")
                stuck = self.timer(run, Deadline.CANCEL_STUCK, self.settings.executive.cancel_stuck_s)
                outgoing = (Outgoing(Recipient.TRADING, cancel), stuck)
                return Step(replace(phase, canceling=True), outgoing)
            case _:
                assert_never(policy)

    # -- Gate, Fitting, Rechecking --------------------------------------------------------------------------------

    def enter_gate(self, run: Run, snapshot: Snapshot | None = None) -> Step:
        """Count the money on `snapshot`, or ask for one."""
        run = replace(run, waiting=None)
        if run.trading_state is TradingState.REDUCING and any(leg.sendable for leg in run.buys):
            run, denials = self.deny(run, [leg for leg in run.buys if leg.sendable])
            step = self.watch_buys(run)
            return replace(step, notes=(*denials, *step.notes))
        if not any(leg.sendable for leg in run.buys):
            return self.watch_buys(run)
        run = replace(run, tick=run.tick + 1)
        wait = self.timer(run, Deadline.CASH_WAIT, self.settings.executive.cash_wait_s)
        if snapshot is not None and not self.is_of_another_day(run):
            judged = self.judge_gate(Gate(run=run, ask=None), snapshot)
            return replace(judged, outgoing=(*judged.outgoing, wait)) if isinstance(judged.phase, Gate) else judged
        run, ask, outgoing = self.ask_snapshot(run, SnapshotPurpose.GATE, WHOLE_LOOK, new_tick=False)
        return Step(Gate(run=run, ask=ask), (*outgoing, wait), (Note("gate.asked", {}, "debug"),))

    def in_gate(self, phase: Gate, event: RunMessage) -> Step:
        match event:
            case SnapshotReady(ask=phase.ask):
                return self.judge_gate(replace(phase, ask=None), event.snapshot)
            case SnapshotUnavailable(ask=phase.ask):
                return Step(replace(phase, run=replace(phase.run, waiting=f"the broker: {event.reason}")))
            case DeadlinePassed(deadline=Deadline.CASH_POLL) if phase.ask is None:
                run, ask, outgoing = self.ask_snapshot(phase.run, SnapshotPurpose.GATE, WHOLE_LOOK, new_tick=False)
                return Step(replace(phase, run=run, ask=ask), outgoing)
            case DeadlinePassed(deadline=Deadline.CASH_WAIT):
                if phase.wants is None:
                    again = self.timer(phase.run, Deadline.CASH_WAIT, self.settings.executive.cash_wait_s)
                    return Step(phase, (again,))
                return self.hold(phase, phase.wants, f"waited for {phase.run.waiting or 'a look at the account'}")
            case _:
                return Step(phase)

    def judge_gate(self, phase: Gate, snapshot: Snapshot) -> Step:
        """Open, or say what is missing and look again. Everything that is not seen is missing."""
        run = phase.run
        account, cash_before = snapshot.account, run.cash_before_usd
        if account is None or cash_before is None:
            return self.gate_waits(phase, "the account's cash", HoldReason.BROKER_UNAVAILABLE)
        if account.trading_blocked or account.account_blocked:
            return self.hold(phase, HoldReason.ACCOUNT_BLOCKED, "Alpaca says that the account may not trade")
        missing = missing_proof(run, snapshot)
        if missing is not None:
            return self.gate_waits(phase, f"proof by REST: {missing}", HoldReason.BROKER_UNAVAILABLE)
        if snapshot.clock is None or not snapshot.clock.is_open:
            return self.gate_waits(phase, "market open", None)
        listed = {order.client_order_id for order in snapshot.run_orders or ()}
        unseen = [leg for leg in run.buys if leg.live and not leg.sendable and run.client_order_id(leg) not in listed]
        if unseen:  # what they may cost is neither spent nor reserved in this look
            return self.gate_waits(phase, f"word of {_symbols(unseen)}", HoldReason.BROKER_UNAVAILABLE)
        money = Money(
            funding=run.funding,
            proceeds_usd=run.proceeds_usd,
            cash_before_usd=cash_before,
            cash_now_usd=account.cash_usd,
            spent_usd=run.spent_usd,
        )
        if not money_seen(money) and not run.cash_taken_on_trust:
            due = cash_before + money.proceeds_usd - money.spent_usd
            seen = f"cash: expected about ${due:.2f}, Alpaca shows ${account.cash_usd:.2f}"
            return self.gate_waits(phase, seen, HoldReason.CASH_NOT_SEEN)
        return self.open_gate(run, snapshot, money)

    def gate_waits(self, phase: Gate, what: str, wants: HoldReason | None) -> Step:
        """Look again in `cash_poll_s`; say so once. `wants`: what to hold for after `cash_wait_s`; None: wait on."""
        notes = () if phase.run.waiting == what else (Note("gate.waiting", {"reason": what}),)
        run = replace(phase.run, waiting=what)
        delay = self.settings.executive.market_poll_s if wants is None else self.settings.executive.cash_poll_s
        return Step(Gate(run=run, ask=None, wants=wants), (self.timer(run, Deadline.CASH_POLL, delay),), notes)

    def open_gate(self, run: Run, snapshot: Snapshot, money: Money) -> Step:
        """Put the evidence on record, then have the BUYs fitted."""
        all_filled = all(leg.filled for leg in run.sells)
        decision = None
        if not all_filled:
            decision = ShortfallDecision.OPERATOR if run.released else ShortfallDecision.POLICY
            assert run.released or run.shortfall is SellShortfall.RESIZE, run.shortfall  # noqa: S101 - invariant 1
        gate = GateRecord(
            opened_at=self.now,
            snapshot_id=snapshot.snapshot_id,
            proceeds_usd=money.proceeds_usd,
            cash_before_usd=money.cash_before_usd,
            cash_at_gate_usd=money.cash_now_usd,
            decision=decision,
        )
        ahead, run = run.ahead, replace(run, gate=run.gate or gate, ahead=None, tick=run.tick + 1, waiting=None)
        opened = GateOpened(
            run_id=run.run_id,
            snapshot=snapshot,
            sells=tuple(_evidence(run, leg) for leg in run.sells),
            shortfall_decision=decision,
            proceeds_usd=money.proceeds_usd,
            cash_before_usd=money.cash_before_usd,
            cash_at_gate_usd=money.cash_now_usd,
        )
        fields = {"proceeds": str(money.proceeds_usd), "cash_at_gate": str(money.cash_now_usd)}
        note = Note("gate.opened", fields)
        buys = as_sent(leg for leg in run.buys if leg.sendable)
        run = replace(run, counter=run.counter + 1)
        fit = FitBuys(
            run_id=run.run_id,
            fit=run.counter,
            trades=buys,
            snapshot=snapshot,
            money=money,
            history=run.history,
            today=run.counts(self.now),
        )
        if ahead is not None and all_filled and self.stand_ready(ahead, fit):
            step = self.send_buys(replace(run, send_order=ahead.order))
            return Step(step.phase, (Outgoing(Recipient.EXECUTIVE, opened), *step.outgoing), (note, *step.notes))
        outgoing = (
            Outgoing(Recipient.EXECUTIVE, opened),
            Outgoing(Recipient.OPERATIONS, fit),
            self.silence(run),
        )
        return Step(Fitting(run=run, fit=run.counter, snapshot=snapshot, money=money), outgoing, (note,))

    def stand_ready(self, ahead: Ahead, fit: FitBuys) -> bool:
        """Whether the BUYs are those that both departments let pass whole, and pass whole on the gate's own look."""
        same = {trade.leg for trade in fit.trades} == set(ahead.order)
        if not (ahead.stands and same):
            return False
        limits = limits_of(self.settings)
        # What a loss asks for is Compliance's to say: with one the BUYs go the long way.
        return not broken_losses(fit.snapshot, fit.history, limits) and still_stand(fit, limits)

    def in_fitting(self, phase: Fitting, event: RunMessage) -> Step:
        match event:
            case BuysFitted(fit=phase.fit) if event.snapshot_id == phase.snapshot.snapshot_id:
                if {decision.leg for decision in event.legs} != {leg.leg for leg in phase.run.buys if leg.sendable}:
                    return self.hold(phase, HoldReason.INVARIANT_BROKEN, "the fit doesn't speak of the BUYs asked")
                run = phase.run.decided(event.legs)
                order = tuple(decision.leg for decision in event.legs)
                trades = [
                    leg.trade.model_copy(update={"qty": leg.qty})
                    for leg in (run.leg(name) for name in order)
                    if leg is not None and leg.sendable
                ]
                if not trades:
                    return self.watch_buys(run)
                run = replace(run, send_order=order, counter=run.counter + 1, tick=run.tick + 1)
                review = ReviewPlan(
                    run_id=run.run_id,
                    review=run.counter,
                    stage=Stage.RECHECK,
                    trades=tuple(trades),
                    snapshot=phase.snapshot,
                    funding=run.funding,
                    money=phase.money,
                    history=run.history,
                    today=run.counts(self.now),
                )
                return Step(
                    Rechecking(run=run, review=run.counter, snapshot=phase.snapshot, money=phase.money),
                    (Outgoing(Recipient.COMPLIANCE, review), self.silence(run)),
                )
            case _:
                return self.waiting_for_department(phase, event, "Operations' fit")

    def in_rechecking(self, phase: Rechecking, event: RunMessage) -> Step:
        match event:
            case PlanReviewed(review=phase.review) if event.snapshot_id == phase.snapshot.snapshot_id:
                return self.heed(phase, event, self.rechecked)
            case _:
                return self.waiting_for_department(phase, event, "Compliance's verdict on the fitted BUYs")

    def rechecked(self, phase: Rechecking, verdict: PlanReviewed) -> Step:
        """Send what the verdict leaves of the fitted BUYs."""
        run = phase.run
        asked = {leg.leg for leg in run.buys if leg.sendable}
        if not verdict.rejected and {decision.leg for decision in verdict.legs} != asked:
            return self.hold(phase, HoldReason.INVARIANT_BROKEN, "the verdict doesn't speak of the BUYs asked")
        run = run.decided(verdict.legs)
        if verdict.rejected:
            left = [replace(leg, qty=leg.qty * 0) for leg in run.buys if leg.sendable]
            run = replace(run.with_legs(left), rejections=run.rejections + verdict.violations)
        return self.enter_gate(run) if run.trading_state is TradingState.REDUCING else self.send_buys(run)

    # -- Buying ---------------------------------------------------------------------------------------------------

    def send_buys(self, run: Run) -> Step:
        """Hand the BUYs that were just rechecked to Trading, in the order of sending."""
        by_name = {leg.leg: leg for leg in run.buys}
        run, place = self.place(run, [by_name[name] for name in run.send_order if name in by_name])
        notes: tuple[Note, ...] = ()
        if place:
            sent = [leg for leg in run.buys if leg.placed and leg.order is None]
            fields = {"count": len(sent), "symbols": _symbols(sent)}
            notes = (Note("buys.executing", fields), Note("buys.waiting", fields))
        watched = self.watch_buys(run)
        return Step(watched.phase, place + watched.outgoing, notes + watched.notes)

    def watch_buys(self, run: Run) -> Step:
        """Follow the BUYs that are out. Those that could still be sent go through the gate first."""
        if any(leg.sendable for leg in run.buys):
            return self.enter_gate(run)
        run = replace(run, tick=run.tick + 1, waiting=None)
        timeout = (self.timer(run, Deadline.BUY_TIMEOUT, self.settings.executive.buy_timeout_s),) if run.live else ()
        return Step(Buying(run=run), timeout).then(self.judge_buying)

    def in_buying(self, phase: Buying, event: RunMessage) -> Step:
        match event:
            case OrderUpdated():
                return self.judge_buying(phase)
            case DeadlinePassed(deadline=Deadline.PLACE_AGAIN):
                return self.watch_buys(phase.run) if any(leg.sendable for leg in phase.run.buys) else Step(phase)
            case DeadlinePassed(deadline=Deadline.BUY_TIMEOUT) if phase.run.live:
                live = phase.run.live
                cancel = CancelOrders(
                    run_id=phase.run.run_id, legs=tuple(leg.leg for leg in live), reason="buy_timeout_s passed"
                )
                stuck = self.timer(phase.run, Deadline.CANCEL_STUCK, self.settings.executive.cancel_stuck_s)
                note = Note("buys.unfilled", {"symbols": _symbols(live)}, "warning")
                return Step(replace(phase, canceling=True), (Outgoing(Recipient.TRADING, cancel), stuck), (note,))
            case DeadlinePassed(deadline=Deadline.CANCEL_STUCK) if phase.canceling and phase.run.live:
                return self.hold(phase, HoldReason.CANCEL_STUCK, f"no end to {_symbols(phase.run.live)}")
            case _:
                return Step(phase)

    def judge_buying(self, phase: Phase) -> Step:
        """Verify once every BUY is terminal; one never found is sent again while there is time, then given up."""
        assert isinstance(phase, Buying), phase  # noqa: S101 - our own callers
        run = phase.run
        again = [leg for leg in run.buys if self.may_be_resent(leg) and leg.placed and not phase.canceling]
        if again:
            resent = run.with_legs(replace(leg, placed=False, resends=leg.resends + 1) for leg in again)
            return Step(replace(phase, run=resent), (self.timer(resent, Deadline.PLACE_AGAIN, PLACE_AGAIN_S),))
        open_legs = [leg for leg in run.buys if leg.live and not leg.absent]
        waiting_to_be_sent = [leg for leg in run.buys if leg.sendable]
        if open_legs or waiting_to_be_sent:
            return Step(phase)
        bought = [leg for leg in run.buys if leg.sent]
        notes: tuple[Note, ...] = ()
        if bought and all(leg.filled for leg in bought):
            notes = (Note("buys.filled"),)
        elif bought:
            unfilled = [leg for leg in bought if not leg.filled]
            notes = (Note("buys.unfilled", {"symbols": _symbols(unfilled)}, "warning"),)
        kept_back = any(one.code == TRADING_REDUCING for leg in run.buys for one in leg.violations)
        reason = "BUYs were not sent: trading was REDUCING" if kept_back else None
        step = self.enter_verifying(run, Outcome.COMPLETED, reason)
        return replace(step, notes=(*notes, *step.notes))

    # -- Stopping, Verifying, the end -----------------------------------------------------------------------------

    def enter_stopping(self, run: Run, outcome: Outcome, reason: str | None) -> Step:
        """Cancel what is live; end at once if nothing ever left."""
        run = replace(run, tick=run.tick + 1, waiting=None)
        if not run.anything_sent:
            return self.end(run, outcome, reason)
        live = tuple(leg.leg for leg in run.live_and_found)
        phase = Stopping(run=run, outcome=outcome, reason=reason)
        if not live:
            return self.enter_verifying(run, outcome, reason)
        cancel = CancelOrders(run_id=run.run_id, legs=live, reason=reason or outcome.value)
        stuck = self.timer(run, Deadline.CANCEL_STUCK, self.settings.executive.cancel_stuck_s)
        return Step(phase, (Outgoing(Recipient.TRADING, cancel), stuck))

    def in_stopping(self, phase: Stopping, event: RunMessage) -> Step:
        step = self.judge_stopping(phase)
        stuck = isinstance(event, DeadlinePassed) and event.deadline is Deadline.CANCEL_STUCK
        if stuck and isinstance(step.phase, Stopping):
            return self.hold(phase, HoldReason.CANCEL_STUCK, f"no end to {_symbols(phase.run.live)}")
        return step

    def judge_stopping(self, phase: Stopping) -> Step:
        """Verify once nothing is live."""
        if phase.run.live_and_found:
            return Step(phase)
        return self.enter_verifying(phase.run, phase.outcome, phase.reason)

    def enter_verifying(self, run: Run, outcome: Outcome, reason: str | None) -> Step:
        """Read positions, cash and orders once more."""
        if not run.anything_sent:
            return self.end(run, outcome, reason or "nothing to do")
        run, ask, outgoing = self.ask_snapshot(run, SnapshotPurpose.VERIFY, VERIFY_LOOK)
        wait = self.timer(run, Deadline.VERIFY_WAIT, self.settings.executive.verify_wait_s)
        return Step(Verifying(run=run, outcome=outcome, reason=reason, ask=ask), (*outgoing, wait))

    def in_verifying(self, phase: Verifying, event: RunMessage) -> Step:
        match event:
            case OrderUpdated() if phase.run.live_and_found:
                # An order that could not be found has appeared after all.
                return self.enter_stopping(phase.run, phase.outcome, phase.reason)
            case SnapshotReady(ask=phase.ask):
                return self.judge_verification(replace(phase, ask=None), event.snapshot)
            case SnapshotUnavailable(ask=phase.ask):
                return Step(replace(phase, run=replace(phase.run, waiting=f"the broker: {event.reason}")))
            case DeadlinePassed(deadline=Deadline.VERIFY_POLL) if phase.ask is None:
                run, ask, outgoing = self.ask_snapshot(phase.run, SnapshotPurpose.VERIFY, VERIFY_LOOK, new_tick=False)
                return Step(replace(phase, run=run, ask=ask), outgoing)
            case DeadlinePassed(deadline=Deadline.VERIFY_WAIT):
                return Step(replace(phase, last_try=True))
            case DeadlinePassed(deadline=Deadline.SILENCE) if phase.ask is not None:
                return self.hold(phase, HoldReason.SILENCE, f"waited for {phase.run.waiting or 'the last look'}")
            case _:
                return Step(phase)

    def judge_verification(self, phase: Verifying, snapshot: Snapshot) -> Step:
        """Equal: end. Not yet: look again. Not after `verify_wait_s`: hold until a person acknowledges it."""
        run = replace(phase.run, cash_after_usd=None if snapshot.account is None else snapshot.account.cash_usd)
        differences = verify(run, snapshot)
        run = replace(run, differences=differences, verified=not differences)
        phase = replace(phase, run=run)
        if not differences:
            step = self.end(run, phase.outcome, phase.reason)
            return replace(step, notes=(Note("verification.ok"), *step.notes))
        told = "; ".join(f"{d.what}: expected {d.expected}, was {d.seen}" for d in differences)
        if phase.last_try:
            alone = differences == unprotected(run, snapshot)
            step = self.hold(phase, HoldReason.UNPROTECTED if alone else HoldReason.VERIFICATION_MISMATCH, told)
            note = Note("verification.failed", {"differences": told}, "error")
            return replace(step, notes=(note, *step.notes))
        poll = self.timer(run, Deadline.VERIFY_POLL, self.settings.executive.verify_poll_s)
        return Step(replace(phase, run=replace(run, waiting=told)), (poll,))

    def end(self, run: Run, outcome: Outcome, reason: str | None) -> Step:
        """Over. Departments forget the run."""
        run = replace(run, tick=run.tick + 1, waiting=None)
        told = RunEnded(run_id=run.run_id, outcome=outcome.value, reason=reason)
        level = "info" if outcome is Outcome.COMPLETED else "warning"
        note = Note(END_EVENTS[outcome], {"reason": reason}, level)
        phase = Ended(run=run, outcome=outcome, reason=reason, ended_at=self.now)
        return Step(phase, (Outgoing(Recipient.TRADING, told),), (note,))

    # -- pieces ---------------------------------------------------------------------------------------------------

    def waiting_for_department(self, phase: Phase, event: RunMessage, what: str) -> Step:
        """A department, or the broker, owes an answer; past `silence_s` the run is held until it comes."""
        match event:
            case SnapshotUnavailable():
                return Step(with_run(phase, replace(phase.run, waiting=f"the broker: {event.reason}")))
            case DeadlinePassed(deadline=Deadline.SILENCE):
                waiting = phase.run.waiting
                reason = HoldReason.SILENCE if waiting is None else HoldReason.BROKER_UNAVAILABLE
                return self.hold(phase, reason, f"waited for {waiting or what}")
            case _:
                return Step(phase)

    def may_be_resent(self, leg: Leg) -> bool:
        """Whether an order that could not be found is sent again, under the same id."""
        return leg.absent and not leg.given_up and leg.resends < self.settings.executive.max_resends

    def place(self, run: Run, legs: Iterable[Leg]) -> tuple[Run, tuple[Outgoing, ...]]:
        """Hand over, as one order list, every leg that can be sent."""
        ready = [leg for leg in legs if leg.sendable]
        if not ready:
            return run, ()
        buys = ready[0].trade.side is Side.BUY
        assert not (buys and run.trading_state is not TradingState.ACTIVE), run.trading  # noqa: S101 - invariant 7
        orders = PlaceOrders(
            run_id=run.run_id, side=ready[0].trade.side, intents=tuple(leg.intent(run.run_id) for leg in ready)
        )
        placed = run.with_legs(leg.handed_over() for leg in ready)
        return placed, (Outgoing(Recipient.TRADING, orders),)

    def ask_snapshot(
        self,
        run: Run,
        purpose: SnapshotPurpose,
        parts: tuple[SnapshotPart, ...],
        *,
        history: tuple[HistoryPart, ...] = (),
        once_terminal: tuple[LegId, ...] = (),
        new_tick: bool = True,
    ) -> tuple[Run, int, tuple[Outgoing, ...]]:
        """Ask Trading for a look, and set the bound on its silence; at the gate, anew for a history of another day."""
        if purpose is SnapshotPurpose.GATE and self.is_of_another_day(run):
            history = history_needed(limits_of(self.settings))
        run = replace(run, counter=run.counter + 1, tick=run.tick + (1 if new_tick else 0))
        ask = RequestSnapshot(
            run_id=run.run_id,
            ask=run.counter,
            purpose=purpose,
            parts=parts,
            symbols=run.symbols,
            history=history,
            once_terminal=once_terminal,
        )
        outgoing = (
            (Outgoing(Recipient.TRADING, ask), self.silence(run)) if new_tick else (Outgoing(Recipient.TRADING, ask),)
        )
        return run, run.counter, outgoing

    def is_of_another_day(self, run: Run) -> bool:
        """Whether the history was read on another trading day, New York's: a gate must not be judged by it."""
        return run.history is not None and day_in_new_york(run.history.read_at) != day_in_new_york(self.now)

    def timer(self, run: Run, deadline: Deadline, delay_s: float, leg: LegId | None = None) -> Outgoing:
        """Mail to ourselves, due after `delay_s` seconds; it means nothing once the tick has moved on."""
        due_at = self.now + timedelta(seconds=delay_s)
        message = DeadlinePassed(run_id=run.run_id, deadline=deadline, token=run.tick, leg=leg, due_at=due_at)
        return Outgoing(Recipient.EXECUTIVE, message, due_at)

    def silence(self, run: Run) -> Outgoing:
        """The bound on how long a department may stay silent."""
        return self.timer(run, Deadline.SILENCE, self.settings.executive.silence_s)


def _is_proof(phase: Phase, look: SnapshotReady) -> bool:
    """Whether this is the look that Selling waits for."""
    return isinstance(phase, Selling) and phase.proof == look.ask


def with_run(phase: Phase, run: Run) -> Phase:
    """The same phase of a changed run."""
    if isinstance(phase, Held):
        return replace(phase, resume_to=with_run(phase.resume_to, run))
    changed: Phase = replace(phase, run=run)
    return changed


def _held_for(phase: Phase, reason: HoldReason) -> bool:
    """Whether that is among the reasons the run is held for."""
    return isinstance(phase, Held) and (phase.reason is reason or _held_for(phase.resume_to, reason))


def _without(phase: Phase, reason: HoldReason) -> Phase:
    """The phase less the hold for that reason."""
    if not isinstance(phase, Held):
        return phase
    return phase.resume_to if phase.reason is reason else replace(phase, resume_to=_without(phase.resume_to, reason))


def _symbols(legs: Iterable[Leg]) -> str:
    return ", ".join(leg.trade.symbol for leg in legs)


def _sentence(leg: LegId | None, rule: str, figure: str) -> str:
    return f"{rule}: {figure}" if leg is None else f"{leg}: {rule}: {figure}"


def _shortfall_of(leg: Leg) -> str:
    status = "not answered" if leg.order is None else leg.order.status.value
    reason = f" ({leg.order.reason})" if leg.order is not None and leg.order.reason else ""
    return f"{leg.trade.symbol} {status}{reason}, {leg.filled_qty} of {leg.qty} filled"


def _evidence(run: Run, leg: Leg) -> SellEvidence:
    assert leg.order is not None and leg.confirmed, leg  # noqa: S101, PT018 - invariant 1
    return SellEvidence(
        leg=leg.leg,
        client_order_id=run.client_order_id(leg),
        status=leg.order.status,
        qty=leg.qty,
        filled_qty=leg.filled_qty,
        filled_avg_price_usd=leg.order.filled_avg_price_usd,
    )
