"""What went before, as the rules need it: each figure is found once a look, when a rule first asks for it. Pure.

Fills and trading days are compared with the broker's clock alone, what the firm counted itself with the store's.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from math import fsum, sqrt
from operator import mul

from messages.new_york import day_in_new_york, from_new_york
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trips:
    """Round trips of the last `ROUND_TRIP_DAYS` trading days.

    Attributes:
        made: How many there were.
        bought_today: Symbols of which the last execution today is a BUY: a SELL today would be one more.
    """

    made: int
    bought_today: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """A symbol's daily returns, less their mean and scaled to length 1; empty where they are all the same."""

    days: tuple[date, ...]
    scaled: tuple[float, ...]


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

    @cached_property
    def stopped(self) -> Mapping[str, date]:
        """Symbols that a stop sold -> the day it last did. A day without trading counts as the trading day before."""
        return self._sold_by(STOPS)

    @cached_property
    def sold_somehow(self) -> Mapping[str, date]:
        """Symbols sold by an order of which nobody knows whether it was a stop -> the last such day."""
        return self._sold_by({UNKNOWN_TYPE})

    def trading_days_since(self, day: date) -> int:
        """Trading days after a day, up to today."""
        return len(self.days) - bisect_right(self.days, day)

    @cached_property
    def bought_today(self) -> frozenset[str]:
        """Symbols that orders other than the run's own bought today, whole or in part."""
        return frozenset(
            fill.symbol
            for fill in self._fills
            if fill.side is Side.BUY and fill.order_id not in self.own_orders and self._is_today(fill)
        )

    @cached_property
    def trips(self) -> Trips:
        """The round trips made: each time a SELL of a symbol follows a BUY of it on one day, in order of execution."""
        window = self.days[-ROUND_TRIP_DAYS:]
        last: dict[tuple[date, str], Side] = {}
        made = 0
        if window:
            starts = [from_new_york(day, time()) for day in window]
            for fill in self._fills:
                place = bisect_right(starts, fill.at)
                if not place:
                    continue
                key = (window[place - 1], fill.symbol)
                made += fill.side is Side.SELL and last.get(key) is Side.BUY
                last[key] = fill.side
        today = {symbol for (day, symbol), side in last.items() if side is Side.BUY and day == self.day}
        return Trips(made=made, bought_today=frozenset(today))

    @cached_property
    def bars(self) -> Mapping[str, Sequence[BarFacts]]:
        """Daily bars by symbol, oldest first; empty where they are missing."""
        found: dict[str, list[BarFacts]] = {}
        for bar in () if self.history is None or self.history.bars is None else self.history.bars:
            found.setdefault(bar.symbol, []).append(bar)
        return {symbol: sorted(bars, key=lambda bar: bar.day) for symbol, bars in found.items()}

    def bars_missing(self, symbol: str, days: int) -> str | None:
        """What is missing to judge a symbol's last `days` daily bars; None when nothing is."""
        if self.history is None:
            return "history missing"
        if self.history.bars is None:
            return "bars missing"
        found = len(self.bars.get(symbol, ()))
        return None if found >= days else f"{found} of {days} daily bars of {symbol}"

    def average_volume(self, symbol: str) -> Decimal:
        """Shares a day over the last `VOLUME_DAYS` bars, which must be there."""
        return sum((bar.volume for bar in self.bars[symbol][-VOLUME_DAYS:]), Decimal(0)) / VOLUME_DAYS

    def correlation(self, one: str, other: str) -> Decimal | str:
        """Pearson's coefficient of the daily returns of two symbols over `BAR_DAYS` bars, or what is missing for it."""
        for symbol in (one, other):
            missing = self.bars_missing(symbol, BAR_DAYS)
            if missing is not None:
                return missing
        a, b = self._moves_of(one), self._moves_of(other)
        if a.days != b.days:
            common = len(set(a.days) & set(b.days))
            return f"{common} of {BAR_DAYS} daily bars of {one} and {other} on the same days"
        for symbol, moves in ((one, a), (other, b)):
            if not moves.scaled:
                return f"{BAR_DAYS} daily bars of {symbol} in which its price varies"
        return Decimal(fsum(map(mul, a.scaled, b.scaled))).quantize(COEFFICIENT_STEP)

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

    @cached_property
    def _fills(self) -> tuple[FillFacts, ...]:
        fills = () if self.history is None else self.history.fills or ()
        return tuple(sorted(fills, key=lambda fill: fill.at))

    @cached_property
    def _today_begins_at(self) -> datetime | None:
        return None if self.day is None else from_new_york(self.day, time())

    def _is_today(self, fill: FillFacts) -> bool:
        return self._today_begins_at is not None and fill.at >= self._today_begins_at

    def _sold_by(self, kinds: frozenset[str] | set[str]) -> dict[str, date]:
        """The last day on which an order of these kinds sold a symbol."""
        return {
            fill.symbol: day_in_new_york(fill.at)
            for fill in self._fills
            if fill.side is Side.SELL and fill.order_type in kinds
        }

    @cached_property
    def _moves(self) -> dict[str, Moves]:
        return {}

    def _moves_of(self, symbol: str) -> Moves:
        """A symbol's returns, reckoned once. Binary floating point: a statistic, neither money nor quantity."""
        found = self._moves.get(symbol)
        if found is None:
            bars = self.bars[symbol][-BAR_DAYS:]
            closes = [float(bar.close_usd) for bar in bars]
            returns = [after / before - 1 for before, after in pairwise(closes)]
            mean = fsum(returns) / len(returns)
            off = [one - mean for one in returns]
            length = sqrt(fsum(map(mul, off, off)))
            scaled = tuple(one / length for one in off) if length > NOISE else ()
            found = self._moves[symbol] = Moves(days=tuple(bar.day for bar in bars), scaled=scaled)
        return found
