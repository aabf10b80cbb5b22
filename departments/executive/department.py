"""The CEO: takes approved plans in, runs one at a time through the machine, passes the operator's words on. Pure.

Mail of a run changes that run's entry only; mail of the account stream changes the account's part only. That is what
lets a restart fold the account stream and the open runs, and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from departments.executive.approval import refusal
from departments.executive.execution import Step, advance, with_run
from departments.executive.phases import Ended, HoldReason, Outcome, Phase, Queued
from departments.executive.run import Leg, Run
from departments.office.department import Handled, Note
from departments.office.grown import Grown
from departments.office.settings import Settings
from messages.control import (
    WORD_STATES,
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
    ResumeRun,
    ResumeTrading,
    RunFinished,
)
from messages.envelope import Envelope, Outgoing
from messages.message import AccountMessage, RunMessage
from messages.new_york import day_in_new_york
from messages.orders import BrokerHealthChanged, PlaceOrders, RunEnded
from messages.plans import SubmitPlan
from messages.proposals import LevelsPlanned
from messages.snapshots import PlannedLevels
from messages.values import AccountName, PlanId, Recipient, RunId, TradingState, stricter


@dataclass(frozen=True, slots=True, kw_only=True)
class Trading:
    """The account's trading state, who set it and why; the latter two are None while it is ACTIVE.

    Attributes:
        limits: Codes of the limits on losses that asked for it.
    """

    state: TradingState = TradingState.ACTIVE
    reason: str | None = None
    by: str | None = None
    limits: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What belongs to no run.

    Attributes:
        resumed_from: Limits on losses that asked for the state which was lifted last.
        waiting: Runs in the order of acceptance; the first is the active one.
        ended: Runs that are over, and how they ended: the same plan is never run twice.
        nonces: Of the approvals of every run that was accepted -> that run.
        health: The last word on how Alpaca can be reached.
        tally: What was done on the newest day on which a run was begun or had sent something; None before the first.
    """

    trading: Trading = Trading()
    resumed_from: frozenset[str] = frozenset()
    waiting: tuple[tuple[RunId, PlanId], ...] = ()
    ended: Grown[RunId, str] = field(default_factory=Grown)
    nonces: Grown[str, RunId] = field(default_factory=Grown)
    health: BrokerHealthChanged | None = None
    tally: DayTally | None = None

    def tally_of(self, now: datetime) -> DayTally:
        """What was done on this day so far."""
        today = day_in_new_york(now)
        return self.tally if self.tally is not None and self.tally.day == today else DayTally(day=today)

    @property
    def active(self) -> RunId | None:
        """The run whose turn it is."""
        return self.waiting[0][0] if self.waiting else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutiveState:
    """The CEO's memory."""

    account: Account = Account()
    runs: Mapping[RunId, Phase] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExecutiveDepartment:
    """Handles the CEO's mail.

    Attributes:
        account: The account of this firm.
    """

    account: AccountName
    name: Recipient = Recipient.EXECUTIVE

    def initial(self) -> ExecutiveState:
        """The state before any mail."""
        return ExecutiveState()

    def handle(
        self, state: ExecutiveState, envelope: Envelope, now: datetime, settings: Settings
    ) -> Handled[ExecutiveState]:
        """Handle one message."""
        message = envelope.message
        if isinstance(message, SubmitPlan):
            return self._accept(state, message, now, settings)
        if isinstance(message, RunMessage):
            return _advance_run(state, message, now, settings)
        assert isinstance(message, AccountMessage), message  # noqa: S101 - the codec knows no third kind
        return _account(state, message, now)

    def _accept(
        self, state: ExecutiveState, letter: SubmitPlan, now: datetime, settings: Settings
    ) -> Handled[ExecutiveState]:
        """Queue an approved plan; end one whose approval doesn't cover it. A plan already here changes nothing."""
        if letter.run_id in state.runs or letter.run_id in state.account.ended:
            return Handled(state, notes=(Note("run.already_here", {"run_id": letter.run_id}),))
        run = _run_of(letter, now, settings)
        plan = letter.plan
        why_not = refusal(
            plan,
            letter.approval,
            run_id=letter.run_id,
            plan_bytes=letter.plan_text.encode(),
            account=self.account,
            mode=settings.firm.mode,
            now=now,
            signers=settings.signers,
            rules_sha256=settings.rules_sha256(),
        )
        fields = {"run_id": run.run_id, "plan_id": plan.plan_id}
        opens = (run.run_id, str(plan.plan_id), plan.plan_sha256)
        if why_not is not None:
            ended = Ended(run=run, outcome=Outcome.REJECTED, reason=why_not, ended_at=now)
            return Handled(
                _with_phase(state, ended),
                (
                    Outgoing(Recipient.TRADING, RunEnded(run_id=run.run_id, outcome="rejected", reason=why_not)),
                    *_to_self(RunFinished(ended_run_id=run.run_id, outcome=Outcome.REJECTED.value)),
                ),
                (Note("run.rejected", {**fields, "reason": why_not}, "warning"),),
                opens_run=opens,
                closes_run=(run.run_id, Outcome.REJECTED.value),
            )
        expiry = DeadlinePassed(run_id=run.run_id, deadline=Deadline.APPROVAL, token=0, due_at=run.expires_at)
        outgoing = (
            Outgoing(
                Recipient.EXECUTIVE,
                PlanQueued(queued_run_id=run.run_id, plan_id=plan.plan_id, nonce=letter.approval.nonce),
            ),
            Outgoing(Recipient.EXECUTIVE, expiry, run.expires_at),
        )
        note = Note("run.accepted", {**fields, "sells": len(run.sells), "buys": len(run.buys)})
        return Handled(_with_phase(state, Queued(run=run)), outgoing, (note,), opens_run=opens)


