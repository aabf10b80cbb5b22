"""Why a name is left out of a proposal where no rule of the house says so, in the rulebook's own form; and the words.

Pure.
"""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from departments.office.settings import SizingMethod
from departments.rulebook.context import plain
from messages.reviews import Violation
from messages.snapshots import ClockFacts, QuoteFacts

FILE = "operations_config.yaml"
CENT = Decimal("0.01")
TOO_SMALL = "POSITION_VALUE_BELOW_MIN"


def in_words(reasons: Iterable[Violation]) -> str:
    """Reasons on one line; that too little of a name would be bought stands first: `$480 below $500 minimum`."""
    return "; ".join(_words(reason) for reason in sorted(reasons, key=lambda reason: reason.code != TOO_SMALL))


def _words(reason: Violation) -> str:
    if reason.code == TOO_SMALL and reason.limit is not None:
        return f"{_dollars(reason.figure)} below {_dollars(reason.limit)} minimum"
    against = "" if reason.limit is None else f" against {reason.limit}"
    where = "" if reason.file is None else f" ({reason.file}: {reason.key})"
    return f"{reason.rule}: {reason.figure}{against}{where}"


def _dollars(figure: str) -> str:
    amount = Decimal(figure)
    return f"${amount:,.0f}" if amount == amount.to_integral_value() else f"${amount:,.2f}"


def price_missing() -> Violation:
    """No price: neither in the file nor at the broker."""
    return Violation(
        code="PRICE_MISSING", leg=None, rule="a price", figure="missing", limit="in the file, or an ask price"
    )


def in_plan_already(symbol: str) -> Violation:
    """The plan that is topped up has a leg on the symbol."""
    return Violation(
        code="IN_PLAN_ALREADY", leg=None, rule=f"legs on {symbol} in the plan as it is", figure="1", limit="none"
    )


def quote_is_fresh(quote: QuoteFacts | None, clock: ClockFacts | None, most: timedelta) -> Violation | None:
    """Refuse a quote older than allowed while the market is open, by the broker's own times.

    Args:
        quote: None: other rules miss it.
        clock: The broker's.
        most: The oldest it may be.
    """
    if quote is None or (clock is not None and not clock.is_open):
        return None
    if clock is None or quote.at is None:
        figure = "broker's clock missing" if clock is None else "time of the quote missing"
    elif clock.at - quote.at <= most:
        return None
    else:
        figure = str(int((clock.at - quote.at).total_seconds()))
    return Violation(
        code="QUOTE_STALE",
        leg=None,
        rule="age of the quote in seconds",
        figure=figure,
        limit=str(int(most.total_seconds())),
        file=FILE,
        key="max_quote_age_s",
    )


def unweighed(method: SizingMethod, score: Decimal | None, risk_usd: Decimal) -> Violation:
    """The sizing method lacks what it weighs by."""
    needed, figure = {
        SizingMethod.SCORE: ("a score above 0", "score missing" if score is None else plain(score)),
        SizingMethod.INVERSE_VOLATILITY: ("an ATR in the file, or 15 daily bars up to now", "ATR missing"),
        SizingMethod.RISK_BUDGET: ("a stop below the price", f"{plain(risk_usd)} to lose"),
        SizingMethod.EQUAL: ("nothing", "nothing"),
    }[method]
    return Violation(
        code="WEIGHT_UNKNOWN",
        leg=None,
        rule=f"what sizing by {method.value} needs",
        figure=figure,
        limit=needed,
        file=FILE,
        key="sizing",
    )


def target_reached(value_usd: Decimal, most_usd: Decimal, key: str) -> Violation:
    """The least that the house buys is above what is aimed at."""
    return Violation(
        code="TARGET_REACHED",
        leg=None,
        rule="value of the position in USD, with the least that is bought",
        figure=plain(value_usd.quantize(CENT)),
        limit=plain(most_usd.quantize(CENT)),
        file=FILE,
        key=key,
    )


def dear_for_target(price_usd: Decimal, target_usd: Decimal) -> Violation:
    """One share costs so much that none is nearer to the target."""
    return Violation(
        code="SHARE_ABOVE_TARGET",
        leg=None,
        rule="price of one share in USD, nearer to its target than none",
        figure=plain(price_usd),
        limit=plain((2 * target_usd).quantize(CENT)),
    )


def all_deployed(deployed_usd: Decimal, target_usd: Decimal) -> Violation:
    """The positions are worth what is aimed at already."""
    return Violation(
        code="TARGET_REACHED",
        leg=None,
        rule="value of all positions in USD",
        figure=plain(deployed_usd.quantize(CENT)),
        limit=plain(target_usd.quantize(CENT)),
        file=FILE,
        key="target_deployment_fraction",
    )


def minimum_above_left(least_usd: Decimal, left_usd: Decimal) -> Violation:
    """What is left to spend doesn't buy the least of it."""
    return Violation(
        code="LEAST_ABOVE_LEFT",
        leg=None,
        rule="the least of it that is bought in USD, within what is left to deploy",
        figure=plain(least_usd.quantize(CENT)),
        limit=plain(left_usd.quantize(CENT)),
    )
