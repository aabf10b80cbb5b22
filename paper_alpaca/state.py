"""The state file: strict YAML that says what the accounts hold and how the market behaves.

Every scalar is text until its place in the file says what it is; figures become Decimal from their digits. Every error
names file and line. Beside the keys of the contract a few more are known:

    fills: {cash_delay_ms: 250}                         # proceeds of a SELL show in cash this much later
    spread_bps: "4"                                     # width of the quotes around the last price, 0 unless given
    rate_limit: {requests_per_minute: 200, headers: true}
    shorting_enabled: true
    bars:                                               # daily bars; a symbol without has made-up ones, see market_data
      KO: [{day: 2025-11-07, open: "79", high: "81", low: "78.5", close: "80", volume: 12000000}]
    equity_history: [{day: 2025-11-07, equity: "98946"}]  # daily closes; none: all as the account begins, see past.py
    fills_history:                                      # executions before; cash and positions have them in already
      - {symbol: KO, side: sell, qty: 10, price: "79.5", at: "2025-11-06T15:00:00Z", type: stop,
         order: A, submitted_at: "2025-10-01T15:00:00Z"}  # type: market; order: one each; submitted_at: at
    accounts:                                           # only these keys are let in, each with an account of its own
      - {key_id: K, secret_key: S, cash: "1000", positions: []}   # and the two histories
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml

from paper_alpaca.figures import ZERO
from paper_alpaca.market import Asset, DailyBar
from paper_alpaca.matching import FillSettings
from paper_alpaca.past import Close, PastFill
from paper_alpaca.state_past import PAST_KEYS, PastNodes
from paper_alpaca.strict_yaml import StateError

__all__ = ["AccountState", "Holding", "State", "StateError", "load_state", "parse_state"]

_LARGEST: Final = 4 * 1024 * 1024
CASH_TO_BEGIN_WITH: Final = Decimal(100_000)


@dataclass(frozen=True, slots=True)
class Holding:
    """A position to begin with: shares (negative when short) and USD per share."""

    symbol: str
    qty: Decimal
    avg_entry_price: Decimal


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account to begin with.

    Attributes:
        key_id: The only key that opens it; None for the one account that any key opens.
        closes: Of past days, oldest first.
        fills: Executions before, oldest first.
    """

    key_id: str | None = None
    secret_key: str | None = None
    cash: Decimal = CASH_TO_BEGIN_WITH
    holdings: tuple[Holding, ...] = ()
    shorting_enabled: bool = True
    closes: tuple[Close, ...] = ()
    fills: tuple[PastFill, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """The state to begin with, and to return to on a reset.

    Attributes:
        now: Market time to begin at; None for real time.
        requests_per_minute: Of each account, in a rolling minute; market data has as many of its own.
        bars: Daily bars of past days, by symbol.
    """

    accounts: tuple[AccountState, ...] = (AccountState(),)
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    assets: Mapping[str, Asset] = field(default_factory=dict)
    now: datetime | None = None
    is_open: bool = True
    fills: FillSettings = field(default_factory=FillSettings)
    spread_bps: Decimal = ZERO
    requests_per_minute: int = 200
    rate_headers: bool = True
    bars: Mapping[str, tuple[DailyBar, ...]] = field(default_factory=dict)


def load_state(path: Path | None) -> State:
    """Read a state file; without one, an account with $100,000 and nothing else.

    Raises:
        StateError: The file is missing, unreadable or says something it must not.
    """
    if path is None:
        return State()
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}, expected a readable state file") from error
    if len(raw) > _LARGEST:
        raise StateError(f"{path}: {len(raw)} bytes, expected at most {_LARGEST}")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise StateError(f"{path}: not UTF-8, expected UTF-8 text") from error
    return parse_state(text, str(path))


def parse_state(text: str, source: str) -> State:
    """Read a state from YAML text; `source` is what errors call it.

    Raises:
        StateError: The text says something it must not.
    """
    return _Reader(source).state(text)


