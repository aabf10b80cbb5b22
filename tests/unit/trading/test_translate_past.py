"""Alpaca's JSON about the past: a row that can't be read fails the list."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from departments.trading.alpaca.fields import Untranslatable
from departments.trading.alpaca.http import read_json
from departments.trading.alpaca.translate_past import bars_of, equity_days_of, fills_of, trading_days_of
from messages.values import Side
from tests.fakes.alpaca_json import a_bar, a_fill, a_portfolio_history, a_trading_day

LONG_AGO, FAR = date(2000, 1, 1), date(2100, 1, 1)


def test_trading_days_have_new_yorks_hours_as_instants():
    half = a_trading_day("2026-11-27", close="13:00")

    winter, summer = trading_days_of([half, a_trading_day("2026-10-08")])[::-1]

    assert (summer.day, summer.opens_at) == (date(2026, 10, 8), datetime(2026, 10, 8, 13, 30, tzinfo=UTC))
    assert (winter.opens_at.hour, winter.closes_at) == (14, datetime(2026, 11, 27, 18, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    "raw",
    [
        {},
        None,
        [None],
        [{"date": "2026-10-08"}],
        [a_trading_day("soon")],
        [a_trading_day("2026-10-08", open=None)],
        [a_trading_day("2026-10-08", close="late")],
    ],
)
def test_a_calendar_that_can_not_be_read_is_refused(raw):
    with pytest.raises(Untranslatable):
        trading_days_of(raw)


def test_an_execution_is_read_whole():
    page = fills_of([a_fill(), a_fill(id="20261008111023000::x", type="partial_fill", side="sell_short")])

    assert page.rows == 2
    one, short = page.fills
    assert (one.symbol, one.side, one.qty, one.price_usd) == ("KO", Side.BUY, Decimal(6), Decimal("78.19"))
    assert one.at == datetime(2026, 10, 8, 15, 10, 22, 97465, tzinfo=UTC)
    assert one.order_type == "unknown"
    assert short.side is Side.SELL


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"order_id": ""},
        {"symbol": None},
        {"side": "maybe"},
        {"qty": "0"},
        {"qty": None},
        {"price": "x"},
        {"price": None},
        {"transaction_time": None},
        {"activity_type": "DIV"},
    ],
)
def test_an_execution_that_can_not_be_read_fails_the_page(changes):
    with pytest.raises(Untranslatable):
        fills_of([a_fill(), a_fill(**changes)])


def test_a_close_belongs_to_the_day_whose_evening_it_is_stamped_with():
    # 20:00 in New York: midnight UTC in summer, 1:00 in winter; and Monday's opening, as older answers have it
    stamps = [1697241600, 1697500800, 1762822800, 1580826600]

    found = equity_days_of(a_portfolio_history(stamps, [1, 2, 3, 4]), LONG_AGO, FAR)

    assert [(one.day.isoformat(), one.equity_usd) for one in found] == [
        ("2020-02-04", 4),
        ("2023-10-13", 1),
        ("2023-10-16", 2),
        ("2025-11-10", 3),
    ]


def test_zeros_before_the_account_was_funded_do_not_count_and_later_ones_do():
    stamps = [1697500800, 1697587200, 1697673600, 1697760000]

    found = equity_days_of(a_portfolio_history(stamps, [0, 0, 5, 0]), LONG_AGO, FAR)

    assert [one.equity_usd for one in found] == [5, 0]
    assert equity_days_of(a_portfolio_history(stamps, [0, 0, 0, 0]), LONG_AGO, FAR) == ()


def test_only_the_days_asked_for_are_told_and_figures_stay_exact():
    text = json.dumps(a_portfolio_history([1697500800, 1697587200, 1697673600], [1, 2, 3])).replace("[1, 2", "[1, 2.10")

    (one,) = equity_days_of(read_json(text.encode()), date(2023, 10, 17), date(2023, 10, 17))

    assert str(one.equity_usd) == "2.10"


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {"timestamp": [1], "equity": None},
        a_portfolio_history([1697500800], []),
        a_portfolio_history([1697500800], [None]),
        a_portfolio_history([1697500800], ["much"]),
        a_portfolio_history(["1697500800"], [1]),
        a_portfolio_history([True], [1]),
        a_portfolio_history([10**30], [1]),
        a_portfolio_history([1697500800, 1697500801], [1, 2]),
    ],
)
def test_a_portfolio_history_that_can_not_be_read_is_refused(raw):
    with pytest.raises(Untranslatable):
        equity_days_of(raw, LONG_AGO, FAR)


def test_bars_are_read_with_what_leads_to_the_next_page():
    bars, token = bars_of({"bars": {"KO": [a_bar()], "NONE": None}, "next_page_token": "more"})

    assert [(bar.symbol, bar.day, bar.close_usd, bar.volume) for bar in bars] == [
        ("KO", date(2026, 10, 8), Decimal("80.5"), Decimal(12_000_000))
    ]
    assert token == "more"  # noqa: S105 - no secret
    assert bars_of({"bars": {}, "next_page_token": None}) == ((), None)
    assert bars_of({"bars": None, "next_page_token": None}) == ((), None)


@pytest.mark.parametrize(
    "raw",
    [
        [],
        {},
        {"bars": []},
        {"bars": {"KO": {}}},
        {"bars": {"KO": [None]}},
        {"bars": {"KO": [a_bar(c="0")]}},
        {"bars": {"KO": [a_bar(o=None)]}},
        {"bars": {"KO": [a_bar(v=None)]}},
        {"bars": {"KO": [a_bar(v="-1")]}},
        {"bars": {"KO": [a_bar(t="today")]}},
        {"bars": {}, "next_page_token": 7},
        {"bars": {}, "next_page_token": ""},
    ],
)
def test_bars_that_can_not_be_read_are_refused(raw):
    with pytest.raises(Untranslatable):
        bars_of(raw)
