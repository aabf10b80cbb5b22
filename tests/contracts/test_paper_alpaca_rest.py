"""The local Alpaca read by alpaca-py's own strict models, and as it stands on the wire."""

import uuid
from datetime import UTC, date, datetime

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import (
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    GetPortfolioHistoryRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
)

from tests.contracts.paper_clients import KEYS, PLAIN, Wire, trading
from tests.paper import PaperAlpaca


def market(symbol="KO", side=OrderSide.SELL, **fields):
    fields = {"qty": 10, **fields} if "notional" not in fields else fields
    return MarketOrderRequest(symbol=symbol, side=side, time_in_force=TimeInForce.DAY, **fields)


def limit(price, symbol="KO", side=OrderSide.SELL, **fields):
    return LimitOrderRequest(
        symbol=symbol, side=side, limit_price=price, **{"time_in_force": TimeInForce.GTC, "qty": 10, **fields}
    )


def filled(paper, order):
    return paper.wait_for_order(lambda found: found["id"] == str(order.id) and found["status"] == "filled")


def test_the_account_has_the_fields_of_today(paper):
    account = trading(paper).get_account()
    raw = trading(paper, raw_data=True).get_account()

    assert (account.cash, account.equity, account.multiplier) == ("100000", "109515", "4")
    assert account.last_equity == "109515"
    assert raw["status"] == "ACTIVE"
    assert not {"pattern_day_trader", "daytrade_count", "daytrading_buying_power"} & raw.keys()


def test_positions_are_listed_and_found_by_symbol_and_by_asset_id(paper):
    client = trading(paper)

    positions = client.get_all_positions()

    assert [(p.symbol, p.qty, p.qty_available, p.unrealized_pl) for p in positions] == [
        ("KO", "100", "100", "1000"),
        ("HAL", "50.5", "50.5", "-151.5"),
    ]
    assert client.get_open_position("KO") == positions[0]
    assert client.get_open_position(positions[0].asset_id) == positions[0]


def test_the_clock_shows_market_time_in_new_york(paper):
    clock = trading(paper).get_clock()

    assert clock.is_open
    assert clock.timestamp.astimezone(UTC).replace(second=0, microsecond=0) == datetime(2025, 11, 10, 15, 9, tzinfo=UTC)
    assert clock.next_close.isoformat() == "2025-11-10T16:00:00-05:00"
    assert clock.next_open.isoformat() == "2025-11-11T09:30:00-05:00"


def test_the_calendar_knows_holidays_and_half_days(paper):
    days = trading(paper).get_calendar(GetCalendarRequest(start=date(2025, 11, 26), end=date(2025, 12, 1)))

    assert [(day.date.day, day.close.hour) for day in days] == [(26, 16), (28, 13), (1, 16)]


def test_assets_are_filtered_by_status_and_found_by_id(paper):
    client = trading(paper)

    inactive = client.get_all_assets(GetAssetsRequest(status="inactive"))

    assert [(asset.symbol, asset.tradable) for asset in inactive] == [("IPG", False)]
    assert client.get_asset("BRK.A").fractionable is False
    known = client.get_asset("KO")
    assert known.fractionable
    assert client.get_asset(known.id) == known
    assert len(client.get_all_assets()) == 6


def test_a_market_order_is_pending_new_then_filled_and_moves_the_money(paper):
    client = trading(paper)

    order = client.submit_order(market(client_order_id="leg-1"))
    filled(paper, order)
    done = client.get_order_by_id(order.id)

    assert order.status == OrderStatus.PENDING_NEW
    assert (done.status, done.filled_qty, done.filled_avg_price) == (OrderStatus.FILLED, "10", "80")
    assert done.submitted_at <= done.filled_at
    assert client.get_account().cash == "100800"
    assert client.get_open_position("KO").qty == "90"
    assert client.get_order_by_client_id("leg-1") == done


def test_a_limit_order_rests_until_its_price_comes(paper):
    client = trading(paper)
    order = client.submit_order(limit(85))
    paper.wait_for_order(lambda found: found["status"] == "new")

    held = client.get_open_position("KO").qty_available
    paper.prices({"KO": "85.5"})
    filled(paper, order)

    assert held == "90"
    assert client.get_order_by_id(order.id).filled_avg_price == "85.5"


