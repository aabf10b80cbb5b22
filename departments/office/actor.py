"""The actor around a department: receive, handle, record, tell, log. What is decided is decided in `handle`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import pykka
import structlog

from departments.office.clock import Clock
from departments.office.department import Department, Handled, Note
from departments.office.directory import Directory
from departments.office.done import Done
from departments.office.settings import Settings
from messages.envelope import Envelope, Outgoing
from messages.mailroom.port import HandledMail, Mailroom
from messages.values import Recipient, RunId

MAX_ATTEMPTS = 3
"""How often a message may fail before it is put aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What every department is given.

    Attributes:
        done: One a department, handed on to an actor's successor: a timer may be kept for both of them.
        folded: Told when the department has folded its past, or failed to.
        run_closed: Told when a run has ended; returns at once.
    """

    mailroom: Mailroom
    directory: Directory
    clock: Clock
    settings: Settings
    settings_sha256: str
    failed: Callable[[Recipient, BaseException], None]
    replay_differs: Callable[[RunId | None, str], None]
    done: Done = field(default_factory=Done)
    folded: Callable[[], None] = lambda: None
    run_closed: Callable[[], None] = lambda: None


class DepartmentActor(pykka.ThreadingActor):
    """Runs one department."""

    def __init__(self, department: Department[Any], office: Office) -> None:
        super().__init__()
        self._department = department
        self._office = office
        self._state: Any = department.initial()
        self._done = office.done
        self._log = structlog.get_logger().bind(department=department.name.value, account=office.mailroom.account)

    def on_start(self) -> None:
        """Fold the mail that was handled before. pykka tells nobody of an error here, so we do."""
        try:
            self._fold()
        except Exception as error:
            self._office.failed(self._department.name, error)
            raise
        finally:
            self._office.folded()

    def on_receive(self, message: Any) -> None:
        """Handle one piece of mail; mail that came twice is handled once."""
        envelope: Envelope = message
        if envelope.seq in self._done:
            return
        if envelope.redelivered and self._is_hopeless(envelope):
            return
        now = self._office.clock.now()
        handled = self._department.handle(self._state, envelope, now, self._office.settings)
        sent = self._office.mailroom.record(
            handled=envelope,
            at=now,
            settings_sha256=self._office.settings_sha256,
            outgoing=handled.outgoing,
            closes_run=handled.closes_run,
            opens_run=handled.opens_run,
        )
        self._state = handled.state
        self._done.add(envelope.seq)
        self._office.directory.deliver(sent)
        if handled.closes_run is not None:
            self._office.run_closed()
        self._write(handled, envelope)

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Die, and let the supervisor put a successor in place."""
        del exception_type, traceback
        self._office.failed(self._department.name, exception_value or RuntimeError("unknown failure"))

    def _is_hopeless(self, envelope: Envelope) -> bool:
        """Count the attempt before making it; past the bound the message is put aside."""
        attempts = self._office.mailroom.count_attempt(envelope)
        if attempts <= MAX_ATTEMPTS:
            return False
        letter = self._office.mailroom.dead_letter(
            envelope, reason=f"failed {MAX_ATTEMPTS} times", at=self._office.clock.now()
        )
        self._done.add(envelope.seq)
        self._office.directory.deliver_one(letter)
        return True

    def _fold(self) -> None:
        known: dict[str, Settings] = {self._office.settings_sha256: self._office.settings}
        for mail in self._office.mailroom.handled(self._department.name):
            settings = known.get(mail.settings_sha256)
            if settings is None:
                document = self._office.mailroom.settings_document(mail.settings_sha256)
                settings = known.setdefault(mail.settings_sha256, Settings.model_validate_json(document))
            handled = self._department.handle(self._state, mail.envelope, mail.handled_at, settings)
            self._state = handled.state
            difference = _difference(handled.outgoing, mail)
            if difference is not None:
                self._office.replay_differs(mail.envelope.correlation_id, difference)

    def _write(self, handled: Handled[Any], envelope: Envelope) -> None:
        for note in handled.notes:
            self._note(note, envelope)

    def _note(self, note: Note, envelope: Envelope) -> None:
        fields: dict[str, Any] = {"message_id": envelope.message_id}
        if envelope.correlation_id is not None:
            fields["run_id"] = envelope.correlation_id
        write_note(self._log, replace(note, fields={**fields, **note.fields}))


def write_note(log: Any, note: Note) -> None:
    """Write a line for the log with a structlog logger."""
    getattr(log, note.level)(note.event, **note.fields)


def _difference(outgoing: tuple[Outgoing, ...], mail: HandledMail) -> str | None:
    """Say how re-derived mail differs from what is on record; None when it is the same."""
    recorded = [(sent.recipient, sent.message, sent.due_at) for sent in mail.outgoing]
    derived = [(sent.recipient, sent.message, sent.due_at) for sent in outgoing]
    if recorded == derived:
        return None
    what = type(mail.envelope.message).__name__
    return f"replaying {what} (mail {mail.envelope.seq}) gives {_names(derived)}, the journal has {_names(recorded)}"


def _names(mail: list[Any]) -> str:
    return ", ".join(f"{type(message).__name__} to {recipient}" for recipient, message, _ in mail) or "nothing"
