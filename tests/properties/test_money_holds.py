"""However the figures fall: a margin debt never grows, and what is spent in steps is never more than at once."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from departments.rulebook import money
from messages.values import Funding
from tests.builders.portfolio import gate_money

ZERO = Decimal(0)
USD = st.integers(-10_000_000, 10_000_000).map(lambda cents: Decimal(cents) / 100)
POSITIVE = st.integers(0, 10_000_000).map(lambda cents: Decimal(cents) / 100)
OWN_MONEY = st.sampled_from([Funding.PROCEEDS, Funding.CASH])


def spendable(figures, in_flight=ZERO, reserve=ZERO):
    return money.spendable_usd(
        figures, buying_power_usd=Decimal(10**9), reservations_usd=in_flight, cash_reserve_usd=reserve
    )


def check_debt(funding, cash_before, proceeds, elsewhere, in_flight, reserve):
    """Spend all that may be spent, and let what is in flight cost all it may: what is the cash then?"""
    figures = gate_money(
        proceeds=proceeds, cash_before=cash_before, cash_now=cash_before + proceeds - elsewhere, funding=funding
    )
    spent = max(spendable(figures, in_flight, reserve), ZERO)
    if not spent:
        return
    cash_after = figures.cash_now_usd - spent - in_flight
    lowest = min(cash_before, ZERO) if funding is Funding.PROCEEDS else ZERO
    assert cash_after >= lowest + reserve
    assert spent <= proceeds + max(cash_before, ZERO)


@given(OWN_MONEY, USD, POSITIVE, USD, POSITIVE, POSITIVE)
@example(Funding.PROCEEDS, Decimal("-64137.45"), Decimal("36475.24"), ZERO, Decimal(100), ZERO)
def test_a_debt_never_grows(funding, cash_before, proceeds, elsewhere, in_flight, reserve):
    check_debt(funding, cash_before, proceeds, elsewhere, in_flight, reserve)


def check_steps(funding, cash_before, proceeds, first_share, shows):
    at_once = spendable(gate_money(proceeds=proceeds, cash_before=cash_before, funding=funding))
    spent = max(at_once, ZERO) * first_share / 100
    shown = cash_before + proceeds - (spent if shows else ZERO)
    rest = spendable(
        gate_money(proceeds=proceeds, cash_before=cash_before, cash_now=shown, spent=spent, funding=funding)
    )
    assert spent + max(rest, ZERO) <= max(at_once, ZERO)
    if shows and at_once >= 0:
        assert spent + rest == at_once


@given(OWN_MONEY, USD, POSITIVE, st.integers(0, 100), st.booleans())
@example(Funding.PROCEEDS, Decimal(-500), Decimal(1000), 40, True)
@example(Funding.PROCEEDS, Decimal(-500), Decimal(1000), 40, False)
@example(Funding.CASH, Decimal(-300), Decimal(1000), 40, False)
def test_what_is_spent_in_two_steps_is_what_could_be_spent_at_once(funding, cash_before, proceeds, first_share, shows):
    check_steps(funding, cash_before, proceeds, first_share, shows)


@given(USD, POSITIVE, POSITIVE)
def test_money_short_by_more_than_the_tolerance_is_not_seen(cash_before, proceeds, short):
    figures = gate_money(proceeds=proceeds, cash_before=cash_before, cash_now=cash_before + proceeds - short)

    assert money.money_seen(figures) is (short <= 5 or short * 2000 <= proceeds)


FAULTS = {
    "reservations forgotten": lambda real, figures, more: real(figures, **{**more, "reservations_usd": ZERO}),
    "reserve forgotten": lambda real, figures, more: real(figures, **{**more, "cash_reserve_usd": ZERO}),
    "buying power taken for money": lambda real, figures, more: real(
        figures.model_copy(update={"funding": Funding.BUYING_POWER}), **more
    ),
    "debt forgotten": lambda real, figures, more: (
        real(
            figures.model_copy(update={"cash_before_usd": ZERO, "proceeds_usd": figures.proceeds_usd + 64_000}), **more
        )
        + 64_000
    ),
    "spent forgotten": lambda real, figures, more: real(figures.model_copy(update={"spent_usd": ZERO}), **more),
    "spent taken off twice": lambda real, figures, more: real(figures, **more) - figures.spent_usd,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(monkeypatch, fault):
    real = money.spendable_usd
    monkeypatch.setattr(money, "spendable_usd", lambda figures, **more: FAULTS[fault](real, figures, more))
    on_margin = (Funding.PROCEEDS, Decimal("-64137.45"), Decimal("36475.24"))

    def check_all():
        check_debt(*on_margin, ZERO, Decimal(100), Decimal(50))
        check_steps(*on_margin, 40, True)
        check_steps(*on_margin, 40, False)

    with pytest.raises(AssertionError):
        check_all()


def test_the_case_that_shows_the_faults_is_sound_itself():
    on_margin = (Funding.PROCEEDS, Decimal("-64137.45"), Decimal("36475.24"))

    check_debt(*on_margin, ZERO, Decimal(100), Decimal(50))
    check_steps(*on_margin, 40, True)
    check_steps(*on_margin, 40, False)
