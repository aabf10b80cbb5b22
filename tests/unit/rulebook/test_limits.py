"""Every limit is read by the file and key that a refusal names."""

from decimal import Decimal
from typing import get_type_hints

import pytest

from departments.rulebook import limits
from messages.values import TradingState
from tests.builders.portfolio import settings

PLACES = [place for place in vars(limits).values() if isinstance(place, limits.Place)]
SHIPPED = {
    ("compliance_config.yaml", "position_sizing.min_position_value"): Decimal(500),
    ("compliance_config.yaml", "prices.max_price_deviation_fraction"): Decimal("0.10"),
    ("compliance_config.yaml", "prices.price_cushion_fraction"): Decimal("0.03"),
    ("compliance_config.yaml", "price_bounds.min_price"): Decimal("0.10"),
    ("compliance_config.yaml", "price_bounds.max_price"): Decimal(10_000),
    ("compliance_config.yaml", "orders.max_order_value"): Decimal(100_000),
    ("compliance_config.yaml", "orders.max_order_qty"): Decimal(20_000),
    ("compliance_config.yaml", "risk.max_plan_risk_fraction"): Decimal("0.15"),
    ("compliance_config.yaml", "risk.assumed_stop_fraction"): Decimal("0.10"),
    ("compliance_config.yaml", "restricted.symbols"): (),
    ("compliance_config.yaml", "cash.cash_reserve"): Decimal(0),
    ("hard_constraints.yaml", "position_limits.max_positions_total"): 30,
    ("hard_constraints.yaml", "position_limits.max_position_fraction"): Decimal("0.08"),
    ("hard_constraints.yaml", "exposure.max_gross_exposure_fraction"): Decimal("2.0"),
    ("hard_constraints.yaml", "exposure.max_sector_fraction"): None,
    ("compliance_config.yaml", "sectors.of_symbols"): {},
    ("compliance_config.yaml", "approval.max_plan_age_s"): 64_800,
    ("compliance_config.yaml", "daily.max_plans"): 3,
    ("compliance_config.yaml", "daily.max_orders"): 200,
    ("compliance_config.yaml", "daily.refuse_leg_done"): True,
    ("compliance_config.yaml", "cool_down.days_after_stop"): 3,
    ("compliance_config.yaml", "day_trades.max_round_trips"): 4,
    ("compliance_config.yaml", "liquidity.max_volume_fraction"): None,
    ("compliance_config.yaml", "correlation.max_pair"): None,
    ("compliance_config.yaml", "correlation.max_average"): None,
    ("compliance_config.yaml", "earnings.days_before"): None,
    ("hard_constraints.yaml", "loss_limits.max_daily_loss_fraction"): Decimal("0.05"),
    ("hard_constraints.yaml", "loss_limits.on_daily_loss"): "reducing",
    ("hard_constraints.yaml", "loss_limits.max_drawdown_fraction"): Decimal("0.20"),
    ("hard_constraints.yaml", "loss_limits.on_drawdown"): "reducing",
    ("executive_config.yaml", "funding"): "proceeds",
    ("operations_config.yaml", "allow_fractional"): False,
}


def test_the_places_are_those_of_the_contract():
    assert {(place.file, place.key) for place in PLACES} == set(SHIPPED)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.key)
def test_a_place_leads_to_its_figure(place):
    found = getattr(settings(), limits.SECTIONS[place.file])
    for name in place.key.split("."):
        found = getattr(found, name)

    assert found == SHIPPED[place.file, place.key]


