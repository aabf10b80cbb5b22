"""The book: the account after the SELLs, with what is in flight."""

from decimal import Decimal

from messages.values import Funding, Side
from tests.builders.portfolio import buy, context, held, open_order, sell, snapshot

BUY = buy("B01", "CVE", 100, 20)


def book(positions, *, sells=(), **account):
    look = snapshot([BUY, *sells], **{"equity": 10_000, "cash": 0, "positions": positions, **account})
    return context(look, sells=sells).book


def test_selling_all_of_a_position_closes_it_and_selling_a_part_does_not():
    positions = [held("AA", 10, 20), held("BB", 10, 20)]

    after = book(positions, sells=[sell("S01", "AA", 10, 20), sell("S02", "BB", 4, 20)])

    assert after.symbols == {"BB"}
    assert after.gross_usd == 120
    assert after.held_usd("AA") == 0
    assert after.held_usd("BB") == 120


def test_sells_are_counted_at_the_brokers_price_of_the_position_and_bring_the_bid():
    after = book([held("AA", 10, 25)], sells=[sell("S01", "AA", 10, 20)])

    assert after.gross_usd == 0
    assert after.left_usd == 200


def test_selling_what_has_no_price_or_is_not_held_takes_nothing_off():
    positions = [held("AA", 10, None)]
    gone = [sell("S01", "AA", 10, 20), sell("S02", "ZZ", 10, 20)]

    after = book(positions, sells=gone, long_market_value_usd=Decimal(5_000))

    assert after.gross_usd == 5_000
    assert after.symbols == frozenset()


def test_a_position_valued_by_price_alone_counts():
    position = held("AA", 10, 25).model_copy(update={"market_value_usd": None})

    assert book([position]).gross_usd == 250


def test_orders_in_flight_take_money_exposure_and_a_place():
    order = open_order("AIR", Side.BUY, 10, filled=4, limit=50)

    after = book([held("AA", 10, 25)], cash=1_000, open_orders=[order])

    assert after.symbols == {"AA", "AIR"}
    assert after.gross_usd == 250 + 300
    assert after.left_usd == 700
    assert after.held_usd("AIR") == 300


def test_selling_orders_in_flight_free_nothing():
    order = open_order("AA", Side.SELL, 10)

    after = book([held("AA", 10, 25)], cash=1_000, open_orders=[order])

    assert (after.symbols, after.gross_usd, after.left_usd) == ({"AA"}, 250, 1_000)


def test_an_order_in_flight_of_unknown_cost_makes_every_sum_unknown():
    after = book([held("AA", 10, 25)], cash=1_000, open_orders=[open_order("AIR", Side.BUY, 10)])
    grown = after.with_buy("AIR", reserved_usd=Decimal(5), risk_usd=Decimal(1))

    for known in (after, grown):
        assert (known.gross_usd, known.left_usd, known.held_usd("AIR")) == (None, None, None)
        assert known.unpriced == ("order order-AIR-buy on AIR",)


def test_before_the_start_the_brokers_buying_power_grows_by_what_the_sells_should_bring():
    out = sell("S01", "AA", 10, 20)
    look = snapshot([BUY, out], equity=10_000, cash=0, positions=[held("AA", 10, 20)], buying_power_usd=Decimal(300))

    assert context(look, sells=[out], money=Funding.BUYING_POWER).book.left_usd == 500
    assert context(look, money=Funding.BUYING_POWER).book.left_usd == 300
