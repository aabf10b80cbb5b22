"""The house's limits: what each is, and the one file and key it stands in.

A limit is read by the very place that a refusal names, so the two can't disagree.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from messages.values import TradingState

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a limit stands.

    Attributes:
        file: A file of the configuration folder.
        key: Dotted key in it.
    """

    file: str
    key: str


SECTIONS = {
    "executive_config.yaml": "executive",
    "compliance_config.yaml": "compliance",
    "hard_constraints.yaml": "hard_constraints",
    "operations_config.yaml": "operations",
}
"""Which part of the settings a file fills."""

MIN_POSITION_VALUE = Place("compliance_config.yaml", "position_sizing.min_position_value")
MAX_PRICE_DEVIATION = Place("compliance_config.yaml", "prices.max_price_deviation_fraction")
PRICE_CUSHION = Place("compliance_config.yaml", "prices.price_cushion_fraction")
MIN_PRICE = Place("compliance_config.yaml", "price_bounds.min_price")
MAX_PRICE = Place("compliance_config.yaml", "price_bounds.max_price")
MAX_ORDER_VALUE = Place("compliance_config.yaml", "orders.max_order_value")
MAX_ORDER_QTY = Place("compliance_config.yaml", "orders.max_order_qty")
MAX_PLAN_RISK = Place("compliance_config.yaml", "risk.max_plan_risk_fraction")
ASSUMED_STOP = Place("compliance_config.yaml", "risk.assumed_stop_fraction")
RESTRICTED = Place("compliance_config.yaml", "restricted.symbols")
CASH_RESERVE = Place("compliance_config.yaml", "cash.cash_reserve")
MAX_POSITIONS = Place("hard_constraints.yaml", "position_limits.max_positions_total")
MAX_POSITION_FRACTION = Place("hard_constraints.yaml", "position_limits.max_position_fraction")
MAX_GROSS_EXPOSURE = Place("hard_constraints.yaml", "exposure.max_gross_exposure_fraction")
MAX_DAILY_LOSS = Place("hard_constraints.yaml", "loss_limits.max_daily_loss_fraction")
ON_DAILY_LOSS = Place("hard_constraints.yaml", "loss_limits.on_daily_loss")
MAX_DRAWDOWN = Place("hard_constraints.yaml", "loss_limits.max_drawdown_fraction")
ON_DRAWDOWN = Place("hard_constraints.yaml", "loss_limits.on_drawdown")
FUNDING = Place("executive_config.yaml", "funding")
ALLOW_FRACTIONAL = Place("operations_config.yaml", "allow_fractional")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The figures the rules judge by. USD, fractions of equity (0.08 is 8 %) or of a price; None: the rule is off."""

    min_position_value_usd: Decimal
    max_price_deviation_fraction: Decimal
    price_cushion_fraction: Decimal
    min_price_usd: Decimal
    max_price_usd: Decimal
    max_order_value_usd: Decimal
    max_order_qty: Decimal
    max_plan_risk_fraction: Decimal
    assumed_stop_fraction: Decimal
    restricted: tuple[str, ...]
    cash_reserve_usd: Decimal
    max_positions_total: int
    max_position_fraction: Decimal
    max_gross_exposure_fraction: Decimal
    allow_fractional: bool
    max_daily_loss_fraction: Decimal | None
    on_daily_loss: TradingState
    max_drawdown_fraction: Decimal | None
    on_drawdown: TradingState


def limits_of(settings: object) -> Limits:
    """Read every limit from the settings, each by its place.

    Raises:
        AttributeError: The settings have no such key.
        TypeError: A key holds something else than the limit needs.
    """
    return Limits(
        min_position_value_usd=_value(settings, MIN_POSITION_VALUE, Decimal),
        max_price_deviation_fraction=_value(settings, MAX_PRICE_DEVIATION, Decimal),
        price_cushion_fraction=_value(settings, PRICE_CUSHION, Decimal),
        min_price_usd=_value(settings, MIN_PRICE, Decimal),
        max_price_usd=_value(settings, MAX_PRICE, Decimal),
        max_order_value_usd=_value(settings, MAX_ORDER_VALUE, Decimal),
        max_order_qty=_value(settings, MAX_ORDER_QTY, Decimal),
        max_plan_risk_fraction=_value(settings, MAX_PLAN_RISK, Decimal),
        assumed_stop_fraction=_value(settings, ASSUMED_STOP, Decimal),
        restricted=_value(settings, RESTRICTED, tuple),
        cash_reserve_usd=_value(settings, CASH_RESERVE, Decimal),
        max_positions_total=_value(settings, MAX_POSITIONS, int),
        max_position_fraction=_value(settings, MAX_POSITION_FRACTION, Decimal),
        max_gross_exposure_fraction=_value(settings, MAX_GROSS_EXPOSURE, Decimal),
        allow_fractional=_value(settings, ALLOW_FRACTIONAL, bool),
        max_daily_loss_fraction=_figure_or_off(settings, MAX_DAILY_LOSS, Decimal),
        on_daily_loss=TradingState(_value(settings, ON_DAILY_LOSS, str).upper()),
        max_drawdown_fraction=_figure_or_off(settings, MAX_DRAWDOWN, Decimal),
        on_drawdown=TradingState(_value(settings, ON_DRAWDOWN, str).upper()),
    )


def _value(settings: object, place: Place, kind: type[ValueT]) -> ValueT:
    found = _found(settings, place)
    if not isinstance(found, kind):
        raise TypeError(f"{place.file}: {place.key}: expected {kind.__name__}, was {found!r}")
    return found


def _figure_or_off(settings: object, place: Place, kind: type[ValueT]) -> ValueT | None:
    return None if _found(settings, place) is None else _value(settings, place, kind)


def _found(settings: object, place: Place) -> Any:
    found: Any = getattr(settings, SECTIONS[place.file])
    for name in place.key.split("."):
        found = getattr(found, name)
    return found