def test_a_notional_order_buys_fractions(paper):
    order = trading(paper).submit_order(market("CTVA", OrderSide.BUY, notional=100))

    done = filled(paper, order)

    assert order.qty is None
    assert done["filled_qty"] == "1.547029702"


def test_a_bracket_is_shown_nested_and_flat(paper):
    client = trading(paper)
    order = client.submit_order(
        limit(
            60,
            "CTVA",
            OrderSide.BUY,
            order_class="bracket",
            take_profit=TakeProfitRequest(limit_price=70),
            stop_loss=StopLossRequest(stop_price=50),
        )
    )

    nested = client.get_orders(GetOrdersRequest(nested=True))
    flat = client.get_orders(GetOrdersRequest(nested=False))

    assert [leg.status for leg in order.legs] == [OrderStatus.HELD, OrderStatus.HELD]
    assert [len(found.legs or []) for found in nested] == [2]
    assert [found.legs for found in flat] == [None, None, None]
    assert len(client.get_order_by_id(order.id, GetOrderByIdRequest(nested=True)).legs) == 2


def test_bracket_exits_go_live_with_the_whole_entry_and_cancel_each_other(paper):
    client = trading(paper)
    client.submit_order(
        market(
            "CTVA",
            OrderSide.BUY,
            order_class="bracket",
            take_profit=TakeProfitRequest(limit_price=70),
            stop_loss=StopLossRequest(stop_price=50),
        )
    )
    paper.wait_for_orders(lambda orders: [order["status"] for order in orders] == ["filled", "new", "new"])

    paper.prices({"CTVA": "71"})

    done = paper.wait_for_orders(lambda orders: orders[1]["status"] == "filled")
    assert [order["status"] for order in done] == ["filled", "filled", "canceled"]


def test_orders_are_listed_by_status_symbol_side_and_time(paper):
    client = trading(paper)
    first = client.submit_order(limit(90))
    second = client.submit_order(limit(95, "HAL"))
    third = client.submit_order(limit(20, "CTVA", OrderSide.BUY))
    client.cancel_order_by_id(second.id)
    paper.wait_for_order(lambda found: found["status"] == "canceled")

    def listed(**query):
        return [order.id for order in client.get_orders(GetOrdersRequest(**query))]

    assert listed() == [third.id, first.id]
    assert listed(status=QueryOrderStatus.CLOSED) == [second.id]
    assert listed(status=QueryOrderStatus.ALL, direction="asc") == [first.id, second.id, third.id]
    assert listed(status=QueryOrderStatus.ALL, symbols=["HAL", "CTVA"]) == [third.id, second.id]
    assert listed(side=OrderSide.BUY) == [third.id]
    assert listed(status=QueryOrderStatus.ALL, after=first.submitted_at, direction="asc") == [second.id, third.id]
    assert listed(status=QueryOrderStatus.ALL, until=second.submitted_at) == [first.id]
    assert listed(limit=1) == [third.id]


def test_a_list_shows_50_orders_unless_asked_for_more(paper):
    with Wire(paper) as wire:
        for _ in range(55):
            assert wire.order(qty="1", type="limit", limit_price="90").status == 200

        assert len(wire.ask("GET", "/v2/orders").json) == 50
        assert len(wire.ask("GET", "/v2/orders?limit=500&status=all").json) == 55
        assert wire.ask("GET", "/v2/orders?limit=501").status == 422


def test_a_cancel_is_taken_with_204_and_done_a_moment_later(paper):
    client = trading(paper)
    order = client.submit_order(limit(90))

    assert client.cancel_order_by_id(order.id) is None

    done = paper.wait_for_order(lambda found: found["status"] == "canceled")
    assert [event["event"] for event in done["events"]][-2:] == ["pending_cancel", "canceled"]


def test_all_orders_are_cancelled_with_207(paper):
    client = trading(paper)
    orders = [client.submit_order(limit(90 + n)) for n in range(3)]

    answers = client.cancel_orders()

    assert {answer.id for answer in answers} == {order.id for order in orders}
    assert {answer.status for answer in answers} == {200}
    paper.wait_for_orders(lambda found: all(order["status"] == "canceled" for order in found))


