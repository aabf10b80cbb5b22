"""The rulebook: every rule on a leg, in one tuple (the rules on a plan as a whole stand in `plan_rules.py`).

No rule on size, price or money concerns a SELL: SELLs reduce risk. Missing data is a violation, never a pass.
"""

from departments.rulebook import ceilings, facts
from departments.rulebook.context import Context, Kind, Rule
from departments.rulebook.limits import (
    ALLOW_FRACTIONAL,
    FUNDING,
    MAX_GROSS_EXPOSURE,
    MAX_ORDER_QTY,
    MAX_ORDER_VALUE,
    MAX_PLAN_RISK,
    MAX_POSITION_FRACTION,
    MAX_POSITIONS,
    MAX_PRICE,
    MAX_PRICE_DEVIATION,
    MIN_POSITION_VALUE,
    MIN_PRICE,
    RESTRICTED,
)
from messages.plans import Trade
from messages.reviews import Violation
from messages.values import Side

BOTH = frozenset(Side)
BUYS = frozenset({Side.BUY})
SELLS = frozenset({Side.SELL})

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
        code="PRICE_BELOW_MIN",
        check=facts.price_is_high_enough,
        kind=Kind.FACT,
        sides=BUYS,
        place=MIN_PRICE,
        protects_from="penny stocks: wide spreads, thin books, full margin",
    ),
    Rule(
        code="PRICE_ABOVE_MAX",
        check=facts.price_is_low_enough,
        kind=Kind.FACT,
        sides=BUYS,
        place=MAX_PRICE,
        protects_from="bad data: a price no share of interest has",
    ),
    Rule(
        code="STOP_NOT_BELOW_PRICE",
        check=facts.stop_is_below_price,
        kind=Kind.FACT,
        sides=BUYS,
        protects_from="an entry that its own stop sells at once",
    ),
    Rule(
        code="SYMBOL_RESTRICTED",
        check=facts.symbol_is_not_restricted,
        kind=Kind.FACT,
        sides=BUYS,
        place=RESTRICTED,
        protects_from="buying what the house may not or does not want to own",
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
        code="ORDER_QTY_ABOVE_MAX",
        check=ceilings.order_qty_at_most,
        room=ceilings.order_qty_room,
        kind=Kind.CEILING,
        sides=BUYS,
        place=MAX_ORDER_QTY,
        protects_from="a slip of the finger in the quantity",
    ),
    Rule(
        code="ORDER_VALUE_ABOVE_MAX",
        check=ceilings.order_value_at_most,
        room=ceilings.order_value_room,
        kind=Kind.CEILING,
        sides=BUYS,
        place=MAX_ORDER_VALUE,
        protects_from="a slip of the finger in the price or quantity",
    ),
    Rule(
        code="PLAN_RISK_ABOVE_MAX",
        check=ceilings.plan_risk_at_most,
        room=ceilings.plan_risk_room,
        kind=Kind.CEILING,
        sides=BUYS,
        place=MAX_PLAN_RISK,
        protects_from="one bad day that hits every stop of the plan",
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


def facts_against(leg: Trade, context: Context) -> tuple[Violation, ...]:
    """All facts that speak against a leg."""
    found = (rule.check(leg, context) for rule in FACTS if leg.side in rule.sides)
    return tuple(violation for violation in found if violation is not None)
