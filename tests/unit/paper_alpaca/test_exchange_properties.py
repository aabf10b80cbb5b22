"""Whatever is done to a book, money and shares are conserved. Each check is tried on a book that breaks it."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_alpaca.accounts import Account
from paper_alpaca.exchange import may_execute
from paper_alpaca.orders import TERMINAL, Order
from tests.unit.paper_alpaca.books import NOW, Book

HOLDINGS = (("KO", "40", "75"), ("HAL", "25.5", "33"))
CASH = "-1000"
ZERO = Decimal(0)


class Ledger:
    """Counts by itself what the book must show, from nothing but the executions it told."""

    def __init__(self, book: Book):
        self.book = book
        self.filled: dict[str, Decimal] = {}
        self.undecided: list[tuple[Order, Order]] = []

    def check(self) -> None:
        """Fail when money, shares or quantities don't add up."""
        book, cash = self.book, Decimal(CASH)
        shares = {symbol: Decimal(qty) for symbol, qty, _ in HOLDINGS}
        sums: dict[str, Decimal] = {}
        for said in book.said:
            if said.execution is None or said.event == "trade_bust":
                continue
            order, execution = said.order, said.execution
            change = execution.qty if order.side == "buy" else -execution.qty
            cash -= change * execution.price
            shares[order.symbol] = shares.get(order.symbol, ZERO) + change
            sums[order.order_id] = sums.get(order.order_id, ZERO) + execution.qty
        assert book.account.cash == cash, "cash is what the executions left"
        for symbol, qty in shares.items():
            assert book.account.qty(symbol) == qty, "a position is what the executions left"
        for order in book.exchange.orders.values():
            self._check_order(order, sums.get(order.order_id, ZERO))
        for symbol in shares:
            if any(new.symbol == symbol and new.is_live for _, new in self.undecided):
                continue  # what fills meanwhile decides on the replacement, when it would take over
            held = book.exchange.held_qty(symbol)
            assert 0 <= held <= abs(book.account.qty(symbol)), "open orders hold no more than there is"

    def _check_order(self, order: Order, executed: Decimal) -> None:
        assert order.filled_qty == executed, "filled is the sum of the executions"
        assert order.filled_qty >= self.filled.get(order.order_id, ZERO), "filled never falls"
        assert order.qty is None or order.filled_qty <= order.qty, "filled never exceeds the order"
        assert (order.order_id in self.book.exchange.live) == (order.status not in TERMINAL)
        if order.qty is not None and order.status == "filled":
            assert order.filled_qty == order.qty, "filled means all of it"
        self.filled[order.order_id] = order.filled_qty


PRICES = st.decimals("10", "120", places=2)
STEPS = st.one_of(
    st.tuples(
        st.just("place"),
        st.sampled_from(["KO", "HAL"]),
        st.sampled_from(["buy", "sell"]),
        st.sampled_from(["market", "limit", "stop", "oco", "bracket", "notional"]),
        st.integers(1, 45),
        PRICES,
    ),
    st.tuples(st.just("execute"), st.integers(0, 20), st.decimals("0.01", "1", places=2), PRICES),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("end"), st.integers(0, 20), st.sampled_from(["canceled", "expired", "rejected"])),
    st.tuples(st.just("replace"), st.integers(0, 20), st.integers(1, 45)),
    st.tuples(st.just("finish"), st.integers(0, 20)),
    st.tuples(st.just("price"), st.sampled_from(["KO", "HAL"]), PRICES),
)


