from decimal import Decimal

import pytest

from paper_alpaca.accounts import BrokenBookError
from paper_alpaca.exchange import may_execute
from paper_alpaca.orders import Order
from paper_alpaca.refusals import Refusal
from tests.unit.paper_alpaca.books import NOW, Book


def events(book, symbol="KO"):
    return [event for known, event in book.events if known == symbol]


def test_an_order_is_pending_then_new_then_filled():
    book = Book()

    order = book.placed(qty="10")
    book.execute(order, "4", "80")
    book.execute(order, "6", "81")

    assert events(book) == ["pending_new", "new", "partial_fill", "fill"]
    assert order.status == "filled"
    assert order.average() == Decimal("80.6")
    assert [str(said.position_qty) for said in book.said[2:]] == ["4", "10"]


def test_an_order_waits_as_accepted_while_the_market_is_closed():
    book = Book()

    order = book.place(is_open=False)

    assert isinstance(order, Order)
    assert order.status == "accepted"
    assert not may_execute(order)


@pytest.mark.parametrize("qty", ["0", "-1", "11"])
def test_more_than_the_rest_never_executes(qty):
    book = Book()
    order = book.placed(qty="10")

    with pytest.raises(BrokenBookError):
        book.execute(order, qty, "80")


def test_a_finished_order_never_executes():
    book = Book()
    order = book.placed()
    book.exchange.end(order, "canceled", NOW)

    with pytest.raises(BrokenBookError):
        book.execute(order, "1", "80")


def test_a_fill_may_overtake_a_cancel():
    book = Book()
    order = book.placed()

    assert book.exchange.request_cancel(order, NOW) is None
    book.execute(order, "10", "80")
    book.exchange.end(order, "canceled", NOW)

    assert events(book) == ["pending_new", "new", "pending_cancel", "fill"]
    assert order.status == "filled"


def test_a_cancel_keeps_what_was_filled():
    book = Book()
    order = book.placed()

    book.execute(order, "4", "80")
    book.exchange.end(order, "canceled", NOW)

    assert (order.status, order.filled_qty) == ("canceled", 4)
    assert book.account.qty("KO") == 4


@pytest.mark.parametrize("status", ["filled", "canceled", "pending_cancel"])
def test_a_cancel_of_what_is_over_is_refused(status):
    book = Book()
    order = book.placed()
    if status == "filled":
        book.execute(order, "10", "80")
    elif status == "canceled":
        book.exchange.end(order, "canceled", NOW)
    else:
        book.exchange.request_cancel(order, NOW)

    refusal = book.exchange.request_cancel(order, NOW)

    assert refusal == Refusal(422, {"code": 42210000, "message": f'order is already in "{status}" state'})


def test_client_order_ids_are_unique_over_finished_orders_too():
    book = Book()
    order = book.placed(client_order_id="a")
    book.execute(order, "10", "80")

    refusal = book.refused(client_order_id="a")

    assert refusal == Refusal(422, {"code": 40010001, "message": "client_order_id must be unique"})


def test_shares_held_by_a_stop_cannot_be_sold_again():
    book = Book(holdings=[("KO", "10", "80")])
    stop = book.placed("sell", qty="10", type="stop", stop_price="70")

    refusal = book.refused("sell", qty="10")

    assert refusal.status == 403
    assert refusal.body == {
        "available": "0",
        "code": 40310000,
        "existing_qty": "10",
        "held_for_orders": "10",
        "message": "insufficient qty available for order (requested: 10, available: 0)",
        "related_orders": [stop.order_id],
        "symbol": "KO",
    }


def test_more_than_the_position_cannot_be_sold():
    refusal = Book(holdings=[("KO", "0.557436865", "80")]).refused("sell", qty="1.057436865")

    assert refusal.body["message"] == (
        "insufficient qty available for order (requested: 1.057436865, available: 0.557436865)"
    )
    assert "related_orders" not in refusal.body


def test_a_buy_beyond_the_buying_power_is_refused_with_both_figures():
    refusal = Book(cash="1000").refused(qty="100", type="limit", limit_price="80")

    assert refusal.status == 403
    assert refusal.body == {
        "code": 40310000,
        "message": "insufficient buying power",
        "buying_power": "1000",
        "cost_basis": "8000",
    }


def test_an_order_against_ones_own_is_a_wash_trade():
    book = Book(holdings=[("KO", "10", "80")])
    order = book.placed("sell", qty="5", type="limit", limit_price="90")

    market, crossing = book.refused("buy"), book.refused("buy", type="limit", limit_price="90")
    book.placed("buy", type="limit", limit_price="89")

    assert market.body["reject_reason"] == "opposite side market/stop order exists"
    assert market.body["existing_order_id"] == order.order_id
    assert (crossing.body["buy_limit_price"], crossing.body["sell_limit_price"]) == ("90", "90")


@pytest.mark.parametrize(
    ("facts", "order", "status", "message"),
    [
        ({"status": "inactive"}, {}, 422, 'asset "KO" is not active'),
        ({"tradable": False}, {}, 422, 'asset "KO" is not tradable'),
        ({"fractionable": False}, {"qty": "1.5"}, 403, 'asset "KO" is not fractionable'),
        ({"shortable": False}, {"side": "sell"}, 403, 'asset "KO" cannot be sold short'),
        ({}, {"side": "sell", "qty": "1.5"}, 422, "fractional orders cannot be sold short"),
        ({}, {"symbol": "ZZZZ"}, 422, 'asset "ZZZZ" not found'),
    ],
)
def test_asset_facts_decide_what_can_be_traded(facts, order, status, message):
    book = Book()
    book.market.set_asset("KO", **facts)

    refusal = book.refused(**order)

    assert (refusal.status, refusal.body["message"]) == (status, message)


