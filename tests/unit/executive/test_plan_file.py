import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.executive.plan_file import MAX_TRADES, read_plan
from departments.office import strict_fields
from departments.office.bad_input import BadInput
from messages.plans import Plan
from messages.values import Funding, OrderType, SellShortfall, Side, TimeInForce, sha256_hex

GOOD = """\
plan_id: PLAN_20251110_070542
account: paper                # an account named in config/firm.yaml
sell_shortfall: hold
funding: proceeds
expires_at: null
trades:
  - {symbol: CTVA, side: sell, qty: "190", reference_price: "64.64"}
  - {symbol: COMM, side: buy, qty: 210, reference_price: 16.992, sector: Technology, score: "74.8"}
  - symbol: BRK.B
    side: buy
    qty: 1.5
    reference_price: 450
    order_type: limit
    limit_price: 451.25
    time_in_force: gtc
    stop_loss: 400
    take_profit: 500.5
    atr: 6.1
    earnings_date: 2025-11-12
  - {symbol: ON, side: sell, qty: 3, reference_price: 50}
"""


def read(text: str | bytes, name: str = "plan.yaml") -> Plan:
    return read_plan(text if isinstance(text, bytes) else text.encode(), name=name, accounts=("paper", "growth"))[0]


def refused(text: str | bytes, name: str = "plan.yaml") -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(text, name)
    return str(caught.value).splitlines()


def with_trade(fields: str) -> str:
    first = "{symbol: AAPL, side: buy, qty: 1, reference_price: 10}"
    return f"plan_id: P1\naccount: paper\ntrades:\n  - {first}\n  - {fields}\n"


def test_a_good_plan_is_read_to_the_letter():
    plan, text = read_plan(GOOD.encode())

    assert (plan.plan_id, plan.account) == ("PLAN_20251110_070542", "paper")
    assert (plan.sell_shortfall, plan.funding, plan.expires_at) == (SellShortfall.HOLD, Funding.PROCEEDS, None)
    assert [trade.leg for trade in plan.trades] == ["S01", "B01", "B02", "S02"]
    assert [trade.symbol for trade in plan.trades] == ["CTVA", "COMM", "BRK.B", "ON"]
    comm, brk = plan.trades[1], plan.trades[2]
    assert (comm.qty, comm.reference_price_usd, comm.score) == (Decimal(210), Decimal("16.992"), Decimal("74.8"))
    assert (comm.sector, comm.order_type, comm.time_in_force) == ("Technology", OrderType.MARKET, TimeInForce.DAY)
    assert (brk.order_type, brk.limit_price_usd, brk.time_in_force) == (
        OrderType.LIMIT,
        Decimal("451.25"),
        TimeInForce.GTC,
    )
    assert (brk.stop_loss_usd, brk.take_profit_usd, brk.atr_usd) == (Decimal(400), Decimal("500.5"), Decimal("6.1"))
    assert (comm.earnings_date, brk.earnings_date) == (None, date(2025, 11, 12))
    assert text == GOOD
    assert plan.plan_sha256 == sha256_hex(text.encode())


def test_the_policies_are_optional_and_then_not_decided_here():
    plan = read(with_trade("{symbol: ON, side: sell, qty: 1, reference_price: 10}"))

    assert (plan.sell_shortfall, plan.funding, plan.expires_at) == (None, None, None)


def test_an_expiry_is_kept_in_utc():
    plan = read(GOOD.replace("expires_at: null", "expires_at: 2025-11-10T16:00:00-05:00"))

    assert plan.expires_at == datetime(2025, 11, 10, 21, 0, tzinfo=UTC)


def test_a_plan_without_trades_is_a_plan():
    assert read("plan_id: P1\naccount: paper\ntrades: []\n").trades == ()


def test_json_with_the_same_fields_is_the_same_plan():
    document = {
        "plan_id": "P1",
        "account": "paper",
        "expires_at": None,
        "trades": [
            {"symbol": "CTVA", "side": "sell", "qty": "190", "reference_price": "64.64"},
            {"symbol": "COMM", "side": "buy", "qty": 210, "reference_price": 16.992, "score": 74.8},
        ],
    }

    for name in ("plan.json", "plan.yaml"):
        plan = read(json.dumps(document, indent=2), name)
        assert [(trade.symbol, trade.side, str(trade.qty)) for trade in plan.trades] == [
            ("CTVA", Side.SELL, "190"),
            ("COMM", Side.BUY, "210"),
        ]
        assert str(plan.trades[1].reference_price_usd) == "16.992"


