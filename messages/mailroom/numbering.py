"""What the mailroom knows before the store does: numbers given, mail that waits, runs named, halts not yet committed.

Everything here is called with the writer's lock held, and ends in a unit for the writer.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from messages.codec import Encoded, encode
from messages.control import AbortRun, DeadLetter, HaltTrading, ReduceTrading
from messages.envelope import Envelope, Outgoing
from messages.mailroom.founding import Start
from messages.mailroom.rows import LetterRow, MailRow, derived_id, mail_row, stamp
from messages.mailroom.units import HandledMark, Unit
from messages.mailroom.writer import Writer
from messages.message import Message, RunMessage
from messages.values import Recipient, RunId

OWN_NAME = "mailroom"
"""The sender of dead letters."""


class Numbers:
    """Gives mail its numbers.

    Attributes:
        uncommitted_ids: Mail from outside that is not committed yet, by its own id.
        uncommitted_stops: What stops orders and is not committed yet, by seq: the last door counts it already.
    """

    def __init__(self, writer: Writer, begin: Start) -> None:
        self.uncommitted_ids: dict[str, int] = {}
        self.uncommitted_stops: dict[int, Message] = {}
        self._writer = writer
        self._inbox = {row.seq for row in begin.waiting}
        self._named_runs = set(begin.run_ids)
        self._opened_runs = set(begin.opened)
        writer.after_commit(self.forget)

    def check_waiting(self, seq: int) -> None:
        """Fail an assertion unless this mail is known, not handled and not put aside."""
        if seq not in self._inbox:
            raise AssertionError(f"expected mail {seq} to be waiting, is unknown or handled already")

    def handle(
        self,
        handled: Envelope,
        *,
        at: datetime,
        settings_sha256: str,
        outgoing: Sequence[Outgoing],
        encoded: Sequence[Encoded],
        opens_run: tuple[RunId, str, str] | None,
        closes_run: tuple[RunId, str] | None,
    ) -> tuple[Envelope, ...]:
        """Number what came of handling mail, as one unit. `encoded`: the outgoing messages, in order."""
        self.check_waiting(handled.seq)
        handled_at = stamp(at)
        first = self._writer.last_seq + 1
        sender = handled.recipient.value
        envelopes = tuple(
            Envelope(
                seq=first + position,
                message_id=f"{handled.seq}.{position}",
                sender=sender,
                recipient=mail.recipient,
                sent_at=at,
                message=mail.message,
                causation_id=handled.seq,
                position=position,
                due_at=mail.due_at,
            )
            for position, mail in enumerate(outgoing)
        )
        unit = Unit(
            mail=tuple(
                mail_row(envelope, words, sent_at=handled_at, message_id=None)
                for envelope, words in zip(envelopes, encoded, strict=True)
            ),
            documents=_documents(encoded),
            handled=HandledMark(handled.seq, self._writer.handled_seq + 1, handled_at, settings_sha256),
            opens_run=None if opens_run is None else self._opening(opens_run, handled.seq, handled_at),
            closes_run=None if closes_run is None else _closing(closes_run, handled_at),
            named_runs=self._newly_named(
                envelopes, [run[0] for run in (opens_run, closes_run) if run is not None], handled.seq
            ),
        )
        if closes_run is not None:
            self._opened_runs.add(closes_run[0])
        self._inbox.discard(handled.seq)
        self._take_in(unit, envelopes)
        return envelopes

    def post(
        self,
        *,
        sender: str,
        recipient: Recipient,
        message: Message,
        encoded: Encoded,
        at: datetime,
        message_id: str | None = None,
        letter: LetterRow | None = None,
        aside: tuple[int, str] | None = None,
    ) -> Envelope:
        """Number mail that no handled mail produced."""
        sent_at = stamp(at)
        seq = self._writer.last_seq + 1
        envelope = Envelope(
            seq=seq,
            message_id=derived_id(seq, None, 0) if message_id is None else message_id,
            sender=sender,
            recipient=recipient,
            sent_at=at,
            message=message,
        )
        if message_id is not None:
            self.uncommitted_ids[message_id] = seq
        row = mail_row(envelope, encoded, sent_at=sent_at, message_id=message_id)
        unit = Unit(
            mail=(row if letter is None else row._replace(documents=letter.documents),),
            documents=encoded.documents,
            named_runs=self._newly_named((envelope,), (), seq),
            letter=None if letter is None else (letter.number, seq),
            aside=aside,
        )
        self._take_in(unit, (envelope,))
        return envelope

    def post_unreadable(self, row: LetterRow, *, reason: str, at: datetime) -> Envelope:
        """Number a letter that nobody can read, as it is, and put it aside. Returns the CEO's notice of it."""
        seq = self._writer.last_seq + 1
        mail = MailRow(
            seq=seq,
            message_id=row.message_id,
            cause_seq=None,
            position=0,
            sender=row.sender,
            recipient=row.recipient,
            sent_at=row.sent_at,
            due_at=None,
            run_id=row.run_id,
            type=row.type,
            version=row.version,
            body=row.body,
            documents=row.documents,
        )
        self.uncommitted_ids[row.message_id] = seq
        self._writer.append(Unit(mail=(mail,), letter=(row.number, seq)), last_seq=seq)
        run_id = None if row.run_id is None else RunId(row.run_id)
        return self.put_aside(seq, row.recipient, row.type, run_id, reason=reason, at=at)

    def put_aside(
        self, seq: int, recipient: str, kind: str, run_id: RunId | None, *, reason: str, at: datetime
    ) -> Envelope:
        """Put mail aside and tell the CEO, as one unit."""
        notice = DeadLetter(dead_seq=seq, recipient=recipient, message_type=kind, about_run=run_id, reason=reason)
        self._inbox.discard(seq)
        return self.post(
            sender=OWN_NAME,
            recipient=Recipient.EXECUTIVE,
            message=notice,
            encoded=encode(notice),
            at=at,
            message_id=dead_id(seq),
            aside=(seq, reason),
        )

    def forget(self, units: list[Unit]) -> None:
        """These units are committed. Called with the database's lock held."""
        for unit in units:
            for row in unit.mail:
                self.uncommitted_stops.pop(row.seq, None)
                if row.message_id is not None:
                    self.uncommitted_ids.pop(row.message_id, None)

    def _take_in(self, unit: Unit, envelopes: Sequence[Envelope]) -> None:
        """Add a numbered unit to the writer's list."""
        for envelope in envelopes:
            self._inbox.add(envelope.seq)
            if isinstance(envelope.message, HaltTrading | ReduceTrading | AbortRun):
                self.uncommitted_stops[envelope.seq] = envelope.message
        self._writer.append(unit, last_seq=envelopes[-1].seq if envelopes else self._writer.last_seq)

    def _newly_named(
        self, envelopes: Sequence[Envelope], also: Sequence[RunId], handled_seq: int
    ) -> tuple[tuple[str, int], ...]:
        """Runs that the register doesn't know yet, with the mail that names them first."""
        named = [(run_id, handled_seq) for run_id in also]
        named += [
            (envelope.message.run_id, envelope.seq)
            for envelope in envelopes
            if isinstance(envelope.message, RunMessage)
        ]
        fresh = []
        for run_id, seq in named:
            if run_id not in self._named_runs:
                self._named_runs.add(run_id)
                fresh.append((run_id, seq))
        return tuple(fresh)

    def _opening(self, opens_run: tuple[RunId, str, str], seq: int, at: str) -> Mapping[str, Any]:
        run_id, plan_id, plan_sha256 = opens_run
        if run_id in self._opened_runs:
            raise AssertionError(f"expected run {run_id} to be opened once")
        self._opened_runs.add(run_id)
        return {
            "arg_run_id": run_id,
            "arg_opened_by": seq,
            "arg_plan_id": plan_id,
            "arg_plan_sha256": plan_sha256,
            "arg_opened_at": at,
        }


def _closing(closes_run: tuple[RunId, str], at: str) -> Mapping[str, Any]:
    return {"arg_run_id": closes_run[0], "arg_outcome": closes_run[1], "arg_closed_at": at}


def _documents(encoded: Sequence[Encoded]) -> Mapping[str, str]:
    documents: dict[str, str] = {}
    for words in encoded:
        documents.update(words.documents)
    return documents


def dead_id(seq: int) -> str:
    """Name the notice of a dead letter: one for each piece of mail, ever."""
    return f"dead.{seq}"
