"""Limits that don't go together are named; those that ship do."""

from decimal import Decimal
from pathlib import Path

import pytest

from departments.office.limits_check import limit_troubles
from departments.office.settings_loader import load_settings
from tests.builders.portfolio import settings

EQUITY = Decimal(100_000)
ROOT = Path(__file__).resolve().parents[3]


def test_the_shipped_limits_go_together():
    assert limit_troubles(load_settings(ROOT / "config"), EQUITY) == ()


@pytest.mark.parametrize(
    ("fatal", "names", "changes"),
    [
        (True, "max_position_fraction 0 ", {"hard_constraints": {"position_limits": {"max_position_fraction": "0"}}}),
        (False, "never be invested", {"hard_constraints": {"position_limits": {"max_positions_total": 12}}}),
        (
            False,
            "above max_gross_exposure_fraction",
            {"hard_constraints": {"exposure": {"max_gross_exposure_fraction": "0.05"}}},
        ),
        (True, "max_plans 0 ", {"compliance": {"daily": {"max_plans": 0}}}),
        (True, "max_orders 0 ", {"compliance": {"daily": {"max_orders": 0}}}),
        (True, "max_round_trips 0 ", {"compliance": {"day_trades": {"max_round_trips": 0}}}),
        (False, "sectors.of_symbols", {"hard_constraints": {"exposure": {"max_sector_fraction": "0.4"}}}),
        (True, "above max_order_value", {"compliance": {"orders": {"max_order_value": "499"}}}),
        (
            True,
            "min_price 10 is not below max_price 10",
            {"compliance": {"price_bounds": {"min_price": "10", "max_price": "10"}}},
        ),
        (
            True,
            "max_order_qty 4 at max_price",
            {"compliance": {"orders": {"max_order_qty": "4"}, "price_bounds": {"max_price": "100"}}},
        ),
        (
            True,
            "above max_position_fraction of equity",
            {"compliance": {"position_sizing": {"min_position_value": "8001"}}},
        ),
        (True, "cash_reserve 100000", {"compliance": {"cash": {"cash_reserve": "100000"}}}),
        (True, "one smallest BUY", {"compliance": {"risk": {"max_plan_risk_fraction": "0.0004"}}}),
        (
            False,
            "max_daily_loss_fraction 0.3 is above max_drawdown_fraction 0.20",
            {"hard_constraints": {"loss_limits": {"max_daily_loss_fraction": "0.3"}}},
        ),
        (False, "intent_ttl_s 13", {"trading": {"intent_ttl_s": 13}}),
        (False, "silence_s 13", {"executive": {"silence_s": 13}}),
        (False, "sell_timeout_s 4", {"executive": {"sell_timeout_s": 4}}),
        (False, "cash_wait_s 1", {"executive": {"cash_wait_s": 1, "cash_poll_s": 2}}),
        (False, "verify_wait_s 1", {"executive": {"verify_wait_s": 1, "verify_poll_s": 2}}),
        (False, "unknown_quiet_s 1", {"trading": {"unknown_quiet_s": 1, "look_up_interval_s": 2}}),
    ],
)
def test_limits_that_leave_nothing_to_do_are_named(fatal, names, changes):
    troubles = limit_troubles(settings(**changes), EQUITY)

    assert [trouble.fatal for trouble in troubles if names in trouble.text] == [fatal]


@pytest.mark.parametrize(
    "changes",
    [
        {"compliance": {"orders": {"max_order_value": "500"}}},
        {"compliance": {"position_sizing": {"min_position_value": "8000"}}},
        {"compliance": {"cash": {"cash_reserve": "99999"}}},
        {"hard_constraints": {"position_limits": {"max_positions_total": 13}}},
        {"compliance": {"risk": {"max_plan_risk_fraction": "0.0005"}}},
        {"hard_constraints": {"loss_limits": {"max_daily_loss_fraction": "0.2"}}},
        {"hard_constraints": {"loss_limits": {"max_daily_loss_fraction": "0.3", "max_drawdown_fraction": None}}},
        {"trading": {"intent_ttl_s": 14}},
    ],
)
def test_limits_that_just_go_together_are_left_alone(changes):
    assert limit_troubles(settings(**changes), EQUITY) == ()


def test_what_needs_the_equity_is_left_out_without_it():
    assert limit_troubles(settings(compliance={"cash": {"cash_reserve": "100000"}}), None) == ()