class _Reader(PastNodes):
    """Reads what the file says, key by key."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self._prices: dict[str, Decimal] = {}

    def state(self, text: str) -> State:
        root = self.compose(text)
        if root is None:
            return State()
        top = self.mapping(
            root,
            {
                "cash",
                "positions",
                "prices",
                "assets",
                "clock",
                "fills",
                "spread_bps",
                "rate_limit",
                "shorting_enabled",
                "accounts",
                "bars",
                *PAST_KEYS,
            },
        )
        if "accounts" in top:
            for key in ("cash", "positions", "shorting_enabled", *sorted(PAST_KEYS)):
                if key in top:
                    raise self.error(top[key], f"{key} beside accounts", "it inside each account")
            accounts = tuple(self._named_account(node) for node in self.items(top["accounts"]))
            if not accounts:
                raise self.error(top["accounts"], "no account", "at least one")
            if len({account.key_id for account in accounts}) < len(accounts):
                raise self.error(top["accounts"], "a key_id given twice", "each once")
        else:
            accounts = (self._account(top),)
        prices = dict(self._prices)
        if "prices" in top:
            for symbol, node in self.symbols(top["prices"]).items():
                prices[symbol] = self.price(node)
        clock = self.optional(top, "clock", {"now", "is_open"})
        limit = self.optional(top, "rate_limit", {"requests_per_minute", "headers"})
        return State(
            accounts=accounts,
            prices=prices,
            assets=self._assets(top["assets"]) if "assets" in top else {},
            now=self.time(clock["now"]) if "now" in clock else None,
            is_open=self.boolean(clock["is_open"]) if "is_open" in clock else True,
            fills=self._fills(top["fills"]) if "fills" in top else FillSettings(),
            spread_bps=self.at_least_0(top["spread_bps"]) if "spread_bps" in top else ZERO,
            requests_per_minute=(self.count(limit["requests_per_minute"]) if "requests_per_minute" in limit else 200),
            rate_headers=self.boolean(limit["headers"]) if "headers" in limit else True,
            bars=self.bars(top["bars"]) if "bars" in top else {},
        )

    # Parts of the file

    def _named_account(self, node: yaml.Node) -> AccountState:
        found = self.mapping(node, {"key_id", "secret_key", "cash", "positions", "shorting_enabled", *PAST_KEYS})
        for key in ("key_id", "secret_key"):
            if key not in found:
                raise self.error(node, f"an account without {key}", "both key_id and secret_key")
        return self._account(found, key_id=self.text(found["key_id"]), secret_key=self.text(found["secret_key"]))

    def _account(
        self, found: Mapping[str, yaml.Node], *, key_id: str | None = None, secret_key: str | None = None
    ) -> AccountState:
        holdings: dict[str, Holding] = {}
        for node in self.items(found["positions"]) if "positions" in found else []:
            holding = self._holding(node)
            if holding.symbol in holdings:
                raise self.error(node, f"position {holding.symbol} twice", "each symbol once")
            holdings[holding.symbol] = holding
        return AccountState(
            key_id=key_id,
            secret_key=secret_key,
            cash=self.figure(found["cash"]) if "cash" in found else CASH_TO_BEGIN_WITH,
            holdings=tuple(holdings.values()),
            shorting_enabled=(self.boolean(found["shorting_enabled"]) if "shorting_enabled" in found else True),
            closes=self.closes(found["equity_history"]) if "equity_history" in found else (),
            fills=self.past_fills(found["fills_history"]) if "fills_history" in found else (),
        )

    def _holding(self, node: yaml.Node) -> Holding:
        found = self.mapping(node, {"symbol", "qty", "avg_entry_price", "price"})
        for key in ("symbol", "qty"):
            if key not in found:
                raise self.error(node, f"a position without {key}", "symbol, qty, avg_entry_price, price")
        symbol = self.symbol(found["symbol"])
        qty = self.figure(found["qty"])
        if not qty:
            raise self.error(found["qty"], "qty 0", "shares, negative when short")
        entry = self.price(found["avg_entry_price"]) if "avg_entry_price" in found else None
        price = self.price(found["price"]) if "price" in found else entry
        if price is None:
            raise self.error(node, f"position {symbol} without a price", "price or avg_entry_price")
        if "price" in found or symbol not in self._prices:
            self._prices[symbol] = price
        return Holding(symbol, qty, price if entry is None else entry)

    def _assets(self, node: yaml.Node) -> dict[str, Asset]:
        texts = {"status", "name", "exchange"}
        booleans = {"tradable", "fractionable", "marginable", "shortable", "easy_to_borrow"}
        assets = {}
        for symbol, facts_node in self.symbols(node).items():
            facts: dict[str, Any] = {"name": f"{symbol} Common Stock", "exchange": "NYSE"}
            for key, value in self.mapping(facts_node, texts | booleans).items():
                facts[key] = self.text(value) if key in texts else self.boolean(value)
            if facts.get("status", "active") not in {"active", "inactive"}:
                raise self.error(facts_node, f"status {facts['status']}", "active or inactive")
            if facts.get("status") == "inactive":
                facts.setdefault("tradable", False)
            assets[symbol] = Asset(symbol, **facts)
        return assets

    def _fills(self, node: yaml.Node) -> FillSettings:
        found = self.mapping(node, {"delay_ms", "slippage_bps", "partial_probability", "cash_delay_ms"})
        settings: dict[str, Any] = {}
        if "delay_ms" in found:
            settings["delay_ms"] = self.quantiles(found["delay_ms"], self.at_least_0)
        if "slippage_bps" in found:
            settings["slippage_bps"] = self.quantiles(found["slippage_bps"], self.figure)
        if "partial_probability" in found:
            chance = self.at_least_0(found["partial_probability"])
            if chance > 1:
                raise self.error(found["partial_probability"], f"{chance}", "a probability from 0 to 1")
            settings["partial_probability"] = chance
        if "cash_delay_ms" in found:
            settings["cash_delay_ms"] = self.at_least_0(found["cash_delay_ms"])
        return FillSettings(**settings)
