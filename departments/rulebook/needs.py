"""What the rules must be shown beside the snapshot. Pure."""

from departments.rulebook.limits import Limits
from messages.snapshots import HistoryPart


def history_needed(limits: Limits) -> tuple[HistoryPart, ...]:
    """Which parts of the history the rules and limits that are switched on judge by, in a fixed order."""
    wanted: set[HistoryPart] = set()
    if limits.max_drawdown_fraction is not None:
        wanted.add(HistoryPart.EQUITY)
    return tuple(part for part in HistoryPart if part in wanted)
