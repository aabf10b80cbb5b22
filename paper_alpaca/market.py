"""Prices, quotes, assets and market time, shared by all accounts. Pure: real time comes in as an argument."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from paper_alpaca import hours
from paper_alpaca.figures import PRICE_STEP, nanos

_ASSETS: Final = uuid.UUID("5f6e3c1c-6f0a-4b6e-9d43-2a1f5a1f8b10")
_EXCHANGES: Final = ("NYSE", "NASDAQ")
_COMFORT: Final = timedelta(hours=1)
_TEN_THOUSAND: Final = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class Asset:
    """What Alpaca says about a symbol."""

    symbol: str
    status: str = "active"
    tradable: bool = True
    fractionable: bool = True
    marginable: bool = True
    shortable: bool = True
    easy_to_borrow: bool = True
    name: str = ""
    exchange: str = ""

    @property
    def asset_id(self) -> str:
        """The asset's id: always the same for a symbol."""
        return asset_id(self.symbol)


_ids: dict[str, str] = {}


def asset_id(symbol: str) -> str:
    """Return the id of a symbol's asset, derived from the symbol alone."""
    known = _ids.get(symbol)
    if known is None:
        known = _ids[symbol] = str(uuid.uuid5(_ASSETS, symbol))
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyBar:
    """A day's prices, USD per share, and the shares that changed hands."""

    day: date
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


@dataclass(slots=True)
class Market:
    """Last prices and assets.

    Attributes:
        last: USD per share of the last trade, by symbol.
        previous: The last prices this market began with: yesterday's closes.
        assets: Symbols whose facts differ from an active, tradable, fractionable one, or that have no price.
        bars: Daily bars that the state file tells; of other symbols they are made up.
        spread_bps: Width of the quote around the last price; 0 makes bid and ask equal it.
    """

    last: dict[str, Decimal]
    assets: dict[str, Asset] = field(default_factory=dict)
    spread_bps: Decimal = Decimal(0)
    previous: dict[str, Decimal] = field(default_factory=dict)
    bars: Mapping[str, tuple[DailyBar, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.previous = dict(self.last)

    def asset(self, symbol: str) -> Asset | None:
        """Return what is known of a symbol; None for a symbol with neither price nor facts."""
        asset = self.assets.get(symbol)
        if asset is None and symbol in self.last:
            exchange = _EXCHANGES[int(asset_id(symbol)[0], 16) % 2]
            asset = self.assets[symbol] = Asset(symbol, name=f"{symbol} Common Stock", exchange=exchange)
        return asset

    def find_asset(self, symbol_or_id: str) -> Asset | None:
        """As `asset`, by symbol or by asset id."""
        found = self.asset(symbol_or_id.upper())
        if found is None and len(symbol_or_id) == 36:
            return next((self.asset(s) for s in self.symbols() if asset_id(s) == symbol_or_id), None)
        return found

    def symbols(self) -> list[str]:
        """Return every known symbol, sorted."""
        return sorted({*self.last, *self.assets})

    def set_asset(self, symbol: str, **facts: str | bool) -> Asset:
        """Change facts about a symbol, which need not be known yet."""
        base = self.asset(symbol) or Asset(symbol, name=f"{symbol} Common Stock", exchange="NYSE")
        changed = replace(base, **facts)  # type: ignore[arg-type]  # callers pass fields of Asset only
        self.assets[symbol] = changed
        return changed

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Set a symbol's last price; a symbol seen for the first time counts as closed there yesterday."""
        self.last[symbol] = price
        self.previous.setdefault(symbol, price)

    def quote(self, symbol: str) -> tuple[Decimal, Decimal] | None:
        """Return (bid, ask), or None without a price. Both are the last price unless a spread is set."""
        last = self.last.get(symbol)
        if last is None:
            return None
        if not self.spread_bps:
            return last, last
        half = last * self.spread_bps / _TEN_THOUSAND / 2
        return (last - half).quantize(PRICE_STEP), (last + half).quantize(PRICE_STEP)


@dataclass(slots=True)
class MarketClock:
    """Market time: real time moved by an offset, so it goes on at real speed. `is_open` alone decides on trading.

    Attributes:
        offset: Market time minus real time.
        is_open: Whether orders match; never changes by itself when market time passes an opening or a close.
        declared: Whether somebody set the time. If not, closes within the hour are pushed away, so that what runs on
            this clock does not depend on the hour of the day it runs at.
    """

    offset: timedelta = timedelta(0)
    is_open: bool = True
    declared: bool = False

    def now(self, real: datetime) -> datetime:
        """Return market time."""
        return real + self.offset

    def set(self, now: datetime, real: datetime) -> None:
        """Let market time be `now` at this real time."""
        self.offset = now - real
        self.declared = True

    def advance(self, step: timedelta) -> None:
        """Move market time on."""
        self.offset += step
        self.declared = True

    def next_open(self, now: datetime) -> datetime:
        """Return the first opening after market time `now`."""
        return hours.next_open(now)

    def next_close(self, now: datetime) -> datetime:
        """Return when the market closes next; always after `now`."""
        if not self.is_open:
            return hours.next_close(hours.next_open(now))
        session = hours.current_session(now)
        if session is None or (not self.declared and session.closes - now < _COMFORT):
            return hours.new_york((now + hours.FORCED_OPEN).replace(microsecond=0))
        return session.closes

    def view(self, real: datetime) -> dict[str, object]:
        """Return the body of `GET /v2/clock`: New York's time with its offset."""
        now = self.now(real)
        local = hours.new_york(now)
        return {
            "timestamp": nanos(local)[:-1] + local.isoformat()[-6:],
            "is_open": self.is_open,
            "next_open": hours.new_york(self.next_open(now)).isoformat(),
            "next_close": hours.new_york(self.next_close(now)).isoformat(),
        }
