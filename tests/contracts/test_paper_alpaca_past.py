"""The local Alpaca's past, read by the unmodified alpaca-py."""

from datetime import UTC, datetime

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import StockBarsRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.enums import OrderType, QueryOrderStatus
from alpaca.trading.requests import GetOrdersRequest, GetPortfolioHistoryRequest, MarketOrderRequest

from tests.contracts.paper_clients import trading
from tests.paper import PaperAlpaca

EARLIER = {"day": "2025-11-06", "open": "79", "high": "81", "low": "78.5", "close": "80.25", "volume": 12000000}
STOP = {"symbol": "KO", "side": "sell", "at": "2025-11-06T15:00:00Z", "type": "stop", "order": "A"}
STATE = {
    "cash": "1000",
    "positions": [{"symbol": "KO", "qty": "10", "avg_entry_price": "70", "price": "80"}],
    "prices": {"DVN": "33.61"},
    "clock": {"now": "2025-11-10T15:09:12Z", "is_open": True},
    "bars": {"KO": [EARLIER, EARLIER | {"day": "2025-11-07"}], "GONE": [EARLIER]},
    "equity_history": [
        {"day": "2025-11-04", "equity": "1700"},
        {"day": "2025-11-06", "equity": "1650.25"},
    ],
    "fills_history": [
        STOP | {"qty": 3, "price": "79"},
        STOP | {"qty": 1, "price": "79.5"},
        {"symbol": "DVN", "side": "buy", "qty": 5, "price": "33", "at": "2025-11-07T16:00:00.250000Z"},
    ],
}


@pytest.fixture(scope="module")
def process():
    with PaperAlpaca(STATE) as paper:
        yield paper


@pytest.fixture
def paper(process):
    process.reset()
    return process


def portfolio(paper, **request):
    history = trading(paper).get_portfolio_history(GetPortfolioHistoryRequest(**request))
    days = [datetime.fromtimestamp(stamp, UTC) for stamp in history.timestamp]
    return history, [(f"{at:%m-%d %H:%M}", equity) for at, equity in zip(days, history.equity, strict=True)]


def test_a_day_that_is_not_told_closed_as_the_one_before_and_zero_came_before_the_first(paper):
    history, rows = portfolio(
        paper, timeframe="1D", start=datetime(2025, 11, 3, 12, tzinfo=UTC), end=datetime(2025, 11, 11, 12, tzinfo=UTC)
    )

    assert rows == [
        ("11-04 01:00", 0.0),  # 20:00 in New York on the third
        ("11-05 01:00", 1700.0),
        ("11-06 01:00", 1700.0),
        ("11-07 01:00", 1650.25),
        ("11-08 01:00", 1650.25),
        ("11-11 01:00", 1800.0),  # today, as it is now
    ]
    assert history.timeframe == "1D"
    assert history.base_value == 0
    assert len(history.profit_loss) == len(history.profit_loss_pct) == 6


def test_profit_and_loss_count_from_the_first_day(paper):
    history, _ = portfolio(paper, timeframe="1D", start=datetime(2025, 11, 4, 12, tzinfo=UTC))

    assert history.base_value == 1700
    assert history.profit_loss == [0, 0, -49.75, -49.75, 100]
    assert history.profit_loss_pct[2] == pytest.approx(-49.75 / 1700)


@pytest.mark.parametrize(("period", "days"), [("1D", 2), ("3D", 4), ("1W", 6), (None, 21)])
def test_a_period_ends_today_unless_told(paper, period, days):
    _, rows = portfolio(paper, timeframe="1D", **({"period": period} if period else {}))

    assert len(rows) == days
    assert rows[-1] == ("11-11 01:00", 1800.0)


def test_a_period_may_begin_or_end_with_a_day(paper):
    day = datetime(2025, 10, 31, 12, tzinfo=UTC)

    _, ahead = portfolio(paper, timeframe="1D", start=day, period="1W")
    _, back = portfolio(paper, timeframe="1D", end=day, period="1W")

    assert (ahead[0][0], ahead[-1][0]) == ("11-01 00:00", "11-08 01:00")
    assert (back[0][0], back[-1][0]) == ("10-25 00:00", "11-01 00:00")


def test_three_ways_to_say_a_window_are_one_too_many(paper):
    at = datetime(2025, 11, 4, tzinfo=UTC)

    with pytest.raises(APIError, match="only two of start, end and period"):
        portfolio(paper, start=at, end=at, period="1D")
    with pytest.raises(APIError, match="invalid start, end or period"):
        portfolio(paper, period="soon")


def test_the_account_shows_the_last_close(paper):
    account = trading(paper, raw_data=True).get_account()

    assert (account["last_equity"], account["equity"]) == ("1650.25", "1800")
    assert account["balance_asof"] == "2025-11-07"


def test_bars_that_are_told_are_all_there_are_and_others_are_made_up(paper):
    client = StockHistoricalDataClient("key", "secret", url_override=paper.url)
    request = StockBarsRequest(
        symbol_or_symbols=["KO", "DVN", "GONE"],
        timeframe=TimeFrame.Day,
        start=datetime(2025, 11, 1, tzinfo=UTC),
        end=datetime(2025, 11, 9, tzinfo=UTC),
    )

    bars = client.get_stock_bars(request).data

    assert [(bar.timestamp.isoformat(), bar.close, bar.volume) for bar in bars["KO"]] == [
        ("2025-11-06T05:00:00+00:00", 80.25, 12_000_000),
        ("2025-11-07T05:00:00+00:00", 80.25, 12_000_000),
    ]
    assert len(bars["DVN"]) == 5
    assert len(bars["GONE"]) == 1


def test_executions_of_before_and_of_now_are_one_list(paper):
    client = trading(paper)
    order = client.submit_order(MarketOrderRequest(symbol="KO", side="sell", qty=1, time_in_force="day"))
    paper.wait_for_order(lambda found: found["id"] == str(order.id) and found["status"] == "filled")

    whole = client.get("/account/activities/FILL", {"direction": "asc"})
    pages, token = [], None
    while page := client.get(
        "/account/activities/FILL", {"direction": "asc", "page_size": 1, "page_token": token or ""}
    ):
        pages += page
        token = page[-1]["id"]

    assert pages == whole
    first, second = sorted(whole[:2], key=lambda one: one["cum_qty"])
    assert (first["qty"], first["leaves_qty"], first["type"], first["order_status"]) == (
        "3", "1", "partial_fill", "partially_filled",
    )  # fmt: skip
    assert (second["cum_qty"], second["leaves_qty"], second["type"]) == ("4", "0", "fill")
    assert first["id"].startswith("20251106100000000::")
    assert whole[2]["transaction_time"] == "2025-11-07T16:00:00.250000Z"
    assert whole[3]["order_id"] == str(order.id)
    assert client.get_account().cash == "1080"  # those of before are in it already


def test_orders_of_before_are_closed_ones(paper):
    client = trading(paper)

    listed = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))

    assert [(one.symbol, one.type, one.filled_qty, one.filled_avg_price) for one in listed] == [
        ("DVN", OrderType.MARKET, "5", "33"),
        ("KO", OrderType.STOP, "4", "79.125"),
    ]
    assert client.get_orders() == []
    assert client.get_order_by_id(listed[1].id) == listed[1]
    assert client.get_order_by_client_id(listed[1].client_order_id) == listed[1]
    assert paper.orders() == []  # none of them was received here
    with pytest.raises(APIError):
        client.cancel_order_by_id(listed[1].id)