BAD_NUMBERS = [
    "-5",
    "+5",
    "0",
    "0.0",
    "1e400",
    "1e3",
    "NaN",
    ".nan",
    "inf",
    "-.inf",
    "1_000",
    "'1,000'",
    "010",
    "0x10",
    "5.",
    ".5",
    "1.2.3",
    "\uff11\uff19\uff10",
    "\u0661\u0662",
    "'1 0'",
    "true",
    "[1]",
    "{a: 1}",
    "9" * 16,
    "1" * 400,
    "1.0000000001",
    "''",
    "'190 '",
]


@pytest.mark.parametrize("number", BAD_NUMBERS)
@pytest.mark.parametrize("field", ["qty", "reference_price"])
def test_a_number_that_is_not_plainly_more_than_nothing_is_refused_in_one_line(number, field):
    fields = {"symbol": "ALKS", "side": "buy", "qty": "1", "reference_price": "10", field: number}
    said = refused(with_trade("{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"))

    assert len(said) == 1
    assert said[0].startswith(f"plan.yaml:5: trade 2 (ALKS): {field}: ")
    assert ", expected " in said[0]


def test_a_json_number_is_held_to_the_same_rule():
    for number in ("-5", "0", "1e400", "1E3", "0.00"):
        trade = f'{{"symbol": "ALKS", "side": "buy", "qty": {number}, "reference_price": 1}}'
        said = refused(f'{{"plan_id": "P1", "account": "paper",\n"trades": [{trade}]}}', "plan.json")
        assert said[0].startswith("plan.json:2: trade 1 (ALKS): qty: "), said


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("side: buy, qty: 210", "side: buy, qtty: 210", 8, "unknown key 'qtty', did you mean 'qty'?"),
        ("account: paper", "acount: paper", 2, "unknown key 'acount', did you mean 'account'?"),
        ("funding: proceeds", "zzz: 1", 4, "unknown key 'zzz', expected one of plan_id"),
        ("account: paper", "account: peper", 2, "'peper' is not in firm.yaml, did you mean 'paper'?"),
        ("account: paper", "account: other", 2, "'other' is not in firm.yaml, expected one of growth, paper"),
        ("funding: proceeds", "funding: credit", 4, "expected proceeds or cash or buying_power"),
        ("sell_shortfall: hold", "sell_shortfall: Hold", 3, "expected hold or resize or abort"),
        ("expires_at: null", "expires_at: 2025-11-10T16:00:00", 5, "a time with its offset"),
        ("expires_at: null", "expires_at: 2025-13-10T16:00:00Z", 5, "a time with its offset"),
        ("expires_at: null", "expires_at: tomorrow", 5, "a time with its offset"),
        ("expires_at: null", "expires_at: 0001-01-01T00:00:00+14:00", 5, "a time with its offset"),
        ("plan_id: PLAN_20251110_070542", "plan_id: 'a b'", 1, "a name of letters"),
        ("plan_id: PLAN_20251110_070542", f"plan_id: {'A' * 65}", 1, "expected 1 to 64"),
        ("plan_id: PLAN_20251110_070542", 'plan_id: "A\\e[2J"', 1, "printable"),
        ("plan_id: PLAN_20251110_070542", "plan_id:", 1, "plan_id has no value"),
        ("symbol: COMM", "symbol: comm", 8, "a ticker"),
        ("symbol: COMM", "symbol: ABCDEFGHIJKLMN", 8, "a ticker"),
        ("symbol: COMM", "symbol: '../x'", 8, "a ticker"),
        ("side: buy, qty: 210", "side: BUY, qty: 210", 8, "expected buy or sell"),
        ("side: buy, qty: 210", "side: short, qty: 210", 8, "expected buy or sell"),
        ("side: buy, qty: 210", "qty: 210", 8, "side is missing"),
        ('score: "74.8"', 'score: "-1"', 8, "score"),
        ("    limit_price: 451.25\n", "", 9, "limit_price is missing"),
        ("    order_type: limit\n", "", 9, "limit_price with a market order"),
        ("order_type: limit", "order_type: stop", 13, "expected market or limit"),
        ("time_in_force: gtc", "time_in_force: ioc", 15, "expected day or gtc"),
        ("limit_price: 451.25", "limit_price: 451.255", 14, "at most 2 decimals"),
        ("stop_loss: 400", "stop_loss: 0.12345", 16, "at most 4 decimals"),
        ("trades:\n", "trades: none\nx:\n", 6, "expected a list"),
    ],
)
def test_what_a_plan_may_not_say_is_refused_with_its_line(old, new, line, words):
    assert GOOD.count(old) >= 1

    said = refused(GOOD.replace(old, new, 1))

    assert said[0].startswith(f"plan.yaml:{line}: ")
    assert words in said[0]


