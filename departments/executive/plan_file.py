"""The plan file: what a person approves, read so strictly that it can mean only one thing.

The run is executed from the bytes read here, named by their SHA-256; the file may change or vanish afterwards.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from pathlib import Path

from pydantic import ValidationError

from departments.office.bad_input import BadInput, shown, suggestion
from departments.office.strict_fields import FieldReader
from departments.office.strict_tree import Node, Scalar
from departments.office.strict_yaml import parse, read_bytes
from messages.plans import Plan, Trade, usual_time_in_force
from messages.values import (
    AccountName,
    Funding,
    LegId,
    OrderType,
    SellShortfall,
    Side,
    TimeInForce,
    sha256_hex,
)

MAX_TRADES = 500
PLACES_QTY_MAX = 9
"""Decimals of a quantity. Source: Alpaca, fractional trading."""

_NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.:-]*"
_SYMBOL_PATTERN = r"[A-Z][A-Z0-9]{0,9}([./][A-Z0-9]{1,5})?"
_ONE_USD = Decimal(1)


def read_plan(
    source: Path | bytes, *, name: str | None = None, accounts: Collection[str] | None = None
) -> tuple[Plan, str]:
    """Read a plan.

    Args:
        source: The file, or its bytes.
        name: How to call it in errors; the path itself where it is None.
        accounts: Names that `firm.yaml` knows; None: any name is taken.

    Returns:
        The plan, and its text; the text's UTF-8 bytes have the hash `plan_sha256`.

    Raises:
        BadInput: Every problem, with file and line.
    """
    if isinstance(source, Path):
        file = name or str(source)
        data = read_bytes(source, expected="a plan file")
    else:
        file = name or "plan"
        data = source
    root = parse(data, file, expected="a plan")
    plan = _PlanReader(file, accounts).plan(root, sha256_hex(data))
    return plan, data.decode("utf-8")


class _PlanReader:
    """One reading of one plan."""

    def __init__(self, name: str, accounts: Collection[str] | None) -> None:
        self._reader = FieldReader(name)
        self._name = name
        self._accounts = accounts
        self._sides_seen = {Side.SELL: 0, Side.BUY: 0}

    def plan(self, root: Node, plan_sha256: str) -> Plan:
        read = self._reader
        fields = read.fields(
            root,
            where="the plan",
            required=("plan_id", "account", "trades"),
            optional=("sell_shortfall", "funding", "expires_at"),
        )
        values = {
            "plan_id": read.text(
                fields.get("plan_id"),
                where="plan_id",
                pattern=_NAME_PATTERN,
                expected="a name of letters, digits and _.:- like PLAN_20251110_070542",
            ),
            "account": self._account(fields.get("account")),
            "sell_shortfall": read.choice(fields.get("sell_shortfall"), SellShortfall, where="sell_shortfall"),
            "funding": read.choice(fields.get("funding"), Funding, where="funding"),
            "expires_at": read.instant(fields.get("expires_at"), where="expires_at"),
        }
        nodes = read.items(fields.get("trades"), where="trades", most=MAX_TRADES)
        trades = tuple(self._trade(node, number) for number, node in enumerate(nodes, start=1))
        read.raise_problems()
        try:
            return Plan.model_validate(
                {**values, "plan_sha256": plan_sha256, "trades": [trade for trade in trades if trade is not None]}
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadInput.of(self._name, root.line, f"{where}: {first['msg']}") from None

    def _account(self, node: Node | None) -> AccountName | None:
        name = self._reader.text(node, where="account", pattern=_NAME_PATTERN, expected="an account's name")
        if name is None or node is None:
            return None
        if self._accounts is not None and name not in self._accounts:
            known = suggestion(name, self._accounts) or f", expected one of {', '.join(sorted(self._accounts))}"
            self._reader.note(node.line, f"account: {shown(name)} is not in firm.yaml{known}")
            return None
        return AccountName(name)

    def _trade(self, node: Node, number: int) -> Trade | None:
        read = self._reader
        problems_before = len(read.problems)
        where = f"trade {number}"
        fields = read.fields(
            node,
            where=where,
            required=("symbol", "side", "qty", "reference_price"),
            optional=(
                "order_type",
                "limit_price",
                "time_in_force",
                "stop_loss",
                "take_profit",
                "atr",
                "sector",
                "score",
                "earnings_date",
            ),
        )
        symbol = read.text(
            fields.get("symbol"),
            where=f"{where}: symbol",
            pattern=_SYMBOL_PATTERN,
            expected="a ticker like AAPL or BRK.B",
            most=16,
        )
        if symbol is not None:
            where = f"{where} ({symbol})"
        side = read.choice(fields.get("side"), Side, where=f"{where}: side")
        order_type = read.choice(fields.get("order_type"), OrderType, where=f"{where}: order_type")
        time_in_force = read.choice(fields.get("time_in_force"), TimeInForce, where=f"{where}: time_in_force")
        values = {
            "symbol": symbol,
            "side": side,
            "qty": read.decimal(fields.get("qty"), where=f"{where}: qty", places_max=PLACES_QTY_MAX),
            "reference_price_usd": read.decimal(fields.get("reference_price"), where=f"{where}: reference_price"),
            "order_type": order_type or OrderType.MARKET,
            "limit_price_usd": self._tick(fields.get("limit_price"), where=f"{where}: limit_price"),
            "time_in_force": time_in_force or self._usual_time_in_force(side, fields),
            "sector": read.text(fields.get("sector"), where=f"{where}: sector"),
            "score": read.decimal(fields.get("score"), where=f"{where}: score", positive=False),
            "stop_loss_usd": self._tick(fields.get("stop_loss"), where=f"{where}: stop_loss"),
            "take_profit_usd": self._tick(fields.get("take_profit"), where=f"{where}: take_profit"),
            "atr_usd": read.decimal(fields.get("atr"), where=f"{where}: atr"),
            "earnings_date": read.day(fields.get("earnings_date"), where=f"{where}: earnings_date"),
        }
        if order_type is not None or "order_type" not in fields:
            self._check_together(node, values["order_type"], fields, where)
        if len(read.problems) > problems_before or side is None:
            return None
        self._sides_seen[side] += 1
        leg = LegId(f"{'S' if side is Side.SELL else 'B'}{self._sides_seen[side]:02d}")
        try:
            return Trade.model_validate({"leg": leg, **values})
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            read.note(node.line, f"{where}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}")
            return None

    def _usual_time_in_force(self, side: Side | None, fields: Mapping[str, Node]) -> TimeInForce:
        protected = any(fields.get(name) is not None for name in ("stop_loss", "take_profit"))
        return usual_time_in_force(side or Side.SELL, protected=protected)

    def _tick(self, node: Node | None, *, where: str) -> Decimal | None:
        """Read a price that goes to the broker: 2 decimals from $1, 4 below. Source: Alpaca, orders."""
        price = self._reader.decimal(node, where=where)
        if price is None or not isinstance(node, Scalar):
            return price
        places_max = 2 if price >= _ONE_USD else 4
        if len(node.text.partition(".")[2].rstrip("0")) > places_max:
            self._reader.note(node.line, f"{where}: {shown(node.text)}, expected at most {places_max} decimals")
            return None
        return price

    def _check_together(self, node: Node, order_type: object, fields: Collection[str], where: str) -> None:
        """Fields that need or exclude each other; an order type that could not be read is not judged again."""
        if order_type is OrderType.LIMIT and "limit_price" not in fields:
            self._reader.note(node.line, f"{where}: limit_price is missing, expected it with order_type limit")
        if order_type is OrderType.MARKET and "limit_price" in fields:
            self._reader.note(node.line, f"{where}: limit_price with a market order, expected order_type: limit")