def test_a_replacement_takes_over(paper):
    client = trading(paper)
    order = client.submit_order(limit(90))
    paper.wait_for_order(lambda found: found["status"] == "new")

    new = client.replace_order_by_id(order.id, ReplaceOrderRequest(qty=20, limit_price=91, client_order_id="r1"))
    paper.wait_for_order(lambda found: found["id"] == str(new.id) and found["status"] == "new")

    old = client.get_order_by_id(order.id)
    assert (old.status, old.replaced_by) == (OrderStatus.REPLACED, new.id)
    assert (new.replaces, new.qty, new.limit_price, new.client_order_id) == (order.id, "20", "91", "r1")
    assert client.get_open_position("KO").qty_available == "80"


def test_positions_are_closed_one_or_all(paper):
    client = trading(paper)

    part = client.close_position("KO", ClosePositionRequest(percentage="25"))
    filled(paper, part)
    rest = client.close_all_positions(cancel_orders=True)

    assert part.qty == "25"
    assert sorted((answer.symbol, answer.status, answer.body.qty) for answer in rest) == [
        ("HAL", 200, "50.5"),
        ("KO", 200, "75"),
    ]
    paper.wait_for_orders(lambda found: all(order["status"] == "filled" for order in found))
    assert client.get_all_positions() == []


def test_a_position_that_is_held_is_not_closed_and_says_why(paper):
    client = trading(paper)
    client.submit_order(limit(90, qty=100))

    answers = client.close_all_positions(cancel_orders=False)

    assert [(answer.symbol, answer.status) for answer in answers] == [("KO", 403), ("HAL", 200)]
    assert answers[0].body.held_for_orders == 100


def test_executions_are_activities_with_pages(paper):
    client = trading(paper)
    for _ in range(3):
        filled(paper, client.submit_order(market()))

    def page(**query):
        return client.get("/account/activities/FILL", query)

    whole = page()
    first = page(page_size=2)
    second = page(page_size=2, page_token=first[-1]["id"])

    assert len(whole) == 3
    assert first + second == whole
    assert [fill["id"] for fill in page(direction="asc")] == [fill["id"] for fill in reversed(whole)]
    assert page(date="2025-11-10") == whole
    assert page(date="2025-11-11") == page(after="2025-11-12T00:00:00Z") == []
    assert client.get("/account/activities", {"activity_types": "FILL,DIV"}) == whole
    assert client.get("/account/activities", {"activity_types": "DIV"}) == []
    prefix, _, rest = whole[0]["id"].partition("::")
    assert prefix.startswith("20251110100")  # New York's time
    assert len(prefix) == 17
    assert uuid.UUID(rest).version == 4
    assert {key: whole[0][key] for key in ("cum_qty", "leaves_qty", "order_status", "type", "price")} == {
        "cum_qty": "10",
        "leaves_qty": "0",
        "order_status": "filled",
        "type": "fill",
        "price": "80",
    }


def test_configurations_are_read_and_changed(paper):
    client = trading(paper)
    configuration = client.get_account_configurations()
    configuration.no_shorting = True

    changed = client.set_account_configurations(configuration)

    assert changed.no_shorting
    with pytest.raises(APIError, match="account is not allowed to short"):
        client.submit_order(market("DVN"))


def test_portfolio_history_has_its_shape(paper):
    history = trading(paper).get_portfolio_history(GetPortfolioHistoryRequest(period="1D"))

    assert len(history.timestamp) == len(history.equity) == len(history.profit_loss_pct) == 2
    assert history.base_value == 109515


def test_market_data_is_served_at_the_same_address(paper):
    client = StockHistoricalDataClient("key", "secret", url_override=paper.url)
    symbols = ["KO", "CTVA", "NONE"]

    quotes = client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=symbols))
    trades = client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=symbols))
    snapshots = client.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=symbols))

    assert {symbol: (quote.bid_price, quote.ask_price) for symbol, quote in quotes.items()} == {
        "KO": (80.0, 80.0),
        "CTVA": (64.64, 64.64),
    }
    assert trades["CTVA"].price == 64.64
    assert snapshots["KO"].daily_bar.close == 80.0
    assert snapshots["KO"].previous_daily_bar.close == 80.0


