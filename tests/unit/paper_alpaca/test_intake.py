from decimal import Decimal

import pytest

from paper_alpaca.intake import read_ticket
from paper_alpaca.orders import Ticket
from paper_alpaca.refusals import Refusal

PLAIN = {"symbol": "KO", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"}
BRACKET = {
    **PLAIN,
    "order_class": "bracket",
    "take_profit": {"limit_price": "90"},
    "stop_loss": {"stop_price": 70, "limit_price": "69.5"},
}


def ticket(**changes):
    found = read_ticket({**PLAIN, **changes})
    assert isinstance(found, Ticket), found
    return found


@pytest.mark.parametrize("qty", ["10", 10, Decimal("10.0"), "10.000"])
def test_figures_come_as_text_or_numbers(qty):
    assert ticket(qty=qty).qty == 10


@pytest.mark.parametrize("value", [True, "true", "True"])
def test_booleans_come_as_python_writes_them_too(value):
    assert ticket(type="limit", limit_price="80", extended_hours=value).extended_hours


def test_a_bracket_brings_its_exits():
    found = read_ticket(BRACKET)

    assert isinstance(found, Ticket)
    assert (found.take_profit, found.stop_loss, found.stop_loss_limit) == (90, 70, Decimal("69.5"))


def test_unknown_fields_are_ignored():
    assert ticket(source="x", order_class="simple").order_class == ""


@pytest.mark.parametrize(
    ("changes", "status", "code", "message"),
    [
        ({"symbol": None}, 422, 40010001, "symbol is required"),
        ({"symbol": "ko$"}, 422, 42210000, 'asset "KO$" not found'),
        ({"side": "hold"}, 422, 40010001, "invalid side"),
        ({"type": ""}, 422, 40010001, "type is required"),
        ({"type": "iceberg"}, 422, 40010001, "invalid order type"),
        ({"time_in_force": "gtd"}, 422, 40010001, "invalid time_in_force"),
        ({"qty": None}, 422, 40010001, "qty or notional is required"),
        ({"qty": "0"}, 422, 40010001, "qty must be > 0"),
        ({"qty": "-5"}, 422, 40010001, "qty must be > 0"),
        ({"qty": "ten"}, 422, 40010001, "qty must be a number, was 'ten'"),
        ({"notional": "5"}, 422, 40010001, "only one of qty or notional is accepted"),
        ({"qty": None, "notional": "0.5"}, 403, 40310000, "cost basis must be >= minimal amount of order 1"),
        ({"qty": None, "notional": "5.001"}, 422, 42210000, "notional amount must be limited to 2 decimal places"),
        ({"qty": "1.5", "time_in_force": "gtc"}, 422, 42210000, "fractional orders must be DAY orders"),
        (
            {"qty": "1.0000000001"},
            422,
            42210000,
            "qty must be limited to 9 decimal places, was 1.0000000001",
        ),
        ({"type": "limit"}, 422, 40010001, "limit orders require limit price"),
        ({"type": "stop"}, 422, 40010001, "stop orders require stop price"),
        ({"limit_price": "5"}, 422, 40010001, "market orders require no stop or limit price"),
        (
            {"type": "limit", "limit_price": "290.123"},
            422,
            42210000,
            "invalid limit_price 290.123. sub-penny increment does not fulfill minimum pricing criteria",
        ),
        ({"type": "limit", "limit_price": "-1"}, 422, 40010001, "limit_price must be > 0"),
        (
            {"type": "trailing_stop"},
            422,
            40010001,
            "trailing stop orders must specify one of trail_price or trail_percent",
        ),
        ({"extended_hours": True}, 422, 42210000, "extended hours order must be DAY limit orders"),
        ({"client_order_id": "x" * 129}, 422, 40010001, "client_order_id must be no more than 128 characters"),
        ({**BRACKET, "time_in_force": "ioc"}, 422, 42210000, "complex orders must be DAY or GTC orders"),
        ({**BRACKET, "stop_loss": None}, 422, 42210000, "bracket orders require stop_loss.stop_price"),
        ({**BRACKET, "take_profit": None}, 422, 42210000, "bracket orders require take_profit.limit_price"),
        (
            {**BRACKET, "take_profit": {"limit_price": "60"}},
            422,
            42210000,
            "take_profit.limit_price must be > stop_loss.stop_price",
        ),
        ({"order_class": "oto"}, 422, 42210000, "oto orders require either take_profit or stop_loss"),
        ({"order_class": "spread"}, 422, 40010001, "invalid order_class"),
    ],
)
def test_a_wrong_request_is_refused_in_alpacas_words(changes, status, code, message):
    assert read_ticket({**PLAIN, **changes}) == Refusal(status, {"code": code, "message": message})


def test_a_price_below_a_dollar_may_have_four_decimals():
    assert ticket(type="limit", limit_price="0.1234").limit_price == Decimal("0.1234")
    assert isinstance(read_ticket({**PLAIN, "type": "limit", "limit_price": "0.12345"}), Refusal)
