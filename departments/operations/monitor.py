"""The position monitor, pure: waits for the times of review, judges the positions, asks for proposals to be filed.

One ask for a look is under way at a time. It is mail that the desk answers once the broker's clock has come so far, so
a daemon that was away asks on where it was: a review that fell due meanwhile is made when it is back, if the market is
still open, and else skipped with a line in the log. What was reviewed is part of the state, so nothing is filed twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final

from departments.office.department import Note
from departments.office.settings import Settings
from departments.operations.exit_text import exit_plan_text, explained, said
from departments.operations.exits import ExitAsk, ExitProposal, propose_exits
from departments.operations.schedule import Agenda, agenda
from messages.control import FirmOpened
from messages.envelope import Outgoing
from messages.message import AccountMessage, Message
from messages.proposals import (
    AccountLook,
    AskAccountLook,
    FileProposal,
    LevelsPlanned,
    ProposalFiled,
    ProposalNotFiled,
)
from messages.snapshots import ClockFacts, PlannedLevels
from messages.values import AccountName, PlanId, Recipient

LOOK_IS_FRESH_FOR: Final = timedelta(minutes=2)
"""Store's time: an older look, left over from before a stop, is taken anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the monitor remembers.

    Attributes:
        last_ask: Looks asked for so far.
        asked: The one that is under way; None: none is.
        day: The session that `done` is about.
        done: Its times that need no review any more.
        levels: By symbol: what the newest plan that bought it said of leaving it.
    """

    last_ask: int = 0
    asked: int | None = None
    day: date | None = None
    done: frozenset[str] = frozenset()
    levels: Mapping[str, PlannedLevels] = field(default_factory=dict)


Came = tuple[Watch, tuple[Outgoing, ...], tuple[Note, ...]]


def account_mail(
    watch: Watch, message: AccountMessage, account: AccountName, now: datetime, settings: Settings
) -> Came:
    """Fold one piece of account mail into what the monitor remembers."""
    match message:
        case LevelsPlanned():
            return replace(watch, levels={**watch.levels, **levels_told((message,))}), (), ()
        case FirmOpened() if settings.operations.monitor.enabled:
            return _ask(watch)
        case FirmOpened():
            return replace(watch, asked=None), (), ()
        case AccountLook() if message.ask == watch.asked:
            return _looked(replace(watch, asked=None), message, account, now, settings)
        case ProposalFiled(file=file, approved_by=None):
            return watch, (), (Note("monitor.filed", {"plan_id": message.plan_id, "file": file}, "warning"),)
        case ProposalFiled(approved_by=by):
            return watch, (), (Note("monitor.approved", {"plan_id": message.plan_id, "by": by}, "warning"),)
        case ProposalNotFiled(reason=reason):
            return watch, (), (Note("monitor.not_filed", {"plan_id": message.plan_id, "reason": reason}, "error"),)
        case _:
            return watch, (), ()


def levels_told(mail: Iterable[Message]) -> Mapping[str, PlannedLevels]:
    """What plans said of leaving what they bought, by symbol: of the newest that bought it, as a whole."""
    return {one.symbol: one for told in mail if isinstance(told, LevelsPlanned) for one in told.levels}


def _ask(watch: Watch, not_before: datetime | None = None, *, positions: bool = False) -> Came:
    ask = watch.last_ask + 1
    look = AskAccountLook(ask=ask, not_before=not_before, positions=positions)
    return replace(watch, last_ask=ask, asked=ask), (Outgoing(Recipient.TRADING, look),), ()


def _looked(watch: Watch, look: AccountLook, account: AccountName, now: datetime, settings: Settings) -> Came:
    if not settings.operations.monitor.enabled:
        return watch, (), ()
    clock = look.snapshot.clock
    if clock is None or now - look.snapshot.begun_at > LOOK_IS_FRESH_FOR:
        return _ask(watch)
    plan = agenda(clock, look.days, settings.operations.monitor.times, watch.day, watch.done)
    notes = tuple(
        Note("monitor.skipped", {"review": f"{one.day} {one.time}", "why": one.why}, "warning") for one in plan.skipped
    )
    watch = replace(watch, day=plan.day, done=plan.done)
    if plan.due is not None and look.holdings is None:
        watch, sent, _ = _ask(watch, positions=True)
        return watch, sent, notes
    filed: tuple[Outgoing, ...] = ()
    if plan.due is not None:
        filed, told = _review(watch, look, plan, clock, account, now, settings)
        held = {one.symbol for one in look.snapshot.positions or ()}
        levels = {symbol: levels for symbol, levels in watch.levels.items() if symbol in held}
        watch = replace(watch, done=watch.done | {plan.due}, levels=levels)
        notes += told
    watch, sent, _ = _ask(watch, plan.wake_at, positions=True)
    return watch, (*filed, *sent), notes


def _review(
    watch: Watch,
    look: AccountLook,
    plan: Agenda,
    clock: ClockFacts,
    account: AccountName,
    now: datetime,
    settings: Settings,
) -> tuple[tuple[Outgoing, ...], tuple[Note, ...]]:
    """Judge the positions; a plan to file if something is to be sold."""
    asked = ExitAsk(
        account=account, snapshot=look.snapshot, holdings=look.holdings or (), levels=watch.levels, scores={}
    )
    proposal = propose_exits(asked, settings)
    review = f"{plan.day} {plan.due}"
    notes = _notes(proposal, review)
    if not proposal.trades or plan.due is None or plan.day is None or plan.closes_at is None:
        return (), notes
    # A duration of the broker's, counted on the store's clock, by which plans expire: the two are never compared.
    expires_at = now + (plan.closes_at - clock.at)
    plan_id = PlanId(f"EXITS_{plan.day:%Y%m%d}_{plan.due.replace(':', '')}")
    text = exit_plan_text(
        proposal,
        plan_id=plan_id,
        account=account,
        expires_at=expires_at,
        title=f"Proposed by the review of {review} New York; good until the market closes.",
    )
    return (Outgoing(Recipient.CABINET, FileProposal(plan_id=plan_id, plan_text=text, expires_at=expires_at)),), notes


def _notes(proposal: ExitProposal, review: str) -> tuple[Note, ...]:
    notes = [Note("monitor.no_plan", {"review": review, "why": said(one)}, "warning") for one in proposal.violations]
    for line in proposal.lines:
        event = "monitor.exit" if line.trade is not None else "monitor.kept"
        level = "info" if line.trade is not None else "warning" if line.reasons else "debug"
        notes.append(Note(event, {"review": review, "symbol": line.symbol, "detail": explained(line)}, level))
    sells = len(proposal.trades)
    counts = {"review": review, "sells": sells, "kept": len(proposal.lines) - sells}
    return (*notes, Note("monitor.reviewed", counts))
