"""The journal's hash chain. Pure.

A link is made when mail is handled, in the order of handling. It covers the link before, the mail itself (its numbers,
addresses, times, body and the documents the body refers to), when and under which settings it was handled, and
everything that came of it. What was put aside, and how often mail was taken up, is not history and not covered.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from messages.mailroom.rows import MailRow
from messages.values import sha256_hex

FIRST_LINK = "0" * 64
"""What the first row's link follows."""


@dataclass(frozen=True, slots=True)
class Step:
    """A handled row and what came of it, in order of position."""

    row: MailRow
    outgoing: Sequence[MailRow]


@dataclass(frozen=True, slots=True)
class Break:
    """The first row that doesn't follow from the one before it.

    Attributes:
        handled_seq: The place in the chain where something else was expected.
        seq: The mail found there; None where there is none.
    """

    handled_seq: int
    seq: int | None
    what: str


def digest(row: MailRow) -> str:
    """Hash what a piece of mail says and where it stands; 64 hex digits."""
    header = (
        row.seq,
        row.message_id,
        row.cause_seq,
        row.position,
        row.sender,
        row.recipient,
        row.sent_at,
        row.due_at,
        row.run_id,
        row.type,
        row.version,
        sha256_hex(row.body.encode()),
        row.documents,
    )
    return sha256_hex(json.dumps(header).encode())


def link(
    previous: str, *, handled_seq: int, handled_at: str, settings_sha256: str, handled: str, outgoing: Iterable[str]
) -> str:
    """Make the next link.

    Args:
        previous: The link before, or `FIRST_LINK`.
        handled_seq: Its place in the chain, from 1.
        handled_at: The `now` of the handler, as it is stored.
        settings_sha256: The settings it was handled under.
        handled: The digest of the mail that was handled.
        outgoing: The digests of what came of it, in order of position.
    """
    return sha256_hex(json.dumps((previous, handled_seq, handled_at, settings_sha256, handled, *outgoing)).encode())


def follow(previous: str, *, first: int, last: int, steps: Iterable[Step]) -> str | Break:
    """Check rows against the chain.

    Args:
        previous: The link that the first of them follows.
        first: The place that the first of them must have.
        last: The place that the last of them must have.
        steps: The rows, in order of place.

    Returns:
        The last link (`previous` where there are no rows), or where the chain breaks.
    """
    expected = first
    for step in steps:
        row = step.row
        if row.handled_seq != expected:
            return Break(expected, None, f"expected place {expected} in the chain, was {row.handled_seq}")
        positions = [outgoing.position for outgoing in step.outgoing]
        if positions != list(range(len(positions))):
            return Break(expected, row.seq, f"mail {row.seq}: expected outgoing mail 0, 1, ..., was {positions}")
        wanted = link(
            previous,
            handled_seq=expected,
            handled_at=row.handled_at or "",
            settings_sha256=row.settings_sha256 or "",
            handled=digest(row),
            outgoing=[digest(outgoing) for outgoing in step.outgoing],
        )
        if row.chain != wanted:
            return Break(expected, row.seq, f"mail {row.seq}: expected link {wanted[:12]}, was {str(row.chain)[:12]}")
        previous = wanted
        expected += 1
    if expected <= last:
        return Break(expected, None, f"expected {last - expected + 1} more rows, were none")
    return previous
