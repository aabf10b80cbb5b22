"""Operations: fits the BUYs to the money, each fit on its message alone, and reviews the positions (`monitor.py`)."""

from dataclasses import dataclass
from datetime import datetime

from departments.office.department import Handled, Note
from departments.office.settings import Settings
from departments.operations.monitor import Watch, account_mail
from departments.operations.sizing import fit_buys
from departments.rulebook.context import why
from departments.rulebook.limits import limits_of
from messages.envelope import Envelope, Outgoing
from messages.message import AccountMessage
from messages.plans import Trade
from messages.proposals import BuysFitted, FitBuys
from messages.reviews import Decision, LegDecision
from messages.values import AccountName, Recipient


@dataclass(frozen=True, slots=True)
class OperationsDepartment:
    """Answers `FitBuys` with `BuysFitted`; the account's mail is the monitor's. Other mail means nothing to it.

    Attributes:
        account: The account of this firm.
    """

    account: AccountName

    @property
    def name(self) -> Recipient:
        """Where its mail goes."""
        return Recipient.OPERATIONS

    def initial(self) -> Watch:
        """The state before any mail."""
        return Watch()

    def handle(self, state: Watch, envelope: Envelope, now: datetime, settings: Settings) -> Handled[Watch]:
        """Fit BUYs, or review positions; a fit is the same whenever it is made."""
        message = envelope.message
        if isinstance(message, AccountMessage):
            watch, sent, notes = account_mail(state, message, self.account, now, settings)
            return Handled(watch, sent, notes)
        if not isinstance(message, FitBuys):
            return Handled(state)
        fitted = fit_buys(message, limits_of(settings), settings.executive.on_violation)
        return Handled(
            state, (Outgoing(Recipient.EXECUTIVE, fitted),), () if message.ahead else notes_on(message, fitted)
        )


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
