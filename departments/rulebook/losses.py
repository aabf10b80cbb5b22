"""The limits on losses: equity against the last close and against the highest. Pure.

A limit that is on and can't be reckoned is broken, too: missing data is no small loss. Deposits and withdrawals are
part of the equity; a withdrawal looks like a loss until the next close.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext

from departments.rulebook.context import fraction_of, plain
from departments.rulebook.limits import MAX_DAILY_LOSS, MAX_DRAWDOWN, Limits, Place
from departments.rulebook.money import EXACT_DIGITS
from messages.reviews import Violation
from messages.snapshots import History, Snapshot
from messages.values import TradingState


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One limit on losses and what it is held against.

    Attributes:
        code: Of the violation, followed by `_ABOVE_MAX` or `_UNKNOWN`.
        since: What the equity is compared with, in words.
        before_usd: The equity then; None or nothing at all where it isn't known.
        most: The fraction of it that may be lost; None: the limit is off.
        asks: The state that a larger loss asks for.
    """

    code: str
    what: str
    since: str
    before_usd: Decimal | None
    most: Decimal | None
    asks: TradingState
    place: Place


def broken_losses(
    snapshot: Snapshot, history: History | None, limits: Limits
) -> tuple[tuple[TradingState, Violation], ...]:
    """Hold a look against the limits on losses.

    Args:
        snapshot: For the equity now and at the last close.
        history: For the highest close; None where it was not read. One without closes is a new account's: then the
            last close is the highest.
        limits: The house's figures.

    Returns:
        For each limit that is broken the state that it asks for, and why. One that can't be reckoned asks for REDUCING.
    """
    equity_usd = None if snapshot.account is None else snapshot.account.equity_usd
    with localcontext(prec=EXACT_DIGITS):
        judged = [_judge(measure, equity_usd) for measure in measures(snapshot, history, limits)]
    return tuple(one for one in judged if one is not None)


def measures(snapshot: Snapshot, history: History | None, limits: Limits) -> tuple[Measure, ...]:
    """Both limits, with what they are held against on this look."""
    last_usd = None if snapshot.account is None else snapshot.account.last_equity_usd
    since, highest_usd = "the highest close", None
    if history is not None and history.equity is not None:
        since = f"the highest close, on {history.equity.highest_close_day}"
        highest_usd = history.equity.highest_close_usd
    elif history is not None:  # it was looked for, and the account has no day behind it yet
        since, highest_usd = "the last close, the only one so far", last_usd
    return (
        Measure(
            code="DAILY_LOSS",
            what="daily loss",
            since="the last close",
            before_usd=last_usd,
            most=limits.max_daily_loss_fraction,
            asks=limits.on_daily_loss,
            place=MAX_DAILY_LOSS,
        ),
        Measure(
            code="DRAWDOWN",
            what="drawdown",
            since=since,
            before_usd=highest_usd,
            most=limits.max_drawdown_fraction,
            asks=limits.on_drawdown,
            place=MAX_DRAWDOWN,
        ),
    )


def _judge(measure: Measure, equity_usd: Decimal | None) -> tuple[TradingState, Violation] | None:
    """What a limit asks for, and why; None while it holds or is off."""
    before_usd, most, since = measure.before_usd, measure.most, measure.since
    if most is None:
        return None
    if equity_usd is None or before_usd is None or before_usd <= 0:
        missing = "the equity now" if equity_usd is None else f"the equity at {since}"
        rule = f"{measure.what} as a fraction of {since}"
        return TradingState.REDUCING, _violation(measure, "UNKNOWN", rule, f"{missing} is missing", most)
    lost_usd = before_usd - equity_usd
    if lost_usd <= most * before_usd:
        return None
    rule = f"{measure.what}, equity ${equity_usd:,.2f} after ${before_usd:,.2f} at {since}, as a fraction"
    return measure.asks, _violation(measure, "ABOVE_MAX", rule, fraction_of(lost_usd, before_usd), most)


def _violation(measure: Measure, suffix: str, rule: str, figure: str, most: Decimal) -> Violation:
    return Violation(
        code=f"{measure.code}_{suffix}",
        leg=None,
        rule=rule,
        figure=figure,
        limit=plain(most),
        file=measure.place.file,
        key=measure.place.key,
    )
