from datetime import UTC, datetime
from decimal import Decimal

import pytest

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
