"""The vocabulary: identifiers, sides, money and time, each valid by construction.

Money and quantities are `Decimal` made from text, never from float. Times are aware and kept in UTC.
"""

import hashlib
import re
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, NewType

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

AccountName = NewType("AccountName", str)
PlanId = NewType("PlanId", str)
RunId = NewType("RunId", str)
LegId = NewType("LegId", str)
ClientOrderId = NewType("ClientOrderId", str)
OrderId = NewType("OrderId", str)

CLIENT_ORDER_ID_MAX_LENGTH = 36
"""Alpaca takes 128 today; 36 is announced for idempotency keys."""


class Recipient(StrEnum):
    """Who can be written to.

    `BROKER` is the desk that carries calls to Alpaca and brings the answers, `CABINET` files what waits for a person.
    """

    EXECUTIVE = "executive"
    OPERATIONS = "operations"
    COMPLIANCE = "compliance"
    TRADING = "trading"
    BROKER = "broker"
    CABINET = "cabinet"


class Side(StrEnum):
    """Side of an order."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """Order types a plan may ask for."""

    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """How long an order stands: for the day, or good till canceled."""

    DAY = "day"
    GTC = "gtc"


class SellShortfall(StrEnum):
    """What happens when not every SELL fills: hold the run, resize the BUYs, or abort."""

    HOLD = "hold"
    RESIZE = "resize"
    ABORT = "abort"


class Funding(StrEnum):
    """What may pay for the BUYs (the formulas stand in `departments/rulebook/money.py`)."""

    PROCEEDS = "proceeds"
    CASH = "cash"
    BUYING_POWER = "buying_power"


class TradingState(StrEnum):
    """What of an account's new orders may leave: all, only what reduces a position, nothing. Cancels always may."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


_STRICTNESS = tuple(TradingState)


def stricter(one: TradingState, other: TradingState) -> TradingState:
    """The one of two states that lets less leave."""
    return max(one, other, key=_STRICTNESS.index)


def _no_float(value: Any) -> Any:
    """Refuse binary floating point before pydantic could round it into a Decimal."""
    if isinstance(value, (float, bool)):
        raise ValueError(f"expected a decimal as text, was {type(value).__name__} {value!r}")  # noqa: TRY004 - pydantic wants ValueError
    return value


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Exact = Annotated[Decimal, BeforeValidator(_no_float), Field(allow_inf_nan=False)]
"""Any finite decimal made from text, int or Decimal; never from float."""
Usd = Exact
"""US dollars, any sign."""
Price = Annotated[Exact, Field(gt=0)]
"""USD per share, > 0."""
Qty = Annotated[Exact, Field(gt=0)]
"""Shares, > 0."""
QtyOrZero = Annotated[Exact, Field(ge=0)]
"""Shares, >= 0."""
Fraction = Annotated[Exact, Field(ge=0)]
"""A share of one, >= 0 (0.08 is 8 %)."""
Utc = Annotated[AwareDatetime, AfterValidator(_utc)]
"""An aware instant, normalised to UTC."""
SYMBOL_PATTERN = r"^[A-Z][A-Z0-9]{0,9}([./][A-Z0-9]{1,5})?$"
Symbol = Annotated[str, Field(pattern=SYMBOL_PATTERN)]
"""A ticker as Alpaca writes it: `AAPL`, `BRK.B`."""


class Record(BaseModel):
    """A frozen, closed value: unknown fields are refused, nothing changes after construction."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def can_be_planned(symbol: str) -> bool:
    """Whether a plan can name this symbol; an option, which an account may hold as well, has another form."""
    return re.fullmatch(SYMBOL_PATTERN, symbol) is not None


def sha256_hex(data: bytes) -> str:
    """SHA-256 of some bytes, 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def run_id_for(account: str, plan_sha256: str) -> RunId:
    """Name the run of a plan: the same account and the same bytes give the same run, always.

    Returns:
        `R` and 20 hex digits, short enough to stand in a client_order_id.
    """
    return RunId("R" + sha256_hex(f"{account}\n{plan_sha256}".encode())[:20])


def client_order_id_for(run_id: str, leg: str, attempt: int) -> ClientOrderId:
    """Derive the id of one attempt at one leg; committed before the POST, so a resend carries the same id.

    Raises:
        ValueError: The id would be longer than Alpaca's announced limit.
    """
    name = f"{run_id}-{leg}-{attempt}"
    if len(name) > CLIENT_ORDER_ID_MAX_LENGTH:
        raise ValueError(f"client_order_id: expected at most {CLIENT_ORDER_ID_MAX_LENGTH} characters, was {name!r}")
    return ClientOrderId(name)


def run_of_client_order_id(client_order_id: str) -> RunId | None:
    """Read the run out of an id made by `client_order_id_for`; None for ids that are not of that form."""
    run, _, rest = client_order_id.partition("-")
    of_our_form = len(run) == 21 and run.startswith("R") and rest.count("-") == 1
    return RunId(run) if of_our_form else None
