"""What trading state the limits on losses ask for. Pure; which of them is broken the rulebook says (`losses.py`).

ACTIVE is nothing to ask for. What is asked for the CEO makes a word about the account; lifting it is the operator's.
"""

from functools import reduce

from departments.rulebook.limits import Limits
from departments.rulebook.losses import broken_losses
from messages.reviews import LossVerdict
from messages.snapshots import History, Snapshot
from messages.values import stricter


def losses(snapshot: Snapshot, history: History | None, limits: Limits) -> LossVerdict | None:
    """The strictest state that a broken limit asks for, its violations first; None while every limit holds."""
    found = broken_losses(snapshot, history, limits)
    if not found:
        return None
    state = reduce(stricter, (asked for asked, _ in found))
    by_weight = sorted(found, key=lambda one: one[0] is not state)
    return LossVerdict(state=state, violations=tuple(violation for _, violation in by_weight))
