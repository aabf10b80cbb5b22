"""Reads that can wait: one client of its own, last in line for the limit on requests, page after page.

Nothing here takes a turn from the desk's threads; only slots are shared, and half of the limit is left untouched.
"""

import time
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import TypeVar

from departments.trading.broker import (
    Broker,
    BrokerUnavailable,
    FillsPage,
    FillsQuery,
    RateLimited,
    next_fills,
)
from departments.trading.pacing import Kind
from departments.trading.turns import Job, Turns
from messages.snapshots import AccountFacts, ClockFacts, EquityDay, FillFacts, PositionFacts, TradingDay

MOST_TRIES = 3
"""A read that is refused with a 429 goes again so often."""
MOST_PAGES = 5_000
"""Of fills; half a million executions are no account of ours."""

AnswerT = TypeVar("AnswerT")


class PacedReader:
    """Reads of one client, each in its turn. Used by one thread; blocks while there is no turn.

    Args:
        turns: Where turns are taken.
        broker: A client that nobody else uses.

    Every read raises as those of `Broker`, and `BrokerUnavailable` once `turns` are closed.
    """

    def __init__(self, turns: Turns, broker: Broker) -> None:
        self._turns = turns
        self._broker = broker

    def account(self) -> AccountFacts:
        """As `Broker.account`."""
        return self._ask(lambda broker: broker.account())

    def clock(self) -> ClockFacts:
        """As `Broker.clock`."""
        return self._ask(lambda broker: broker.clock())

    def positions(self) -> tuple[PositionFacts, ...]:
        """As `Broker.positions`."""
        return self._ask(lambda broker: broker.positions())

    def trading_days(self, first: date, last: date) -> tuple[TradingDay, ...]:
        """As `Broker.trading_days`."""
        return self._ask(lambda broker: broker.trading_days(first, last))

    def equity_days(self, first: date, last: date) -> tuple[EquityDay, ...]:
        """As `Broker.equity_days`."""
        return self._ask(lambda broker: broker.equity_days(first, last))

    def fills_after(self, after: datetime | None) -> tuple[FillFacts, ...]:
        """Every execution after a broker's time, exclusive; None: since the account began."""
        fills: list[FillFacts] = []
        query = FillsQuery(after=after)
        for _ in range(MOST_PAGES):
            page = self._ask(partial(_fills, query=query))
            fills += page.fills
            following = next_fills(query, page)
            if following is None:
                return tuple(fills)
            query = following
        raise BrokerUnavailable(f"fills: expected at most {MOST_PAGES} pages, were more")

    def close(self) -> None:
        """Close the client."""
        self._broker.close()

    def _ask(self, call: Callable[[Broker], AnswerT]) -> AnswerT:
        job = Job(Kind.BACKGROUND, 0, _nothing)
        while True:
            if not self._turns.one_more(job):
                raise BrokerUnavailable("the desk is closing")
            try:
                return self._turns.ask(job, self._broker, call)
            except RateLimited:
                job.tries += 1
                if job.tries >= MOST_TRIES:
                    raise


def turns_of_its_own(requests_per_minute: int) -> Turns:
    """Turns for a command that has no desk."""
    return Turns(requests_per_minute=requests_per_minute, monotonic=time.monotonic)


def _fills(broker: Broker, query: FillsQuery) -> FillsPage:
    return broker.fills(query)


def _nothing(_broker: Broker, _job: Job) -> None:
    """A job that is never handed out."""
