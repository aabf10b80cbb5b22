"""Each exit rule inside, on and outside of its limit, and without its data; what is sold of which position."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from departments.operations.exit_text import explained
from departments.operations.exits import Found, propose_exits
from messages.values import Side
from tests.builders.exits import OPEN, ask, holding, levels, position
from tests.builders.portfolio import NOW, asset, open_order, quote, settings

OFF = {name: {"enabled": False} for name in ("stop_loss", "target", "trailing_stop", "time", "score", "trim")}


def rules(name, **own):
    """One rule on, the others off."""
    return settings(operations={"exits": {**OFF, name: {"enabled": True, **own}}})


def judged(asked, chosen):
    (line,) = propose_exits(asked, chosen).lines
    assert len(line.judged) == 1, line
    return line, line.judged[0]


def the_word(asked, chosen):
    line, one = judged(asked, chosen)
    return one.found.value, one.reason.figure, one.reason.limit, one.reason.key, line.trade is not None


# each rule by itself


@pytest.mark.parametrize(
    ("price", "found"),
    [("90.01", "keep"), ("90", "sell"), ("89.99", "sell")],
    ids=["above", "on", "below"],
)
def test_a_stop_is_a_fraction_below_the_average_entry(price, found):
    word = the_word(ask([position("AA", price=price)]), rules("stop_loss"))

    assert word == (found, price, "90", "exits.stop_loss.fraction", found == "sell")


@pytest.mark.parametrize(("price", "found"), [("95.01", "keep"), ("95", "sell")])
def test_the_stop_of_the_plan_that_bought_it_comes_before(price, found):
    line, one = judged(ask([position("AA", price=price)], plans=[levels("AA", stop="95")]), rules("stop_loss"))

    assert (one.found.value, one.reason.limit, one.reason.file) == (found, "95", None)
    assert "of its plan" in explained(line)


@pytest.mark.parametrize(
    ("price", "found"),
    [("124.99", "keep"), ("125", "sell"), ("125.01", "sell")],
    ids=["below", "on", "above"],
)
def test_a_target_is_a_fraction_above_the_average_entry(price, found):
    word = the_word(ask([position("AA", price=price)]), rules("target"))

    assert word == (found, price, "125", "exits.target.fraction", found == "sell")


@pytest.mark.parametrize(("price", "found"), [("109.99", "keep"), ("110", "sell")])
def test_the_target_of_the_plan_that_bought_it_comes_before(price, found):
    _, one = judged(ask([position("AA", price=price)], plans=[levels("AA", target="110")]), rules("target"))

    assert (one.found.value, one.reason.limit) == (found, "110")


@pytest.mark.parametrize(
    ("price", "found"),
    [("114.01", "keep"), ("114", "sell"), ("113.99", "sell")],
    ids=["above", "on", "below"],
)
def test_a_trailing_stop_follows_the_highest_close_at_some_average_ranges(price, found):
    """Highest close 120, three times an average range of 2 below it: 114."""
    asked = ask([position("AA", price=price)], [holding("AA", highest_close_usd=Decimal(120))])

    assert the_word(asked, rules("trailing_stop"))[:3] == (found, price, "114")


@pytest.mark.parametrize(
    ("days", "price", "found"),
    [
        (5, "100", "keep"),
        (6, "100", "sell"),
        (6, "101.99", "sell"),
        (6, "102", "keep"),
        (30, "90", "sell"),
        (0, "90", "keep"),
    ],
    ids=["on the limit", "over it", "just too little gain", "enough gain", "long and lost", "of today"],
)
def test_what_was_held_for_long_must_have_gained(days, price, found):
    asked = ask([position("AA", price=price)], [holding("AA", trading_days=days)])

    assert the_word(asked, rules("time"))[0] == found


@pytest.mark.parametrize(
    ("score", "found"), [("50", "keep"), ("49.99", "sell"), ("51", "keep")], ids=["on", "below", "above"]
)
def test_a_score_below_the_floor_is_sold(score, found):
    fresh = ask([position("AA")], scores={"AA": Decimal(score)}, plans=[levels("AA", score="99")])
    planned = ask([position("AA")], plans=[levels("AA", score=score)])

    assert the_word(fresh, rules("score"))[0] == found
    assert the_word(planned, rules("score"))[0] == found


@pytest.mark.parametrize(
    ("qty", "sold", "found"),
    [(79, None, "keep"), (80, None, "keep"), (81, "1", "trim"), ("80.5", "1", "trim"), (200, "120", "trim")],
    ids=["below", "on", "one above", "a fraction above", "far above"],
)
def test_a_position_above_its_limit_is_trimmed_by_whole_shares(qty, sold, found):
    """8 % of $100,000 is 80 shares at $100."""
    line, one = judged(ask([position("AA", qty)]), rules("trim"))

    assert one.found.value == found
    assert (one.reason.file, one.reason.key) == ("hard_constraints.yaml", "position_limits.max_position_fraction")
    assert (None if line.trade is None else f"{line.trade.qty:f}") == sold
    if line.trade is not None:
        assert (line.qty - line.trade.qty) * 100 <= 8000


# data that is missing


UNKNOWN = {"entered_at": None, "trading_days": None, "highest_close_usd": None}


@pytest.mark.parametrize(
    ("rule", "known", "plans", "what"),
    [
        ("stop_loss", {"avg_entry_price_usd": None}, (), "average entry price missing"),
        ("stop_loss", UNKNOWN, (levels("AA", stop="150"),), "day of the entry missing"),
        ("target", {"avg_entry_price_usd": None}, (), "average entry price missing"),
        ("target", UNKNOWN, (levels("AA", target="50"),), "day of the entry missing"),
        ("trailing_stop", {"atr_usd": None, "highest_close_usd": Decimal(999)}, (), "average true range missing"),
        ("trailing_stop", {"highest_close_usd": None}, (), "highest close since the entry missing"),
        ("time", UNKNOWN, (), "day of the entry missing"),
        ("time", {"trading_days": 30, "avg_entry_price_usd": None}, (), "average entry price missing"),
        ("score", {}, (), "score missing"),
        ("score", UNKNOWN, (levels("AA", score="1"),), "score missing"),
    ],
)
def test_a_rule_without_its_data_says_so_and_sells_nothing(rule, known, plans, what):
    asked = ask([position("AA")], [holding("AA", **known)], plans=plans)

    line, one = judged(asked, rules(rule))

    assert one.found is Found.NOT_JUDGED
    assert one.reason.figure.startswith(f"not judged: {what}")
    assert line.trade is None


def test_a_position_that_nobody_knows_anything_of_is_kept():
    (line,) = propose_exits(ask([position("AA")], []), settings()).lines

    assert line.trade is None
    assert {one.rule for one in line.judged if one.found is Found.NOT_JUDGED} == {
        "stop_loss",
        "target",
        "trailing_stop",
        "time",
    }


@pytest.mark.parametrize(
    ("seen", "figure"),
    [
        (quote("AA", None), "not judged: missing"),
        (quote("AA", "1").model_copy(update={"at": NOW - timedelta(seconds=901)}), "901"),
        (quote("AA", "1").model_copy(update={"at": None}), "time of the quote missing"),
    ],
    ids=["no price", "old", "undated"],
)
def test_without_a_fresh_price_nothing_is_judged(seen, figure):
    (line,) = propose_exits(ask([position("AA", price="1")], quotes=[seen]), settings()).lines

    assert (line.trade, line.judged) == (None, ())
    assert [reason.figure for reason in line.hindered] == [figure]


def test_a_price_of_just_fresh_enough_counts_and_any_price_while_the_market_is_closed():
    old = quote("AA", "1").model_copy(update={"at": NOW - timedelta(seconds=900)})
    older = quote("AA", "1").model_copy(update={"at": NOW - timedelta(days=2)})
    closed = OPEN.model_copy(update={"is_open": False})

    (fresh,) = propose_exits(ask([position("AA", price="1")], quotes=[old]), settings()).trades
    (night,) = propose_exits(ask([position("AA", price="1")], quotes=[older], clock=closed), settings()).trades

    assert fresh.symbol == night.symbol == "AA"


def test_a_trim_needs_an_equity():
    line, one = judged(ask([position("AA", 500)], equity=0), rules("trim"))

    assert (one.found, line.trade) == (Found.NOT_JUDGED, None)


def test_levels_of_a_plan_from_before_the_position_was_opened_are_not_its():
    later = holding("AA", entered_at=datetime(2025, 11, 5, 15, 2, tzinfo=UTC))

    _, one = judged(ask([position("AA", price="94")], [later], plans=[levels("AA", stop="95")]), rules("stop_loss"))

    assert (one.found, one.reason.limit) == (Found.KEEP, "90")


# several rules, several positions


def test_all_beats_a_trim_and_every_reason_is_told():
    line = propose_exits(ask([position("AA", 200, "80")], equity=100_000), settings()).lines[0]

    assert line.trade is not None
    assert line.trade.qty == 200
    assert {reason.code for reason in line.reasons} == {"EXIT_STOP_LOSS", "EXIT_TRAILING_STOP", "EXIT_TRIM"}
    assert explained(line).startswith("SELL 200 of 200 AA: last price in USD at or below the stop: 80 against 90 ")


def test_sells_are_numbered_by_symbol_whatever_the_order_of_the_positions():
    positions = [position(symbol, price="80") for symbol in ("CC", "AA", "BB")]

    one, other = propose_exits(ask(positions), settings()), propose_exits(ask(positions[::-1]), settings())

    assert [(trade.leg, trade.symbol, trade.side) for trade in one.trades] == [
        ("S01", "AA", Side.SELL),
        ("S02", "BB", Side.SELL),
        ("S03", "CC", Side.SELL),
    ]
    assert one == other


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"open_orders": [open_order("AA", Side.SELL, 5)]}, "ORDER_OF_OTHERS_OPEN"),
        ({"assets": [asset("AA", status="inactive")]}, "ASSET_NOT_ACTIVE"),
        ({"assets": [asset("AA", tradable=False)]}, "ASSET_NOT_TRADABLE"),
        ({"trading_blocked": True}, "ACCOUNT_BLOCKED"),
    ],
    ids=["an order on it", "inactive", "not tradable", "account blocked"],
)
def test_a_sell_that_the_rulebook_would_refuse_is_left_out_with_its_reasons(what, code):
    (line,) = propose_exits(ask([position("AA", price="80")], **what), settings()).lines

    assert line.trade is None
    assert code in {reason.code for reason in line.hindered}
    assert "it should be sold: last price in USD at or below the stop" in explained(line)


def test_only_what_is_free_is_sold():
    some, none = position("AA", price="80", free=15), position("BB", price="80", free=0)

    sold, kept = propose_exits(ask([some, none]), settings()).lines

    assert sold.trade is not None
    assert sold.trade.qty == 15
    assert kept.trade is None
    assert [reason.code for reason in kept.hindered] == ["SHARES_NOT_FREE"]


def test_fractions_are_sold_where_the_broker_takes_them():
    fraction, whole = position("AA", "2.5", "80"), position("BB", "2.5", "80")

    sold = propose_exits(ask([fraction, whole], assets=[asset("BB", fractionable=False)]), settings()).trades

    assert [f"{trade.qty:f}" for trade in sold] == ["2.5", "2"]


@pytest.mark.parametrize("odd", [position("AA", -10, "80"), position("AAPL251219C00190000", 1, "80")])
def test_short_positions_and_options_are_left_alone(odd):
    (line,) = propose_exits(ask([odd]), settings()).lines

    assert line.trade is None
    assert [reason.code for reason in line.hindered] == ["EXIT_NOT_JUDGED"]


def test_an_incomplete_look_gives_no_plan():
    whole = ask([position("AA", price="80")])
    holed = whole.snapshot.model_copy(update={"assets": None})

    proposal = propose_exits(
        type(whole)(account="paper", snapshot=holed, holdings=(), levels={}, scores={}), settings()
    )

    assert (proposal.trades, proposal.lines) == ((), ())
    assert [one.code for one in proposal.violations] == ["SNAPSHOT_INCOMPLETE"]


def test_with_every_rule_off_nothing_is_sold():
    proposal = propose_exits(ask([position("AA", 500, "1")]), settings(operations={"exits": OFF}))

    assert proposal.trades == ()
    assert explained(proposal.lines[0]) == "KEPT AA: no rule is on"
