"""From executions to lots, and to when each position was opened. Pure.

A position's entry is the first execution since it was last flat. Add-ons and partial sales don't move it; a full close
and a new BUY do. Lots are used up first in, first out. Shares are negative while short.

Alpaca alone knows what is held; fills only explain it. So an entry is known where fills that began from flat add up to
exactly what Alpaca shows, and unknown, with the reason, everywhere else: after a split, a transfer, a reset. From flat
began the account itself, and whatever came after a look in which the symbol was not held. So a symbol that once
was split is told again once it has been closed and seen closed.

Executions of one instant have no order of their own: those that add to the position are taken first, so that it is
never flat between two of them unless it must be; where it may have been, the entry is unknown.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby

from departments.portfolio.records import BooksError
from messages.snapshots import FillFacts, PositionFacts, TradingDay
from messages.values import Side

ZERO = Decimal(0)
DAY_ENDS_AFTER_OPEN = timedelta(hours=10, minutes=30)
"""At 20:00 New York the next trading day begins. Source: Alpaca, extended hours (16 to 20) and overnight (20 to 4)."""


class FillsContradict(BooksError):
    """One execution was told in two ways; the text has both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """What is left of an execution that opened shares.

    Attributes:
        qty: Shares left; negative when short.
    """

    fill: FillFacts
    qty: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What one symbol's fills alone say.

    Attributes:
        lots: Oldest first, all of one sign; empty when flat.
        opened: The first execution since it was last flat; None when flat.
        doubt: Why that can't be told for sure; None where it can, and when flat.
    """

    lots: tuple[Lot, ...] = ()
    opened: FillFacts | None = None
    doubt: str | None = None

    @property
    def qty(self) -> Decimal:
        """Shares; negative when short."""
        return sum((lot.qty for lot in self.lots), ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A position as Alpaca shows it, and when it was opened.

    Attributes:
        opened: None: not known.
        lots: None are told where `opened` is not known.
        unknown_because: None where `opened` is known.
    """

    position: PositionFacts
    opened: FillFacts | None = None
    lots: tuple[Lot, ...] = ()
    unknown_because: str | None = None


def entry_of(position: PositionFacts, fills: Iterable[FillFacts], flat_at: datetime | None = None) -> Entry:
    """Tell when a position was opened.

    Args:
        position: As Alpaca shows it; not flat.
        fills: Every execution in its symbol since the account began, in any order.
        flat_at: The latest broker's time at which the symbol was seen not to be held.

    Raises:
        FillsContradict: Two fills bear one id.
    """
    known = distinct(fills)
    whole = _doubted_by(flat_at, holding_of(known))
    candidates = [whole]
    if flat_at is not None:
        candidates.insert(0, holding_of(fill for fill in known if fill.at > flat_at))
    explained = [holding for holding in candidates if holding.qty == position.qty]
    for holding in explained:
        if holding.doubt is None:
            return Entry(position=position, opened=holding.opened, lots=holding.lots)
    why = (
        explained[0].doubt if explained else f"the fills add up to {whole.qty:f} shares, Alpaca shows {position.qty:f}"
    )
    return Entry(position=position, unknown_because=why if known else "no fills")


def _doubted_by(flat_at: datetime | None, holding: Holding) -> Holding:
    """Doubt a holding that goes back to before a look in which there was none."""
    if flat_at is None or holding.opened is None or holding.opened.at > flat_at:
        return holding
    return replace(holding, doubt=f"the fills say held, Alpaca showed none at {flat_at.isoformat()}")


def holding_of(fills: Iterable[FillFacts]) -> Holding:
    """Fold a symbol's executions, from flat, in whatever order they come.

    Raises:
        FillsContradict: Two fills bear one id.
    """
    holding = Holding()
    for _, group in groupby(in_order(distinct(fills)), key=lambda fill: fill.at):
        holding = _after_instant(holding, tuple(group))
    return holding


def distinct(fills: Iterable[FillFacts]) -> tuple[FillFacts, ...]:
    """Each execution once, by its activity id.

    Raises:
        FillsContradict: Two fills bear one id.
    """
    known: dict[str, FillFacts] = {}
    for fill in fills:
        first = known.setdefault(fill.activity_id, fill)
        if first is not fill and told(first) != told(fill):
            raise FillsContradict(f"fill {fill.activity_id}: expected {told(first)}, was {told(fill)}")
    return tuple(known.values())


def told(fill: FillFacts) -> tuple[object, ...]:
    """What an activity tells of an execution; the kind of its order comes from elsewhere."""
    return (fill.order_id, fill.symbol, fill.side.value, fill.qty, fill.price_usd, fill.at.isoformat())


def in_order(fills: Iterable[FillFacts]) -> list[FillFacts]:
    """Oldest first; those of one instant by id, which means nothing but is always the same."""
    return sorted(fills, key=lambda fill: (fill.at, fill.activity_id))


def trading_day_of(at: datetime, days: Sequence[TradingDay]) -> date | None:
    """The trading day that an execution belongs to; None where `days` don't reach.

    Args:
        at: Broker's time.
        days: Oldest first, without gaps.
    """
    ends = [day.opens_at + DAY_ENDS_AFTER_OPEN for day in days]
    index = bisect_right(ends, at)
    if index == len(days) or (index == 0 and at < days[0].opens_at):
        return None
    return days[index].day


def shares(fill: FillFacts) -> Decimal:
    """What it adds to the position; negative for a SELL."""
    return fill.qty if fill.side is Side.BUY else -fill.qty


def _after_instant(before: Holding, group: tuple[FillFacts, ...]) -> Holding:
    """Take in what was executed at one instant."""
    held = before.qty
    bought = sum((fill.qty for fill in group if fill.side is Side.BUY), ZERO)
    sold = sum((fill.qty for fill in group if fill.side is Side.SELL), ZERO)
    adding_side = Side.BUY if held > 0 or (held == 0 and bought >= sold) else Side.SELL
    added, taken = (bought, sold) if adding_side is Side.BUY else (sold, bought)
    holding = before
    for fill in sorted(group, key=lambda fill: fill.side is not adding_side):
        holding = _after(holding, fill)
    if held and added and taken >= abs(held) and holding.lots and holding.doubt is None:
        why = f"bought and sold at one instant, {group[0].at.isoformat()}: it may have been flat between"
        return replace(holding, doubt=why)
    return holding


def _after(before: Holding, fill: FillFacts) -> Holding:
    """Take in one execution."""
    held, change = before.qty, shares(fill)
    if held == 0:
        return Holding(lots=(Lot(fill=fill, qty=change),), opened=fill)
    if held * change > 0:
        return replace(before, lots=(*before.lots, Lot(fill=fill, qty=change)))
    after = held + change
    if after == 0:
        return Holding()
    if after * held > 0:
        return replace(before, lots=_without(before.lots, fill.qty))
    why = f"one {fill.side.value.upper()} at {fill.at.isoformat()} takes it from {held:f} to {after:f} shares"
    return Holding(lots=(Lot(fill=fill, qty=after),), opened=fill, doubt=why)


def _without(lots: tuple[Lot, ...], qty: Decimal) -> tuple[Lot, ...]:
    """Use up `qty` shares, first in, first out; fewer than there are."""
    left, kept = qty, []
    for lot in lots:
        taken = min(left, abs(lot.qty))
        left -= taken
        if taken < abs(lot.qty):
            kept.append(replace(lot, qty=lot.qty - taken.copy_sign(lot.qty)))
    return tuple(kept)
