"""One incarnation of the firm: the real departments behind the real actor shell, without a thread.

Each actor's inbox is a queue that the story serves in an order of its choosing. A crash throws an incarnation away; the
next one folds the journal as `departments/office/actor.py` does, which is the very code that runs here.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from departments.compliance.department import ComplianceDepartment
from departments.executive.department import ExecutiveDepartment
from departments.office.actor import DepartmentActor, Office
from departments.office.department import Department, Note
from departments.office.done import Done
from departments.office.settings import Settings
from departments.operations.department import OperationsDepartment
from departments.trading.department import TradingDepartment
from messages.broker import OrderStreamed, StrangerStreamed, StreamConnected, StreamLost, SubmitOrder
from messages.envelope import Envelope
from messages.message import Message
from messages.values import AccountName, Recipient, RunId, run_of_client_order_id
from tests.fakes.mailroom import FakeMailroom
from tests.simulation.agenda import Agenda
from tests.simulation.desk import Desk
from tests.simulation.exchange import Exchange, Frame
from tests.simulation.luck import Luck

ORDER = (Recipient.OPERATIONS, Recipient.COMPLIANCE, Recipient.EXECUTIVE, Recipient.TRADING)


class QuietActor(DepartmentActor):
    """The actor as it is, its lines for the log kept instead of written."""

    def __init__(self, department: Department[Any], office: Office, mailroom: FakeMailroom) -> None:
        super().__init__(department, office)
        self._journal = mailroom
        self.inbox: deque[Envelope] = deque()
        self.notes: deque[tuple[Envelope, Note]] = deque(maxlen=400)

    @property
    def state(self) -> Any:
        """What the department remembers."""
        return self._state

    def serve(self) -> tuple[Envelope, int | None]:
        """Handle the next piece of mail.

        Returns:
            It, and its place in the chain of handled mail; None if it was not handled (again).
        """
        envelope = self.inbox.popleft()
        before = self._journal._last_handled
        self.on_receive(envelope)
        after = self._journal._last_handled
        return envelope, after if after > before else None

    def _write(self, handled: Any, envelope: Envelope) -> None:
        self.notes.extend((envelope, note) for note in handled.notes)


class Incarnation:
    """The firm from one start to its end."""

    def __init__(
        self,
        *,
        mailroom: FakeMailroom,
        exchange: Exchange,
        agenda: Agenda,
        luck: Luck,
        settings: Settings,
        leaves: Callable[[Envelope, SubmitOrder], None],
        very_late: set[str],
    ) -> None:
        self.mailroom = mailroom
        self.agenda = agenda
        self.luck = luck
        self.settings = settings
        self.alive = True
        self.listens = False
        self.differences: list[tuple[RunId | None, str]] = []
        self.actors: dict[Recipient, QuietActor] = {}
        self._sha256 = settings.sha256()
        self._done = {name: Done() for name in ORDER}
        mailroom.remember_settings(self._sha256, settings.document())
        self.desk = Desk(
            mailroom=mailroom,
            exchange=exchange,
            agenda=agenda,
            luck=luck,
            settings=settings,
            deliver=self.deliver_one,
            alive=lambda: self.alive,
            leaves=leaves,
            very_late=very_late,
        )

    def start(self) -> None:
        """Fold, then go on with what lies in the inboxes."""
        for name in ORDER:
            self.actors[name] = self._hire(name)
        for name in (*ORDER, Recipient.BROKER):
            self.deliver(self.mailroom.unhandled(name))
        self.agenda.after(self.luck.seconds(0.001, 0.5), self.connect)
        self.take_letters()

    def die(self) -> None:
        """Be gone, at once."""
        self.alive = False

    def replace(self, name: Recipient) -> None:
        """An actor died: put another in its place. What was told to the old one is lost, the journal has it."""
        self.mailroom.flush()
        self.actors[name] = self._hire(name)
        self.deliver(self.mailroom.unhandled(name))

    def deliver(self, envelopes: Iterable[Envelope]) -> None:
        """As `departments/office/directory.py`."""
        for envelope in envelopes:
            self.deliver_one(envelope)

    def deliver_one(self, envelope: Envelope) -> None:
        """Wake the recipient, or keep its mail until it is due."""
        if not self.alive:
            return
        if envelope.due_at is not None and envelope.due_at > self.agenda.now():
            self.agenda.at(envelope.due_at, lambda: self.deliver_one(envelope))
        elif envelope.recipient is Recipient.BROKER:
            self.desk.submit(envelope)
        else:
            self.actors[envelope.recipient].inbox.append(envelope)

    def take_letters(self) -> None:
        """Import what people handed in."""
        if self.alive:
            self.deliver(self.mailroom.import_letters(self.agenda.now()))

    # -- the stream ------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """The stream listens."""
        if self.alive and not self.listens:
            self.listens = True
            self._streamed(StreamConnected())

    def disconnect(self, for_s: float) -> None:
        """The stream is lost for a while."""
        if self.alive and self.listens:
            self.listens = False
            self._streamed(StreamLost(detail="connection reset"))
            self.agenda.after(for_s, self.connect)

    def frame(self, frame: Frame) -> None:
        """One frame of trade_updates comes, if anybody listens."""
        if not (self.alive and self.listens):
            return
        run_id = run_of_client_order_id(frame.order.client_order_id)
        if run_id is None:
            self._streamed(StrangerStreamed(event=frame.event, order=frame.order, at=frame.at))
            return
        self._streamed(
            OrderStreamed(
                run_id=run_id,
                event=frame.event,
                order=frame.order,
                execution_id=frame.execution_id,
                qty=frame.qty,
                price_usd=frame.price_usd,
                at=frame.at,
            )
        )

    def _streamed(self, message: Message) -> None:
        envelope = self.mailroom.receive(
            sender="stream", recipient=Recipient.TRADING, message=message, at=self.agenda.now()
        )
        if envelope is not None:
            self.deliver_one(envelope)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _hire(self, name: Recipient) -> QuietActor:
        office = Office(
            mailroom=self.mailroom,
            directory=self,  # type: ignore[arg-type]  # deliver and deliver_one are all an actor asks of it
            clock=self.agenda,  # type: ignore[arg-type]  # now() is all an actor asks of it
            settings=self.settings,
            settings_sha256=self._sha256,
            failed=lambda _name, error: None,
            replay_differs=lambda run_id, how: self.differences.append((run_id, how)),
            done=self._done[name],
        )
        actor = QuietActor(department_of(name, self.mailroom.account), office, self.mailroom)
        actor.on_start()
        return actor


def department_of(name: Recipient, account: AccountName) -> Department[Any]:
    """A department, new."""
    match name:
        case Recipient.OPERATIONS:
            return OperationsDepartment(account)
        case Recipient.COMPLIANCE:
            return ComplianceDepartment()
        case Recipient.EXECUTIVE:
            return ExecutiveDepartment(account)
        case Recipient.TRADING:
            return TradingDepartment()
        case _:
            raise AssertionError(name)
