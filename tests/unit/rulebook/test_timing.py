"""Rules on when something is bought: just inside, on, just outside, with the data missing, and off.

Today is Monday, November 10, 2025; the ten trading days begin on October 28.
"""

from datetime import UTC, date, datetime, timedelta

import pytest

from departments.rulebook import timing
from departments.rulebook.limits import limits_of
from departments.rulebook.needs import history_needed
from departments.rulebook.rules import RULES, facts_against
from messages.snapshots import HistoryPart
from messages.values import Side
from tests.builders.portfolio import (
    NOW,
    QUIET,
    buy,
    clock,
    context,
    fill,
    held,
    history,
    open_order,
    sell,
    settings,
    snapshot,
    today,
    trading_days,
)

RICH = {"equity": 100_000, "cash": 100_000}
BUY = buy("B01", "CVE", 100, "20")


def on(day: int, hour: int = 15, month: int = 11) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=UTC)


def judged(leg=BUY, look=None, **more):
    return context(snapshot([leg], **RICH) if look is None else look, **more)


def told(violation):
    return None if violation is None else (violation.figure, violation.limit)


# -- cool-down after a stop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "order_type", "side", "symbol", "figure"),
    [
        (on(10), "stop", Side.SELL, "CVE", "0 (sold by a stop on 2025-11-10)"),
        (on(5), "stop", Side.SELL, "CVE", "3 (sold by a stop on 2025-11-05)"),
        (on(4), "stop", Side.SELL, "CVE", None),
        (on(5, 4), "stop", Side.SELL, "CVE", None),
        (on(5, 5), "stop", Side.SELL, "CVE", "3 (sold by a stop on 2025-11-05)"),
        (on(7), "stop_limit", Side.SELL, "CVE", "1 (sold by a stop on 2025-11-07)"),
        (on(7), "trailing_stop", Side.SELL, "CVE", "1 (sold by a stop on 2025-11-07)"),
        (on(8), "stop", Side.SELL, "CVE", "1 (sold by a stop on 2025-11-08)"),
        (on(7), "market", Side.SELL, "CVE", None),
        (on(7), "limit", Side.SELL, "CVE", None),
        (on(7), "stop", Side.BUY, "CVE", None),
        (on(7), "stop", Side.SELL, "SN", None),
        (on(5), "unknown", Side.SELL, "CVE", "type of the order missing that sold on 2025-11-05"),
        (on(4), "unknown", Side.SELL, "CVE", None),
        (on(7), "unknown", Side.BUY, "CVE", None),
    ],
)
def test_what_a_stop_sold_is_not_bought_back_within_three_trading_days(at, order_type, side, symbol, figure):
    past = history(fills=[fill(symbol, side, at, order_type=order_type)])

    violation = timing.no_stop_lately(BUY, judged(past=past))

    assert told(violation) == (None if figure is None else (figure, "above 3"))


def test_the_newest_of_several_stops_counts():
    fills = [fill("CVE", Side.SELL, on(day), order_type="stop") for day in (7, 3)]

    assert timing.no_stop_lately(BUY, judged(past=history(fills=fills))).figure.startswith("1 (")


@pytest.mark.parametrize(("days", "refused"), [(0, False), (1, True), (None, False)])
def test_the_cool_down_is_as_long_as_configured(days, refused):
    rules = settings(compliance={"cool_down": {"days_after_stop": days}})
    past = history(fills=[fill("CVE", Side.SELL, on(7), order_type="stop")])

    assert (timing.no_stop_lately(BUY, judged(past=past, rules=rules)) is not None) is refused


# -- day trades --------------------------------------------------------------------------------------------------------


def trips(count, at, symbol="T"):
    """So many round trips on one day, each in two executions a side."""
    found = []
    for n in range(count):
        start = at + timedelta(minutes=10 * n)
        found += [
            fill(symbol, side, start + timedelta(minutes=minute))
            for minute, side in enumerate((Side.BUY, Side.BUY, Side.SELL, Side.SELL))
        ]
    return found


