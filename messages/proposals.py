"""CEO <-> Operations: fitting the BUYs to the money at the gate."""

from messages.message import RunMessage
from messages.plans import Trade
from messages.reviews import LegDecision, Money, Today
from messages.snapshots import HistoryRef, SnapshotRef


class FitBuys(RunMessage):
    """Fit these BUYs to the money and the limits, from this snapshot.

    Attributes:
        fit: Counts the run's fits; the answer carries it back.
        trades: BUYs only, in file order, `qty` the most that may be bought.
        history: As `ReviewPlan.history`.
        today: As `ReviewPlan.today`.
        ahead: As `ReviewPlan.ahead`.
    """

    fit: int
    trades: tuple[Trade, ...]
    snapshot: SnapshotRef
    money: Money
    history: HistoryRef | None = None
    today: Today | None = None
    ahead: bool = False


class BuysFitted(RunMessage):
    """What fits, in the order of sending (best score first, those without a score last, then file order).

    Attributes:
        legs: A decision for every leg asked about, in the order of sending; dropped ones have qty 0 and say why.
    """

    fit: int
    snapshot_id: str
    legs: tuple[LegDecision, ...]