def play(book: Book, steps, ledger: Ledger) -> None:
    """Do the steps that make sense where they stand, and check after each."""
    replaced = ledger.undecided
    for step in steps:
        live = list(book.exchange.live.values())
        match step:
            case ("place", symbol, side, kind, qty, price):
                place(book, symbol, side, kind, qty, price)
            case ("execute", n, fraction, price) if live:
                order = live[n % len(live)]
                left = order.remaining(price)
                share = (left * fraction).quantize(Decimal("0.001"))
                if may_execute(order) and 0 < share <= left:
                    book.exchange.execute(order, share, price, NOW)
            case ("cancel", n) if live:
                book.exchange.request_cancel(live[n % len(live)], NOW)
            case ("end", n, status) if live:
                book.exchange.end(live[n % len(live)], status, NOW)
            case ("replace", n, qty) if live:
                order = live[n % len(live)]
                if order.qty is not None and order.parent is None and not order.ticket.order_class:
                    ticket = replace(order.ticket, qty=Decimal(qty), client_order_id=None)
                    new = book.exchange.begin_replace(order, ticket, Decimal(qty), NOW, received_at=NOW)
                    if isinstance(new, Order):
                        replaced.append((order, new))
            case ("finish", n) if replaced:
                book.exchange.finish_replace(*replaced.pop(n % len(replaced)), NOW)
            case ("price", symbol, price):
                book.market.set_price(symbol, price)
            case _:
                pass
        ledger.check()


def place(book: Book, symbol, side, kind, qty, price) -> None:
    extra: dict[str, str] = {}
    kind_of_order = "market"
    if kind == "limit":
        kind_of_order, extra = "limit", {"limit_price": str(price)}
    elif kind == "stop":
        kind_of_order, extra = "stop", {"stop_price": str(price)}
    elif kind == "oco":
        kind_of_order = "limit"
        extra = {"order_class": "oco", "take_profit": str(price + 1), "stop_loss": str(price)}
    elif kind == "bracket":
        extra = {"order_class": "bracket", "take_profit": str(price + 1), "stop_loss": str(price)}
    elif kind == "notional":
        extra = {"notional": str(qty * 10)}
    shares = None if kind == "notional" else str(qty)
    order = book.place(side, symbol, shares, type=kind_of_order, **extra)
    if isinstance(order, Order):
        book.exchange.acknowledge(order, NOW)


def a_book() -> Book:
    return Book(cash=CASH, holdings=HOLDINGS)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, min_size=1, max_size=40))
def test_money_and_shares_are_conserved_whatever_happens(steps):
    book = a_book()

    play(book, steps, Ledger(book))


def trade(book: Book) -> Ledger:
    ledger = Ledger(book)
    order = book.placed("sell", qty="10")
    book.execute(order, "4", "80")
    ledger.check()
    return ledger


def test_a_fee_nobody_told_of_is_noticed(monkeypatch):
    honest = Account.execute

    def skim(self, side, symbol, qty, price):
        self.cash -= Decimal("0.01")
        return honest(self, side, symbol, qty, price)

    monkeypatch.setattr(Account, "execute", skim)

    with pytest.raises(AssertionError, match="cash is what the executions left"):
        trade(a_book())


def test_a_lost_share_is_noticed():
    book = a_book()
    ledger = trade(book)
    book.account.positions["KO"].qty -= 1

    with pytest.raises(AssertionError, match="a position is what the executions left"):
        ledger.check()


@pytest.mark.parametrize(
    ("filled", "message"),
    [("3", "filled is the sum of the executions"), ("11", "filled is the sum of the executions")],
)
def test_a_wrong_filled_quantity_is_noticed(filled, message):
    book = a_book()
    ledger = trade(book)
    next(iter(book.exchange.orders.values())).filled_qty = Decimal(filled)

    with pytest.raises(AssertionError, match=message):
        ledger.check()


def test_an_overfilled_order_is_noticed():
    book = a_book()
    ledger = trade(book)
    next(iter(book.exchange.orders.values())).qty = Decimal(3)

    with pytest.raises(AssertionError, match="filled never exceeds the order"):
        ledger.check()


def test_shares_held_twice_are_noticed(monkeypatch):
    monkeypatch.setattr("paper_alpaca.admission._check_free", lambda *_: None)
    book = a_book()
    book.placed("sell", qty="30", type="limit", limit_price="90")
    book.placed("sell", qty="30", type="limit", limit_price="91")

    with pytest.raises(AssertionError, match="open orders hold no more than there is"):
        Ledger(book).check()
