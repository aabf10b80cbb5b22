from decimal import Decimal

import pytest

from paper_alpaca.accounts import BrokenBookError, position_view
from tests.unit.paper_alpaca.books import Book


def totals(book):
    return book.account.view(book.exchange.totals())


def test_a_flat_account_buys_for_four_times_its_equity():
    view = totals(Book(cash="100005.82"))

    assert (view["multiplier"], view["buying_power"], view["regt_buying_power"]) == ("4", "400023.28", "200011.64")


def test_an_account_under_2000_dollars_buys_with_its_cash():
    view = totals(Book(cash="500"))

    assert (view["multiplier"], view["buying_power"], view["regt_buying_power"]) == ("1", "500", "500")
    assert view["shorting_enabled"] is False


def test_equity_is_cash_and_positions_on_margin_too():
    view = totals(Book(cash="-4000", holdings=[("KO", "100", "70"), ("HAL", "50", "31")]))

    assert view["equity"] == "5500"
    assert view["long_market_value"] == "9500"
    assert view["initial_margin"] == "4750"
    assert view["maintenance_margin"] == "2850"
    assert view["buying_power"] == "10600"


def test_the_pattern_day_trader_fields_are_gone():
    view = totals(Book())

    assert not {"pattern_day_trader", "daytrade_count", "daytrading_buying_power"} & view.keys()


def test_open_buys_reserve_buying_power_and_give_it_back():
    book = Book()
    before = book.exchange.totals().buying_power

    order = book.placed(qty="100", type="limit", limit_price="50")
    market = book.placed(symbol="HAL", qty="10")
    reserved = before - book.exchange.totals().buying_power
    for each in (order, market):
        book.exchange.end(each, "canceled", order.created_at)

    assert reserved == Decimal(5000) + Decimal("30.90") * 10
    assert book.exchange.totals().buying_power == before


def test_an_open_sell_frees_nothing_until_it_executes():
    book = Book(cash="0", holdings=[("KO", "100", "70")])
    before = book.exchange.totals()

    order = book.placed("sell", qty="100")
    while_open = book.exchange.totals()
    book.execute(order, "100", "80")

    assert while_open == before
    assert book.exchange.totals().cash == 8000


def test_lagging_proceeds_are_not_to_be_seen_nor_spent():
    book = Book(cash="0", holdings=[("KO", "100", "70")])
    order = book.placed("sell", qty="100")
    book.account.lagging += Decimal(8000)
    book.execute(order, "100", "80")

    seen = book.exchange.totals()

    assert (seen.cash, seen.buying_power, seen.equity) == (0, 0, 8000)


def test_a_position_shows_its_gain_and_what_is_free():
    book = Book(holdings=[("KO", "10", "64")])
    book.market.set_price("KO", Decimal(88))
    position = book.account.positions["KO"]

    view = position_view(position, book.market, Decimal(4))

    assert view["qty_available"] == "6"
    assert view["market_value"] == "880"
    assert view["unrealized_pl"] == "240"
    assert view["unrealized_plpc"] == "0.375"
    assert view["change_today"] == "0.1"


def test_a_part_sold_keeps_the_average_entry():
    book = Book(holdings=[("KO", "10", "64")])

    book.account.execute("sell", "KO", Decimal(4), Decimal(90))

    assert book.account.positions["KO"].entry == 64


def test_a_short_position_is_counted_against_equity():
    book = Book(cash="100000")
    order = book.placed("sell", qty="100")

    book.execute(order, "100", "80")

    view = totals(book)
    assert order.position_intent == "sell_to_open"
    assert (view["equity"], view["short_market_value"], view["cash"]) == ("100000", "-8000", "108000")
    assert position_view(book.account.positions["KO"], book.market, Decimal(0))["side"] == "short"


def test_a_trade_of_nothing_is_a_bug():
    with pytest.raises(BrokenBookError):
        Book().account.execute("buy", "KO", Decimal(0), Decimal(80))
