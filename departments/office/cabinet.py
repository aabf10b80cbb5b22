"""The filing cabinet: puts proposals where people find them, in `FIRM_HOME/proposals`, for their owner alone.

A proposal is filed once its mail is durable. Filing it again (after a crash in between) finds the same bytes and
changes nothing; a file with other contents is never overwritten, and a plan that has expired is not filed any more.
"""

import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from departments.office.clock import Clock
from messages.envelope import Envelope, Outgoing
from messages.mailroom.port import Mailroom
from messages.plans import SubmitPlan
from messages.proposals import FileProposal, ProposalFiled, ProposalNotFiled
from messages.values import Recipient, sha256_hex

FOLDER = "proposals"
"""In FIRM_HOME."""

Approve = Callable[[Path, str], SubmitPlan | str]
"""Approves a filed plan, given its file and text: the letter that hands it in, or why not."""


class Cabinet:
    """Files proposals, one after the other, on a thread of its own.

    Args:
        folder: Where to.
        mailroom: Keeps what was asked and what came of it.
        deliver: Hands an answer to its recipient once it is recorded.
        clock: The store's; proposals expire by it.
        settings_sha256: Of the settings in force.
        on_failure: Told once when the thread died of a broken store, a lost lease or a bug: the firm must stop.
        approve: None: people approve.
    """

    def __init__(
        self,
        *,
        folder: Path,
        mailroom: Mailroom,
        deliver: Callable[[Envelope], None],
        clock: Clock,
        settings_sha256: str,
        on_failure: Callable[[BaseException], None],
        approve: Approve | None = None,
    ) -> None:
        self._folder = folder
        self._mailroom = mailroom
        self._deliver = deliver
        self._clock = clock
        self._settings_sha256 = settings_sha256
        self._on_failure = on_failure
        self._approve = approve
        self._accepted: set[int] = set()
        self._inbox: queue.SimpleQueue[Envelope | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="cabinet", daemon=True)

    def start(self) -> None:
        """Begin to file."""
        self._thread.start()

    def submit(self, envelope: Envelope) -> None:
        """Take mail to `Recipient.CABINET`. Returns at once; mail that was taken before is left alone.

        Raises:
            TypeError: Nothing to file; nothing was done with it.
        """
        if not isinstance(envelope.message, FileProposal):
            raise TypeError(f"expected a proposal to file, was {type(envelope.message).__name__}")
        if envelope.seq not in self._accepted:
            self._accepted.add(envelope.seq)
            self._inbox.put(envelope)

    def close(self) -> None:
        """Finish what is under way; what still lies here is filed after the next start."""
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        ended_well = False
        try:
            while (envelope := self._inbox.get()) is not None:
                assert isinstance(envelope.message, FileProposal)  # noqa: S101 - `submit` takes nothing else
                self._file(envelope, envelope.message)
            ended_well = True
        finally:
            error = sys.exc_info()[1]
            if not ended_well and error is not None:
                self._on_failure(error)

    def _file(self, envelope: Envelope, asked: FileProposal) -> None:
        self._mailroom.ensure_durable(envelope.seq)
        now = self._clock.now()
        if asked.expires_at <= now:
            sent = self._not_filed(asked, f"it expired at {asked.expires_at:%Y-%m-%d %H:%M:%S} UTC")
        else:
            try:
                path = put(self._folder, f"{asked.plan_id}.yaml", asked.plan_text)
            except OSError as error:
                sent = self._not_filed(asked, f"{error.filename}: {error.strerror}")
            else:
                sent = self._filed(path, asked)
        recorded = self._mailroom.record(handled=envelope, at=now, settings_sha256=self._settings_sha256, outgoing=sent)
        for mail in recorded:
            self._deliver(mail)

    def _filed(self, path: Path, asked: FileProposal) -> list[Outgoing]:
        told = ProposalFiled(
            plan_id=asked.plan_id,
            file=path.name,
            plan_sha256=sha256_hex(asked.plan_text.encode()),
            expires_at=asked.expires_at,
        )
        if self._approve is None:
            return [Outgoing(Recipient.OPERATIONS, told)]
        letter = self._approve(path, asked.plan_text)
        if isinstance(letter, str):
            why = self._not_filed(asked, f"the firm can't approve it, a person may: {letter}")
            return [Outgoing(Recipient.OPERATIONS, told), *why]
        approved = told.model_copy(update={"approved_by": letter.approval.approved_by})
        return [Outgoing(Recipient.OPERATIONS, approved), Outgoing(Recipient.EXECUTIVE, letter)]

    @staticmethod
    def _not_filed(asked: FileProposal, reason: str) -> list[Outgoing]:
        return [Outgoing(Recipient.OPERATIONS, ProposalNotFiled(plan_id=asked.plan_id, reason=reason))]


def put(folder: Path, name: str, text: str) -> Path:
    """Write a file whole, durably, for its owner alone; one that is there with the same contents is left as it is.

    Raises:
        FileExistsError: It is there with other contents.
        OSError: It can't be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, data = folder / name, text.encode()
    draft = folder / f".{name}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        if path.read_bytes() != data:
            raise FileExistsError(17, "is there already, with other contents", str(path)) from None
    finally:
        draft.unlink(missing_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path
