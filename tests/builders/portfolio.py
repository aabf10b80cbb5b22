"""Accounts, plans and questions to Compliance and Operations, in plain figures."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from departments.office.settings import AccountSettings, FirmSettings, Settings
from departments.rulebook.context import Context
from departments.rulebook.limits import limits_of
from departments.rulebook.portfolio import View, open_book
from departments.rulebook.portfolio import look as opened
from messages.envelope import Envelope
from messages.message import Message
from messages.plans import Trade
from messages.proposals import FitBuys
from messages.reviews import Money, ReviewPlan, Stage, Today
from messages.snapshots import (
    HISTORY_DAYS,
    AccountFacts,
    AssetFacts,
    BarFacts,
    BrokerStatus,
    ClockFacts,
    EquityFacts,
    FillFacts,
    History,
    OrderFacts,
    PositionFacts,
    QuoteFacts,
    Snapshot,
    TradingDay,
)
from messages.values import (
    AccountName,
    ClientOrderId,
    Funding,
    LegId,
    OrderId,
    OrderType,
    Recipient,
    Side,
    client_order_id_for,
    run_id_for,
)
from tests.builders import november

NOW = datetime(2025, 11, 10, 15, 9, 12, tzinfo=UTC)
DAY = NOW.date()
RUN = run_id_for("paper", "a plan")
OTHER_RUN = run_id_for("paper", "another plan")

Figure = Decimal | str | int


def settings(**overrides: Mapping[str, Any]) -> Settings:
    """The shipped defaults, with some keys changed: `settings(compliance={"cash": {"cash_reserve": "100"}})`."""
    firm = FirmSettings(accounts={AccountName("paper"): AccountSettings()})
    return Settings.model_validate({"firm": firm, **overrides})


def buy(leg: str, symbol: str, qty: Figure, price: Figure, **more: Any) -> Trade:
    """A BUY at market unless told otherwise."""
    return _trade(leg, symbol, Side.BUY, qty, price, more)


def sell(leg: str, symbol: str, qty: Figure, price: Figure, **more: Any) -> Trade:
    """A SELL at market unless told otherwise."""
    return _trade(leg, symbol, Side.SELL, qty, price, more)


def _trade(leg: str, symbol: str, side: Side, qty: Figure, price: Figure, more: dict[str, Any]) -> Trade:
    if "limit" in more:
        more = {**more, "order_type": OrderType.LIMIT, "limit_price_usd": Decimal(more["limit"])}
        del more["limit"]
    if more.get("score") is not None:
        more = {**more, "score": Decimal(more["score"])}
    return Trade(leg=LegId(leg), symbol=symbol, side=side, qty=Decimal(qty), reference_price_usd=Decimal(price), **more)


def held(symbol: str, qty: Figure, price: Figure | None, *, free: Figure | None = None) -> PositionFacts:
    """A position; all of it free unless told otherwise; `price` None: the broker gave none."""
    return PositionFacts(
        symbol=symbol,
        qty=Decimal(qty),
        qty_available=Decimal(qty if free is None else free),
        avg_entry_price_usd=Decimal(1 if price is None else price),
        current_price_usd=None if price is None else Decimal(price),
        market_value_usd=None if price is None else Decimal(qty) * Decimal(price),
    )


def account(*, equity: Figure, cash: Figure, long_value: Figure = 0, **more: Any) -> AccountFacts:
    """An active account; its buying power is twice its equity less what is held, unless told otherwise."""
    facts: dict[str, Any] = {
        "account_number": "PA1",
        "status": "ACTIVE",
        "cash_usd": Decimal(cash),
        "equity_usd": Decimal(equity),
        "last_equity_usd": Decimal(equity),
        "buying_power_usd": max(2 * Decimal(equity) - Decimal(long_value), Decimal(0)),
        "multiplier": Decimal(2),
        "long_market_value_usd": Decimal(long_value),
        "short_market_value_usd": Decimal(0),
        "trading_blocked": False,
        "account_blocked": False,
    }
    return AccountFacts.model_validate({**facts, **more})


def asset(symbol: str, *, status: str = "active", tradable: bool = True, fractionable: bool = True) -> AssetFacts:
    """A symbol that may trade."""
    return AssetFacts(symbol=symbol, status=status, tradable=tradable, fractionable=fractionable)


def quote(
    symbol: str,
    price: Figure | None,
    *,
    bid: Figure | None = None,
    ask: Figure | None = None,
    last: Figure | None = None,
) -> QuoteFacts:
    """A quote; bid, ask and last are `price` unless given."""

    def priced(own: Figure | None) -> Decimal | None:
        chosen = price if own is None else own
        return None if chosen is None else Decimal(chosen)

    return QuoteFacts(symbol=symbol, bid_usd=priced(bid), ask_usd=priced(ask), last_usd=priced(last), at=NOW)


def open_order(
    symbol: str,
    side: Side,
    qty: Figure | None,
    *,
    own: bool = False,
    client_order_id: str | None = None,
    filled: Figure = 0,
    limit: Figure | None = None,
    order_type: str | None = None,
    status: BrokerStatus = BrokerStatus.NEW,
    legs: tuple[OrderFacts, ...] = (),
) -> OrderFacts:
    """A live order: a stranger's, unless it is the run's own or has an id of its own."""
    ours = client_order_id_for(RUN, f"B-{symbol}".replace("-", ""), 1) if own else ClientOrderId(f"manual {symbol}")
    return OrderFacts(
        order_id=OrderId(f"order-{symbol}-{side.value}"),
        client_order_id=ours if client_order_id is None else ClientOrderId(client_order_id),
        symbol=symbol,
        side=side,
        qty=None if qty is None else Decimal(qty),
        filled_qty=Decimal(filled),
        filled_avg_price_usd=Decimal(1) if Decimal(filled) else None,
        status=status,
        raw_status=status.value,
        order_type=order_type or ("market" if limit is None else "limit"),
        time_in_force="day",
        limit_price_usd=None if limit is None else Decimal(limit),
        submitted_at=NOW,
        as_of=NOW,
        legs=legs,
    )


def clock(at: datetime = NOW) -> ClockFacts:
    """The broker's clock, in the middle of a session."""
    return ClockFacts(at=at, is_open=True, next_open=at + timedelta(days=1), next_close=at + timedelta(hours=4))


