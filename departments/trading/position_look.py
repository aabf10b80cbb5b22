"""A look at the positions with what went before: the calendar, daily bars and entries. For `firm propose --exits`, too.

Reads only. A part that can't be read fails the whole; entries that nobody knows are absent.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from departments.trading.broker import Reader
from departments.trading.histories import Histories
from departments.trading.look_once import look_once
from messages.new_york import day_in_new_york
from messages.snapshots import (
    BarFacts,
    ClockFacts,
    EntryFacts,
    HoldingFacts,
    PositionFacts,
    Snapshot,
    TradingDay,
)
from messages.values import can_be_planned

CALENDAR_BACK = timedelta(days=60)
"""More trading days than any rule on a position's age may ask for (`settings.MOST_TRADING_DAYS`)."""
CALENDAR_AHEAD = timedelta(days=10)
"""No market stays closed longer."""

Entries = Callable[[], Iterable[EntryFacts]]


class Holdings(Protocol):
    """Puts together what is known of each position."""

    def __call__(
        self,
        positions: Iterable[PositionFacts],
        *,
        at: datetime,
        days: Sequence[TradingDay],
        bars: Iterable[BarFacts],
        entries: Iterable[EntryFacts],
    ) -> tuple[HoldingFacts, ...]:
        """As `departments.operations.holdings.holding_facts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The account with everything that is held, and what is known of each position; the calendar around today."""

    snapshot: Snapshot
    holdings: tuple[HoldingFacts, ...]
    days: tuple[TradingDay, ...]


def nothing_known(
    positions: Iterable[PositionFacts],
    *,
    at: datetime,
    days: Sequence[TradingDay],
    bars: Iterable[BarFacts],
    entries: Iterable[EntryFacts],
) -> tuple[HoldingFacts, ...]:
    """Say of no position anything."""
    del positions, at, days, bars, entries
    return ()


def no_entries() -> tuple[EntryFacts, ...]:
    """Tell of no position how it came to be."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionLook:
    """Makes looks at the positions.

    Attributes:
        entries: Tells how positions came to be, where that is known.
        holdings: Puts it all together.
        histories: Keeps bars for the day.
    """

    entries: Entries = no_entries
    holdings: Holdings = nothing_known
    histories: Histories = field(default_factory=Histories)

    def at_all(self, reader: Reader, now: Callable[[], datetime]) -> Seen:
        """Look.

        Args:
            reader: The broker.
            now: Store's clock.

        Raises:
            BrokerError: It could not be read whole.
        """
        held = (one.symbol for one in reader.positions() if one.qty)
        symbols = tuple(symbol for symbol in held if can_be_planned(symbol))
        snapshot = look_once(reader, symbols=symbols, now=now)
        clock, positions = snapshot.clock, snapshot.positions
        assert clock is not None  # noqa: S101 - a look has every part
        assert positions is not None  # noqa: S101 - as above
        today = self.histories.turn_to(clock.at)
        bars = self.histories.bars(today, symbols, lambda call: call(reader))
        days = calendar(reader, clock)
        entries = tuple(self.entries())
        holdings = self.holdings(positions, at=clock.at, days=days, bars=bars, entries=entries)
        return Seen(snapshot=snapshot, holdings=holdings, days=days)


def calendar(reader: Reader, clock: ClockFacts) -> tuple[TradingDay, ...]:
    """Trading days around the broker's today, oldest first.

    Raises:
        BrokerError: They could not be read.
    """
    today = day_in_new_york(clock.at)
    return reader.trading_days(today - CALENDAR_BACK, today + CALENDAR_AHEAD)
