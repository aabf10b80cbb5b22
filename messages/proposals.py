"""CEO <-> Operations: fitting the BUYs to the money at the gate. Operations <-> Trading and the cabinet: reviews."""

from messages.message import AccountMessage, RunMessage
from messages.plans import Trade
from messages.reviews import LegDecision, Money, Today
from messages.snapshots import HistoryRef, HoldingFacts, PlannedLevels, SnapshotRef, TradingDay
from messages.values import PlanId, Utc


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


class LevelsPlanned(AccountMessage):
    """A run has ended that bought these: what its plan says of leaving them. The CEO tells Operations."""

    levels: tuple[PlannedLevels, ...]


class AskAccountLook(AccountMessage):
    """Look at the account, at a time of the broker's. `ask` counts; the newest one alone is wanted.

    Attributes:
        not_before: By the broker's clock; None: at once.
        positions: Whether the positions are wanted, if the market is open then; else clock and calendar alone.
    """

    ask: int
    not_before: Utc | None = None
    positions: bool = False


class AccountLook(AccountMessage):
    """The look that was asked for.

    Attributes:
        snapshot: The clock; with positions the account, its live orders, and assets and quotes of what is held.
        days: Trading days from some days ago to some days ahead, by the broker's calendar.
        holdings: One for each position; None where positions were not read.
    """

    ask: int
    snapshot: SnapshotRef
    days: tuple[TradingDay, ...]
    holdings: tuple[HoldingFacts, ...] | None = None


class FileProposal(AccountMessage):
    """Put a plan where a person finds it. Operations asks the cabinet.

    Attributes:
        plan_text: The file's text; its first line is a comment.
        expires_at: The plan's; not filed any more after that.
    """

    plan_id: PlanId
    plan_text: str
    expires_at: Utc


class ProposalFiled(AccountMessage):
    """It lies in `FIRM_HOME/proposals`.

    Attributes:
        file: Its name there.
        approved_by: None: it waits for a person.
    """

    plan_id: PlanId
    file: str
    plan_sha256: str
    expires_at: Utc
    approved_by: str | None = None


class ProposalNotFiled(AccountMessage):
    """It could not be filed, or not be approved by the firm; nothing was overwritten."""

    plan_id: PlanId
    reason: str
