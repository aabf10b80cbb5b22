"""The state file: strict YAML that says what the accounts hold and how the market behaves.

Every scalar is text until its place in the file says what it is; figures become Decimal from their digits. Every error
names file and line. Beside the keys of the contract a few more are known:

    fills: {cash_delay_ms: 250}                         # proceeds of a SELL show in cash this much later
    spread_bps: "4"                                     # width of the quotes around the last price, 0 unless given
    rate_limit: {requests_per_minute: 200, headers: true}
    shorting_enabled: true
    accounts:                                           # only these keys are let in, each with an account of its own
      - {key_id: K, secret_key: S, cash: "1000", positions: []}
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml

from paper_alpaca.figures import ZERO, parse_time
from paper_alpaca.market import Asset
from paper_alpaca.matching import FillSettings

_FIGURE: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?\Z")
_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9./]{0,11}\Z")
_LARGEST: Final = 1024 * 1024
CASH_TO_BEGIN_WITH: Final = Decimal(100_000)


class StateError(ValueError):
    """The state file can't be used: `FILE:LINE: what, what was expected`. A command that meets it exits 2."""

    exit_code: Final = 2


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
    """

    key_id: str | None = None
    secret_key: str | None = None
    cash: Decimal = CASH_TO_BEGIN_WITH
    holdings: tuple[Holding, ...] = ()
    shorting_enabled: bool = True


@dataclass(frozen=True, slots=True)
class State:
    """The state to begin with, and to return to on a reset.

    Attributes:
        now: Market time to begin at; None for real time.
        requests_per_minute: Of each account, in a rolling minute; market data has as many of its own.
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


