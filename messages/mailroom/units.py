"""What is committed together or not at all, and how many such units become one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from messages.mailroom.chain import digest, link
from messages.mailroom.database import Database
from messages.mailroom.port import LeaseLost
from messages.mailroom.rows import MailRow


@dataclass(frozen=True, slots=True)
class HandledMark:
    """A row is handled: its place in the chain and the inputs of the fold."""

    seq: int
    handled_seq: int
    handled_at: str
    settings_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is committed together or not at all. `named_runs`: runs that mail here names for the first time."""

    mail: tuple[MailRow, ...] = ()
    documents: Mapping[str, str] = field(default_factory=dict)
    handled: HandledMark | None = None
    opens_run: Mapping[str, Any] | None = None
    closes_run: Mapping[str, Any] | None = None
    named_runs: tuple[tuple[str, int], ...] = ()
    letter: tuple[int, int] | None = None
    aside: tuple[int, str] | None = None
    attempt_of: int | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """Where the journal ends.

    Attributes:
        last_seq: The highest number given to mail, 0 in an empty journal.
        handled_seq: Length of the chain.
        chain: Its last link.
    """

    last_seq: int
    handled_seq: int
    chain: str


class Batch:
    """Some units made ready for one transaction: rows with their marks, links in order."""

    def __init__(self, head: Head, digests: dict[int, str]) -> None:
        self.documents: dict[str, str] = {}
        self._last_seq = head.last_seq
        self._handled_seq = head.handled_seq
        self._chain = head.chain
        self._digests = digests
        self._mail: dict[int, MailRow] = {}
        self._marks: list[Mapping[str, Any]] = []
        self._named: list[Mapping[str, Any]] = []
        self._opened: list[Mapping[str, Any]] = []
        self._closed: list[Mapping[str, Any]] = []
        self._letters: list[Mapping[str, Any]] = []
        self._aside: list[Mapping[str, Any]] = []
        self._attempts: list[Mapping[str, Any]] = []

    @property
    def head(self) -> Head:
        """The journal's end after this batch."""
        return Head(self._last_seq, self._handled_seq, self._chain)

    def add(self, unit: Unit) -> None:
        """Take one more unit, in order."""
        for row in unit.mail:
            self._mail[row.seq] = row
            self._digests[row.seq] = digest(row)
            self._last_seq = row.seq
        self.documents.update(unit.documents)
        if unit.handled is not None:
            self._add_link(unit.handled, unit.mail)
        self._named += [{"arg_run_id": run_id, "arg_first_seq": seq} for run_id, seq in unit.named_runs]
        if unit.opens_run is not None:
            self._opened.append(unit.opens_run)
        if unit.closes_run is not None:
            self._closed.append(unit.closes_run)
        if unit.letter is not None:
            self._letters.append({"arg_number": unit.letter[0], "arg_imported_seq": unit.letter[1]})
        if unit.aside is not None:
            self._digests.pop(unit.aside[0], None)
            self._aside.append({"arg_seq": unit.aside[0], "arg_reason": unit.aside[1]})
        if unit.attempt_of is not None:
            self._attempts.append({"arg_seq": unit.attempt_of})

    def write(self, database: Database, epoch: int, documents: Mapping[str, str]) -> None:
        """Write it all; the epoch first.

        Raises:
            LeaseLost: The store's epoch is not ours.
        """
        head = self.head
        moved = database.run(
            "advance",
            {
                "arg_epoch": epoch,
                "arg_last_seq": head.last_seq,
                "arg_handled_seq": head.handled_seq,
                "arg_chain": head.chain,
            },
        )
        if moved != 1:
            lose_lease(epoch)
        database.run_many("insert_document", [{"id": name, "body": text} for name, text in documents.items()])
        database.run_many("insert_mail", [row._asdict() for row in self._mail.values()])
        database.run_many("mark_handled", self._marks)
        database.run_many("name_run", self._named)
        database.run_many("open_run", self._opened)
        database.run_many("close_run", self._closed)
        database.run_many("mark_letter", self._letters)
        database.run_many("put_aside", self._aside)
        database.run_many("count_attempt", self._attempts)

    def _add_link(self, mark: HandledMark, outgoing: tuple[MailRow, ...]) -> None:
        self._chain = link(
            self._chain,
            handled_seq=mark.handled_seq,
            handled_at=mark.handled_at,
            settings_sha256=mark.settings_sha256,
            handled=self._digests.pop(mark.seq),
            outgoing=[self._digests[row.seq] for row in outgoing],
        )
        self._handled_seq = mark.handled_seq
        row = self._mail.get(mark.seq)
        if row is None:
            self._marks.append(
                {
                    "arg_seq": mark.seq,
                    "arg_handled_seq": mark.handled_seq,
                    "arg_handled_at": mark.handled_at,
                    "arg_settings_sha256": mark.settings_sha256,
                    "arg_chain": self._chain,
                }
            )
        else:
            self._mail[mark.seq] = row._replace(
                handled_seq=mark.handled_seq,
                handled_at=mark.handled_at,
                settings_sha256=mark.settings_sha256,
                chain=self._chain,
            )


def lose_lease(epoch: int) -> NoReturn:
    """Say that somebody else has the account.

    Raises:
        LeaseLost: Always.
    """
    raise LeaseLost(f"expected epoch {epoch} in the store: another daemon has taken the account over")
