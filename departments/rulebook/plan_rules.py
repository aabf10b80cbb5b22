"""Rules on a plan as a whole, each of which rejects it; and which limits were broken before the plan."""

from collections.abc import Callable
from decimal import Decimal
from itertools import groupby

from departments.rulebook.context import fraction_of, plain
from departments.rulebook.limits import (
    MAX_GROSS_EXPOSURE,
    MAX_POSITION_FRACTION,
    MAX_POSITIONS,
    MAX_SECTOR_FRACTION,
    Limits,
)
from departments.rulebook.portfolio import View, held_gross_usd, position_usd
from messages.plans import Trade
from messages.reviews import Violation
from messages.values import Side

PlanCheck = Callable[[tuple[Trade, ...], View], tuple[Violation, ...]]

ACTIVE_ACCOUNT = "ACTIVE"


def account_is_active(trades: tuple[Trade, ...], view: View) -> tuple[Violation, ...]:  # noqa: ARG001 - one shape
    """Refuse an account that the broker doesn't call active."""
    status = view.account.status
    if status == ACTIVE_ACCOUNT:
        return ()
    return (Violation(code="ACCOUNT_NOT_ACTIVE", leg=None, rule="account status", figure=status, limit=ACTIVE_ACCOUNT),)


def account_is_not_blocked(trades: tuple[Trade, ...], view: View) -> tuple[Violation, ...]:  # noqa: ARG001 - one shape
    """Refuse an account that is blocked or suspended, one reason each."""
    account = view.account
    blocks = {
        "trading_blocked": account.trading_blocked,
        "account_blocked": account.account_blocked,
        "trade_suspended_by_user": account.trade_suspended_by_user,
    }
    return tuple(
        Violation(code="ACCOUNT_BLOCKED", leg=None, rule="account free to trade", figure=name, limit="no block")
        for name, blocked in blocks.items()
        if blocked
    )


def one_leg_per_symbol_and_side(trades: tuple[Trade, ...], view: View) -> tuple[Violation, ...]:  # noqa: ARG001 - one shape
    """Refuse two legs on one symbol and side, and two legs of one name: each could pass where their sum doesn't."""
    by_symbol = _gathered(trades, lambda trade: f"{trade.side.value} {trade.symbol}")
    by_name = _gathered(trades, lambda trade: f"leg {trade.leg}")
    return tuple(
        Violation(
            code="LEG_DOUBLED",
            leg=None,
            rule=f"legs to {what}" if not what.startswith("leg ") else f"legs named {what.removeprefix('leg ')}",
            figure=f"{len(legs)} ({', '.join(leg.leg for leg in legs)})",
            limit="1",
        )
        for what, legs in (*by_symbol, *by_name)
        if len(legs) > 1
    )


def no_opposite_legs(trades: tuple[Trade, ...], view: View) -> tuple[Violation, ...]:  # noqa: ARG001 - one shape
    """Refuse to sell and buy one symbol in one plan."""
    return tuple(
        Violation(
            code="LEGS_OPPOSITE",
            leg=None,
            rule=f"opposite legs on {symbol}",
            figure=", ".join(f"{leg.side.value} {leg.leg}" for leg in legs),
            limit="none",
        )
        for symbol, legs in _gathered(trades, lambda trade: trade.symbol)
        if len({leg.side for leg in legs}) > 1
    )


PLAN_RULES: tuple[PlanCheck, ...] = (
    account_is_active,
    account_is_not_blocked,
    one_leg_per_symbol_and_side,
    no_opposite_legs,
)
"""Every rule on the plan as a whole; each violation rejects it."""


def against_plan(trades: tuple[Trade, ...], view: View) -> tuple[Violation, ...]:
    """All that speaks against the plan as a whole."""
    return tuple(violation for rule in PLAN_RULES for violation in rule(trades, view))


def breaches_before(trades: tuple[Trade, ...], view: View, limits: Limits) -> tuple[Violation, ...]:
    """Limits broken by what is held before the plan: reported, no reason to refuse. Single positions: those bought."""
    equity_usd = view.account.equity_usd
    found: list[Violation] = []
    if len(view.positions) > limits.max_positions_total:
        found.append(
            Violation(
                code="POSITIONS_ABOVE_MAX",
                leg=None,
                rule="number of positions before the plan",
                figure=str(len(view.positions)),
                limit=str(limits.max_positions_total),
                file=MAX_POSITIONS.file,
                key=MAX_POSITIONS.key,
            )
        )
    gross_usd = held_gross_usd(view)
    if gross_usd > limits.max_gross_exposure_fraction * equity_usd:
        found.append(
            Violation(
                code="GROSS_EXPOSURE_ABOVE_MAX",
                leg=None,
                rule="gross exposure before the plan as a fraction of equity",
                figure=fraction_of(gross_usd, equity_usd),
                limit=plain(limits.max_gross_exposure_fraction),
                file=MAX_GROSS_EXPOSURE.file,
                key=MAX_GROSS_EXPOSURE.key,
            )
        )
    found += _sector_breaches(view, limits, gross_usd)
    for leg in trades:
        held = view.positions.get(leg.symbol)
        held_usd = None if held is None or leg.side is Side.SELL else position_usd(held)
        if held_usd is not None and held_usd > limits.max_position_fraction * equity_usd:
            found.append(
                Violation(
                    code="POSITION_FRACTION_ABOVE_MAX",
                    leg=leg.leg,
                    rule=f"position in {leg.symbol} before the plan as a fraction of equity",
                    figure=fraction_of(held_usd, equity_usd),
                    limit=plain(limits.max_position_fraction),
                    file=MAX_POSITION_FRACTION.file,
                    key=MAX_POSITION_FRACTION.key,
                )
            )
    return tuple(found)


def _sector_breaches(view: View, limits: Limits, gross_usd: Decimal) -> list[Violation]:
    """Sectors that weigh too much already, of what has a sector and a price."""
    most = limits.max_sector_fraction
    if most is None:
        return []
    values: dict[str, Decimal] = {}
    for symbol, held in view.positions.items():
        sector, value = limits.sectors.get(symbol), position_usd(held)
        if sector is not None and value is not None:
            values[sector] = values.get(sector, Decimal(0)) + value
    return [
        Violation(
            code="SECTOR_FRACTION_ABOVE_MAX",
            leg=None,
            rule=f"sector {sector} before the plan as a fraction of gross value",
            figure=fraction_of(value, gross_usd),
            limit=plain(most),
            file=MAX_SECTOR_FRACTION.file,
            key=MAX_SECTOR_FRACTION.key,
        )
        for sector, value in sorted(values.items())
        if value > most * gross_usd
    ]


def _gathered(trades: tuple[Trade, ...], name: Callable[[Trade], str]) -> list[tuple[str, list[Trade]]]:
    return [(what, list(legs)) for what, legs in groupby(sorted(trades, key=name), key=name)]