@pytest.mark.parametrize(
    ("fills", "figure"),
    [
        ([], None),
        (trips(3, on(10, 14)), None),
        (trips(4, on(10, 14)), "5"),
        (trips(2, on(10, 14)) + trips(2, on(4, 15)), "5"),
        (trips(4, on(4, 5)), "5"),
        (trips(2, on(10, 14)) + trips(2, on(3, 15)), None),
        (trips(6, on(3, 15)), None),
        (trips(2, on(10, 14), "T") + trips(2, on(10, 14), "U"), "5"),
        # bought on one day and sold on the next, or sold first and bought later: no round trip
        ([*trips(3, on(10, 14)), fill("U", Side.BUY, on(6)), fill("U", Side.SELL, on(7))], None),
        ([*trips(3, on(10, 14)), fill("U", Side.SELL, on(7, 15)), fill("U", Side.BUY, on(7, 16))], None),
    ],
)
def test_a_buy_needs_a_round_trip_left_to_be_sold_today(fills, figure):
    violation = timing.round_trip_is_left(BUY, judged(past=history(fills=sorted(fills, key=lambda one: one.at))))

    assert told(violation) == (None if figure is None else (figure, "4"))


def test_the_order_in_which_executions_are_listed_does_not_matter():
    fills = list(reversed(trips(4, on(10, 14))))

    assert timing.round_trip_is_left(BUY, judged(past=history(fills=fills))) is not None


def test_what_the_plan_sells_of_today_counts_as_a_round_trip():
    out = sell("S01", "NEW", 10, 20)
    past = history(fills=[*trips(3, on(10, 14)), fill("NEW", Side.BUY, on(10, 15))])
    look = snapshot([BUY, out], **RICH, positions=[held("NEW", 10, 20)])
    sold = open_order("NEW", Side.SELL, 10, own=True, filled=10)
    at_gate = look.model_copy(update={"run_orders": (sold,)})

    assert timing.round_trip_is_left(BUY, judged(look=look, past=past)) is None
    assert timing.round_trip_is_left(BUY, judged(look=look, past=past, sells=[out])).figure == "5"
    assert timing.round_trip_is_left(BUY, judged(look=at_gate, past=past)).figure == "5"


@pytest.mark.parametrize(("most", "refused"), [(0, True), (1, False), (None, False)])
def test_the_house_limit_is_the_configured_one(most, refused):
    rules = settings(compliance={"day_trades": {"max_round_trips": most}})

    assert (timing.round_trip_is_left(BUY, judged(rules=rules)) is not None) is refused


# -- done today already ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "refused"),
    [
        (fill("CVE", Side.BUY, on(10, 14)), True),
        (fill("CVE", Side.BUY, on(10, 5)), True),
        (fill("CVE", Side.BUY, on(10, 4)), False),
        (fill("CVE", Side.BUY, on(7)), False),
        (fill("CVE", Side.SELL, on(10, 14)), False),
        (fill("SN", Side.BUY, on(10, 14)), False),
        (fill("CVE", Side.BUY, on(10, 14), order_id="order-CVE-buy"), False),
    ],
    ids=["today", "since midnight", "before midnight", "on Friday", "sold", "another symbol", "the run's own"],
)
def test_what_another_order_bought_today_is_not_bought_again(one, refused):
    own = open_order("CVE", Side.BUY, 100, own=True, filled=10)
    look = snapshot([BUY], **RICH).model_copy(update={"run_orders": (own,)})

    violation = timing.leg_is_not_done(BUY, judged(look=look, past=history(fills=[one])))

    assert told(violation) == (("CVE", "not bought") if refused else None)


def test_buying_it_twice_a_day_can_be_allowed():
    rules = settings(compliance={"daily": {"refuse_leg_done": False}})
    past = history(fills=[fill("CVE", Side.BUY, on(10, 14))])

    assert timing.leg_is_not_done(BUY, judged(past=past, rules=rules)) is None


# -- so many a day -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("plans", "figure"), [(0, None), (2, None), (3, "4"), (7, "8")])
def test_the_fourth_plan_of_a_day_buys_nothing(plans, figure):
    violation = timing.plans_a_day_at_most(BUY, judged(counts=today(plans=plans)))

    assert told(violation) == (None if figure is None else (figure, "3"))


@pytest.mark.parametrize(
    ("orders", "sells", "figure"),
    [(0, 0, None), (198, 0, None), (199, 0, None), (200, 0, "201"), (197, 2, None), (198, 2, "201")],
)
def test_an_order_past_the_most_of_a_day_is_not_sent(orders, sells, figure):
    out = [sell(f"S0{n}", f"H{n}", 10, 20) for n in range(sells)]
    look = snapshot([BUY, *out], **RICH, positions=[held(leg.symbol, 10, 20) for leg in out])
    seen = judged(look=look, sells=out, counts=today(orders=orders))

    violation = timing.orders_a_day_at_most(BUY, seen)

    assert told(violation) == (None if figure is None else (figure, "200"))
    assert timing.orders_a_day_room(BUY, seen) == (None if figure is None else 0)


