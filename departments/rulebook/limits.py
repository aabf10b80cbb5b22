"""The house's limits: what each is, and the one file and key it stands in.

A limit is read by the very place that a refusal names, so the two can't disagree.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any, TypeVar

from messages.values import TradingState

ValueT = TypeVar("ValueT")

NO_SECTOR = frozenset({"", "-", "?", "n/a", "na", "none", "null", "unknown", "unclassified"})
"""What is written where nobody knows a sector; "Unknown" is no sector that may fill up."""


SECTIONS = {
    "executive_config.yaml": "executive",
    "compliance_config.yaml": "compliance",
    "hard_constraints.yaml": "hard_constraints",
    "operations_config.yaml": "operations",
}
"""Which part of the settings a file fills."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a limit stands.

    Attributes:
        file: A file of the configuration folder.
        key: Dotted key in it.
        read: Takes what stands there out of the settings.
    """

    file: str
    key: str
    read: Callable[[object], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the reader once: limits are read for every message."""
        object.__setattr__(self, "read", attrgetter(f"{SECTIONS[self.file]}.{self.key}"))


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
MAX_SECTOR_FRACTION = Place("hard_constraints.yaml", "exposure.max_sector_fraction")
SECTORS_OF_SYMBOLS = Place("compliance_config.yaml", "sectors.of_symbols")
MAX_PLAN_AGE = Place("compliance_config.yaml", "approval.max_plan_age_s")
MAX_PLANS_A_DAY = Place("compliance_config.yaml", "daily.max_plans")
MAX_ORDERS_A_DAY = Place("compliance_config.yaml", "daily.max_orders")
REFUSE_LEG_DONE = Place("compliance_config.yaml", "daily.refuse_leg_done")
DAYS_AFTER_STOP = Place("compliance_config.yaml", "cool_down.days_after_stop")
MAX_ROUND_TRIPS = Place("compliance_config.yaml", "day_trades.max_round_trips")
MAX_VOLUME_FRACTION = Place("compliance_config.yaml", "liquidity.max_volume_fraction")
MAX_PAIR_CORRELATION = Place("compliance_config.yaml", "correlation.max_pair")
MAX_AVERAGE_CORRELATION = Place("compliance_config.yaml", "correlation.max_average")
EARNINGS_DAYS_BEFORE = Place("compliance_config.yaml", "earnings.days_before")
MAX_DAILY_LOSS = Place("hard_constraints.yaml", "loss_limits.max_daily_loss_fraction")
ON_DAILY_LOSS = Place("hard_constraints.yaml", "loss_limits.on_daily_loss")
MAX_DRAWDOWN = Place("hard_constraints.yaml", "loss_limits.max_drawdown_fraction")
ON_DRAWDOWN = Place("hard_constraints.yaml", "loss_limits.on_drawdown")
FUNDING = Place("executive_config.yaml", "funding")
ALLOW_FRACTIONAL = Place("operations_config.yaml", "allow_fractional")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The figures the rules judge by. USD, fractions of equity (0.08 is 8 %) or of a price; None: the rule is off.

    Attributes:
        sectors: Symbol -> sector, for what is held and what a plan leaves open.
    """

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
    max_sector_fraction: Decimal | None
    sectors: Mapping[str, str]
    max_plan_age_s: int | None
    max_plans_a_day: int | None
    max_orders_a_day: int | None
    refuse_leg_done: bool
    days_after_stop: int | None
    max_round_trips: int | None
    max_volume_fraction: Decimal | None
    max_pair_correlation: Decimal | None
    max_average_correlation: Decimal | None
    earnings_days_before: int | None
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
        max_sector_fraction=_figure_or_off(settings, MAX_SECTOR_FRACTION, Decimal),
        sectors=_sectors(settings),
        max_plan_age_s=_figure_or_off(settings, MAX_PLAN_AGE, int),
        max_plans_a_day=_figure_or_off(settings, MAX_PLANS_A_DAY, int),
        max_orders_a_day=_figure_or_off(settings, MAX_ORDERS_A_DAY, int),
        refuse_leg_done=_value(settings, REFUSE_LEG_DONE, bool),
        days_after_stop=_figure_or_off(settings, DAYS_AFTER_STOP, int),
        max_round_trips=_figure_or_off(settings, MAX_ROUND_TRIPS, int),
        max_volume_fraction=_figure_or_off(settings, MAX_VOLUME_FRACTION, Decimal),
        max_pair_correlation=_figure_or_off(settings, MAX_PAIR_CORRELATION, Decimal),
        max_average_correlation=_figure_or_off(settings, MAX_AVERAGE_CORRELATION, Decimal),
        earnings_days_before=_figure_or_off(settings, EARNINGS_DAYS_BEFORE, int),
        max_daily_loss_fraction=_figure_or_off(settings, MAX_DAILY_LOSS, Decimal),
        on_daily_loss=TradingState(_value(settings, ON_DAILY_LOSS, str).upper()),
        max_drawdown_fraction=_figure_or_off(settings, MAX_DRAWDOWN, Decimal),
        on_drawdown=TradingState(_value(settings, ON_DRAWDOWN, str).upper()),
    )


def _value(settings: object, place: Place, kind: type[ValueT]) -> ValueT:
    found = place.read(settings)
    if not isinstance(found, kind):
        raise TypeError(f"{place.file}: {place.key}: expected {kind.__name__}, was {found!r}")
    return found


def sector_of(name: str | None) -> str | None:
    """A sector as somebody named it; None for a word that means there is none."""
    return None if name is None or name.casefold() in NO_SECTOR else name


def _sectors(settings: object) -> Mapping[str, str]:
    listed: Mapping[str, str] = _value(settings, SECTORS_OF_SYMBOLS, dict)
    return {symbol: name for symbol, name in listed.items() if sector_of(name) is not None}


def _figure_or_off(settings: object, place: Place, kind: type[ValueT]) -> ValueT | None:
    return None if place.read(settings) is None else _value(settings, place, kind)
