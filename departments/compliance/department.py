"""Compliance: judges plans by the rulebook. It keeps nothing in mind: each verdict stands on its message alone."""

from dataclasses import dataclass
from datetime import datetime

from departments.compliance.review import review
from departments.compliance.states import losses
from departments.office.department import Handled, Note
from departments.office.settings import Settings
from departments.rulebook.context import why
from departments.rulebook.limits import limits_of
from messages.envelope import Envelope, Outgoing
from messages.plans import Trade
from messages.reviews import Decision, LegDecision, PlanReviewed, ReviewPlan
from messages.values import Recipient


@dataclass(frozen=True, slots=True)
class NothingInMind:
    """The state of a department that judges each message by itself."""


class ComplianceDepartment:
    """Answers `ReviewPlan` with `PlanReviewed`; other mail means nothing to it."""

    @property
    def name(self) -> Recipient:
        """Where its mail goes."""
        return Recipient.COMPLIANCE

    def initial(self) -> NothingInMind:
        """The state before any mail."""
        return NothingInMind()

    def handle(
        self, state: NothingInMind, envelope: Envelope, now: datetime, settings: Settings
    ) -> Handled[NothingInMind]:
        """Judge a plan; the same message gives the same verdict whenever it is handled."""
        del now
        ask = envelope.message
        if not isinstance(ask, ReviewPlan):
            return Handled(state)
        limits = limits_of(settings)
        verdict = review(ask, limits, settings.executive.on_violation)
        verdict = verdict.model_copy(update={"losses": losses(ask.snapshot, ask.history, limits)})
        return Handled(state, (Outgoing(Recipient.EXECUTIVE, verdict),), () if ask.ahead else notes_on(ask, verdict))


def notes_on(ask: ReviewPlan, verdict: PlanReviewed) -> tuple[Note, ...]:
    """What the log says of a verdict: each leg refused or cut with its reasons, what was broken before, the sum."""
    trades = {trade.leg: trade for trade in ask.trades}
    notes = [note for decision in verdict.legs for note in _leg_notes(trades[decision.leg], decision)]
    notes += [Note("plan.rejected", why(violation), "warning") for violation in verdict.violations]
    if verdict.losses is not None:
        notes += [Note("loss.beyond_limit", why(violation), "warning") for violation in verdict.losses.violations]
    notes += [Note("limit.breached_before", why(violation), "warning") for violation in verdict.breaches]
    count = {kind: sum(decision.decision is kind for decision in verdict.legs) for kind in Decision}
    notes.append(
        Note(
            "plan.reviewed",
            {
                "review": verdict.review,
                "stage": ask.stage.value,
                "snapshot_id": verdict.snapshot_id,
                "rejected": verdict.rejected,
                "kept": count[Decision.KEEP],
                "cut": count[Decision.CUT],
                "dropped": count[Decision.DROP],
            },
        )
    )
    return tuple(notes)


def _leg_notes(trade: Trade, decision: LegDecision) -> tuple[Note, ...]:
    if decision.decision is Decision.KEEP:
        return ()
    about = {
        "symbol": trade.symbol,
        "side": trade.side.value,
        "planned_qty": str(decision.planned_qty),
        "qty": str(decision.qty),
    }
    event = "leg.cut" if decision.decision is Decision.CUT else "leg.denied"
    return tuple(Note(event, {**why(violation), **about}, "warning") for violation in decision.violations)
