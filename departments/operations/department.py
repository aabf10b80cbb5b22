"""Operations: fits the BUYs to the money. It keeps nothing in mind: each fit stands on its message alone."""

from dataclasses import dataclass
from datetime import datetime

from departments.office.department import Handled, Note
from departments.office.settings import Settings
from departments.operations.sizing import fit_buys
from departments.rulebook.context import why
from departments.rulebook.limits import limits_of
from messages.envelope import Envelope, Outgoing
from messages.plans import Trade
from messages.proposals import BuysFitted, FitBuys
from messages.reviews import Decision, LegDecision
from messages.values import Recipient


@dataclass(frozen=True, slots=True)
class NothingInMind:
    """The state of a department that answers each message by itself."""


class OperationsDepartment:
    """Answers `FitBuys` with `BuysFitted`; other mail means nothing to it."""

    @property
    def name(self) -> Recipient:
        """Where its mail goes."""
        return Recipient.OPERATIONS

    def initial(self) -> NothingInMind:
        """The state before any mail."""
        return NothingInMind()

    def handle(
        self, state: NothingInMind, envelope: Envelope, now: datetime, settings: Settings
    ) -> Handled[NothingInMind]:
        """Fit BUYs; the same message gives the same fit whenever it is handled."""
        del now
        ask = envelope.message
        if not isinstance(ask, FitBuys):
            return Handled(state)
        fitted = fit_buys(ask, limits_of(settings), settings.executive.on_violation)
        return Handled(state, (Outgoing(Recipient.EXECUTIVE, fitted),), () if ask.ahead else notes_on(ask, fitted))


def notes_on(ask: FitBuys, fitted: BuysFitted) -> tuple[Note, ...]:
    """What the log says of a fit: each leg cut or dropped with its reasons, and the sum."""
    trades = {trade.leg: trade for trade in ask.trades}
    notes = [note for decision in fitted.legs for note in _leg_notes(trades[decision.leg], decision)]
    count = {kind: sum(decision.decision is kind for decision in fitted.legs) for kind in Decision}
    notes.append(
        Note(
            "buys.fitted",
            {
                "fit": fitted.fit,
                "snapshot_id": fitted.snapshot_id,
                "funding": ask.money.funding.value,
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
    event = "leg.cut" if decision.decision is Decision.CUT else "leg.dropped"
    return tuple(Note(event, {**why(reason), "leg": trade.leg, **about}, "warning") for reason in decision.violations)
