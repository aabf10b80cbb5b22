"""What the rules must be shown beside the snapshot. Pure."""

from departments.rulebook.limits import Limits
from messages.snapshots import HistoryPart


def history_needed(limits: Limits) -> tuple[HistoryPart, ...]:
    """Which parts of the history the rules and limits that are switched on judge by, in a fixed order."""
    on_fills = (limits.days_after_stop, limits.max_round_trips, limits.refuse_leg_done or None)
    on_bars = (limits.max_volume_fraction, limits.max_pair_correlation, limits.max_average_correlation)
    wanted: set[HistoryPart] = set()
    if any(limit is not None for limit in on_fills):
        wanted |= {HistoryPart.DAYS, HistoryPart.FILLS}
    if any(limit is not None for limit in on_bars):
        wanted.add(HistoryPart.BARS)
    if limits.max_drawdown_fraction is not None:
        wanted.add(HistoryPart.EQUITY)
    return tuple(part for part in HistoryPart if part in wanted)