def test_daily_bars_end_at_the_last_price_and_come_in_pages(paper):
    client = StockHistoricalDataClient("key", "secret", url_override=paper.url)
    request = StockBarsRequest(
        symbol_or_symbols=["KO", "CTVA"],
        timeframe=TimeFrame.Day,
        start=datetime(2025, 10, 1, tzinfo=UTC),
        end=datetime(2025, 11, 11, tzinfo=UTC),
    )

    bars = client.get_stock_bars(request)
    with Wire(paper) as wire:
        page = wire.ask("GET", "/v2/stocks/bars?symbols=KO,CTVA&timeframe=1Day&start=2025-10-01&limit=30").json
        rest = wire.ask(
            "GET",
            "/v2/stocks/bars?symbols=KO,CTVA&timeframe=1Day&start=2025-10-01&limit=1000&page_token="
            + page["next_page_token"],
        ).json
        single = wire.ask("GET", "/v2/stocks/KO/bars?timeframe=1Day&start=2025-10-01").json

    assert [len(bars.data[symbol]) for symbol in ("KO", "CTVA")] == [29, 29]
    assert bars.data["KO"][-1].close == 80.0
    assert [len(page["bars"]["CTVA"]), len(page["bars"]["KO"]), len(rest["bars"]["KO"])] == [29, 1, 28]
    assert rest["next_page_token"] is None
    assert single["symbol"] == "KO"
    assert single["bars"] == page["bars"]["KO"] + rest["bars"]["KO"]


def test_one_symbol_market_data_routes_answer(paper):
    with Wire(paper) as wire:
        assert wire.ask("GET", "/v2/stocks/KO/quotes/latest").json["quote"]["ap"] == 80.0
        assert wire.ask("GET", "/v2/stocks/KO/trades/latest").json["trade"]["p"] == 80.0
        assert wire.ask("GET", "/v2/stocks/KO/bars/latest").json["bar"]["c"] == 80.0
        assert wire.ask("GET", "/v2/stocks/bars/latest?symbols=KO").json["bars"]["KO"]["c"] == 80.0
        assert wire.ask("GET", "/v2/stocks/KO/snapshot").json["latestTrade"]["p"] == 80.0
        assert wire.ask("GET", "/v2/stocks/NONE/quotes/latest").status == 404


# What careless clients send


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", None])
def test_any_content_type_will_do(paper, content_type):
    headers = dict(KEYS) if content_type is None else {**KEYS, "Content-Type": content_type}
    with Wire(paper) as wire:
        assert wire.ask("POST", "/v2/orders", PLAIN, headers).status == 200


@pytest.mark.parametrize("body", ["", "{", "[]", "null"])
def test_a_body_that_is_no_object_is_a_bad_request(paper, body):
    with Wire(paper) as wire:
        assert wire.ask("POST", "/v2/orders", body).status == 400


def test_unknown_queries_trailing_slashes_and_python_booleans_are_let_pass(paper):
    with Wire(paper) as wire:
        wire.order(type="limit", limit_price=90.0, extended_hours="False", qty=10)

        assert len(wire.ask("GET", "/v2/orders/?nested=True&foo=bar&status=open").json) == 1
        assert wire.ask("GET", "/v2/nothing").status == 404
        assert wire.ask("PUT", "/v2/orders").status == 405


def test_a_connection_is_kept_for_many_requests(paper):
    with Wire(paper) as wire:
        wire.ask("GET", "/v2/clock")
        before = wire.connection.sock
        wire.order()
        wire.ask("DELETE", "/v2/orders")

        assert wire.connection.sock is before


# Who may ask, and how often


def test_requests_without_keys_are_unauthorized(paper):
    with Wire(paper) as wire:
        answer = wire.ask("GET", "/v2/account", headers={})
        page = wire.ask("GET", "/v2/clock", headers={"APCA-API-KEY-ID": "key"})

    assert (answer.status, answer.json) == (401, {"message": "unauthorized."})
    assert (page.status, page.headers["content-type"]) == (401, "text/html")


