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
            },
            hard_constraints={
                "position_limits": {"max_positions_total": 10, "max_position_fraction": 11},
                "exposure": {"max_gross_exposure_fraction": 12},
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
    losses = [Decimal("0.1"), TradingState.HALTED, None, TradingState.HALTED]
    figures = [1, 2, 3, 4, 5, 6, 7, 8, 1, ("GME",), 9, 10, 11, 12, True, *losses]
    assert [getattr(changed, name) for name in names] == figures


def test_settings_of_another_kind_are_no_limit():
    wrong = settings().model_copy(
        update={"operations": settings().operations.model_copy(update={"allow_fractional": 1})}
    )

    with pytest.raises(TypeError, match=r"operations_config.yaml: allow_fractional: expected bool, was 1"):
        limits.limits_of(wrong)
    with pytest.raises(AttributeError):
        limits.limits_of(object())