def _run_of(letter: SubmitPlan, now: datetime, settings: Settings) -> Run:
    plan, executive = letter.plan, settings.executive
    expiries = [letter.approval.expires_at, *([plan.expires_at] if plan.expires_at else [])]
    return Run(
        run_id=letter.run_id,
        plan=plan,
        approval=letter.approval,
        shortfall=plan.sell_shortfall or executive.sell_shortfall,
        funding=plan.funding or executive.funding,
        legs=tuple(Leg(trade=trade, qty=trade.qty) for trade in plan.trades),
        accepted_at=now,
        expires_at=min(expiries),
    )


def _advance_run(
    state: ExecutiveState, message: RunMessage, now: datetime, settings: Settings
) -> Handled[ExecutiveState]:
    """Take one step of one run. Mail of a run that is over, or was never here, changes nothing."""
    phase = state.runs.get(message.run_id)
    if phase is None:
        return Handled(state, notes=(Note("run.unknown", {"message_type": type(message).__name__}, "debug"),))
    if isinstance(phase, Ended):
        return Handled(state)
    step = _counted(phase.run, advance(phase, message, now, settings), now)
    fields = {"run_id": phase.run.run_id, "plan_id": phase.run.plan.plan_id}
    notes = tuple(replace(note, fields={**fields, **note.fields}) for note in step.notes)
    after = _with_phase(state, step.phase)
    if not isinstance(step.phase, Ended):
        return Handled(after, step.outgoing, notes)
    outcome = step.phase.outcome.value
    finished = RunFinished(ended_run_id=phase.run.run_id, outcome=outcome, sent=step.phase.run.sent_on)
    return Handled(
        after,
        (*step.outgoing, *_levels(step.phase.run), Outgoing(Recipient.EXECUTIVE, finished)),
        notes,
        closes_run=(phase.run.run_id, outcome),
    )


def _counted(before: Run, step: Step, now: datetime) -> Step:
    """The step, its orders counted on their day; the same order again is none more."""
    orders = 0
    for mail in step.outgoing:
        if isinstance(mail.message, PlaceOrders):
            legs = (before.leg(intent.leg) for intent in mail.message.intents)
            orders += sum(leg is None or not leg.sent for leg in legs)
    if not orders:
        return step
    return replace(step, phase=with_run(step.phase, step.phase.run.sending(orders, day_in_new_york(now))))


def _levels(run: Run) -> tuple[Outgoing, ...]:
    """What the plan says of leaving what the run bought: Operations judges the positions by it."""
    levels = tuple(
        PlannedLevels(
            symbol=leg.trade.symbol,
            bought_at=leg.order.as_of,
            stop_loss_usd=leg.trade.stop_loss_usd,
            take_profit_usd=leg.trade.take_profit_usd,
            score=leg.trade.score,
        )
        for leg in run.buys
        if leg.order is not None and leg.filled_qty > 0
    )
    return (Outgoing(Recipient.OPERATIONS, LevelsPlanned(levels=levels)),) if levels else ()