def test_a_misspelt_key_is_one_problem_and_not_also_a_missing_one():
    assert len(refused(GOOD.replace("qty: 210", "qtty: 210"))) == 1


def test_all_problems_are_told_in_order_of_their_lines():
    said = refused(
        GOOD.replace("qty: 210", "qty: -1").replace("account: paper", "account: nobody").replace("atr: 6.1", "atr: x")
    )

    assert [line.split(":")[1] for line in said] == ["2", "8", "18"]


@pytest.mark.parametrize("text", ["plan", "- a\n- b\n", "[]", "12"])
def test_what_is_no_mapping_is_no_plan(text):
    assert "expected a mapping of plan_id, account, trades" in refused(text)[0]


def test_a_plan_has_bounds():
    trades = "".join(f"  - {{symbol: A{n}, side: buy, qty: 1, reference_price: 1}}\n" for n in range(MAX_TRADES + 1))

    assert f"expected at most {MAX_TRADES}" in refused(f"plan_id: P1\naccount: paper\ntrades:\n{trades}")[0]


def test_a_file_is_named_as_the_person_named_it(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(GOOD.replace("side: sell", "side: sold", 1))

    with pytest.raises(BadInput, match=r"^p\.yaml:7: trade 1 \(CTVA\): side: text 'sold', expected buy or sell$"):
        read_plan(Path("p.yaml"))


def test_a_reader_that_took_any_digit_would_be_caught(monkeypatch):
    monkeypatch.setattr(strict_fields, "_DECIMAL", re.compile(r"\d+(\.\d+)?"))

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        refused(with_trade('{symbol: ALKS, side: buy, qty: "\uff11\uff19", reference_price: 10}'))


def numbers(plan: Plan) -> list[str]:
    fields = ("qty", "reference_price_usd", "score", "limit_price_usd", "stop_loss_usd", "take_profit_usd", "atr_usd")
    return [
        str(getattr(trade, field)) for trade in plan.trades for field in fields if getattr(trade, field) is not None
    ]


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_in_words(data):
    said = refused(data)

    assert said
    assert all(line.startswith("plan.yaml") for line in said)


@given(st.integers(0, len(GOOD) - 1), st.text(max_size=3), st.integers(0, 3))
def test_a_mutated_plan_is_refused_in_words_or_says_only_numbers_that_stand_in_it(at, put, cut):
    text = GOOD[:at] + put + GOOD[at + cut :]

    said: str | None = None
    plan = None
    try:
        plan = read(text)
    except (BadInput, UnicodeEncodeError) as error:
        said = str(error)

    assert (plan is None) != (said is None)
    assert plan is None or all(number in text for number in numbers(plan))


@given(
    st.sampled_from(["qty", "reference_price"]), st.text(alphabet="0123456789.+-_eE \uff10\uff19\u0660'\"", max_size=12)
)
def test_a_number_is_either_refused_or_is_exactly_its_text(field, number):
    fields = {"symbol": "ALKS", "side": "buy", "qty": "1", "reference_price": "10", field: json.dumps(number)}
    text = with_trade("{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}")

    value = None
    try:
        trade = read(text).trades[1]
        value = trade.qty if field == "qty" else trade.reference_price_usd
    except BadInput:
        pass

    assert value is None or (format(value, "f") == number and number.isascii() and value > 0)


@pytest.mark.parametrize(
    "written",
    [
        "2025-11-31",
        "20251112",
        "2025-11-12T10:00:00Z",
        "12.11.2025",
        "tomorrow",
        "25-11-12",
        "[2025]",
        "\uff12025-11-12",
    ],
)
def test_earnings_are_on_a_day_written_one_way(written):
    (said,) = refused(with_trade(f"{{symbol: ON, side: buy, qty: 1, reference_price: 10, earnings_date: {written}}}"))

    assert said.startswith("plan.yaml:5: trade 2 (ON): earnings_date: ")
    assert said.endswith(", expected a day like 2025-11-10")


def test_a_plan_without_earnings_is_approved_as_before():
    """The key is new: a plan that doesn't have it means to an approval what it always did."""
    plan = read(with_trade("{symbol: ON, side: sell, qty: 1, reference_price: 10}"))

    assert "earnings_date" not in plan.model_dump_json(exclude_defaults=True)
