"""What a rule is: its check, whom it concerns, where its limit stands; and how its figures are written for people."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Any

from departments.rulebook.limits import Limits, Place
from departments.rulebook.money import buy_price_usd, reserve_price_usd
from departments.rulebook.portfolio import Book, View
from messages.plans import Trade
from messages.reviews import Violation
from messages.values import Side

FRACTION_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a leg is judged on."""

    view: View
    book: Book
    limits: Limits

    def reserve_price_usd(self, leg: Trade) -> Decimal | None:
        """What one share of a BUY reserves; None without an ask price."""
        return reserve_price_usd(leg, self.view.quotes.get(leg.symbol), self.limits.price_cushion_fraction)

    def buy_price_usd(self, leg: Trade) -> Decimal | None:
        """What one share of a BUY should cost; None without an ask price."""
        return buy_price_usd(leg, self.view.quotes.get(leg.symbol))

    def risk_a_share_usd(self, leg: Trade) -> Decimal | None:
        """What one share of a BUY loses down to its stop, or to the assumed one; None without an ask price."""
        price_usd = self.buy_price_usd(leg)
        if price_usd is None:
            return None
        if leg.stop_loss_usd is None:
            return price_usd * self.limits.assumed_stop_fraction
        return price_usd - leg.stop_loss_usd


Check = Callable[[Trade, Context], Violation | None]
Room = Callable[[Trade, Context], Decimal | None]


class Kind(StrEnum):
    """What a violation does.

    `FACT`: a SELL rejects the plan, a BUY is dropped. `CEILING`: a BUY is cut to the room that is left.
    `FLOOR`: judged on what cutting has left of a BUY; too little is dropped.
    """

    FACT = "fact"
    CEILING = "ceiling"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the rulebook.

    Attributes:
        check: The violation, or None. Pure and total.
        sides: Whom it concerns.
        protects_from: Why the house has it.
        place: Where its limit stands; None where the broker's own facts are the limit.
        room: For a ceiling: the most shares it lets in; None: any number.
    """

    code: str
    check: Check
    kind: Kind
    sides: frozenset[Side]
    protects_from: str
    place: Place | None = None
    room: Room | None = None


def plain(figure: Decimal) -> str:
    """A number as people write it: exact, no exponent, no trailing zeros."""
    text = format(figure, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def fraction_of(part_usd: Decimal, whole_usd: Decimal) -> str:
    """A part of a whole to six decimals, rounded up: what exceeds a limit never reads as if it met it."""
    if whole_usd <= 0:
        return f"{plain(part_usd)} of {plain(whole_usd)}"
    return plain((part_usd / whole_usd).quantize(FRACTION_STEP, ROUND_CEILING))


def why(violation: Violation) -> Mapping[str, Any]:
    """A violation as fields of the log."""
    return {
        "leg": violation.leg,
        "code": violation.code,
        "rule": violation.rule,
        "figure": violation.figure,
        "limit": violation.limit,
        "file": violation.file,
        "key": violation.key,
    }
