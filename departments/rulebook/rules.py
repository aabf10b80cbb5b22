"""The rulebook: every rule on a leg, in one tuple (the rules on a plan as a whole stand in `plan_rules.py`).

No rule on size, price or money concerns a SELL: SELLs reduce risk. Missing data is a violation, never a pass.
"""

from departments.rulebook import ceilings, facts, market, timing
from departments.rulebook.context import Context, Kind, Rule
from departments.rulebook.limits import (
    ALLOW_FRACTIONAL,
    DAYS_AFTER_STOP,
    EARNINGS_DAYS_BEFORE,
    FUNDING,
    MAX_AVERAGE_CORRELATION,
    MAX_GROSS_EXPOSURE,
    MAX_ORDER_QTY,
    MAX_ORDER_VALUE,
    MAX_ORDERS_A_DAY,
    MAX_PAIR_CORRELATION,
    MAX_PLAN_AGE,
    MAX_PLAN_RISK,
    MAX_PLANS_A_DAY,
    MAX_POSITION_FRACTION,
    MAX_POSITIONS,
    MAX_PRICE,
    MAX_PRICE_DEVIATION,
    MAX_ROUND_TRIPS,
    MAX_SECTOR_FRACTION,
    MAX_VOLUME_FRACTION,
    MIN_POSITION_VALUE,
    MIN_PRICE,
    REFUSE_LEG_DONE,
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
        code="PLAN_TOO_OLD",
        check=timing.plan_is_young,
        kind=Kind.FACT,
        sides=BUYS,
        place=MAX_PLAN_AGE,
        protects_from="carrying out what was approved for another day's market",
    ),
    Rule(
        code="PLANS_ABOVE_MAX",
        check=timing.plans_a_day_at_most,
        kind=Kind.FACT,
        sides=BUYS,
        place=MAX_PLANS_A_DAY,
        protects_from="churning, and a machine that hands in plan after plan",
    ),
    Rule(
        code="LEG_DONE_TODAY",
        check=timing.leg_is_not_done,
        kind=Kind.FACT,
        sides=BUYS,
        place=REFUSE_LEG_DONE,
        protects_from="buying twice what two plans of one day both contain",
    ),
    Rule(
        code="COOL_DOWN_AFTER_STOP",
        check=timing.no_stop_lately,
        kind=Kind.FACT,
        sides=BUYS,
        place=DAYS_AFTER_STOP,
        protects_from="buying back at once what a stop has just sold",
    ),
    Rule(
        code="ROUND_TRIPS_ABOVE_MAX",
        check=timing.round_trip_is_left,
        kind=Kind.FACT,
        sides=BUYS,
        place=MAX_ROUND_TRIPS,
        protects_from="day trading: a position that the house could not sell today without one round trip too many",
    ),
    Rule(
        code="EARNINGS_NEAR",
        check=timing.earnings_are_not_near,
        kind=Kind.FACT,
        sides=BUYS,
        place=EARNINGS_DAYS_BEFORE,
        protects_from="a price that jumps overnight, over every stop",
    ),
    Rule(
        code="PAIR_CORRELATION_ABOVE_MAX",
        check=market.no_holding_moves_alike,
        kind=Kind.FACT,
        sides=BUYS,
        place=MAX_PAIR_CORRELATION,
        protects_from="one bet under two names",
    ),
    Rule(
        code="AVERAGE_CORRELATION_ABOVE_MAX",
        check=market.holdings_move_apart,
        kind=Kind.FACT,
        sides=BUYS,
        place=MAX_AVERAGE_CORRELATION,
        protects_from="a portfolio that falls as one",
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
        code="VOLUME_FRACTION_ABOVE_MAX",
        check=market.volume_fraction_at_most,
        room=market.volume_fraction_room,
        kind=Kind.CEILING,
        sides=BUYS,
        place=MAX_VOLUME_FRACTION,
        protects_from="moving the price against ourselves, and positions that nobody takes back",
    ),
    Rule(
        code="ORDERS_ABOVE_MAX",
        check=timing.orders_a_day_at_most,
        room=timing.orders_a_day_room,
        kind=Kind.CEILING,
        sides=BUYS,
        place=MAX_ORDERS_A_DAY,
        protects_from="a loop that places order after order: once five orders a stock",
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
        code="SECTOR_FRACTION_ABOVE_MAX",
        check=ceilings.sector_fraction_at_most,
        room=ceilings.sector_fraction_room,
        kind=Kind.CEILING,
        sides=BUYS,
        place=MAX_SECTOR_FRACTION,
        protects_from="one industry weighing too much",
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
_FACTS_OF_BUYS = tuple(rule.check for rule in FACTS if Side.BUY in rule.sides)
_FACTS_OF_SELLS = tuple(rule.check for rule in FACTS if Side.SELL in rule.sides)


def facts_against(leg: Trade, context: Context) -> tuple[Violation, ...]:
    """All facts that speak against a leg."""
    checks = _FACTS_OF_BUYS if leg.side is Side.BUY else _FACTS_OF_SELLS
    return tuple([found for check in checks if (found := check(leg, context)) is not None])
