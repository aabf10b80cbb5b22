from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from paper_alpaca.past import Close
from paper_alpaca.state import StateError, load_state, parse_state

WHOLE = """
cash: "-64137.45"
positions:
  - {symbol: CTVA, qty: "190", avg_entry_price: "62.80", price: "64.64"}
  - {symbol: ON, qty: 10, price: 50.10}
prices: {COMM: "16.992", NO: 3}
assets: {IPG: {status: inactive}, BRK.A: {fractionable: false}}
clock: {now: "2025-11-10T15:09:12Z", is_open: true}
fills: {delay_ms: [3, 600], slippage_bps: [2, 10], partial_probability: "0.1"}
"""


def test_the_whole_file_is_read():
    state = parse_state(WHOLE, "s.yaml")

    (account,) = state.accounts
    assert account.cash == Decimal("-64137.45")
    assert [(h.symbol, h.qty, h.avg_entry_price) for h in account.holdings] == [
        ("CTVA", 190, Decimal("62.80")),
        ("ON", 10, Decimal("50.10")),
    ]
    assert state.prices == {
        "CTVA": Decimal("64.64"),
        "ON": Decimal("50.10"),
        "COMM": Decimal("16.992"),
        "NO": Decimal(3),
    }
    assert (state.assets["IPG"].status, state.assets["IPG"].tradable) == ("inactive", False)
    assert state.assets["BRK.A"].fractionable is False
    assert state.now == datetime(2025, 11, 10, 15, 9, 12, tzinfo=UTC)
    assert state.fills.delay_ms == (3, 600)
    assert state.fills.partial_probability == Decimal("0.1")


def test_an_empty_file_is_a_plain_account_in_an_open_market():
    state = parse_state("", "s.yaml")

    assert (state.accounts[0].cash, state.is_open, state.now) == (100000, True, None)
    assert (state.fills.delay_ms, state.fills.slippage_bps) == ((3,), (0,))
    assert load_state(None) == state


def test_accounts_have_keys_and_money_of_their_own():
    state = parse_state(
        "accounts:\n - {key_id: A, secret_key: S, cash: 5}\n - {key_id: B, secret_key: T, shorting_enabled: false}", "s"
    )

    assert [(a.key_id, a.secret_key, a.cash, a.shorting_enabled) for a in state.accounts] == [
        ("A", "S", 5, True),
        ("B", "T", 100000, False),
    ]


PAST = """
equity_history: [{day: 2025-11-06, equity: 98000}, {day: "2025-11-07", equity: "98946.50"}]
fills_history:
  - {symbol: KO, side: sell, qty: 10, price: "79.5", at: "2025-11-06T15:00:00Z"}
  - {symbol: KO, side: sell, qty: 5, price: 79, at: "2025-11-06T15:00:00Z", type: stop, order: A,
     submitted_at: "2025-10-01T15:00:00Z"}
"""


def test_a_past_is_read():
    bar = '{day: 2025-11-07, open: "79", high: 81, low: 78.5, close: "80", volume: 12000000}'

    state = parse_state(f"bars: {{KO: [{bar}], DVN: []}}\n{PAST}", "s")

    (account,) = state.accounts
    assert account.closes == (Close(date(2025, 11, 6), Decimal(98000)), Close(date(2025, 11, 7), Decimal("98946.50")))
    plain, stop = account.fills
    assert (plain.order, plain.order_type, plain.submitted_at) == ("#1", "market", plain.at)
    assert (stop.order, stop.order_type, stop.qty) == ("A", "stop", 5)
    assert stop.submitted_at == datetime(2025, 10, 1, 15, tzinfo=UTC)
    assert state.bars.keys() == {"KO", "DVN"}
    (told,) = state.bars["KO"]
    assert (told.day, told.low, told.volume) == (date(2025, 11, 7), Decimal("78.5"), 12_000_000)


def test_accounts_have_pasts_of_their_own():
    inside = PAST.strip().replace("\n", "\n   ")

    state = parse_state(f"accounts:\n - key_id: A\n   secret_key: S\n   {inside}\n - {{key_id: B, secret_key: T}}", "s")

    assert [(len(one.closes), len(one.fills)) for one in state.accounts] == [(2, 2), (0, 0)]


FILL = "symbol: KO, side: sell, qty: 1, price: 1, at: '2025-11-06T15:00:00Z'"
BAR = "day: 2025-11-06, open: 2, high: 3, low: 1, close: 2, volume: 9"


def a_bar(old, new):
    """A file with one bar, one thing about it changed."""
    return f"bars: {{KO: [{{{BAR.replace(old, new)}}}]}}"


