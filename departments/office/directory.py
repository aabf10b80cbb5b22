"""Who is where: finds the recipient of a piece of mail and wakes it. The mailroom's table stays the truth."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pykka

from messages.envelope import Envelope
from messages.values import Recipient

Desk = Callable[[Envelope], None]
_NO_ACTORS = frozenset({Recipient.BROKER, Recipient.CABINET})


class Directory:
    """Delivers mail that has its number. What can't be delivered now lies in the mailroom until its owner is back."""

    def __init__(self, now_due: Callable[[Envelope], bool], timers: Callable[[Envelope], None]) -> None:
        """Make an empty directory.

        Args:
            now_due: Whether a piece of mail may be delivered now.
            timers: Keeps mail that may not.
        """
        self._now_due = now_due
        self._timers = timers
        self._actors: dict[Recipient, pykka.ActorRef[Any]] = {}
        self._desks: dict[Recipient, Desk] = {}
        self._lock = threading.Lock()

    def register(self, name: Recipient, ref: "pykka.ActorRef[Any]") -> None:
        """Make an actor, new or replaced, the owner of its mail."""
        with self._lock:
            self._actors[name] = ref

    def register_desk(self, desk: Desk, name: Recipient = Recipient.BROKER) -> None:
        """Make the broker desk, or the cabinet, known."""
        self._desks[name] = desk

    def actor(self, name: Recipient) -> "pykka.ActorRef[Any] | None":
        """The current actor of a department."""
        return self._actors.get(name)

    def deliver(self, envelopes: Iterable[Envelope]) -> None:
        """Wake the recipients, in order."""
        for envelope in envelopes:
            self.deliver_one(envelope)

    def deliver_one(self, envelope: Envelope) -> None:
        """Wake one recipient, or keep its mail until it is due."""
        if not self._now_due(envelope):
            self._timers(envelope)
        elif envelope.recipient in _NO_ACTORS:
            if (desk := self._desks.get(envelope.recipient)) is not None:
                desk(envelope)
        else:
            self._tell(envelope)

    def _tell(self, envelope: Envelope) -> None:
        ref = self._actors.get(envelope.recipient)
        if ref is None:
            return
        try:
            ref.tell(envelope)
        except pykka.ActorDeadError:
            return  # its successor reads the inbox