def test_accounts_with_keys_are_apart():
    accounts = [
        {"key_id": "A", "secret_key": "S", "cash": "1000"},
        {"key_id": "B", "secret_key": "T", "cash": "2000"},
    ]
    with PaperAlpaca({"accounts": accounts, "prices": {"KO": "80"}}) as paper, Wire(paper) as wire:

        def cash(key, secret):
            return wire.ask("GET", "/v2/account", headers={"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret})

        order = {**PLAIN, "side": "buy", "qty": "1"}
        wire.ask("POST", "/v2/orders", order, {"APCA-API-KEY-ID": "B", "APCA-API-SECRET-KEY": "T"})
        paper.wait_for_order(lambda found: found["status"] == "filled" and found["account"] == "B")

        assert cash("A", "S").json["cash"] == "1000"
        assert cash("B", "T").json["cash"] == "1920"
        assert cash("A", "T").status == cash("C", "S").status == 401


def test_the_rolling_minute_is_counted_apart_for_market_data():
    with PaperAlpaca({"prices": {"KO": "80"}, "rate_limit": {"requests_per_minute": 3}}) as paper, Wire(paper) as wire:
        left = [wire.ask("GET", "/v2/account").headers["x-ratelimit-remaining"] for _ in range(3)]
        refused = wire.ask("GET", "/v2/clock")
        data = [wire.ask("GET", "/v2/stocks/trades/latest?symbols=KO") for _ in range(4)]

    assert left == ["2", "1", "0"]
    assert (refused.status, refused.json) == (429, {"code": 42910000, "message": "rate limit exceeded"})
    assert refused.headers["x-ratelimit-limit"] == "3"
    wait_s = int(refused.headers["x-ratelimit-reset"]) - datetime.now(UTC).timestamp()
    assert 30 < wait_s <= 62
    assert [answer.status for answer in data] == [200, 200, 200, 429]
    assert data[-1].json == {"message": "too many requests."}


def test_the_default_limit_is_200_a_minute(paper_process):
    with PaperAlpaca({"rate_limit": {"headers": True}}) as paper, Wire(paper) as wire:
        assert wire.ask("GET", "/v2/account").headers["x-ratelimit-limit"] == "200"


# Refusals on the wire


@pytest.mark.parametrize(
    ("changes", "status", "code", "message"),
    [
        ({"symbol": "ZZZZ"}, 422, 42210000, 'asset "ZZZZ" not found'),
        ({"symbol": "IPG"}, 422, 42210000, 'asset "IPG" is not active'),
        ({"symbol": "BRK.A", "qty": "0.5", "side": "buy"}, 403, 40310000, 'asset "BRK.A" is not fractionable'),
        (
            {"qty": "101"},
            403,
            40310000,
            "insufficient qty available for order (requested: 101, available: 100)",
        ),
        ({"symbol": "CTVA", "side": "buy", "qty": "100000"}, 403, 40310000, "insufficient buying power"),
        ({"qty": "1.5", "time_in_force": "gtc"}, 422, 42210000, "fractional orders must be DAY orders"),
        (
            {"type": "limit", "limit_price": 17.020000000000003},
            422,
            42210000,
            "invalid limit_price 17.020000000000003. sub-penny increment does not fulfill minimum pricing criteria",
        ),
    ],
)
def test_refusals_have_alpacas_status_code_and_words(paper, changes, status, code, message):
    with Wire(paper) as wire:
        answer = wire.order(**changes)

    assert (answer.status, answer.json["code"], answer.json["message"]) == (status, code, message)


def test_a_duplicate_id_is_refused_even_after_the_fill(paper):
    client = trading(paper)
    filled(paper, client.submit_order(market(client_order_id="once")))

    with pytest.raises(APIError) as caught:
        client.submit_order(market(client_order_id="once"))

    assert (caught.value.status_code, caught.value.code) == (422, 40010001)
    assert caught.value.message == "client_order_id must be unique"
    assert len(paper.orders()) == 1


def test_what_does_not_exist_is_404(paper):
    with Wire(paper) as wire:
        answers = [
            wire.ask("GET", "/v2/positions/DVN"),
            wire.ask("GET", "/v2/orders/00000000-0000-4000-8000-000000000009"),
            wire.ask("GET", "/v2/orders:by_client_order_id?client_order_id=nobody"),
            wire.ask("DELETE", "/v2/orders/nobody"),
            wire.ask("DELETE", "/v2/positions/DVN"),
            wire.ask("GET", "/v2/assets/ZZZZ"),
        ]

    assert [(answer.status, answer.json["code"]) for answer in answers] == [(404, 40410000)] * 6


def test_cancelling_a_filled_order_is_422(paper):
    client = trading(paper)
    order = client.submit_order(market())
    filled(paper, order)

    with pytest.raises(APIError, match='order is already in \\\\"filled\\\\" state') as caught:
        client.cancel_order_by_id(order.id)

    assert caught.value.status_code == 422
