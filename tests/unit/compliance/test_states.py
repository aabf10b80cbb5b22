"""The limits on losses: just inside, on, just outside, and with what they need missing."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from departments.compliance.department import ComplianceDepartment
from departments.compliance.states import losses
from departments.rulebook.limits import limits_of
from departments.rulebook.needs import history_needed
from messages.reviews import PlanReviewed
from messages.snapshots import EquityFacts, History, HistoryPart, Snapshot
from messages.values import Recipient, TradingState
from tests.builders.portfolio import NOW, account, at_submission, buy, enveloped, settings, snapshot

REDUCING, HALTED = TradingState.REDUCING, TradingState.HALTED
OFF = {"max_daily_loss_fraction": None, "max_drawdown_fraction": None}


def limits(**changed):
    """Of the shipped limits on losses only those that are named, at the shipped figures unless given."""
    return limits_of(settings(hard_constraints={"loss_limits": OFF | changed}))


DAILY = limits(max_daily_loss_fraction="0.05")
DRAWDOWN = limits(max_drawdown_fraction="0.20")
BOTH = limits(max_daily_loss_fraction="0.05", max_drawdown_fraction="0.20")


NO_CLOSES = History(read_at=NOW)


def past_with_closes(look, *, highest):
    day = NOW.date()
    closes = EquityFacts(
        since=day,
        highest_close_usd=Decimal(highest),
        highest_close_day=day,
        last_close_usd=look.account.last_equity_usd,
    )
    return History(read_at=NOW, equity=closes)


def a_look(equity, last="100000"):
    return Snapshot(begun_at=NOW, account=account(equity=equity, cash=0, last_equity_usd=Decimal(last)))


def verdict(equity, rules, *, last="100000", highest="100000"):
    look = a_look(equity, last)
    return losses(look, past_with_closes(look, highest=highest), rules)


def codes(found):
    return None if found is None else (found.state, [violation.code for violation in found.violations])


@pytest.mark.parametrize(
    ("equity", "expected"),
    [
        ("100000", None),
        ("101000", None),
        ("95000.01", None),
        ("95000", None),
        ("94999.99", (REDUCING, ["DAILY_LOSS_ABOVE_MAX"])),
        ("0", (REDUCING, ["DAILY_LOSS_ABOVE_MAX"])),
        ("-5", (REDUCING, ["DAILY_LOSS_ABOVE_MAX"])),
    ],
)
def test_a_daily_loss_inside_on_and_outside_the_limit(equity, expected):
    assert codes(verdict(equity, DAILY, highest="900000")) == expected


@pytest.mark.parametrize(
    ("equity", "expected"),
    [
        ("100000", None),
        ("80000.01", None),
        ("80000", None),
        ("79999.99", (REDUCING, ["DRAWDOWN_ABOVE_MAX"])),
    ],
)
def test_a_drawdown_inside_on_and_outside_the_limit(equity, expected):
    assert codes(verdict(equity, DRAWDOWN, last="1")) == expected


@pytest.mark.parametrize(
    ("look", "history", "rules", "code"),
    [
        (Snapshot(begun_at=NOW), None, DAILY, "DAILY_LOSS_UNKNOWN"),
        (a_look("100000", last="0"), None, DAILY, "DAILY_LOSS_UNKNOWN"),
        (a_look("100000", last="-1"), None, DAILY, "DAILY_LOSS_UNKNOWN"),
        (Snapshot(begun_at=NOW), past_with_closes(a_look("100000"), highest=1), DRAWDOWN, "DRAWDOWN_UNKNOWN"),
        (a_look("100000"), None, DRAWDOWN, "DRAWDOWN_UNKNOWN"),
        (a_look("100000", last="0"), NO_CLOSES, DRAWDOWN, "DRAWDOWN_UNKNOWN"),
        (Snapshot(begun_at=NOW), NO_CLOSES, DRAWDOWN, "DRAWDOWN_UNKNOWN"),
        (a_look("100000"), past_with_closes(a_look("1"), highest=0), DRAWDOWN, "DRAWDOWN_UNKNOWN"),
    ],
)
@pytest.mark.parametrize("asks", ["reducing", "halted"])
def test_what_is_missing_reduces_and_is_named(look, history, rules, code, asks):
    strict = limits(
        max_daily_loss_fraction=rules.max_daily_loss_fraction,
        max_drawdown_fraction=rules.max_drawdown_fraction,
        on_daily_loss=asks,
        on_drawdown=asks,
    )

    found = losses(look, history, strict)

    assert codes(found) == (REDUCING, [code])
    assert "missing" in found.violations[0].figure


@pytest.mark.parametrize(("equity", "expected"), [("80000", None), ("79999", (REDUCING, ["DRAWDOWN_ABOVE_MAX"]))])
def test_a_new_account_without_a_closed_day_is_held_against_its_last_close(equity, expected):
    assert codes(losses(a_look(equity), NO_CLOSES, DRAWDOWN)) == expected


def test_a_limit_that_is_off_asks_for_nothing_whatever_is_missing():
    assert losses(Snapshot(begun_at=NOW), None, limits()) is None
    assert verdict("1", limits()) is None


def test_a_violation_names_figure_limit_and_place():
    (daily, drawdown) = verdict("70000.004", BOTH, highest="140000.01").violations

    assert (daily.figure, daily.limit) == ("0.3", "0.05")
    assert (daily.file, daily.key) == ("hard_constraints.yaml", "loss_limits.max_daily_loss_fraction")
    assert "equity $70,000.00 after $100,000.00 at the last close" in daily.rule
    assert (drawdown.file, drawdown.key) == ("hard_constraints.yaml", "loss_limits.max_drawdown_fraction")
    assert drawdown.figure == "0.500001"
    assert "2025-11-10" in drawdown.rule


@pytest.mark.parametrize(
    ("daily", "drawdown", "state", "first"),
    [
        ("reducing", "reducing", REDUCING, "DAILY_LOSS_ABOVE_MAX"),
        ("halted", "reducing", HALTED, "DAILY_LOSS_ABOVE_MAX"),
        ("reducing", "halted", HALTED, "DRAWDOWN_ABOVE_MAX"),
        ("halted", "halted", HALTED, "DAILY_LOSS_ABOVE_MAX"),
    ],
)
def test_the_strictest_limit_decides_and_is_told_first(daily, drawdown, state, first):
    rules = limits(
        max_daily_loss_fraction="0.05", max_drawdown_fraction="0.20", on_daily_loss=daily, on_drawdown=drawdown
    )

    found = verdict("70000", rules)

    assert found.state is state
    assert found.violations[0].code == first
    assert len(found.violations) == 2


@given(st.integers(0, 20_000_000), st.integers(1, 20_000_000), st.integers(0, 100))
def test_a_loss_is_within_its_limit_exactly_when_it_is(equity_cents, last_cents, percent):
    equity, last = Decimal(equity_cents) / 100, Decimal(last_cents) / 100
    rules = limits(max_daily_loss_fraction=Decimal(percent) / 100)

    found = verdict(equity, rules, last=str(last))

    assert (found is None) == ((last - equity) * 100 <= percent * last)
    if found is not None:
        assert Decimal(found.violations[0].figure) > Decimal(percent) / 100


def test_the_highest_close_is_asked_for_while_its_limit_is_on():
    assert HistoryPart.EQUITY not in history_needed(limits())
    assert HistoryPart.EQUITY not in history_needed(DAILY)
    assert HistoryPart.EQUITY in history_needed(DRAWDOWN)


@pytest.mark.parametrize("equity", ["99000", "90000"])
def test_every_verdict_of_compliance_carries_what_the_limits_ask_for(equity):
    trades = (buy("B01", "AAA", 10, 100),)
    look = snapshot(trades, equity=equity, cash=90_000, last_equity_usd=Decimal(100_000))
    department = ComplianceDepartment()

    answer = department.handle(
        department.initial(), enveloped(at_submission(trades, look), Recipient.COMPLIANCE), NOW, settings()
    )

    verdict = answer.outgoing[0].message
    assert isinstance(verdict, PlanReviewed)
    broken = equity == "90000"
    assert (verdict.losses is not None) == broken
    assert ("loss.beyond_limit" in [note.event for note in answer.notes]) == broken