def trading_days(last: date = DAY, count: int = HISTORY_DAYS) -> tuple[TradingDay, ...]:
    """The weekdays up to that day, oldest first; winter time."""
    days = [day for n in range(2 * count + 2) if (day := last - timedelta(days=n)).weekday() < 5]
    return tuple(
        TradingDay(
            day=day,
            opens_at=datetime.combine(day, time(14, 30), UTC),
            closes_at=datetime.combine(day, time(21), UTC),
        )
        for day in reversed(days[:count])
    )


def fill(
    symbol: str,
    side: Side,
    at: datetime = NOW - timedelta(minutes=24),
    *,
    order_type: str = "market",
    order_id: str = "an order before",
    qty: Figure = 10,
) -> FillFacts:
    """One execution at $20, of an order of others unless its id says otherwise."""
    return FillFacts(
        activity_id=f"{at:%Y%m%d%H%M%S}::{symbol}{side.value}",
        order_id=OrderId(order_id),
        symbol=symbol,
        side=side,
        qty=Decimal(qty),
        price_usd=Decimal(20),
        at=at,
        order_type=order_type,
    )


def bars(symbol: str, closes: Iterable[Figure], *, volume: Figure = 1_000, last: date = DAY) -> list[BarFacts]:
    """Daily bars with these closes, the newest on `last`; as many calendar days as closes."""
    prices = [Decimal(close) for close in closes]
    return [
        BarFacts(
            symbol=symbol,
            day=last - timedelta(days=len(prices) - 1 - n),
            open_usd=price,
            high_usd=price,
            low_usd=price,
            close_usd=price,
            volume=Decimal(volume),
        )
        for n, price in enumerate(prices)
    ]


def history(**parts: Any) -> History:
    """Ten trading days up to today in which nothing happened, unless told otherwise; bars are not read."""
    fields = {"read_at": NOW, "trading_days": trading_days(), "fills": ()}
    return History.model_validate({**fields, **parts})


def today(**changes: Any) -> Today:
    """The first plan of the day, approved a minute ago, unless told otherwise."""
    fields = {"plans": 0, "orders": 0, "approved_at": NOW - timedelta(minutes=1), "asked_at": NOW}
    return Today.model_validate({**fields, **changes})


QUIET = history()
FIRST = today()


def snapshot(
    trades: Iterable[Trade],
    *,
    equity: Figure,
    cash: Figure,
    positions: Iterable[PositionFacts] = (),
    open_orders: Iterable[OrderFacts] = (),
    quotes: Iterable[QuoteFacts] = (),
    assets: Iterable[AssetFacts] = (),
    **account_facts: Any,
) -> Snapshot:
    """A whole look; symbols of the trades are active and quoted at their reference price unless given otherwise."""
    trades = tuple(trades)
    positions = tuple(positions)
    long_value = sum((position.market_value_usd or Decimal(0) for position in positions), Decimal(0))
    quoted = {trade.symbol: quote(trade.symbol, trade.reference_price_usd) for trade in trades}
    known = {trade.symbol: asset(trade.symbol) for trade in trades}
    return Snapshot(
        begun_at=NOW,
        account=account(**{"equity": equity, "cash": cash, "long_value": long_value, **account_facts}),
        positions=positions,
        open_orders=tuple(open_orders),
        run_orders=(),
        clock=clock(),
        assets=tuple({**known, **{facts.symbol: facts for facts in assets}}.values()),
        quotes=tuple({**quoted, **{facts.symbol: facts for facts in quotes}}.values()),
    )


