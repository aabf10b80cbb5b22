"""The parts of the state file that tell of the past: `bars`, `equity_history`, `fills_history`."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Final

import yaml

from paper_alpaca import hours
from paper_alpaca.market import DailyBar
from paper_alpaca.orders import Side
from paper_alpaca.past import ORDER_TYPES, Close, PastFill
from paper_alpaca.strict_yaml import Nodes

PAST_KEYS: Final = frozenset({"equity_history", "fills_history"})
_BAR: Final = ("day", "open", "high", "low", "close", "volume")
_FILL: Final = ("symbol", "side", "qty", "price", "at")


class PastNodes(Nodes):
    """Reads them."""

    def bars(self, node: yaml.Node) -> dict[str, tuple[DailyBar, ...]]:
        """Read daily bars by symbol."""
        found: dict[str, tuple[DailyBar, ...]] = {}
        for symbol, rows in self.symbols(node).items():
            bars = tuple(self._bar(row) for row in self.items(rows))
            self._rise(rows, [bar.day for bar in bars])
            found[symbol] = bars
        return found

    def closes(self, node: yaml.Node) -> tuple[Close, ...]:
        """Read daily closes."""
        found: list[Close] = []
        for row in self.items(node):
            given = self._whole(row, ("day", "equity"))
            found.append(Close(self.trading_day(given["day"]), self.figure(given["equity"])))
        self._rise(node, [close.day for close in found])
        return tuple(found)

    def past_fills(self, node: yaml.Node) -> tuple[PastFill, ...]:
        """Read executions."""
        found: list[PastFill] = []
        orders: dict[str, PastFill] = {}
        for number, row in enumerate(self.items(node), 1):
            fill = self._fill(row, number)
            first = orders.setdefault(fill.order, fill)
            if (fill.symbol, fill.side, fill.order_type) != (first.symbol, first.side, first.order_type):
                raise self.error(row, f"order {fill.order} with two symbols, sides or types", "executions of one order")
            if found and fill.at < found[-1].at:
                raise self.error(row, "an execution before the one above it", "the oldest first")
            found.append(fill)
        return tuple(found)

    def trading_day(self, node: yaml.Node) -> date:
        """Read a day on which the market opens."""
        text = self.text(node)
        try:
            day = date.fromisoformat(text)
        except ValueError:
            day = None
        if day is None or len(text) != 10 or not hours.is_trading_day(day):
            raise self.error(node, repr(text), "a trading day such as 2025-11-10")
        return day

    def _bar(self, node: yaml.Node) -> DailyBar:
        given = self._whole(node, _BAR)
        opens, high, low, closes = (self.price(given[key]) for key in ("open", "high", "low", "close"))
        if not low <= min(opens, closes) or not max(opens, closes) <= high:
            raise self.error(node, f"low {low}, high {high}", "open and close between them")
        volume = self.at_least_0(given["volume"])
        if volume != int(volume):
            raise self.error(given["volume"], f"{volume}", "whole shares")
        day = self.trading_day(given["day"])
        return DailyBar(day=day, open=opens, high=high, low=low, close=closes, volume=int(volume))

    def _fill(self, node: yaml.Node, number: int) -> PastFill:
        given = self._whole(node, _FILL, optional=("type", "order", "submitted_at"))
        side, kind = self.text(given["side"]), self.text(given["type"]) if "type" in given else "market"
        if kind not in ORDER_TYPES:
            raise self.error(given["type"], repr(kind), "one of " + ", ".join(sorted(ORDER_TYPES)))
        at, qty = self.time(given["at"]), self.figure(given["qty"])
        if qty <= 0:
            raise self.error(given["qty"], f"qty {qty}", "more than 0")
        submitted_at: datetime = self.time(given["submitted_at"]) if "submitted_at" in given else at
        if submitted_at > at:
            raise self.error(given["submitted_at"], "an order placed after its execution", "submitted_at up to at")
        return PastFill(
            order=self.text(given["order"]) if "order" in given else f"#{number}",
            symbol=self.symbol(given["symbol"]),
            side=self._side(given["side"], side),
            qty=qty,
            price=self.price(given["price"]),
            at=at,
            order_type=kind,
            submitted_at=submitted_at,
        )

    def _side(self, node: yaml.Node, text: str) -> Side:
        match text:
            case "buy" | "sell":
                return text
            case _:
                raise self.error(node, repr(text), "buy or sell")

    def _whole(self, node: yaml.Node, needed: Sequence[str], *, optional: Sequence[str] = ()) -> dict[str, yaml.Node]:
        found = self.mapping(node, {*needed, *optional})
        for key in needed:
            if key not in found:
                raise self.error(node, f"an entry without {key}", ", ".join(needed))
        return found

    def _rise(self, node: yaml.Node, days: Sequence[date]) -> None:
        if any(later <= earlier for earlier, later in pairwise(days)):
            raise self.error(node, "days that don't rise", "each day once, the oldest first")
