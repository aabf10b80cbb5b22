"""What happens between the lease and the first mail: the epoch is taken, and the chain's tail is looked at."""

from dataclasses import dataclass
from datetime import datetime

from messages.mailroom.chain import FIRST_LINK, Break, Step, follow
from messages.mailroom.database import Database
from messages.mailroom.journal import Journal, describe
from messages.mailroom.rows import MailRow, stamp
from messages.mailroom.units import Head, lose_lease
from messages.values import RunId

TAIL_ROWS = 1_000
"""How many rows at the end of the chain are checked on each start; `firm verify` checks them all."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a mailroom starts from.

    Attributes:
        waiting: Rows that are neither handled nor put aside.
        run_ids: Every run that mail has named.
        opened: Those among them that were opened or closed, and can't be opened again.
        quarantined: Runs with mail in quarantine that must be held: all of a quarantine made just now, open ones of
            earlier ones.
    """

    epoch: int
    head: Head
    waiting: list[MailRow]
    run_ids: frozenset[str]
    opened: frozenset[str]
    quarantined: tuple[RunId, ...]


def start(database: Database, journal: Journal, *, at: datetime) -> Start:
    """Take the next epoch, quarantine a bad tail, and read what a writer needs to go on.

    Raises:
        StoreUnavailable: The store can't be read or written.
    """

    def take(database: Database) -> int:
        database.run("take_epoch", {})
        return int(database.read("store")[0][2])

    epoch = database.transact(take)
    affected = _quarantine_bad_tail(database, journal, epoch=epoch, at=at)
    registered = database.read("named_runs")
    held_before = [RunId(row[0]) for row in database.read("quarantined_runs")]
    return Start(
        epoch=epoch,
        head=journal.head(),
        waiting=journal.waiting(),
        run_ids=frozenset(row[0] for row in registered),
        opened=frozenset(run_id for run_id, opened_at, closed_at in registered if opened_at or closed_at),
        quarantined=tuple(dict.fromkeys([*affected, *held_before])),
    )


def _quarantine_bad_tail(database: Database, journal: Journal, *, epoch: int, at: datetime) -> list[RunId]:
    """Set rows apart that don't follow, with everything after them and what still waits because of them."""
    head = journal.head()
    if head.handled_seq == 0:
        return []
    first = max(1, head.handled_seq - TAIL_ROWS + 1)
    anchor = FIRST_LINK
    if first > 1:
        before = journal.steps(first - 1, first - 1)
        anchor = (before[0].row.chain if before else None) or FIRST_LINK
    steps = journal.steps(first, head.handled_seq)
    found = follow(anchor, first=first, last=head.handled_seq, steps=steps)
    if not isinstance(found, Break):
        if found == head.chain:
            return []
        found = Break(head.handled_seq, None, "expected the chain to end in the store's last link")
    good = [step for step in steps if (step.row.handled_seq or 0) < found.handled_seq]
    bad = steps[len(good) :]
    last_link = (good[-1].row.chain if good else anchor) or FIRST_LINK
    reason = f"quarantined: {describe(found)}"

    def work(database: Database) -> None:
        cut = {
            "arg_epoch": epoch,
            "arg_last_seq": head.last_seq,
            "arg_handled_seq": found.handled_seq - 1,
            "arg_chain": last_link,
        }
        if database.run("advance", cut) != 1:
            lose_lease(epoch)
        database.run("quarantine", {"arg_first": found.handled_seq, "arg_reason": reason, "arg_at": stamp(at)})
        database.run("put_quarantined_aside", {"arg_reason": reason})

    database.transact(work)
    return _runs_of(bad)


def _runs_of(steps: list[Step]) -> list[RunId]:
    rows = [row for step in steps for row in (step.row, *step.outgoing)]
    return list(dict.fromkeys(RunId(row.run_id) for row in rows if row.run_id is not None))
