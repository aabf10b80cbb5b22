"""The account as the rules see it: one look at it, and the book after the SELLs and after each BUY let in so far.

What is in flight counts as done: an open BUY order takes money, exposure and a place among the positions.
What can't be known is None, and stays None through every sum it enters.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from departments.rulebook.limits import Limits
from departments.rulebook.money import expected_money, expected_proceeds_usd, open_buy_usd, spendable_usd
from departments.rulebook.past import Past
from messages.plans import Trade
from messages.reviews import Money, Today, Violation
from messages.snapshots import (
    TERMINAL_BROKER_STATUSES,
    AccountFacts,
    AssetFacts,
    History,
    OrderFacts,
    PositionFacts,
    QuoteFacts,
    Snapshot,
    SnapshotPart,
)
from messages.values import Funding, RunId, Side, run_of_client_order_id

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A snapshot with everything the rules need, by symbol.

    Attributes:
        positions: Symbols really held, long or short.
        open_orders: Live orders, the legs of brackets among them.
        run_orders: The run's own, whatever their status.
        past: What went before.
    """

    run_id: RunId
    account: AccountFacts
    positions: Mapping[str, PositionFacts]
    open_orders: tuple[OrderFacts, ...]
    assets: Mapping[str, AssetFacts]
    quotes: Mapping[str, QuoteFacts]
    run_orders: tuple[OrderFacts, ...]
    past: Past

    def orders_of_others(self, symbol: str) -> tuple[OrderFacts, ...]:
        """Live orders on a symbol that this run did not place."""
        return tuple(
            order
            for order in self.open_orders
            if order.symbol == symbol and run_of_client_order_id(order.client_order_id) != self.run_id
        )


