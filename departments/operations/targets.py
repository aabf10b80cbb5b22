"""Target values, pure: what each name should be worth, in proportion to its weight and within its bounds.

Methods: `equal` weighs all alike, `score` by score, `inverse_volatility` by price over ATR, `risk_budget` so that each
loses the same at its stop. No limit is known here but as a bound handed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from departments.office.settings import SizingMethod

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """One name to share money among. USD.

    Attributes:
        weight: > 0.
        least_usd: The least it may get.
        most_usd: The most, >= least.
    """

    weight: Decimal
    least_usd: Decimal
    most_usd: Decimal


def weight_of(
    method: SizingMethod,
    *,
    price_usd: Decimal,
    score: Decimal | None,
    atr_usd: Decimal | None,
    risk_a_share_usd: Decimal,
) -> Decimal | None:
    """The weight of a name, > 0; None where what the method needs is missing or nothing can be weighed by it.

    Args:
        method: How names are weighed.
        price_usd: What a share costs.
        score: Of the name.
        atr_usd: Average true range of a share.
        risk_a_share_usd: What a share loses at its stop, as the rulebook counts it.
    """
    match method:
        case SizingMethod.EQUAL:
            return Decimal(1)
        case SizingMethod.SCORE:
            return score if score is not None and score > 0 else None
        case SizingMethod.INVERSE_VOLATILITY:
            return None if atr_usd is None else price_usd / atr_usd
        case SizingMethod.RISK_BUDGET:
            return price_usd / risk_a_share_usd if risk_a_share_usd > 0 else None


def shared_out(total_usd: Decimal, names: Sequence[Bounded]) -> tuple[Decimal, ...]:
    """Share a sum in proportion to weights, each name within its bounds: what one can't take goes to the others.

    The sum given out is `total_usd` unless all bounds together are tighter: never below the sum of `least_usd`, never
    above that of `most_usd`.
    """
    given: dict[int, Decimal] = {}
    while len(given) < len(names):
        free = [index for index in range(len(names)) if index not in given]
        left_usd = total_usd - sum(given.values(), ZERO)
        weights = sum((names[index].weight for index in free), ZERO)
        plain = {index: left_usd * names[index].weight / weights for index in free}
        bound = {index: min(max(plain[index], names[index].least_usd), names[index].most_usd) for index in free}
        excess_usd = sum(bound.values(), ZERO) - sum(plain.values(), ZERO)
        # Those on the side that is exceeded stay at their bound; the others share anew.
        stuck = {
            index: bound[index]
            for index in free
            if (excess_usd >= 0 and bound[index] > plain[index]) or (excess_usd <= 0 and bound[index] < plain[index])
        }
        given |= stuck or bound
    return tuple(given[index] for index in range(len(names)))