def test_at_the_gate_the_runs_own_orders_are_counted():
    sold = tuple(open_order(f"H{n}", Side.SELL, 10, own=True, filled=10) for n in range(2))
    look = snapshot([BUY], **RICH).model_copy(update={"run_orders": sold})

    assert timing.orders_a_day_at_most(BUY, judged(look=look, counts=today(orders=197))) is None
    assert timing.orders_a_day_at_most(BUY, judged(look=look, counts=today(orders=198))).figure == "201"


@pytest.mark.parametrize(("most", "refused"), [(0, True), (1, False), (None, False)])
def test_the_days_limits_are_the_configured_ones(most, refused):
    rules = settings(compliance={"daily": {"max_plans": most, "max_orders": most}})

    assert (timing.plans_a_day_at_most(BUY, judged(rules=rules)) is not None) is refused
    assert (timing.orders_a_day_at_most(BUY, judged(rules=rules)) is not None) is refused


# -- the plan's age ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "figure"),
    [
        (timedelta(0), None),
        (timedelta(hours=18) - timedelta(microseconds=1), None),
        (timedelta(hours=18), None),
        (timedelta(hours=18, microseconds=1), "64801"),
        (timedelta(days=3), "259200"),
        (-timedelta(seconds=2), None),
    ],
)
def test_what_was_approved_too_long_ago_is_not_bought(age, figure):
    violation = timing.plan_is_young(BUY, judged(counts=today(approved_at=NOW - age)))

    assert told(violation) == (None if figure is None else (figure, "64800"))


@pytest.mark.parametrize(("most", "refused"), [(59, True), (60, False), (None, False)])
def test_the_age_is_the_configured_one(most, refused):
    rules = settings(compliance={"approval": {"max_plan_age_s": most}})

    assert (timing.plan_is_young(BUY, judged(rules=rules)) is not None) is refused


# -- earnings ----------------------------------------------------------------------------------------------------------

EARNINGS = settings(compliance={"earnings": {"days_before": 1}})


@pytest.mark.parametrize(
    ("day", "figure"),
    [
        (date(2025, 11, 9), None),
        (date(2025, 11, 10), "0 (on 2025-11-10)"),
        (date(2025, 11, 11), "1 (on 2025-11-11)"),
        (date(2025, 11, 12), None),
        (None, "date of the earnings missing"),
    ],
)
def test_nothing_is_bought_on_the_eve_of_its_earnings(day, figure):
    leg = BUY.model_copy(update={"earnings_date": day})

    violation = timing.earnings_are_not_near(leg, judged(leg, rules=EARNINGS))

    assert told(violation) == (None if figure is None else (figure, "above 1"))
    assert timing.earnings_are_not_near(leg, judged(leg)) is None


# -- data missing ------------------------------------------------------------------------------------------------------

LOOKING_BACK = {
    "COOL_DOWN_AFTER_STOP": timing.no_stop_lately,
    "ROUND_TRIPS_ABOVE_MAX": timing.round_trip_is_left,
    "LEG_DONE_TODAY": timing.leg_is_not_done,
}
COUNTED = {
    "PLANS_ABOVE_MAX": timing.plans_a_day_at_most,
    "ORDERS_ABOVE_MAX": timing.orders_a_day_at_most,
    "PLAN_TOO_OLD": timing.plan_is_young,
}


@pytest.mark.parametrize(("code", "rule"), LOOKING_BACK.items())
@pytest.mark.parametrize(
    ("past", "look", "figure"),
    [
        (None, {}, "history missing"),
        (QUIET, {"clock": None}, "broker's clock missing"),
        (history(fills=None), {}, "fills missing"),
        (history(trading_days=None), {}, "trading days missing"),
        (history(read_at=NOW - timedelta(days=1)), {}, "fills since 2025-11-09 missing"),
        (history(trading_days=()), {}, "0 of * trading days"),
    ],
)
def test_a_rule_that_looks_back_names_what_it_does_not_see(code, rule, past, look, figure):
    seen = snapshot([BUY], **RICH).model_copy(update=look)

    violation = rule(BUY, judged(look=seen, past=past))

    wanted = {"COOL_DOWN_AFTER_STOP": "4", "ROUND_TRIPS_ABOVE_MAX": "5", "LEG_DONE_TODAY": "1"}[code]
    assert (violation.code, violation.figure) == (code, figure.replace("*", wanted))
    assert violation.file == "compliance_config.yaml"