class _Reader:
    """Walks the YAML tree and knows the file's name."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._prices: dict[str, Decimal] = {}

    def state(self, text: str) -> State:
        root = self._compose(text)
        if root is None:
            return State()
        top = self._mapping(
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
            },
        )
        if "accounts" in top:
            for key in ("cash", "positions", "shorting_enabled"):
                if key in top:
                    raise self._error(top[key], f"{key} beside accounts", "it inside each account")
            accounts = tuple(self._named_account(node) for node in self._items(top["accounts"]))
            if not accounts:
                raise self._error(top["accounts"], "no account", "at least one")
            if len({account.key_id for account in accounts}) < len(accounts):
                raise self._error(top["accounts"], "a key_id given twice", "each once")
        else:
            accounts = (self._account(top),)
        prices = dict(self._prices)
        if "prices" in top:
            for symbol, node in self._symbols(top["prices"]).items():
                prices[symbol] = self._price(node)
        clock = self._optional(top, "clock", {"now", "is_open"})
        limit = self._optional(top, "rate_limit", {"requests_per_minute", "headers"})
        return State(
            accounts=accounts,
            prices=prices,
            assets=self._assets(top["assets"]) if "assets" in top else {},
            now=self._time(clock["now"]) if "now" in clock else None,
            is_open=self._boolean(clock["is_open"]) if "is_open" in clock else True,
            fills=self._fills(top["fills"]) if "fills" in top else FillSettings(),
            spread_bps=self._at_least_0(top["spread_bps"]) if "spread_bps" in top else ZERO,
            requests_per_minute=(self._count(limit["requests_per_minute"]) if "requests_per_minute" in limit else 200),
            rate_headers=self._boolean(limit["headers"]) if "headers" in limit else True,
        )

    # Parts of the file

    def _named_account(self, node: yaml.Node) -> AccountState:
        found = self._mapping(node, {"key_id", "secret_key", "cash", "positions", "shorting_enabled"})
        for key in ("key_id", "secret_key"):
            if key not in found:
                raise self._error(node, f"an account without {key}", "both key_id and secret_key")
        return self._account(found, key_id=self._text(found["key_id"]), secret_key=self._text(found["secret_key"]))

    def _account(
        self, found: Mapping[str, yaml.Node], *, key_id: str | None = None, secret_key: str | None = None
    ) -> AccountState:
        holdings: dict[str, Holding] = {}
        for node in self._items(found["positions"]) if "positions" in found else []:
            holding = self._holding(node)
            if holding.symbol in holdings:
                raise self._error(node, f"position {holding.symbol} twice", "each symbol once")
            holdings[holding.symbol] = holding
        return AccountState(
            key_id=key_id,
            secret_key=secret_key,
            cash=self._figure(found["cash"]) if "cash" in found else CASH_TO_BEGIN_WITH,
            holdings=tuple(holdings.values()),
            shorting_enabled=(self._boolean(found["shorting_enabled"]) if "shorting_enabled" in found else True),
        )

    def _holding(self, node: yaml.Node) -> Holding:
        found = self._mapping(node, {"symbol", "qty", "avg_entry_price", "price"})
        for key in ("symbol", "qty"):
            if key not in found:
                raise self._error(node, f"a position without {key}", "symbol, qty, avg_entry_price, price")
        symbol = self._symbol(found["symbol"])
        qty = self._figure(found["qty"])
        if not qty:
            raise self._error(found["qty"], "qty 0", "shares, negative when short")
        entry = self._price(found["avg_entry_price"]) if "avg_entry_price" in found else None
        price = self._price(found["price"]) if "price" in found else entry
        if price is None:
            raise self._error(node, f"position {symbol} without a price", "price or avg_entry_price")
        if "price" in found or symbol not in self._prices:
            self._prices[symbol] = price
        return Holding(symbol, qty, price if entry is None else entry)

    def _assets(self, node: yaml.Node) -> dict[str, Asset]:
        texts = {"status", "name", "exchange"}
        booleans = {"tradable", "fractionable", "marginable", "shortable", "easy_to_borrow"}
        assets = {}
        for symbol, facts_node in self._symbols(node).items():
            facts: dict[str, Any] = {"name": f"{symbol} Common Stock", "exchange": "NYSE"}
            for key, value in self._mapping(facts_node, texts | booleans).items():
                facts[key] = self._text(value) if key in texts else self._boolean(value)
            if facts.get("status", "active") not in {"active", "inactive"}:
                raise self._error(facts_node, f"status {facts['status']}", "active or inactive")
            if facts.get("status") == "inactive":
                facts.setdefault("tradable", False)
            assets[symbol] = Asset(symbol, **facts)
        return assets

    def _fills(self, node: yaml.Node) -> FillSettings:
        found = self._mapping(node, {"delay_ms", "slippage_bps", "partial_probability", "cash_delay_ms"})
        settings: dict[str, Any] = {}
        if "delay_ms" in found:
            settings["delay_ms"] = self._quantiles(found["delay_ms"], self._at_least_0)
        if "slippage_bps" in found:
            settings["slippage_bps"] = self._quantiles(found["slippage_bps"], self._figure)
        if "partial_probability" in found:
            chance = self._at_least_0(found["partial_probability"])
            if chance > 1:
                raise self._error(found["partial_probability"], f"{chance}", "a probability from 0 to 1")
            settings["partial_probability"] = chance
        if "cash_delay_ms" in found:
            settings["cash_delay_ms"] = self._at_least_0(found["cash_delay_ms"])
        return FillSettings(**settings)

    # Values

    def _quantiles(self, node: yaml.Node, read: Callable[[yaml.Node], Decimal]) -> tuple[Decimal, ...]:
        if isinstance(node, yaml.ScalarNode):
            return (read(node),)
        figures = tuple(read(item) for item in self._items(node))
        if not figures or list(figures) != sorted(figures):
            raise self._error(node, "figures that don't rise", "[smallest, ..., largest]")
        return figures

    def _figure(self, node: yaml.Node) -> Decimal:
        text = self._text(node)
        if not _FIGURE.match(text):
            raise self._error(node, repr(text), "a figure such as 12.50")
        return Decimal(text)

    def _at_least_0(self, node: yaml.Node) -> Decimal:
        figure = self._figure(node)
        if figure < 0:
            raise self._error(node, f"{figure}", "0 or more")
        return figure

    def _price(self, node: yaml.Node) -> Decimal:
        figure = self._figure(node)
        if figure <= 0:
            raise self._error(node, f"price {figure}", "more than 0")
        return figure

    def _count(self, node: yaml.Node) -> int:
        figure = self._figure(node)
        if figure != int(figure) or figure < 1:
            raise self._error(node, f"{figure}", "a whole number from 1")
        return int(figure)

    def _boolean(self, node: yaml.Node) -> bool:
        text = self._text(node)
        if text not in {"true", "false"}:
            raise self._error(node, repr(text), "true or false")
        return text == "true"

    def _time(self, node: yaml.Node) -> datetime:
        text = self._text(node)
        moment = parse_time(text)
        if moment is None or len(text) <= 10:
            raise self._error(node, repr(text), "a time such as 2025-11-10T15:09:12Z")
        return moment

    def _symbol(self, node: yaml.Node) -> str:
        text = self._text(node)
        if not _SYMBOL.match(text):
            raise self._error(node, repr(text), "a symbol such as AAPL or BRK.B")
        return text

    # Nodes

    def _compose(self, text: str) -> yaml.Node | None:
        try:
            self._refuse_extras(text)
            loader = yaml.SafeLoader(text)
            try:
                return loader.get_single_node()
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as error:
            line = (error.problem_mark.line + 1) if error.problem_mark else 1
            raise StateError(f"{self._source}:{line}: {error.problem}, expected plain YAML") from error
        except yaml.YAMLError as error:
            raise StateError(f"{self._source}:1: unreadable, expected plain YAML") from error

    def _refuse_extras(self, text: str) -> None:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
            if anchor is not None or tag is not None:
                mark = event.start_mark
                line = 1 if mark is None else mark.line + 1
                found = f"anchor or alias {anchor}" if anchor is not None else f"tag {tag}"
                raise StateError(f"{self._source}:{line}: {found}, expected plain YAML without anchors and tags")

    def _optional(self, top: Mapping[str, yaml.Node], key: str, known: set[str]) -> dict[str, yaml.Node]:
        return self._mapping(top[key], known) if key in top else {}

    def _symbols(self, node: yaml.Node) -> dict[str, yaml.Node]:
        found = self._pairs(node)
        for key, value in found.items():
            if not _SYMBOL.match(key):
                raise self._error(value, repr(key), "a symbol such as AAPL or BRK.B")
        return found

    def _mapping(self, node: yaml.Node, known: set[str]) -> dict[str, yaml.Node]:
        found = self._pairs(node)
        for key, value in found.items():
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {close[0]}?" if close else "one of " + ", ".join(sorted(known))
                raise self._error(value, f"unknown key {key}", hint)
        return found

    def _pairs(self, node: yaml.Node) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, "no mapping", "key: value")
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = self._text(key_node)
            if key in found:
                raise self._error(key_node, f"key {key} twice", "each key once")
            found[key] = value
        return found

    def _items(self, node: yaml.Node) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._error(node, "no list", "a list")
        return list(node.value)

    def _text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, "a list or mapping", "a single value")
        return str(node.value)

    def _error(self, node: yaml.Node, found: str, expected: str) -> StateError:
        return StateError(f"{self._source}:{node.start_mark.line + 1}: {found}, expected {expected}")
