"""Trading: places what the CEO hands over, and tells him what Alpaca shows of it. Pure.

`handle` only sorts the mail: a run's mail goes to the module of its subject with a `Sheet` over that run's entry, the
account's mail to `account.py`. Total: late, doubled and unheard-of mail changes nothing.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from departments.office.department import Handled
from departments.office.settings import Settings
from departments.trading import cancels, health, placing, reconcile, rounds, snapshot_asks, strangers, unknowns
from departments.trading.account import account_mail
from departments.trading.sheet import Sheet
from departments.trading.state import TradingState, begun_run
from departments.trading.watch import seen_after_the_end
from messages import broker, orders
from messages.control import Deadline, DeadlinePassed
from messages.envelope import Envelope, Outgoing
from messages.message import AccountMessage, RunMessage
from messages.orders import Evidence
from messages.values import Recipient

_AboutOneOrder = (
    broker.OrderRefused | broker.OutcomeUnknown | broker.DoorClosed | broker.OrderMissing | broker.CancelAnswered
)


class TradingDepartment:
    """The department of `departments/office/department.py`."""

    @property
    def name(self) -> Recipient:
        """Where its mail goes."""
        return Recipient.TRADING

    def initial(self) -> TradingState:
        """The state before any mail."""
        return TradingState()

    def handle(
        self, state: TradingState, envelope: Envelope, now: datetime, settings: Settings
    ) -> Handled[TradingState]:
        """Handle one message."""
        message = envelope.message
        if isinstance(message, RunMessage):
            return _run_mail(state, message, now, settings)
        if isinstance(message, AccountMessage):
            account, sent, notes = account_mail(state.account, message, now)
            return Handled(replace(state, account=account), sent, notes)
        return Handled(state)


def _run_mail(state: TradingState, message: RunMessage, now: datetime, settings: Settings) -> Handled[TradingState]:
    run = state.runs.get(message.run_id)
    if run is None:
        if not isinstance(message, orders.PlaceOrders | orders.RequestSnapshot):
            return _late(state, message)
        run = begun_run(message.run_id, now)
    sheet = Sheet(run, state.account, now, settings.trading)
    if isinstance(message, orders.RunEnded):
        _ended(sheet)
        others = {run_id: entry for run_id, entry in state.runs.items() if run_id != message.run_id}
        return Handled(replace(state, runs=others), tuple(sheet.outgoing), tuple(sheet.notes))
    _sort(sheet, message)
    snapshot_asks.fetch_when_due(sheet)
    rounds.keep_rounds(sheet)
    if sheet.run.symbols != run.symbols:
        trades = broker.RunTrades(named_run_id=run.run_id, symbols=tuple(sorted(sheet.run.symbols)))
        sheet.send(Recipient.TRADING, trades)
    if sheet.run != run or message.run_id not in state.runs:
        state = replace(state, runs={**state.runs, message.run_id: sheet.run})
    return Handled(state, tuple(sheet.outgoing), tuple(sheet.notes))


def _sort(sheet: Sheet, message: RunMessage) -> None:
    match message:
        case orders.PlaceOrders():
            placing.place(sheet, message)
        case orders.CancelOrders():
            cancels.cancel(sheet, message)
        case orders.RequestSnapshot():
            snapshot_asks.asked(sheet, message)
        case broker.OrderStreamed():
            reconcile.streamed(sheet, message)
        case broker.StreamResumed():
            rounds.resumed(sheet)
        case broker.StrangerNoticed():
            strangers.noticed(sheet, message.order)
        case broker.FetchFailed():
            _read_failed(sheet, message)
        case broker.OrderAnswered() | broker.OrdersFetched() | broker.SnapshotFetched():
            _read(sheet, message)
        case broker.OrderRefused() | broker.OutcomeUnknown() | broker.DoorClosed() | broker.OrderMissing():
            _one_order(sheet, message)
        case broker.CancelAnswered():
            _one_order(sheet, message)
        case DeadlinePassed():
            _timer(sheet, message)
        case _:
            pass


def _one_order(sheet: Sheet, message: _AboutOneOrder) -> None:
    record = sheet.run.records.get(message.client_order_id)
    if record is None:
        return
    match message:
        case broker.OrderRefused():
            unknowns.refused(sheet, record, message)
        case broker.OutcomeUnknown():
            unknowns.outcome_unknown(sheet, record, message)
        case broker.DoorClosed():
            unknowns.door_closed(sheet, record, message)
        case broker.OrderMissing():
            health.read_worked(sheet)
            unknowns.missing(sheet, record, message, timedelta(seconds=sheet.settings.unknown_quiet_s))
        case broker.CancelAnswered():
            cancels.answered(sheet, record, message)


def _read(sheet: Sheet, message: broker.OrderAnswered | broker.OrdersFetched | broker.SnapshotFetched) -> None:
    health.read_worked(sheet)
    match message:
        case broker.OrderAnswered(order=facts):
            unknowns.answered(sheet, facts.client_order_id)
            reconcile.see(sheet, facts, Evidence.REST)
        case broker.OrdersFetched():
            rounds.listed(sheet, message)
        case broker.SnapshotFetched():
            snapshot_asks.fetched(sheet, message)


def _read_failed(sheet: Sheet, message: broker.FetchFailed) -> None:
    """A read that failed tells nothing about any order; whoever needs it asks again by a timer."""
    health.read_failed(sheet, message.why)
    match message.call:
        case "snapshot":
            snapshot_asks.failed(sheet, message)
        case "orders":
            sheet.run = replace(sheet.run, list_asked_at=None)
        case _:
            for record in tuple(sheet.run.records.values()):
                if record.leg == message.leg:
                    unknowns.answered(sheet, record.client_order_id)


def _timer(sheet: Sheet, message: DeadlinePassed) -> None:
    match message.deadline:
        case Deadline.RECONCILE:
            rounds.make_round(sheet, message.token)
        case Deadline.LOOK_UP:
            unknowns.look_up_again(sheet, message.token)
        case Deadline.SNAPSHOT_RETRY:
            snapshot_asks.try_again(sheet, message.token)
        case _:
            pass


def _ended(sheet: Sheet) -> None:
    """Before a run is forgotten: watch what may still appear, and say where the executions don't add up."""
    for record in sheet.run.records.values():
        reconcile.note_executions(sheet, record, over=True)
        if not record.is_settled:
            unknowns.watch(sheet, record)
    if snapshot_asks.waits_for_the_open(sheet):
        sheet.send(Recipient.BROKER, broker.StopWatching(run_id=sheet.run.run_id))
    sheet.send(Recipient.TRADING, broker.RunTrades(named_run_id=sheet.run.run_id, symbols=(), over=True))


def _late(state: TradingState, message: RunMessage) -> Handled[TradingState]:
    """Mail of a run that is over, or never began here."""
    if isinstance(message, broker.OrderAnswered | broker.OrderStreamed):
        sent, notes = seen_after_the_end(state.account, message)
        return Handled(state, sent, notes)
    if isinstance(message, orders.RunEnded) and message.run_id in state.account.open_runs:
        over = broker.RunTrades(named_run_id=message.run_id, symbols=(), over=True)
        return Handled(state, (Outgoing(Recipient.TRADING, over),))
    return Handled(state)
