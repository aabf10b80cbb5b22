"""The twin of an account: what a local Alpaca must begin with to be like it. Pure.

Where it can't be the same, a note says so: nobody should take a rehearsal for more than it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from departments.executive.twin_past import past_of_twin
from departments.rulebook.context import plain
from messages.new_york import day_in_new_york
from messages.plans import Plan, Trade
from messages.snapshots import ClockFacts, History, OrderFacts, PositionFacts, QuoteFacts, Snapshot
from messages.values import OrderType, Side

LONGEST_SESSION = timedelta(hours=6, minutes=30)
"""Source: NYSE, core trading session."""
REHEARSAL_LASTS = timedelta(minutes=2)
"""The twin's market must stay open for so long."""
MOST_DIFFERENCES = 20


class NoTwin(Exception):
    """The account can't be rebuilt; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """How the twin begins.

    Attributes:
        state: The local Alpaca's state file.
        account: What its control API sets beside that.
        orders: Live orders of the account, as requests; in the twin they rest, whatever the prices.
        notes: In what the twin can't be the same.
    """

    state: Mapping[str, Any]
    account: Mapping[str, Any]
    orders: tuple[Mapping[str, str], ...]
    notes: tuple[str, ...]


def twin_of(snapshot: Snapshot, plan: Plan, *, min_time_to_close_s: int, history: History | None = None) -> Twin:
    """Build the twin's beginning out of a whole look at the account.

    BUYs are priced at the ask and SELLs at the bid, so that the rehearsal pays the spread.

    Args:
        snapshot: The account, with the plan's symbols.
        plan: What is to be rehearsed.
        min_time_to_close_s: As configured; a market that closes sooner is rehearsed as at its next opening.
        history: What went before, where the rules look back.

    Raises:
        NoTwin: Something is missing that can't be made up.
    """
    account, clock = snapshot.account, snapshot.clock
    positions = snapshot.positions
    if account is None or clock is None or positions is None or snapshot.assets is None or snapshot.open_orders is None:
        raise NoTwin("expected a whole look at the account, a part is missing")
    held = {position.symbol: position for position in positions if position.qty}
    quotes = {quote.symbol: quote for quote in snapshot.quotes or ()}
    market_time, notes = _market_time(clock, min_time_to_close_s)
    prices = {symbol: _held_price(position) for symbol, position in held.items()}
    notes += [f"{symbol}: Alpaca gives the position no price; its entry price stands in" for symbol in _unpriced(held)]
    for trade in plan.trades:
        price = _twin_price(trade, quotes.get(trade.symbol), held.get(trade.symbol))
        if price is not None:
            prices[trade.symbol] = price
    orders, order_notes = _resting(snapshot.open_orders)
    past, past_notes = ({}, []) if history is None else past_of_twin(history, day_in_new_york(clock.at))
    return Twin(
        state=past
        | {
            "cash": plain(account.cash_usd),
            "positions": [
                {
                    "symbol": symbol,
                    "qty": plain(position.qty),
                    "avg_entry_price": plain(_entry_price(position)),
                    "price": plain(prices[symbol]),
                }
                for symbol, position in held.items()
            ],
            "prices": {symbol: plain(price) for symbol, price in prices.items() if symbol not in held},
            "assets": {
                asset.symbol: {
                    "status": "active" if asset.status == "active" else "inactive",
                    "tradable": asset.tradable,
                    "fractionable": asset.fractionable,
                }
                for asset in snapshot.assets
            },
            "clock": market_time,
            "rate_limit": {"requests_per_minute": "1000000"},
        },
        account={
            "max_multiplier": int(account.multiplier),
            "trading_blocked": account.trading_blocked,
            "account_blocked": account.account_blocked,
        },
        orders=orders,
        notes=(*notes, *order_notes, *past_notes),
    )


def _market_time(clock: ClockFacts, min_time_to_close_s: int) -> tuple[dict[str, object], list[str]]:
    left = clock.next_close - clock.at
    if clock.is_open and left > timedelta(seconds=min_time_to_close_s) + REHEARSAL_LASTS:
        # A session longer than there are is a market that somebody forced open: no hour of a calendar is like it.
        return {"is_open": True} | ({"now": clock.at.isoformat()} if left <= LONGEST_SESSION else {}), []
    opens = f"{clock.next_open:%Y-%m-%d %H:%M} UTC"
    why = "closes too soon" if clock.is_open else "is closed"
    note = f"the market {why}: the run would wait until {opens}; rehearsed as if it had opened at today's last prices"
    return {"is_open": True, "now": clock.next_open.isoformat()}, [note]


def _unpriced(held: Mapping[str, PositionFacts]) -> list[str]:
    return [symbol for symbol, position in held.items() if not position.current_price_usd]


def _held_price(position: PositionFacts) -> Decimal:
    return position.current_price_usd or _entry_price(position)


def _entry_price(position: PositionFacts) -> Decimal:
    """The entry price; a position that cost nothing (a spin-off) takes its present price, as the twin needs one."""
    price = position.avg_entry_price_usd or position.current_price_usd
    if not price or price < 0:
        raise NoTwin(f"{position.symbol}: expected a price or an entry price from Alpaca, was none")
    return price


def _twin_price(trade: Trade, quote: QuoteFacts | None, held: PositionFacts | None) -> Decimal | None:
    """Where the twin's market stands for a leg; None for a BUY that nobody offers: there it has no price either."""
    if trade.side is Side.BUY:
        return None if quote is None else quote.ask_usd
    quoted = None if quote is None else quote.bid_usd or quote.last_usd
    own = None if held is None else held.current_price_usd
    return quoted or own or trade.reference_price_usd


