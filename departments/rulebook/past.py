"""What went before, as the rules need it: each figure is found once, when a rule first asks for it. Pure.

Fills and trading days are compared with the broker's clock alone, what the firm counted itself with the store's.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from math import fsum, sqrt
from operator import attrgetter, mul

from messages.new_york import day_in_new_york
from messages.reviews import Today
from messages.snapshots import BAR_DAYS, BarFacts, ClockFacts, FillFacts, History
from messages.values import Side

STOPS = frozenset({"stop", "stop_limit", "trailing_stop"})
UNKNOWN_TYPE = "unknown"
ROUND_TRIP_DAYS = 5
VOLUME_DAYS = 20
NOISE = 1e-9
"""Returns that together vary less than this are those of a price that did not move."""
COEFFICIENT_STEP = Decimal("0.000000001")
MOST_DIGESTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What the executions of one day, New York's, tell.

    Attributes:
        bought: Symbol and order of each execution of a BUY.
        round_trips: How often a SELL of a symbol followed a BUY of it.
        not_sold_since: Symbols of which the last execution is a BUY: a SELL would be one more round trip.
    """

    bought: tuple[tuple[str, str], ...]
    round_trips: int
    not_sold_since: frozenset[str]


NOTHING_DONE = Day(bought=(), round_trips=0, not_sold_since=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """A symbol's daily returns, less their mean and scaled to length 1; empty where they are all the same."""

    days: tuple[date, ...]
    scaled: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Digest:
    """What one history tells, whatever the look at the account beside it; empty of what was not read."""

    history: History

    @cached_property
    def days(self) -> Mapping[date, Day]:
        """Each day with executions."""
        by_day: dict[date, list[FillFacts]] = {}
        for fill in self._fills:
            by_day.setdefault(day_in_new_york(fill.at), []).append(fill)
        return {day: _day_of(fills) for day, fills in by_day.items()}

    @cached_property
    def stopped(self) -> Mapping[str, date]:
        """Symbols that a stop sold -> the last day it did."""
        return self._sold_by(STOPS)

    @cached_property
    def sold_somehow(self) -> Mapping[str, date]:
        """Symbols sold by an order of which nobody knows whether it was a stop -> the last such day."""
        return self._sold_by(frozenset({UNKNOWN_TYPE}))

    @cached_property
    def bars(self) -> Mapping[str, Sequence[BarFacts]]:
        """Daily bars by symbol, oldest first."""
        found: dict[str, list[BarFacts]] = {}
        for bar in self.history.bars or ():
            found.setdefault(bar.symbol, []).append(bar)
        return {symbol: sorted(bars, key=attrgetter("day")) for symbol, bars in found.items()}

    def moves_of(self, symbol: str) -> Moves:
        """A symbol's returns, reckoned once. Binary floating point: a statistic, neither money nor quantity."""
        found = self._moves.get(symbol)
        if found is None:
            bars = self.bars[symbol][-BAR_DAYS:]
            returns = [after / before - 1 for before, after in pairwise(float(bar.close_usd) for bar in bars)]
            mean = fsum(returns) / len(returns)
            off = [one - mean for one in returns]
            length = sqrt(fsum(map(mul, off, off)))
            scaled = tuple(one / length for one in off) if length > NOISE else ()
            found = self._moves[symbol] = Moves(days=tuple(bar.day for bar in bars), scaled=scaled)
        return found

    @cached_property
    def _moves(self) -> dict[str, Moves]:
        return {}

    @cached_property
    def _fills(self) -> tuple[FillFacts, ...]:
        return tuple(sorted(self.history.fills or (), key=attrgetter("at")))

    def _sold_by(self, kinds: frozenset[str]) -> dict[str, date]:
        return {
            fill.symbol: day_in_new_york(fill.at)
            for fill in self._fills
            if fill.order_type in kinds and fill.side is Side.SELL
        }


def _day_of(fills: Sequence[FillFacts]) -> Day:
    last: dict[str, Side] = {}
    made = 0
    for fill in fills:
        made += fill.side is Side.SELL and last.get(fill.symbol) is Side.BUY
        last[fill.symbol] = fill.side
    return Day(
        bought=tuple((fill.symbol, fill.order_id) for fill in fills if fill.side is Side.BUY),
        round_trips=made,
        not_sold_since=frozenset(symbol for symbol, side in last.items() if side is Side.BUY),
    )


_DIGESTS: dict[int, Digest] = {}
"""Of the histories judged last, by identity: one history serves a run from its review to its gate."""


def digest_of(history: History) -> Digest:
    """What a history tells; for the same history the same digest, so that no look reckons it anew."""
    kept = _DIGESTS.get(id(history))
    if kept is not None and kept.history is history:
        return kept
    if len(_DIGESTS) >= MOST_DIGESTS:
        _DIGESTS.clear()
    found = _DIGESTS[id(history)] = Digest(history)
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Past:
    """What a look knows of what went before.

    Attributes:
        history: None where it was not read.
        today: None where the firm's own counts are not known.
        clock: The broker's; None where it was not read.
        looked_at: When the look began, store's clock.
        own_orders: Ids of the run's own orders.
    """

    history: History | None
    today: Today | None
    clock: ClockFacts | None
    looked_at: datetime
    own_orders: frozenset[str]

    @cached_property
    def day(self) -> date | None:
        """New York's day by the broker's clock; None without it."""
        return None if self.clock is None else day_in_new_york(self.clock.at)

    @cached_property
    def days(self) -> tuple[date, ...]:
        """Trading days up to today, oldest first; empty where they are missing."""
        listed = None if self.history is None else self.history.trading_days
        if listed is None or self.day is None:
            return ()
        return tuple(sorted(one.day for one in listed if one.day <= self.day))

    def fills_missing(self, days: int) -> str | None:
        """What is missing to judge the executions of the last `days` trading days; None when nothing is."""
        if self._no_fills is not None:
            return self._no_fills
        return None if len(self.days) >= days else f"{len(self.days)} of {days} trading days"

    def trading_days_since(self, day: date) -> int:
        """Trading days after a day, up to today."""
        return len(self.days) - bisect_right(self.days, day)

    @cached_property
    def digest(self) -> Digest:
        """What the history tells, which must be there."""
        assert self.history is not None, "asked for before it was seen missing"  # noqa: S101 - our own callers
        return digest_of(self.history)

    @cached_property
    def bought_today(self) -> frozenset[str]:
        """Symbols that orders other than the run's own bought today, whole or in part."""
        return frozenset(symbol for symbol, order in self._today.bought if order not in self.own_orders)

    @cached_property
    def round_trips(self) -> int:
        """Round trips made in the last `ROUND_TRIP_DAYS` trading days, today among them."""
        if self.day is None or not self.days:
            return 0
        first = self.days[-ROUND_TRIP_DAYS:][0]
        return sum(told.round_trips for day, told in self.digest.days.items() if first <= day <= self.day)

    @property
    def not_sold_since(self) -> frozenset[str]:
        """Symbols bought today and not sold since."""
        return self._today.not_sold_since

    def bars_missing(self, symbol: str, days: int) -> str | None:
        """What is missing to judge a symbol's last `days` daily bars; None when nothing is."""
        if self.history is None:
            return "history missing"
        if self.history.bars is None:
            return "bars missing"
        found = len(self.digest.bars.get(symbol, ()))
        return None if found >= days else f"{found} of {days} daily bars of {symbol}"

    def average_volume(self, symbol: str) -> Decimal:
        """Shares a day over the last `VOLUME_DAYS` bars, which must be there."""
        return sum((bar.volume for bar in self.digest.bars[symbol][-VOLUME_DAYS:]), Decimal(0)) / VOLUME_DAYS

    def correlation(self, one: str, other: str) -> Decimal | str:
        """Pearson's coefficient of the daily returns of two symbols over `BAR_DAYS` bars, or what is missing for it."""
        for symbol in (one, other):
            missing = self.bars_missing(symbol, BAR_DAYS)
            if missing is not None:
                return missing
        a, b = self.digest.moves_of(one), self.digest.moves_of(other)
        if a.days != b.days:
            common = len(set(a.days) & set(b.days))
            return f"{common} of {BAR_DAYS} daily bars of {one} and {other} on the same days"
        for symbol, moves in ((one, a), (other, b)):
            if not moves.scaled:
                return f"{BAR_DAYS} daily bars of {symbol} in which its price varies"
        return Decimal(fsum(map(mul, a.scaled, b.scaled))).quantize(COEFFICIENT_STEP)

    @cached_property
    def _today(self) -> Day:
        return NOTHING_DONE if self.day is None else self.digest.days.get(self.day, NOTHING_DONE)

    @cached_property
    def _no_fills(self) -> str | None:
        history = self.history
        if history is None:
            return "history missing"
        if self.clock is None:
            return "broker's clock missing"
        if history.trading_days is None:
            return "trading days missing"
        if history.fills is None:
            return "fills missing"
        read_on = day_in_new_york(history.read_at)
        return f"fills since {read_on} missing" if read_on < day_in_new_york(self.looked_at) else None