def gate_money(
    *,
    proceeds: Figure,
    cash_before: Figure,
    cash_now: Figure | None = None,
    spent: Figure = 0,
    funding: Funding = Funding.PROCEEDS,
) -> Money:
    """The gate's figures; the cash shows the proceeds, less what was spent, unless told otherwise."""
    seen = Decimal(cash_before) + Decimal(proceeds) - Decimal(spent) if cash_now is None else Decimal(cash_now)
    return Money(
        funding=funding,
        proceeds_usd=Decimal(proceeds),
        cash_before_usd=Decimal(cash_before),
        cash_now_usd=seen,
        spent_usd=Decimal(spent),
    )


def past_with_closes(look: Snapshot, *, highest: Figure | None = None) -> History:
    """What went before, with the equity that the account has now as its highest close, or another one."""
    equity_usd = Decimal(1) if look.account is None else look.account.equity_usd
    day = NOW.date()
    closes = EquityFacts(
        since=day,
        highest_close_usd=equity_usd if highest is None else Decimal(highest),
        highest_close_day=day,
        last_close_usd=equity_usd,
    )
    return history(equity=closes)


def at_submission(
    trades: Iterable[Trade],
    look: Snapshot,
    funding: Funding = Funding.PROCEEDS,
    *,
    past: History | None = QUIET,
    counts: Today | None = FIRST,
) -> ReviewPlan:
    """Ask Compliance before anything is sent; nothing happened before unless told otherwise."""
    return ReviewPlan(
        run_id=RUN,
        review=1,
        stage=Stage.SUBMISSION,
        trades=tuple(trades),
        snapshot=look,
        funding=funding,
        history=past,
        today=counts,
    )


def at_recheck(
    trades: Iterable[Trade],
    look: Snapshot,
    money: Money | None,
    *,
    past: History | None = QUIET,
    counts: Today | None = FIRST,
) -> ReviewPlan:
    """Ask Compliance at the gate."""
    return ReviewPlan(
        run_id=RUN,
        review=2,
        stage=Stage.RECHECK,
        trades=tuple(trades),
        snapshot=look,
        funding=Funding.PROCEEDS if money is None else money.funding,
        money=money,
        history=past,
        today=counts,
    )


def to_fit(
    trades: Iterable[Trade],
    look: Snapshot,
    money: Money,
    *,
    past: History | None = QUIET,
    counts: Today | None = FIRST,
) -> FitBuys:
    """Ask Operations at the gate."""
    return FitBuys(run_id=RUN, fit=1, trades=tuple(trades), snapshot=look, money=money, history=past, today=counts)


def enveloped(message: Message, recipient: Recipient) -> Envelope:
    """A message as it comes out of the inbox."""
    return Envelope(
        seq=7, message_id="6.0", sender="executive", recipient=recipient, sent_at=NOW, message=message, causation_id=6
    )


EQUITY_OF_NOVEMBER_10 = Decimal("98946.00")


def plan_of_november_10() -> tuple[Trade, ...]:
    """Five SELLs and eleven BUYs, in file order."""
    sells = [
        sell(f"S{n:02}", symbol, november.HOLDINGS[symbol][0], november.HOLDINGS[symbol][2])
        for n, symbol in enumerate(november.SELLS, 1)
    ]
    buys = [
        buy(f"B{n:02}", symbol, qty, price, score=score)
        for n, (symbol, (qty, price, score)) in enumerate(november.BUYS.items(), 1)
    ]
    return (*sells, *buys)


def holdings_of_november_10(*, without: Iterable[str] = ()) -> list[PositionFacts]:
    """22 positions, or what is left of them."""
    gone = set(without)
    return [held(symbol, qty, price) for symbol, (qty, _, price) in november.HOLDINGS.items() if symbol not in gone]


def account_of_november_10(trades: Iterable[Trade]) -> Snapshot:
    """The account before the plan, on margin."""
    return snapshot(trades, equity=EQUITY_OF_NOVEMBER_10, cash=november.CASH, positions=holdings_of_november_10())


def context(
    look: Snapshot,
    *,
    sells: Iterable[Trade] = (),
    money: Money | Funding = Funding.PROCEEDS,
    rules: Settings | None = None,
    past: History | None = QUIET,
    counts: Today | None = FIRST,
) -> Context:
    """What a leg is judged on."""
    limits = limits_of(settings() if rules is None else rules)
    view = viewed(look, past=past, counts=counts)
    return Context(view=view, book=open_book(view, sells=sells, money=money, limits=limits), limits=limits)


def viewed(look: Snapshot, *, past: History | None = QUIET, counts: Today | None = FIRST) -> View:
    """A look, opened for the rules; it must be whole."""
    view = opened(look, run_id=RUN, buys=True, history=past, today=counts)
    assert isinstance(view, View)
    return view