def test_days_after_today_are_no_days_of_the_past():
    tomorrow = on(11)
    past = history(trading_days=trading_days(tomorrow.date(), 5))

    assert timing.round_trip_is_left(BUY, judged(past=past)).figure == "4 of 5 trading days"


@pytest.mark.parametrize(("code", "rule"), COUNTED.items())
def test_a_rule_on_the_firms_own_counts_names_them_where_they_are_not_known(code, rule):
    violation = rule(BUY, judged(counts=None))

    assert violation.code == code
    assert violation.figure == {
        "PLANS_ABOVE_MAX": timing.COUNTS_MISSING,
        "ORDERS_ABOVE_MAX": timing.COUNTS_MISSING,
        "PLAN_TOO_OLD": "time of the approval missing",
    }.get(code)


def test_earnings_need_the_brokers_clock():
    leg = BUY.model_copy(update={"earnings_date": date(2025, 12, 1)})
    look = snapshot([leg], **RICH).model_copy(update={"clock": None})

    assert timing.earnings_are_not_near(leg, judged(leg, look, rules=EARNINGS)).figure == "broker's clock missing"


def test_a_weekend_belongs_to_the_friday_before_it():
    saturday = on(8)
    look = snapshot([BUY], **RICH).model_copy(update={"clock": clock(saturday), "begun_at": saturday})
    past = history(
        read_at=saturday,
        trading_days=trading_days(date(2025, 11, 7)),
        fills=[*trips(4, on(7, 15)), fill("CVE", Side.SELL, on(7), order_type="stop")],
    )

    assert timing.round_trip_is_left(BUY, judged(look=look, past=past)).figure == "5"
    assert timing.no_stop_lately(BUY, judged(look=look, past=past)).figure.startswith("0 (")
    assert timing.leg_is_not_done(buy("B01", "T", 1, 1), judged(look=look, past=past)) is None


# -- no SELL, and only what is needed ----------------------------------------------------------------------------------


def test_no_rule_on_time_concerns_a_sell():
    out = sell("S01", "CVE", 10, 20)
    look = snapshot([out], **RICH, positions=[held("CVE", 10, 20)])
    everything_on = settings(compliance={"earnings": {"days_before": 1}, "approval": {"max_plan_age_s": 1}})

    assert facts_against(out, judged(out, look, past=None, counts=None, rules=everything_on)) == ()
    assert {rule.code for rule in RULES if Side.SELL in rule.sides}.isdisjoint(LOOKING_BACK | COUNTED)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, (HistoryPart.DAYS, HistoryPart.FILLS)),
        ({"cool_down": {"days_after_stop": None}}, (HistoryPart.DAYS, HistoryPart.FILLS)),
        (
            {
                "cool_down": {"days_after_stop": None},
                "day_trades": {"max_round_trips": None},
                "daily": {"refuse_leg_done": False},
            },
            (),
        ),
        (
            {
                "cool_down": {"days_after_stop": None},
                "day_trades": {"max_round_trips": 0},
                "daily": {"refuse_leg_done": False},
            },
            (HistoryPart.DAYS, HistoryPart.FILLS),
        ),
        (
            {"liquidity": {"max_volume_fraction": "0.1"}},
            (HistoryPart.DAYS, HistoryPart.FILLS, HistoryPart.BARS),
        ),
        ({"correlation": {"max_pair": "0.85"}}, (HistoryPart.DAYS, HistoryPart.FILLS, HistoryPart.BARS)),
        ({"correlation": {"max_average": "0.5"}}, (HistoryPart.DAYS, HistoryPart.FILLS, HistoryPart.BARS)),
    ],
)
def test_only_what_a_rule_in_force_judges_by_is_asked_for(changes, parts):
    no_limits_on_losses = {"loss_limits": {"max_daily_loss_fraction": None, "max_drawdown_fraction": None}}
    asked = limits_of(settings(compliance=changes, hard_constraints=no_limits_on_losses))

    assert history_needed(asked) == parts