def look(
    snapshot: Snapshot, *, run_id: RunId, buys: bool, history: History | None = None, today: Today | None = None
) -> View | tuple[Violation, ...]:
    """Open a snapshot for the rules; a missing part is named, never taken for empty. Only BUYs need quotes.

    Args:
        snapshot: The look.
        run_id: Whose orders are the run's own.
        buys: The plan has BUYs.
        history: What went before; None: the rules that need it miss it.
        today: The firm's own counts; None: as above.
    """
    quotes = snapshot.quotes
    if quotes is None and not buys:
        quotes = ()
    if (
        snapshot.account is None
        or snapshot.positions is None
        or snapshot.open_orders is None
        or snapshot.run_orders is None
        or snapshot.assets is None
        or quotes is None
    ):
        needed = {
            SnapshotPart.ACCOUNT: snapshot.account,
            SnapshotPart.POSITIONS: snapshot.positions,
            SnapshotPart.ORDERS: None if snapshot.run_orders is None else snapshot.open_orders,
            SnapshotPart.ASSETS: snapshot.assets,
            SnapshotPart.QUOTES: quotes,
        }
        return tuple(_missing(part) for part, found in needed.items() if found is None)
    return View(
        run_id=run_id,
        account=snapshot.account,
        positions={position.symbol: position for position in snapshot.positions if position.qty},
        open_orders=tuple(_live(snapshot.open_orders)),
        assets={asset.symbol: asset for asset in snapshot.assets},
        quotes={quote.symbol: quote for quote in quotes},
        run_orders=snapshot.run_orders,
        past=Past(
            history=history,
            today=today,
            clock=snapshot.clock,
            looked_at=snapshot.begun_at,
            own_orders=frozenset(order.order_id for order in snapshot.run_orders),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What the limits are counted on: the account after the SELLs, orders in flight and the BUYs let in so far.

    Attributes:
        equity_usd: The broker's.
        gross_usd: Value of all positions, long and short; None when an order in flight can't be priced.
        left_usd: What is still spendable; negative when even nothing is too much; None as above.
        symbols: What is held or being bought.
        symbol_usd: Value held and in flight by symbol; None where there is no price.
        risk_usd: What the BUYs let in so far lose together if every stop is hit.
        unpriced: Orders in flight that can't be priced.
        sectors: Symbol -> sector, of the house's list and of the BUYs let in so far.
        orders: Orders of the run, sent or let in so far.
        sold: Symbols that the run sells or has sold.
    """

    equity_usd: Decimal
    gross_usd: Decimal | None
    left_usd: Decimal | None
    symbols: frozenset[str]
    symbol_usd: Mapping[str, Decimal | None]
    risk_usd: Decimal = ZERO
    unpriced: tuple[str, ...] = ()
    sectors: Mapping[str, str] = field(default_factory=dict)
    orders: int = 0
    sold: frozenset[str] = frozenset()

    def held_usd(self, symbol: str) -> Decimal | None:
        """What is held and in flight of a symbol; None where it has no price."""
        return self.symbol_usd.get(symbol, ZERO)

    def with_buy(self, symbol: str, *, reserved_usd: Decimal, risk_usd: Decimal, sector: str | None = None) -> "Book":
        """The book once a BUY is let in at its reserved value, with what it may lose."""
        held = self.held_usd(symbol)
        return Book(
            equity_usd=self.equity_usd,
            gross_usd=None if self.gross_usd is None else self.gross_usd + reserved_usd,
            left_usd=None if self.left_usd is None else self.left_usd - reserved_usd,
            symbols=self.symbols | {symbol},
            symbol_usd={**self.symbol_usd, symbol: None if held is None else held + reserved_usd},
            risk_usd=self.risk_usd + risk_usd,
            unpriced=self.unpriced,
            sectors=self.sectors if sector is None or symbol in self.sectors else {**self.sectors, symbol: sector},
            orders=self.orders + 1,
            sold=self.sold,
        )


def open_book(view: View, *, sells: Iterable[Trade], money: Money | Funding, limits: Limits) -> Book:
    """Count the account after the SELLs.

    Args:
        view: The account.
        sells: SELLs not yet sent, taken as filled; none at the gate, where the account shows them already.
        money: The gate's figures; before the start only the policy, the rest is what the SELLs should bring.
        limits: For the price cushion and the cash reserve.
    """
    sells = tuple(sells)
    proceeds_usd = expected_proceeds_usd(sells, view.quotes)
    if isinstance(money, Funding):
        money = expected_money(money, cash_usd=view.account.cash_usd, proceeds_usd=proceeds_usd)
    in_flight = {
        order.order_id: (order.symbol, _open_buy_usd(view, order, limits))
        for order in view.open_orders
        if order.side is Side.BUY
    }
    values: dict[str, Decimal | None] = {symbol: position_usd(held) for symbol, held in view.positions.items()}
    gross_usd = held_gross_usd(view)
    for trade in sells:
        held = view.positions.get(trade.symbol)
        value = values.get(trade.symbol)
        if held is None or value is None:
            continue
        sold_usd = value * min(trade.qty / abs(held.qty), Decimal(1))
        gross_usd -= sold_usd
        values[trade.symbol] = value - sold_usd
    closed = {trade.symbol for trade in sells if _closes(trade, view.positions.get(trade.symbol))}
    reserved = [usd for _, usd in in_flight.values() if usd is not None]
    unpriced = tuple(
        f"order {order_id} on {symbol}" for order_id, (symbol, usd) in sorted(in_flight.items()) if usd is None
    )
    for symbol, usd in in_flight.values():
        value = values.get(symbol, ZERO)
        values[symbol] = None if value is None or usd is None else value + usd
    left_usd = spendable_usd(
        money,
        buying_power_usd=view.account.buying_power_usd + proceeds_usd,
        reservations_usd=sum(reserved, ZERO),
        cash_reserve_usd=limits.cash_reserve_usd,
    )
    return Book(
        equity_usd=view.account.equity_usd,
        gross_usd=None if unpriced else gross_usd + sum(reserved, ZERO),
        left_usd=None if unpriced else left_usd,
        symbols=frozenset(view.positions) - closed | {symbol for symbol, _ in in_flight.values()},
        symbol_usd=values,
        unpriced=unpriced,
        sectors=limits.sectors,
        orders=len(view.run_orders) + len(sells),
        sold=frozenset(
            [trade.symbol for trade in sells]
            + [order.symbol for order in view.run_orders if order.side is Side.SELL and order.filled_qty]
        ),
    )


def position_usd(position: PositionFacts) -> Decimal | None:
    """The value of a position, long or short, >= 0; None where the broker gave no price."""
    if position.market_value_usd is not None:
        return abs(position.market_value_usd)
    if position.current_price_usd is not None:
        return abs(position.qty * position.current_price_usd)
    return None


def held_gross_usd(view: View) -> Decimal:
    """The value of all positions, long and short; the account's own sums where one position has no price."""
    values = [position_usd(position) for position in view.positions.values()]
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        return sum(known, ZERO)
    return abs(view.account.long_market_value_usd) + abs(view.account.short_market_value_usd)


def _open_buy_usd(view: View, order: OrderFacts, limits: Limits) -> Decimal | None:
    held = view.positions.get(order.symbol)
    price_usd = None if held is None else held.current_price_usd
    return open_buy_usd(order, view.quotes.get(order.symbol), price_usd, limits.price_cushion_fraction)


def _closes(sell: Trade, held: PositionFacts | None) -> bool:
    return held is not None and sell.qty >= held.qty > 0


def _live(orders: Iterable[OrderFacts]) -> Iterable[OrderFacts]:
    for order in orders:
        if order.status not in TERMINAL_BROKER_STATUSES:
            yield order
        yield from _live(order.legs)


def _missing(part: SnapshotPart) -> Violation:
    return Violation(
        code="SNAPSHOT_INCOMPLETE",
        leg=None,
        rule="a whole look at the account",
        figure=f"{part.value} missing",
        limit="account, positions, orders, assets and, for BUYs, quotes",
    )
