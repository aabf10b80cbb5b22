"""Rules on how a symbol trades and moves, judged on daily bars: how much of its volume, how close to what is held.

Each is silent while its limit is None: the rule is off.
"""

from decimal import Decimal

from departments.rulebook.context import Context, fraction_of, plain
from departments.rulebook.limits import MAX_AVERAGE_CORRELATION, MAX_PAIR_CORRELATION, MAX_VOLUME_FRACTION
from departments.rulebook.past import VOLUME_DAYS
from messages.plans import Trade
from messages.reviews import Violation
from messages.snapshots import BAR_DAYS

ZERO = Decimal(0)


def volume_fraction_room(leg: Trade, context: Context) -> Decimal | None:
    """Let in what keeps the order within its fraction of the average volume."""
    most = context.limits.max_volume_fraction
    if most is None:
        return None
    past = context.view.past
    missing = past.bars_missing(leg.symbol, VOLUME_DAYS)
    return ZERO if missing is not None else most * past.average_volume(leg.symbol)


def volume_fraction_at_most(leg: Trade, context: Context) -> Violation | None:
    """Limit a BUY to a fraction of the average volume of 20 days."""
    most = context.limits.max_volume_fraction
    if most is None:
        return None
    past = context.view.past
    figure = past.bars_missing(leg.symbol, VOLUME_DAYS)
    if figure is None:
        average = past.average_volume(leg.symbol)
        if leg.qty <= most * average:
            return None
        figure = fraction_of(leg.qty, average)
    return Violation(
        code="VOLUME_FRACTION_ABOVE_MAX",
        leg=leg.leg,
        rule=f"order as a fraction of the {VOLUME_DAYS}-day average volume",
        figure=figure,
        limit=plain(most),
        file=MAX_VOLUME_FRACTION.file,
        key=MAX_VOLUME_FRACTION.key,
    )


def no_holding_moves_alike(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY that moves too closely with any one holding, bought before it or held after the SELLs."""
    most = context.limits.max_pair_correlation
    if most is None:
        return None
    found = _correlations(leg, context)
    if isinstance(found, str):
        figure = found
    else:
        symbol, closest = max(found.items(), key=lambda pair: pair[1], default=("", -Decimal(1)))
        if closest <= most:
            return None
        figure = f"{plain(closest)} with {symbol}"
    return Violation(
        code="PAIR_CORRELATION_ABOVE_MAX",
        leg=leg.leg,
        rule=f"correlation with one holding over {BAR_DAYS} daily bars",
        figure=figure,
        limit=plain(most),
        file=MAX_PAIR_CORRELATION.file,
        key=MAX_PAIR_CORRELATION.key,
    )


def holdings_move_apart(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY that on average moves too closely with all holdings, bought before it or held after the SELLs."""
    most = context.limits.max_average_correlation
    if most is None:
        return None
    found = _correlations(leg, context)
    if isinstance(found, str):
        figure = found
    else:
        if sum(found.values(), ZERO) <= most * len(found):
            return None
        figure = fraction_of(sum(found.values(), ZERO), Decimal(len(found)))
    return Violation(
        code="AVERAGE_CORRELATION_ABOVE_MAX",
        leg=leg.leg,
        rule=f"average correlation with all holdings over {BAR_DAYS} daily bars",
        figure=figure,
        limit=plain(most),
        file=MAX_AVERAGE_CORRELATION.file,
        key=MAX_AVERAGE_CORRELATION.key,
    )


def _correlations(leg: Trade, context: Context) -> dict[str, Decimal] | str:
    """The coefficient with every other holding of the book, or what is missing for one of them."""
    found: dict[str, Decimal] = {}
    for symbol in sorted(context.book.symbols - {leg.symbol}):
        coefficient = context.view.past.correlation(leg.symbol, symbol)
        if isinstance(coefficient, str):
            return coefficient
        found[symbol] = coefficient
    return found