def test_a_small_account_may_not_short():
    assert Book(cash="500").refused("sell", qty="1").body["message"] == "account is not allowed to short"


def test_a_blocked_account_may_not_trade():
    book = Book()
    book.account.trading_blocked = True

    assert book.refused().body["message"] == "account is not authorized to trade"


def test_bracket_legs_stay_held_until_the_entry_is_fully_filled():
    book = Book()
    entry = book.placed(qty="10", order_class="bracket", take_profit="90", stop_loss="70")
    take, stop = entry.legs

    book.execute(entry, "9", "80")
    while_partial = (take.status, stop.status)
    book.execute(entry, "1", "80")

    assert while_partial == ("held", "held")
    assert (take.status, stop.status) == ("new", "new")
    assert (take.side, take.limit_price, stop.stop_price) == ("sell", 90, 70)
    assert book.exchange.held_qty("KO") == 10


def test_cancelling_a_partly_filled_entry_cancels_the_legs_and_leaves_the_position():
    book = Book()
    entry = book.placed(qty="10", order_class="bracket", take_profit="90", stop_loss="70")

    book.execute(entry, "9", "80")
    book.exchange.end(entry, "canceled", NOW)

    assert [leg.status for leg in entry.legs] == ["canceled", "canceled"]
    assert book.account.qty("KO") == 9
    assert book.exchange.held_qty("KO") == 0


def test_one_exit_cancels_the_other():
    book = Book(holdings=[("KO", "10", "80")])
    take = book.placed("sell", type="limit", order_class="oco", take_profit="90", stop_loss="70")
    (stop,) = take.legs

    book.execute(take, "4", "90")
    after_part = (stop.qty, book.exchange.held_qty("KO"))
    book.execute(take, "6", "90")

    assert after_part == (6, 6)
    assert stop.status == "canceled"
    assert book.account.qty("KO") == 0


def test_a_bracket_must_be_an_entry():
    book = Book(holdings=[("KO", "10", "80")])

    refusal = book.refused("sell", order_class="bracket", take_profit="70", stop_loss="90")

    assert refusal.body["message"] == "bracket orders must be entry orders"


def replacement(book, order, qty):
    ticket = order.ticket
    return book.exchange.begin_replace(order, ticket, Decimal(qty), NOW, received_at=NOW)


def test_a_replacement_takes_over_with_its_full_quantity():
    book = Book()
    old = book.placed(type="limit", limit_price="70")
    book.execute(old, "4", "70")

    new = replacement(book, old, "10")
    taken = book.exchange.finish_replace(old, new, NOW)

    assert taken
    assert (old.status, old.replaced_by, new.status, new.replaces) == ("replaced", new.order_id, "new", old.order_id)
    assert new.remaining(None) == 10


def test_a_replacement_is_rejected_when_the_old_order_was_faster():
    book = Book()
    old = book.placed(type="limit", limit_price="70")

    new = replacement(book, old, "10")
    book.execute(old, "10", "70")
    taken = book.exchange.finish_replace(old, new, NOW)

    assert not taken
    assert (old.status, new.status) == ("filled", "rejected")


def test_an_order_and_its_replacement_hold_shares_once():
    book = Book(holdings=[("KO", "10", "80")])
    old = book.placed("sell", qty="5", type="limit", limit_price="90")

    new = replacement(book, old, "8")

    assert isinstance(new, Order)
    assert book.exchange.held_qty("KO") == 8
    assert isinstance(book.place("sell", qty="5", type="limit", limit_price="90"), Refusal)


def test_no_replace_while_accepted_or_pending():
    book = Book()
    order = book.place(is_open=False)

    refusal = replacement(book, order, "5")

    assert refusal.body["message"] == "cannot replace order in accepted status"


def test_a_bust_takes_the_trade_back():
    book = Book()
    order = book.placed()
    book.execute(order, "10", "80")

    busted = book.exchange.bust(order, NOW)

    assert busted is not None
    assert (book.account.cash, book.account.qty("KO"), order.filled_qty) == (100000, 0, 0)
    assert book.exchange.bust(order, NOW) is None


def test_dollars_never_sell_more_shares_than_there_are():
    book = Book(holdings=[("KO", "10", "80")])
    order = book.placed("sell", qty=None, notional="800")

    assert book.exchange.held_qty("KO") == 10
    assert order.remaining(Decimal(40)) == 10


def test_dollars_buy_shares_to_nine_decimals():
    book = Book()
    order = book.placed(qty=None, notional="5")

    book.exchange.execute(order, order.remaining(Decimal("86.878")), Decimal("86.878"), NOW)

    assert (order.status, order.filled_qty) == ("filled", Decimal("0.057551969"))


def test_a_view_has_the_fields_of_a_recorded_order():
    view = Book().placed().view()

    assert sorted(view) == sorted(
        [
            "asset_class",
            "asset_id",
            "canceled_at",
            "client_order_id",
            "created_at",
            "expired_at",
            "expires_at",
            "extended_hours",
            "failed_at",
            "filled_at",
            "filled_avg_price",
            "filled_qty",
            "hwm",
            "id",
            "legs",
            "limit_price",
            "notional",
            "order_class",
            "order_type",
            "position_intent",
            "qty",
            "replaced_at",
            "replaced_by",
            "replaces",
            "side",
            "source",
            "status",
            "stop_price",
            "submitted_at",
            "subtag",
            "symbol",
            "time_in_force",
            "trail_percent",
            "trail_price",
            "type",
            "updated_at",
        ]
    )
