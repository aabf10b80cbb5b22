"""The working sheet for one piece of a run's mail: what it changes, what it sends, what it notes. Pure.

A sheet lives for one call of `handle`. It writes on one run's entry and reads the account part; it has no way to reach
another run or to write on the account.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from departments.office.department import Note
from departments.office.settings import TradingSettings
from departments.trading.orders import OrderRecord, is_news, update_of
from departments.trading.state import AccountPart, RunOrders
from messages.control import Deadline, DeadlinePassed, HoldRun
from messages.envelope import Outgoing
from messages.message import Message
from messages.orders import OrderUpdated
from messages.values import ClientOrderId, LegId, Recipient


@dataclass(slots=True)
class Sheet:
    """What handling one message of a run has come to so far.

    Attributes:
        account: For reading only.
    """

    run: RunOrders
    account: AccountPart
    now: datetime
    settings: TradingSettings
    outgoing: list[Outgoing] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    _records: dict[ClientOrderId, OrderRecord] = field(init=False)

    def __post_init__(self) -> None:
        """Write on a copy of the records; the state that the sheet was made from stays as it is."""
        self._records = dict(self.run.records)
        self.run = replace(self.run, records=self._records)

    def put(self, record: OrderRecord) -> None:
        """Enter a record, new or changed."""
        self._records[record.client_order_id] = record

    def put_and_tell(self, before: OrderRecord, after: OrderRecord) -> OrderUpdated | None:
        """Enter a changed record, and tell the CEO if that is news to him.

        Returns:
            What the CEO was told; None if nothing.
        """
        self.put(after)
        update = update_of(after, self.now) if is_news(before, after) else None
        if update is not None:
            self.send(Recipient.EXECUTIVE, update)
        return update

    def send(self, recipient: Recipient, message: Message) -> None:
        """Send mail."""
        self.outgoing.append(Outgoing(recipient, message))

    def take_updates(self) -> tuple[OrderUpdated, ...]:
        """Take back what the CEO was to be told of orders, to be told in another message."""
        taken = tuple(mail.message for mail in self.outgoing if isinstance(mail.message, OrderUpdated))
        self.outgoing = [mail for mail in self.outgoing if not isinstance(mail.message, OrderUpdated)]
        return taken

    def set_timer(self, deadline: Deadline, after: timedelta, leg: LegId | None = None) -> int:
        """Write to ourselves with a due time.

        Returns:
            The timer's token.
        """
        token = self.run.last_token + 1
        due_at = self.now + after
        passed = DeadlinePassed(run_id=self.run.run_id, deadline=deadline, token=token, leg=leg, due_at=due_at)
        self.run = replace(self.run, last_token=token)
        self.outgoing.append(Outgoing(Recipient.TRADING, passed, due_at))
        return token

    def note(self, event: str, *, level: str = "info", **fields: object) -> None:
        """Leave a line for the log."""
        self.notes.append(Note(event, {"run_id": self.run.run_id, **fields}, level))

    def note_order(self, event: str, record: OrderRecord, *, level: str = "info", **fields: object) -> None:
        """Leave a line about one order."""
        intent = record.intent
        named = {
            "leg": intent.leg,
            "symbol": intent.symbol,
            "client_order_id": intent.client_order_id,
            "side": intent.side.value,
            "qty": str(intent.qty),
        }
        self.note(event, level=level, **named, **fields)

    def first_time(self, what: str) -> bool:
        """Whether this is said for the first time in the run."""
        if what in self.run.once:
            return False
        self.run = replace(self.run, once=self.run.once | {what})
        return True

    def hold(self, reason: str, detail: str) -> None:
        """Have the CEO hold the run; once for the same detail."""
        if self.first_time(f"{reason}: {detail}"):
            self.send(Recipient.EXECUTIVE, HoldRun(run_id=self.run.run_id, reason=reason, detail=detail))
            self.note("run.hold_asked", level="error", reason=reason, detail=detail)
