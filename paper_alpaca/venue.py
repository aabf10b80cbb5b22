"""Everything the server is made of: accounts at their desks, market, clock, faults, and what was asked of it."""

import asyncio
import hmac
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from paper_alpaca.desk import Desk
from paper_alpaca.faults import Faults
from paper_alpaca.market import Market, MarketClock
from paper_alpaca.pacing import Limit
from paper_alpaca.state import State

_REQUESTS_KEPT: Final = 200_000


class Asked:
    """One request as it came, and the status it was answered with; None until it is."""

    __slots__ = ("at", "body", "method", "n", "path", "query", "status")

    def __init__(self, n: int, method: str, path: str, query: bytes, at: datetime) -> None:
        self.n = n
        self.at = at
        self.method = method
        self.path = path
        self.query = query
        self.body = b""
        self.status: int | None = None


class Venue:
    """The whole of it. Made inside a running event loop, by `reset`."""

    def __init__(self, state: State, seed: int) -> None:
        self.state = state
        self.seed = seed
        self.faults = Faults()
        self.desks = [Desk(account.key_id, account.secret_key) for account in state.accounts]
        self.loop = asyncio.get_running_loop()
        self.reset()

    def reset(self) -> None:
        """Go back to the state file: orders, prices, clock, faults, limits and the record are as at the start."""
        state = self.state
        self.market = Market(dict(state.prices), dict(state.assets), state.spread_bps, bars=state.bars)
        self.clock = MarketClock(is_open=state.is_open)
        if state.now is not None:
            self.clock.set(state.now, datetime.now(UTC))
        self.faults.clear()
        self.asked: deque[Asked] = deque(maxlen=_REQUESTS_KEPT)
        self._count = 0
        self.limits: dict[tuple[int, str], Limit] = {}
        for number, (desk, account) in enumerate(zip(self.desks, state.accounts, strict=True), 1):
            desk.begin(
                account,
                number=number,
                seed=self.seed,
                market=self.market,
                clock=self.clock,
                fills=state.fills,
            )
            for family in ("trading", "data"):
                self.limits[id(desk), family] = Limit(state.requests_per_minute)

    def desk_for(self, key_id: str, secret_key: str) -> Desk | None:
        """Return the account that a key pair opens. Any pair opens the one account without keys of its own."""
        if not key_id or not secret_key:
            return None
        for desk in self.desks:
            if desk.key_id is None or desk.secret_key is None:
                return desk
            if desk.key_id == key_id:
                return desk if hmac.compare_digest(desk.secret_key.encode(), secret_key.encode()) else None
        return None

    def ask(self, method: str, path: str, query: bytes, at: datetime) -> Asked:
        """Record a request."""
        self._count += 1
        asked = Asked(self._count, method, path, query, at)
        self.asked.append(asked)
        return asked

    def set_prices(self, prices: dict[str, Decimal]) -> None:
        """Set last prices, then let orders match."""
        for symbol, price in prices.items():
            self.market.set_price(symbol, price)
        for symbol in prices:
            for desk in self.desks:
                desk.price_moved(symbol)

    def set_clock(self, now: datetime | None, advance: timedelta | None, *, is_open: bool | None) -> None:
        """Move market time, and open or close the market."""
        if now is not None:
            self.clock.set(now, datetime.now(UTC))
        if advance is not None:
            self.clock.advance(advance)
        if is_open is None or is_open == self.clock.is_open:
            return
        self.clock.is_open = is_open
        for desk in self.desks:
            if is_open:
                desk.market_opened()
            else:
                desk.market_closed()

    def clear_faults(self) -> None:
        """Drop the rules and let held-back orders go."""
        self.faults.clear()
        for desk in self.desks:
            desk.release()
