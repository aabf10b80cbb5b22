"""What a rule is: its check, whom it concerns, where its limit stands; and how its figures are written for people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
NAMED_AT_MOST = 8


@dataclass(frozen=True, slots=True)
class Prices:
    """What one share of a leg should cost and what it reserves, USD; None without an ask price."""

    leg: Trade
    buy_usd: Decimal | None
    reserve_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a leg is judged on.

    Attributes:
        sector_base_usd: Gross value that a sector is a fraction of; None: the gross value at the leg's turn.
        prices: Of the legs judged so far, each reckoned once, by the identity of the leg it holds.
    """

    view: View
    book: Book
    limits: Limits
    sector_base_usd: Decimal | None = None
    prices: dict[int, Prices] = field(default_factory=dict, compare=False)

    def prices_of(self, leg: Trade) -> Prices:
        """What one share of a BUY should cost and what it reserves."""
        found = self.prices.get(id(leg))
        if found is None:
            quote = self.view.quotes.get(leg.symbol)
            reserve_usd = reserve_price_usd(leg, quote, self.limits.price_cushion_fraction)
            found = self.prices[id(leg)] = Prices(leg, buy_price_usd(leg, quote), reserve_usd)
        return found

    def reserve_price_usd(self, leg: Trade) -> Decimal | None:
        """What one share of a BUY reserves; None without an ask price."""
        return self.prices_of(leg).reserve_usd

    def buy_price_usd(self, leg: Trade) -> Decimal | None:
        """What one share of a BUY should cost; None without an ask price."""
        return self.prices_of(leg).buy_usd

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


def named(symbols: Sequence[str]) -> str:
    """Symbols in words; of many only the first, and how many more."""
    more = f" and {len(symbols) - NAMED_AT_MOST} more" if len(symbols) > NAMED_AT_MOST else ""
    return ", ".join(symbols[:NAMED_AT_MOST]) + more


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