def _account(state: ExecutiveState, message: AccountMessage, now: datetime) -> Handled[ExecutiveState]:
    """Mail of the account stream: the queue, the trading state, health, dead letters."""
    account = state.account
    match message:
        case PlanQueued():
            nonces = account.nonces
            if message.nonce is not None:
                first = nonces.get(message.nonce, message.queued_run_id)
                if first != message.queued_run_id:
                    # The nonces belong to the account, so they are judged in its stream, before anything is sent.
                    why = f"the firm: its approval is a replay, run {first} was approved with the same nonce"
                    note = Note("run.replayed", {"run_id": message.queued_run_id, "before": first}, "warning")
                    return Handled(state, _to_self(AbortRun(run_id=message.queued_run_id, by=why)), (note,))
                nonces = nonces.plus(message.nonce, first)
            waiting = (*account.waiting, (message.queued_run_id, message.plan_id))
            after = replace(account, waiting=waiting, nonces=nonces)
            if account.active is not None:
                note = Note("run.waiting_turn", {"run_id": message.queued_run_id, "before": account.active})
                return Handled(replace(state, account=after), notes=(note,))
            after, begin = _begin(after, now)
            return Handled(replace(state, account=after), begin)
        case RunFinished():
            waiting = tuple(entry for entry in account.waiting if entry[0] != message.ended_run_id)
            after = replace(
                account,
                waiting=waiting,
                ended=account.ended.plus(message.ended_run_id, message.outcome),
                tally=_tally_with(account.tally, message.sent),
            )
            runs = {run_id: phase for run_id, phase in state.runs.items() if run_id != message.ended_run_id}
            begin = ()
            if account.active == message.ended_run_id:
                after, begin = _begin(after, now)
            return Handled(ExecutiveState(account=after, runs=runs), begin)
        case HaltTrading() | ReduceTrading():
            return _restrict(state, message)
        case ResumeTrading():
            resumed = replace(account, trading=Trading(), resumed_from=account.trading.limits)
            note = Note("trading.resumed", {"by": message.by})
            words = () if account.active is None else _to_self(ResumeRun(run_id=account.active))
            return Handled(replace(state, account=resumed), words, (note,))
        case BrokerHealthChanged():
            return Handled(replace(state, account=replace(account, health=message)))
        case DeadLetter():
            fields: dict[str, Any] = {
                "recipient": message.recipient,
                "message_type": message.message_type,
                "reason": message.reason,
            }
            note = Note("mail.dead_lettered", fields, "error")
            if message.about_run is None:
                return Handled(state, notes=(note,))
            detail = f"{message.message_type} to {message.recipient} could not be handled: {message.reason}"
            hold = HoldRun(run_id=message.about_run, reason=HoldReason.DEAD_LETTER.value, detail=detail)
            return Handled(state, _to_self(hold), (note,))
        case _:
            return Handled(state, notes=(Note("mail.ignored", {"message_type": type(message).__name__}, "debug"),))


def _restrict(state: ExecutiveState, word: HaltTrading | ReduceTrading) -> Handled[ExecutiveState]:
    """Let less leave, and tell the active run. Who said it first is kept; only a resume lifts anything."""
    account, before, says = state.account, state.account.trading, WORD_STATES[type(word)]
    limits = frozenset(violation.code for violation in word.violations)
    tighter = stricter(before.state, says) is not before.state
    after = Trading(state=says, reason=word.reason, by=word.by) if tighter else before
    after = replace(after, limits=before.limits | limits)
    event = "trading.halted" if says is TradingState.HALTED else "trading.reducing"
    if limits & account.resumed_from:
        event = "trading.restricted_again"
    fields = {"state": after.state.value, "reason": word.reason, "by": word.by}
    note = Note(event if tighter else "trading.unchanged", fields, "warning")
    handled = replace(state, account=replace(account, trading=after))
    if account.active is None or not (tighter or isinstance(word, HaltTrading)):
        return Handled(handled, (), (note,))
    told: RunMessage = ReduceRun(run_id=account.active, reason=word.reason, by=word.by)
    if isinstance(word, HaltTrading):
        told = HaltRun(run_id=account.active, reason=word.reason, cancel_orders=word.cancel_orders)
    return Handled(handled, _to_self(told), (note,))


def _begin(account: Account, now: datetime) -> tuple[Account, tuple[Outgoing, ...]]:
    """Start the run whose turn it is, and count it, under the trading state that stands: halted, it starts held."""
    if not account.waiting:
        return account, ()
    run_id, plan_id = account.waiting[0]
    tally = account.tally_of(now)
    begin = Outgoing(Recipient.EXECUTIVE, BeginRun(run_id=run_id, plan_id=plan_id, tally=tally))
    counted = replace(account, tally=tally.model_copy(update={"plans": tally.plans + 1}))
    reason, by = account.trading.reason or "", account.trading.by or ""
    match account.trading.state:
        case TradingState.ACTIVE:
            return counted, (begin,)
        case TradingState.REDUCING:
            return counted, (begin, *_to_self(ReduceRun(run_id=run_id, reason=reason, by=by)))
        case TradingState.HALTED:
            return counted, (begin, *_to_self(HaltRun(run_id=run_id, reason=reason, cancel_orders=False)))


def _tally_with(tally: DayTally | None, sent: tuple[OrdersSent, ...]) -> DayTally | None:
    """The tally of the newest day with a run's orders in it."""
    for one in sent:
        if tally is None or one.day > tally.day:
            tally = DayTally(day=one.day, orders=one.orders)
        elif one.day == tally.day:
            tally = tally.model_copy(update={"orders": tally.orders + one.orders})
    return tally


def _to_self(word: RunMessage | AccountMessage) -> tuple[Outgoing, ...]:
    return (Outgoing(Recipient.EXECUTIVE, word),)


def _with_phase(state: ExecutiveState, phase: Phase) -> ExecutiveState:
    return replace(state, runs={**state.runs, phase.run.run_id: phase})