def fills(*entries):
    """A file with executions, each on a line of its own."""
    return "fills_history:\n" + "\n".join(f" - {{{entry}}}" for entry in entries)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("bars: []", "s.yaml:1: no mapping"),
        ("bars: {ko: []}", "s.yaml:1: 'ko', expected a symbol"),
        ("bars: {KO: {}}", "s.yaml:1: no list"),
        ("bars: {KO: [{day: 2025-11-06}]}", "s.yaml:1: an entry without open, expected day, open"),
        (f"bars: {{KO: [{{{BAR}, vwap: 2}}]}}", "s.yaml:1: unknown key vwap"),
        (f"bars: {{KO: [{{{BAR}}},\n {{{BAR}}}]}}", "s.yaml:1: days that don't rise, expected each day once"),
        (a_bar("low: 1", "low: 2.5"), "s.yaml:1: low 2.5, high 3, expected open and"),
        (a_bar("close: 2", "close: 3.5"), "s.yaml:1: low 1, high 3, expected open and"),
        (a_bar("open: 2", "open: 0"), "s.yaml:1: price 0, expected more than 0"),
        (a_bar("9", "1.5"), "s.yaml:1: 1.5, expected whole shares"),
        (a_bar("-06", "-08"), "s.yaml:1: '2025-11-08', expected a trading day"),
        (a_bar("11-06", "12-25"), "s.yaml:1: '2025-12-25', expected a trading day"),
        (a_bar("2025-11-06", "20251106"), "s.yaml:1: '20251106', expected a trading day"),
        ("equity_history: [{day: 2025-11-06}]", "s.yaml:1: an entry without equity, expected day, equity"),
        ("equity_history: [{day: 2025-11-06, equity: x}]", "s.yaml:1: 'x', expected a figure"),
        (
            "equity_history: [{day: 2025-11-06, equity: 1}, {day: 2025-11-05, equity: 1}]",
            "s.yaml:1: days that don't rise",
        ),
        ("fills_history: [{symbol: KO}]", "s.yaml:1: an entry without side"),
        (fills(f"{FILL}, type: magic"), "s.yaml:2: 'magic', expected one of limit, market"),
        (fills(FILL.replace("sell", "short")), "s.yaml:2: 'short', expected buy or sell"),
        (fills(FILL.replace("qty: 1", "qty: 0")), "s.yaml:2: qty 0, expected more than 0"),
        (
            fills(f"{FILL}, submitted_at: '2025-11-06T15:00:01Z'"),
            "s.yaml:2: an order placed after its execution",
        ),
        (
            fills(FILL, FILL.replace("-06T", "-05T")),
            "s.yaml:3: an execution before the one above it, expected the oldest first",
        ),
        (
            fills(f"{FILL}, order: A", f"{FILL.replace('sell', 'buy')}, order: A"),
            "s.yaml:3: order A with two symbols, sides or types, expected executions of one order",
        ),
        ("fills_history: []\naccounts: [{key_id: A, secret_key: B}]", "s.yaml:1: fills_history beside accounts"),
        ("equity_history: []\naccounts: [{key_id: A, secret_key: B}]", "s.yaml:1: equity_history beside accounts"),
    ],
)
def test_an_error_in_a_past_names_file_and_line(text, error):
    with pytest.raises(StateError) as caught:
        parse_state(text, "s.yaml")

    assert str(caught.value).startswith(error)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("csah: 5", "s.yaml:1: unknown key csah, expected did you mean cash?"),
        ("\ncash: 1e5", "s.yaml:2: '1e5', expected a figure such as 12.50"),
        ("cash: +5", "s.yaml:1: '+5', expected a figure such as 12.50"),
        ("cash: 1\ncash: 2", "s.yaml:2: key cash twice, expected each key once"),
        ("cash: &a 5", "s.yaml:1: anchor or alias a, expected plain YAML without anchors and tags"),
        ("cash: !!int 5", "s.yaml:1: tag tag:yaml.org,2002:int, expected plain YAML without anchors and tags"),
        ("cash: [1]", "s.yaml:1: a list or mapping, expected a single value"),
        ("positions: 5", "s.yaml:1: no list, expected a list"),
        ("positions:\n - {symbol: KO}", "s.yaml:2: a position without qty"),
        ("positions:\n - {symbol: KO, qty: 0}", "s.yaml:2: qty 0, expected shares, negative when short"),
        ("positions:\n - {symbol: KO, qty: 1}", "s.yaml:2: position KO without a price"),
        (
            "positions:\n - {symbol: KO, qty: 1, price: 1}\n - {symbol: KO, qty: 1, price: 1}",
            "s.yaml:3: position KO twice",
        ),
        ("prices: {KO: 0}", "s.yaml:1: price 0, expected more than 0"),
        ("prices: {ko: 1}", "s.yaml:1: 'ko', expected a symbol such as AAPL or BRK.B"),
        ("assets: {KO: {status: gone}}", "s.yaml:1: status gone, expected active or inactive"),
        ("clock: {now: 2025-11-10}", "s.yaml:1: '2025-11-10', expected a time such as 2025-11-10T15:09:12Z"),
        ("clock: {is_open: yes}", "s.yaml:1: 'yes', expected true or false"),
        ("fills: {delay_ms: [600, 3]}", "s.yaml:1: figures that don't rise, expected [smallest, ..., largest]"),
        ("fills: {delay_ms: -1}", "s.yaml:1: -1, expected 0 or more"),
        ("fills: {partial_probability: 2}", "s.yaml:1: 2, expected a probability from 0 to 1"),
        ("rate_limit: {requests_per_minute: 0}", "s.yaml:1: 0, expected a whole number from 1"),
        ("accounts: []", "s.yaml:1: no account, expected at least one"),
        ("accounts: [{key_id: A}]", "s.yaml:1: an account without secret_key"),
        ("cash: 5\naccounts: [{key_id: A, secret_key: B}]", "s.yaml:1: cash beside accounts"),
        ("accounts: [{key_id: A, secret_key: B}, {key_id: A, secret_key: C}]", "s.yaml:1: a key_id given twice"),
        ("cash: 5\n---\ncash: 6", "s.yaml:2: but found another document, expected plain YAML"),
        ("cash: {", "s.yaml:1: "),
        ("- 5", "s.yaml:1: no mapping, expected key: value"),
    ],
)
def test_an_error_names_file_and_line(text, error):
    with pytest.raises(StateError) as caught:
        parse_state(text, "s.yaml")

    assert str(caught.value).startswith(error)


def test_a_missing_file_is_an_error_that_exits_2(tmp_path):
    with pytest.raises(StateError) as caught:
        load_state(tmp_path / "none.yaml")

    assert str(caught.value).endswith("No such file or directory, expected a readable state file")
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_text_is_an_error(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"cash: \xff")

    with pytest.raises(StateError, match="not UTF-8"):
        load_state(path)