def test_limits_are_the_shipped_figures():
    read = limits.limits_of(settings())

    assert read == limits.Limits(
        min_position_value_usd=Decimal(500),
        max_price_deviation_fraction=Decimal("0.10"),
        price_cushion_fraction=Decimal("0.03"),
        min_price_usd=Decimal("0.10"),
        max_price_usd=Decimal(10_000),
        max_order_value_usd=Decimal(100_000),
        max_order_qty=Decimal(20_000),
        max_plan_risk_fraction=Decimal("0.15"),
        assumed_stop_fraction=Decimal("0.10"),
        restricted=(),
        cash_reserve_usd=Decimal(0),
        max_positions_total=30,
        max_position_fraction=Decimal("0.08"),
        max_gross_exposure_fraction=Decimal("2.0"),
        allow_fractional=False,
        max_sector_fraction=None,
        sectors={},
        max_plan_age_s=64_800,
        max_plans_a_day=3,
        max_orders_a_day=200,
        refuse_leg_done=True,
        days_after_stop=3,
        max_round_trips=4,
        max_volume_fraction=None,
        max_pair_correlation=None,
        max_average_correlation=None,
        earnings_days_before=None,
        max_daily_loss_fraction=Decimal("0.05"),
        on_daily_loss=TradingState.REDUCING,
        max_drawdown_fraction=Decimal("0.20"),
        on_drawdown=TradingState.REDUCING,
    )


def test_each_limit_follows_its_own_key():
    changed = limits.limits_of(
        settings(
            compliance={
                "position_sizing": {"min_position_value": 1},
                "prices": {"max_price_deviation_fraction": 2, "price_cushion_fraction": 3},
                "price_bounds": {"min_price": 4, "max_price": 5},
                "orders": {"max_order_value": 6, "max_order_qty": 7},
                "risk": {"max_plan_risk_fraction": 8, "assumed_stop_fraction": 1},
                "restricted": {"symbols": ["GME"]},
                "cash": {"cash_reserve": 9},
                "sectors": {"of_symbols": {"NVDA": "Technology"}},
                "approval": {"max_plan_age_s": 14},
                "daily": {"max_plans": 15, "max_orders": 16, "refuse_leg_done": False},
                "cool_down": {"days_after_stop": 7},
                "day_trades": {"max_round_trips": 18},
                "liquidity": {"max_volume_fraction": 19},
                "correlation": {"max_pair": "0.2", "max_average": "0.3"},
                "earnings": {"days_before": 21},
            },
            hard_constraints={
                "position_limits": {"max_positions_total": 10, "max_position_fraction": 11},
                "exposure": {"max_gross_exposure_fraction": 12, "max_sector_fraction": "0.13"},
                "loss_limits": {
                    "max_daily_loss_fraction": "0.1",
                    "on_daily_loss": "halted",
                    "max_drawdown_fraction": None,
                    "on_drawdown": "halted",
                },
            },
            operations={"allow_fractional": True},
        )
    )

    names = get_type_hints(limits.Limits)
    # fmt: off
    assert [getattr(changed, name) for name in names] == [
        1, 2, 3, 4, 5, 6, 7, 8, 1, ("GME",), 9, 10, 11, 12, True, Decimal("0.13"), {"NVDA": "Technology"}, 14, 15, 16,
        False, 7, 18, 19, Decimal("0.2"), Decimal("0.3"), 21,
        Decimal("0.1"), TradingState.HALTED, None, TradingState.HALTED,
    ]
    # fmt: on


def test_every_rule_that_can_be_switched_off_is_off_at_null():
    off = limits.limits_of(
        settings(
            compliance={
                "approval": {"max_plan_age_s": None},
                "daily": {"max_plans": None, "max_orders": None},
                "cool_down": {"days_after_stop": None},
                "day_trades": {"max_round_trips": None},
            }
        )
    )

    assert (off.max_plan_age_s, off.max_plans_a_day, off.max_orders_a_day) == (None, None, None)
    assert (off.days_after_stop, off.max_round_trips) == (None, None)


def test_settings_of_another_kind_are_no_limit():
    wrong = settings().model_copy(
        update={"operations": settings().operations.model_copy(update={"allow_fractional": 1})}
    )

    with pytest.raises(TypeError, match=r"operations_config.yaml: allow_fractional: expected bool, was 1"):
        limits.limits_of(wrong)
    with pytest.raises(AttributeError):
        limits.limits_of(object())


def test_a_figure_of_another_kind_is_neither_a_limit_nor_off():
    compliance = settings().compliance
    wrong = settings().model_copy(
        update={
            "compliance": compliance.model_copy(
                update={"daily": compliance.daily.model_copy(update={"max_plans": "off"})}
            )
        }
    )

    with pytest.raises(TypeError, match=r"compliance_config.yaml: daily.max_plans: expected int, was 'off'"):
        limits.limits_of(wrong)