def _resting(open_orders: Iterable[OrderFacts]) -> tuple[tuple[Mapping[str, str], ...], list[str]]:
    orders: list[Mapping[str, str]] = []
    notes: list[str] = []
    for number, order in enumerate(open_orders, start=1):
        if order.qty is None:
            notes.append(f"open order {order.order_id} on {order.symbol} is by value: it is not in the twin")
            continue
        request = {
            "symbol": order.symbol,
            "side": order.side.value,
            "qty": plain(order.qty - order.filled_qty),
            "type": OrderType.MARKET.value,
            "time_in_force": "day",
            "client_order_id": f"other-{number}",
        }
        if order.order_type == OrderType.LIMIT and order.limit_price_usd is not None:
            request |= {"type": OrderType.LIMIT.value, "limit_price": plain(order.limit_price_usd)}
        orders.append(request)
    if orders:
        notes.append(
            f"{len(orders)} open orders of the account rest in the twin: they hold shares and money, none fills"
        )
    return tuple(orders), notes


def differences(live: Snapshot, twin: Snapshot) -> tuple[str, ...]:
    """Name what the twin shows otherwise than the account: what the rules read, beside prices at bid and ask."""
    found: list[str] = []
    if live.account is not None and twin.account is not None and live.account.cash_usd != twin.account.cash_usd:
        found.append(f"cash {plain(live.account.cash_usd)}, in the twin {plain(twin.account.cash_usd)}")
    ours = {position.symbol: position for position in live.positions or ()}
    theirs = {position.symbol: position for position in twin.positions or ()}
    for symbol in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(symbol), theirs.get(symbol)
        a, b = _shares(one), _shares(other)
        if a != b:
            found.append(f"{symbol}: {a}, in the twin {b}")
    if len(found) > MOST_DIFFERENCES:
        found[MOST_DIFFERENCES:] = [f"{len(found) - MOST_DIFFERENCES} more"]
    return tuple(found)


def _shares(position: PositionFacts | None) -> str:
    if position is None:
        return "not held"
    return f"{plain(position.qty)} shares, {plain(position.qty_available)} free"
