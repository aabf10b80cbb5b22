"""Rules on when something is bought: after what was done before, how often a day, how long after the approval.

They concern BUYs alone. Days are New York's. Each is silent while its limit is None: the rule is off.
"""

from decimal import Decimal
from math import ceil

from departments.rulebook.context import Context
from departments.rulebook.limits import (
    DAYS_AFTER_STOP,
    EARNINGS_DAYS_BEFORE,
    MAX_ORDERS_A_DAY,
    MAX_PLAN_AGE,
    MAX_PLANS_A_DAY,
    MAX_ROUND_TRIPS,
    REFUSE_LEG_DONE,
    Place,
)
from departments.rulebook.past import ROUND_TRIP_DAYS
from messages.plans import Trade
from messages.reviews import Violation

ZERO = Decimal(0)
COUNTS_MISSING = "the firm's own counts of the day missing"


def no_stop_lately(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY of what a stop sold that day or few trading days before (an execution of unknown kind may be one).

    On the day of the stop and on `days_after_stop` trading days after it.
    """
    most = context.limits.days_after_stop
    if most is None:
        return None
    past = context.view.past
    figure = past.fills_missing(most + 1)
    if figure is None:
        stopped = past.digest.stopped.get(leg.symbol)
        unknown = past.digest.sold_somehow.get(leg.symbol)
        if stopped is not None and past.trading_days_since(stopped) <= most:
            figure = f"{past.trading_days_since(stopped)} (sold by a stop on {stopped})"
        elif unknown is not None and past.trading_days_since(unknown) <= most:
            figure = f"type of the order missing that sold on {unknown}"
        else:
            return None
    rule = "trading days since a stop sold the symbol"
    return _violation("COOL_DOWN_AFTER_STOP", leg, rule, figure, f"above {most}", DAYS_AFTER_STOP)


def round_trip_is_left(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY once the round trips of five trading days are used up: sold today, it would make one too many.

    A round trip is a BUY and then a SELL of one symbol on one day, told from the account's FILL activities: each time a
    SELL follows a BUY counts once, however many orders and executions either took. Counted are today and the four
    trading days before it; what this plan sells of what was last bought today counts as done. No SELL is ever refused.
    """
    most = context.limits.max_round_trips
    if most is None:
        return None
    past = context.view.past
    figure = past.fills_missing(ROUND_TRIP_DAYS)
    if figure is None:
        count = past.round_trips + len(past.not_sold_since & context.book.sold) + 1
        if count <= most:
            return None
        figure = str(count)
    rule = f"round trips in {ROUND_TRIP_DAYS} trading days if it were sold today"
    return _violation("ROUND_TRIPS_ABOVE_MAX", leg, rule, figure, str(most), MAX_ROUND_TRIPS)


def leg_is_not_done(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY of a symbol that another order bought today: another run did it, or a person."""
    if not context.limits.refuse_leg_done:
        return None
    past = context.view.past
    figure = past.fills_missing(1)
    if figure is None:
        if leg.symbol not in past.bought_today:
            return None
        figure = leg.symbol
    return _violation("LEG_DONE_TODAY", leg, "bought today by another order", figure, "not bought", REFUSE_LEG_DONE)


def plans_a_day_at_most(leg: Trade, context: Context) -> Violation | None:
    """Refuse the BUYs of a plan past the most plans of a day."""
    most = context.limits.max_plans_a_day
    if most is None:
        return None
    today = context.view.past.today
    if today is not None and today.plans < most:
        return None
    figure = COUNTS_MISSING if today is None else str(today.plans + 1)
    return _violation("PLANS_ABOVE_MAX", leg, "plans begun today", figure, str(most), MAX_PLANS_A_DAY)


def orders_a_day_room(leg: Trade, context: Context) -> Decimal | None:
    """Let in any quantity while there is an order left for it."""
    return None if orders_a_day_at_most(leg, context) is None else ZERO


def orders_a_day_at_most(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY past the most orders of a day; the plan's SELLs and the BUYs before it are counted."""
    most = context.limits.max_orders_a_day
    if most is None:
        return None
    today = context.view.past.today
    count = None if today is None else today.orders + context.book.orders + 1
    if count is not None and count <= most:
        return None
    figure = COUNTS_MISSING if count is None else str(count)
    return _violation("ORDERS_ABOVE_MAX", leg, "orders sent today", figure, str(most), MAX_ORDERS_A_DAY)


def plan_is_young(leg: Trade, context: Context) -> Violation | None:
    """Refuse the BUYs of a plan that was approved too long ago (how far a price may leave it: `PRICE_DEVIATION`)."""
    most = context.limits.max_plan_age_s
    if most is None:
        return None
    today = context.view.past.today
    if today is None:
        figure = "time of the approval missing"
    else:
        age_s = (today.asked_at - today.approved_at).total_seconds()
        if age_s <= most:
            return None
        figure = str(ceil(age_s))
    return _violation("PLAN_TOO_OLD", leg, "seconds since the approval", figure, str(most), MAX_PLAN_AGE)


def earnings_are_not_near(leg: Trade, context: Context) -> Violation | None:
    """Refuse a BUY on the day of the company's earnings and on so many days before it."""
    most = context.limits.earnings_days_before
    if most is None:
        return None
    day = context.view.past.day
    if leg.earnings_date is None or day is None:
        figure = "date of the earnings missing" if leg.earnings_date is None else "broker's clock missing"
    else:
        days = (leg.earnings_date - day).days
        if days < 0 or days > most:
            return None
        figure = f"{days} (on {leg.earnings_date})"
    return _violation("EARNINGS_NEAR", leg, "days to the earnings", figure, f"above {most}", EARNINGS_DAYS_BEFORE)


def _violation(code: str, leg: Trade, rule: str, figure: str, limit: str, place: Place) -> Violation:
    return Violation(code=code, leg=leg.leg, rule=rule, figure=figure, limit=limit, file=place.file, key=place.key)
