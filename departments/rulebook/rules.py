"""The rulebook: every rule on a leg, in one tuple, the rules on a plan as a whole, and what was broken before.

No rule on size, price or money concerns a SELL: SELLs reduce risk. Missing data is a violation, never a pass.
"""

from collections.abc import Callable
from itertools import groupby

from departments.rulebook import ceilings, facts
from departments.rulebook.context import Context, Kind, Rule, fraction_of, plain
from departments.rulebook.limits import (
    ALLOW_FRACTIONAL,
    FUNDING,
    MAX_GROSS_EXPOSURE,
    MAX_POSITION_FRACTION,
    MAX_POSITIONS,
    MAX_PRICE_DEVIATION,
    MIN_POSITION_VALUE,
    Limits,
)
from departments.rulebook.portfolio import View, held_gross_usd, position_usd
from messages.plans import Trade
from messages.reviews import Violation
from messages.values import Side

BOTH = frozenset(Side)
BUYS = frozenset({Side.BUY})
SELLS = frozenset({Side.SELL})
ACTIVE_ACCOUNT = "ACTIVE"

RULES: tuple[Rule, ...] = (
    Rule(
        code="ASSET_UNKNOWN",
        check=facts.asset_is_known,
        kind=Kind.FACT,
        sides=BOTH,
        protects_from="orders for symbols that vanished or never were",
    ),
    Rule(
        code="ASSET_NOT_ACTIVE",
        check=facts.asset_is_active,
        kind=Kind.FACT,
        sides=BOTH,
        protects_from="the same refused order day after day: one symbol went inactive and was retried on 42 days",
    ),
    Rule(
        code="ASSET_NOT_TRADABLE",
        check=facts.asset_is_tradable,
        kind=Kind.FACT,
        sides=BOTH,
        protects_from="orders that the broker refuses anyway, after others were sent",
    ),
    Rule(
        code="LIMIT_PRICE_MISSING",
        check=facts.limit_price_is_given,
        kind=Kind.FACT,
        sides=BOTH,
        protects_from="a limit order that leaves as something else",
    ),
    Rule(
        code="ORDER_OF_OTHERS_OPEN",
        check=facts.no_order_of_others,
        kind=Kind.FACT,
        sides=BOTH,
        protects_from="wash trades, double purchases, and SELLs of shares that a stop holds",
    ),
    Rule(
        code="SHARES_NOT_HELD",
        check=facts.shares_are_held,
        kind=Kind.FACT,
        sides=SELLS,
        protects_from="selling short by mistake",
    ),
    Rule(
        code="SHARES_NOT_FREE",
        check=facts.shares_are_free,
        kind=Kind.FACT,
        sides=SELLS,
        protects_from="SELLs that fail at the broker because an order holds the shares",
    ),
    Rule(
        code="QUANTITY_NOT_ORDERABLE",
        check=facts.quantity_can_be_ordered,
        kind=Kind.FACT,
        sides=SELLS,
        protects_from="SELLs of fractions that the broker refuses",
    ),
    Rule(
        code="QUOTE_MISSING",
        check=facts.price_is_known,
        kind=Kind.FACT,
        sides=BUYS,
        place=MAX_PRICE_DEVIATION,
        protects_from="buying at an unknown price: checks that ran on a placeholder price of 100",
    ),
    Rule(
        code="PRICE_DEVIATION",
        check=facts.price_is_near_reference,
        kind=Kind.FACT,
        sides=BUYS,
        place=MAX_PRICE_DEVIATION,
        protects_from="buying what is no longer what was approved: news, splits, bad data",
    ),
    Rule(
        code="QUANTITY_NOT_WHOLE",
        check=ceilings.whole_shares,
        room=ceilings.lots_room,
        kind=Kind.CEILING,
        sides=BUYS,
        place=ALLOW_FRACTIONAL,
        protects_from="fractions that the house doesn't want or the broker refuses",
    ),
    Rule(
        code="POSITION_FRACTION_ABOVE_MAX",
        check=ceilings.position_fraction_at_most,
        room=ceilings.position_fraction_room,
        kind=Kind.CEILING,
        sides=BUYS,
        place=MAX_POSITION_FRACTION,
        protects_from="one company weighing too much",
    ),
    Rule(
        code="POSITIONS_ABOVE_MAX",
        check=ceilings.positions_at_most,
        room=ceilings.positions_room,
        kind=Kind.CEILING,
        sides=BUYS,
        place=MAX_POSITIONS,
        protects_from="more positions than anyone watches: an error set the count to 0, 33 were held against 30",
    ),
    Rule(
        code="GROSS_EXPOSURE_ABOVE_MAX",
        check=ceilings.gross_exposure_at_most,
        room=ceilings.gross_exposure_room,
        kind=Kind.CEILING,
        sides=BUYS,
        place=MAX_GROSS_EXPOSURE,
        protects_from="leverage beyond what the house carries overnight",
    ),
    Rule(
        code="FUNDING_EXCEEDED",
        check=ceilings.funding_suffices,
        room=ceilings.funding_room,
        kind=Kind.CEILING,
        sides=BUYS,
        place=FUNDING,
        protects_from="a growing margin debt: cash went to -$59,097 although a rule forbade it",
    ),
    Rule(
        code="POSITION_VALUE_BELOW_MIN",
        check=facts.position_value_at_least,
        kind=Kind.FLOOR,
        sides=BUYS,
        place=MIN_POSITION_VALUE,
        protects_from="positions too small to matter, bought for their fees and attention",
    ),
)
"""Every rule on a leg, in the order in which they are told."""

FACTS = tuple(rule for rule in RULES if rule.kind is Kind.FACT)
CEILINGS = tuple((rule, rule.room) for rule in RULES if rule.kind is Kind.CEILING and rule.room is not None)
FLOORS = tuple(rule for rule in RULES if rule.kind is Kind.FLOOR)

PlanCheck = Callable[[tuple[Trade, ...], View], tuple[Violation, ...]]


def facts_against(leg: Trade, context: Context) -> tuple[Violation, ...]:
    """All facts that speak against a leg."""
    found = (rule.check(leg, context) for rule in FACTS if leg.side in rule.sides)
    return tuple(violation for violation in found if violation is not None)


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


def _gathered(trades: tuple[Trade, ...], name: Callable[[Trade], str]) -> list[tuple[str, list[Trade]]]:
    return [(what, list(legs)) for what, legs in groupby(sorted(trades, key=name), key=name)]
